"""The traced form of a kernel function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tilelang_mlir.frontend.spec import Param
from tilelang_mlir.mlir import ir


class PrimFunc:
    """A function of kernels as a level-1 `tl` module.

    `module` belongs to `context`. `params` describes the user's parameters in order, `out_idx` those the callee
    allocates (negative from the end). `attrs` has `tilelang_out_idx`, `tilelang_pass_configs` and
    `tilelang_compile_flags` where they are set.
    `layouts` maps buffer names to the layout objects given by `T.annotate_layout`.
    """

    def __init__(
        self, name: str, module: ir.Module, context: ir.Context, params: Sequence[Param], side: dict[str, Any]
    ) -> None:
        self.name = name
        self.module = module
        self.context = context
        self.params = tuple(params)
        self.layouts: dict[str, Any] = side.get("layouts", {})
        self.asks_warp_size: bool = side.get("asks_warp_size", False)  # it is another one where warps are wider
        self.again: Callable[[], PrimFunc] | None = None  # traces the function anew
        self.attrs: dict[str, Any] = {"global_symbol": name}
        for key in ("tilelang_out_idx", "tilelang_pass_configs", "tilelang_compile_flags"):
            if key in side:
                self.attrs[key] = side[key]

    @property
    def __name__(self) -> str:
        return self.name

    @property
    def buffer_map(self) -> dict[Param, Param]:
        """The tensors among the parameters: shape, strides and dtype by parameter, which are here one object."""
        return {param: param for param in self.params if param.kind == "tensor"}

    @property
    def body(self) -> PrimFunc:
        """The statements, for the functions of `tvm.tir.stmt_functor`, which are given the whole."""
        return self

    ret_type = None

    @property
    def out_idx(self) -> list[int] | None:
        return self.attrs.get("tilelang_out_idx")

    @property
    def pass_configs(self) -> dict[str, Any]:
        return self.attrs.get("tilelang_pass_configs", {})

    @property
    def compile_flags(self) -> list[str]:
        return self.attrs.get("tilelang_compile_flags", [])

    def script(self, *, locations: bool = False) -> str:
        """The module as MLIR text, values named after the variables of the source."""
        return self.module.operation.get_asm(enable_debug_info=locations, use_name_loc_as_prefix=True)

    def __str__(self) -> str:
        return self.script()

    def __repr__(self) -> str:
        return f"<PrimFunc {self.name}({', '.join(param.name for param in self.params)})>"
