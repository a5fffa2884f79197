"""Functions of kernels and their arguments: `T.prim_func`, `T.macro`, sizes, tensor annotations."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from tilelang_mlir.errors import TileError, TileTypeError
from tilelang_mlir.frontend.builder import current, require
from tilelang_mlir.frontend.expr import Var
from tilelang_mlir.frontend.macro import Macro, Ref, macro, meta_class
from tilelang_mlir.frontend.primfunc import PrimFunc
from tilelang_mlir.frontend.template import ConstVar, current_template
from tilelang_mlir.frontend.trace import trace_function
from tilelang_mlir.frontend.typename import to_dtype

__all__ = ["Macro", "PrimFunc", "Ref", "macro", "meta_class"]


class JITNoBuilderError(TileError):
    """A name that only means something while a kernel is traced was used elsewhere."""


def prim_func(func: Callable[..., Any] | None = None, *, eager_jit: bool = False, private: bool = False) -> Any:
    """Decorator: trace a function whose parameters are annotated, and return its `PrimFunc`.

    Raises:
        TileError: anything wrong in the kernel, with its position.
    """
    del eager_jit, private
    scope = dict(sys._getframe(1).f_locals)  # pyright: ignore[reportPrivateUsage]
    if func is None:
        return lambda inner: trace_function(inner, scope)
    return trace_function(func, scope)


inline = macro


def _names(name: str) -> list[str]:
    names = [part for part in name.replace(",", " ").split() if part]
    if not names:
        raise TileTypeError("a symbolic size needs a name")
    return names


def dynamic(name: str, dtype: Any = "int32") -> Any:
    """A size known at run time, taken from the shape of an argument. "m, n" gives a tuple."""
    made = tuple(Var(part, to_dtype(dtype)) for part in _names(name))
    return made[0] if len(made) == 1 else made


symbolic = dynamic


def const(name: str, dtype: Any = "int32") -> Any:
    """A size that is a compile-time constant of an eager kernel, read from its tensors' shapes. "M, N" gives a tuple.

    Raises:
        JITNoBuilderError: outside of an eager `@tilelang.jit` function.
    """
    names = _names(name)
    template = current_template()
    if template is not None:
        sizes = [template.constants.setdefault(part, ConstVar(part, to_dtype(dtype))) for part in names]
    else:
        builder = current()
        known: dict[str, int] | None = builder.side.get("constants") if builder is not None else None
        if known is None:
            raise JITNoBuilderError(
                "T.const can only be used in an eager @tilelang.jit function",
                hint="a prim_func takes its sizes from Python variables, or from T.dynamic",
            )
        sizes = [known[part] for part in names]
    return sizes[0] if len(sizes) == 1 else tuple(sizes)


def annotate_pass_configs(configs: dict[str, Any]) -> None:
    """Pass options of this function; options of the decorator win."""
    if current_template() is None:
        require("T.annotate_pass_configs").side["tilelang_pass_configs"] = dict(configs)


def annotate_compile_flags(flags: Any) -> None:
    """Extra flags of the device assembler for this function."""
    if current_template() is None:
        chosen = flags.split() if isinstance(flags, str) else list(flags)
        require("T.annotate_compile_flags").side["tilelang_compile_flags"] = chosen
