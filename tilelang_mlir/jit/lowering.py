"""`tilelang.lower`: the program at its last level and its device code, without making a kernel that can be called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilelang_mlir.compiler.backends import backend_for
from tilelang_mlir.compiler.codegen import emit
from tilelang_mlir.jit.compile import compile_options, compile_prim_func, prepare
from tilelang_mlir.launch_plan import Expr, LaunchPlan
from tilelang_mlir.runtime.storage import storage_dtype
from tilelang_mlir.target import Target

if TYPE_CHECKING:
    from tilelang_mlir.jit.kernel import JITKernel


@dataclass(frozen=True)
class KernelParam:
    """A parameter of the user's signature. `shape` holds integers, names and expressions; a scalar's is empty."""

    name: str
    dtype: str
    shape: tuple[Expr, ...]
    kind: str

    def is_scalar(self) -> bool:
        return self.kind == "scalar"

    def torch_dtype(self) -> Any:
        """The torch dtype of the tensor to pass; packed types are bytes."""
        import torch

        return getattr(torch, storage_dtype(self.dtype))


@dataclass(frozen=True)
class CompiledArtifact:
    """`host_mod` is the launch plan, `device_mod` the program of one thread (an MLIR module), `kernel_source` its PTX
    (AMD: its assembly).

    `rt_mod` is the callable kernel where the device code was to be compiled, else None.
    """

    host_mod: LaunchPlan
    device_mod: Any
    params: list[KernelParam] | None
    kernel_source: str
    rt_mod: JITKernel | None
    target: Target
    target_host: Any = None


def lower(
    func: Any,
    target: str | Target | dict[str, object] | None = "auto",
    target_host: Any = None,
    runtime_only: bool = False,
    enable_host_codegen: bool = False,
    enable_device_compile: bool = False,
    pass_configs: Mapping[Any, object] | None = None,
) -> CompiledArtifact:
    """Lower a `PrimFunc` and generate its device code.

    With `runtime_only` the parameters are left out, with `enable_device_compile` the kernel is compiled too.
    `target_host` and `enable_host_codegen` mean nothing here: the host side is the launch plan.

    Raises:
        TileError: a pass or LLVM rejects the program.
    """
    from tilelang_mlir.compiler.pipeline import lower_program

    del enable_host_codegen
    func, machine = prepare(func, target)
    options = compile_options(func, pass_configs=pass_configs)
    plan, lowered = lower_program(func.module, machine, options)
    source = str(emit(lowered, machine.device(), backend_for(machine.arch).text, options.codegen))
    params = [KernelParam(p.name, p.dtype, p.shape, p.kind) for p in plan.user_params]
    kernel = compile_prim_func(func, target=machine, pass_configs=pass_configs) if enable_device_compile else None
    return CompiledArtifact(plan, lowered, None if runtime_only else params, source, kernel, machine, target_host)
