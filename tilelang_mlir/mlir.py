"""The one module that knows where the MLIR Python bindings come from.

`torch_mlir` carries the upstream bindings and all upstream dialects; the upstream `mlir` package is accepted when
it is what is installed. Everything else imports `ir`, `passmanager` and dialect modules from here.
"""

from __future__ import annotations

import functools
import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any


def _find_root() -> str:
    for root in ("torch_mlir", "mlir"):
        try:
            importlib.import_module(f"{root}.ir")
        except ImportError:
            continue
        return root
    from tilelang_mlir.errors import ToolchainError

    raise ToolchainError(
        "no MLIR Python bindings found (looked for the modules torch_mlir and mlir)",
        hint="pip install torch-mlir==20261001",
    )


ROOT = _find_root()
if TYPE_CHECKING:
    from torch_mlir import ir as ir
    from torch_mlir.passmanager import PassManager as PassManager
else:
    ir = importlib.import_module(f"{ROOT}.ir")
    PassManager = importlib.import_module(f"{ROOT}.passmanager").PassManager


# What the functions of walks answer, of which there are thousands: to look it up takes as long as a step of the walk.
ADVANCE, SKIP, PRE_ORDER = ir.WalkResult.ADVANCE, ir.WalkResult.SKIP, ir.WalkOrder.PRE_ORDER

# What programs are written in at all levels; parsing loads others where a text names them.
_DIALECTS = ["amdgpu", "arith", "cf", "func", "gpu", "irdl", "llvm", "math", "memref", "nvvm", "rocdl", "scf", "vector"]


@functools.lru_cache(maxsize=1)
def _do_without_classes() -> None:
    """Keep the bindings from importing a module of generated classes per dialect at its first op or type.

    Nothing here uses the classes: ops are made and read by name. Those of LLVM and of the vendors' instructions alone
    take longer than the tracing of a kernel. What is imported on purpose still is: the places are only held for long
    enough for the bindings to note that the dialects are loaded.
    """
    known = extension("_mlir").globals
    for name in _DIALECTS:
        place = f"{ROOT}.dialects.{name}"
        if name != "irdl" and place not in sys.modules:  # irdl loads the definitions of `tl`
            sys.modules[place] = ModuleType(place)
            try:
                known._check_dialect_module_loaded(name)
            finally:
                del sys.modules[place]


def new_context() -> ir.Context:
    """A context with the dialects of programs, for one thread. With all there are it takes five times as long."""
    _do_without_classes()
    ctx = ir.Context(load_on_create_dialects=[])
    for name in _DIALECTS:
        ctx.get_dialect_descriptor(name)  # loads the dialect, but not its Python module, of which most kernels need few
    ctx.enable_multithreading(False)  # one kernel is too small for the parallel passes
    return ctx


def int_array(array: ir.Attribute) -> list[int]:
    """The numbers of `array<i32>` or `array<i64>`; the end of its iterator is an exception of C++, which takes 8 us."""
    numbers: Any = array
    return [numbers[i] for i in range(len(numbers))]


class ContextTable:
    """A dictionary of what was made in one MLIR context, started anew when asked for in another.

    Threads may share a table: each works on the dictionary of its own context, at worst an empty one.
    """

    def __init__(self) -> None:
        self._held: tuple[ir.Context, dict[Any, Any]] | None = None

    def of(self, context: ir.Context) -> dict[Any, Any]:
        """The dictionary of a context."""
        held = self._held
        if held is None or held[0] is not context:
            held = self._held = (context, {})
        return held[1]


def dialect(name: str) -> ModuleType:
    """Import an upstream dialect module, e.g. `dialect("arith")`."""
    return importlib.import_module(f"{ROOT}.dialects.{name}")


def extension(name: str) -> ModuleType:
    """A compiled part of the bindings, e.g. `_mlirDialectsLLVM`, without the generated classes of its dialect."""
    return importlib.import_module(f"{ROOT}._mlir_libs.{name}")


def provide_dialect(name: str, module: ModuleType) -> None:
    """Make op lookups of dialect `name` find `module`; without it the bindings retry a failing import per op."""
    sys.modules[f"{ROOT}.dialects.{name}"] = module
