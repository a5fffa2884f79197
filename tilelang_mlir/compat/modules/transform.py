"""`tilelang.transform`: pass configuration. The passes themselves are TVM's and have no counterpart by name."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Generator, Mapping
from typing import Any

from tilelang_mlir.compat.modules.absent import Absent
from tilelang_mlir.compiler.pass_configs import PassConfigKey, normalize
from tilelang_mlir.frontend.primfunc import PrimFunc
from tilelang_mlir.frontend.unused import without_unused

__all__ = ["PassConfigKey", "PassContext", "apply_simplify", "get_pass_context", "simplify_prim_func"]


def simplify_prim_func(func: Any) -> Any:
    """A prim_func, or a factory whose prim_func comes, without the tensor parameters that no kernel uses.

    Every program is simplified before it is lowered; this is what more there is to it.
    """
    if isinstance(func, PrimFunc):
        return without_unused(func)

    @functools.wraps(func)
    def factory(*args: Any, **kwargs: Any) -> Any:
        made = func(*args, **kwargs)
        return without_unused(made) if isinstance(made, PrimFunc) else made

    return factory


def apply_simplify(stmt: Any, inline_let: bool = False) -> Any:
    """A prim_func as of `simplify_prim_func`."""
    del inline_let
    return without_unused(stmt) if isinstance(stmt, PrimFunc) else stmt


Simplify = simplify_prim_func


class PassContext(contextlib.AbstractContextManager["PassContext"]):
    """`with PassContext(config={...})`: pass configurations of what is compiled inside.

    Raises:
        TileValueError: an unknown key.
    """

    def __init__(self, opt_level: int = 3, config: Mapping[Any, Any] | None = None, **_: Any) -> None:
        del opt_level
        self.config = normalize(config)
        self._overrides = contextlib.ExitStack()

    def __enter__(self) -> PassContext:
        self._overrides.enter_context(_configured(self.config))
        return self

    def __exit__(self, *error: object) -> None:
        self._overrides.close()


@contextlib.contextmanager
def _configured(config: Mapping[str, Any]) -> Generator[None]:
    from tilelang_mlir.jit import compile as compiling

    with compiling.configured(config):
        yield


def get_pass_context() -> PassContext:
    """The pass configurations in force."""
    from tilelang_mlir.jit import compile as compiling

    return PassContext(config=compiling.configuration())


def __getattr__(name: str) -> Any:
    if name[:1].isupper():
        message = f"tilelang.transform.{name} is a pass of TVM"
        return Absent(name, message, hint="the passes here are listed by tl-opt --list-passes")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
