"""Calls of intrinsics by name: those of LLVM, and TVM's operators."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, UnsupportedError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.expr import Expr, as_expr, describe
from tilelang_mlir.language.extern import call_intrinsic
from tilelang_mlir.language.sync import in_kernel

# LLVM's name up to its types, and the function of T that means the same; arguments are alike.
_LLVM = {
    "nvvm.ex2.approx": "exp2", "nvvm.lg2.approx": "log2", "nvvm.rsqrt.approx": "rsqrt", "nvvm.rcp.approx": "fast_rcp",
    "nvvm.sin.approx": "__sin", "nvvm.cos.approx": "__cos", "nvvm.fabs": "abs", "nvvm.fma.rn": "fma",
    "nvvm.barrier0": "sync_threads", "nvvm.bar.warp.sync": "sync_warp", "nvvm.barrier.cta.sync.aligned.all":
    "sync_threads", "nvvm.read.ptx.sreg.laneid": "get_lane_idx", "fma": "fma", "sqrt": "sqrt", "exp2": "exp2",
    "exp": "exp", "log2": "log2", "log": "log", "sin": "sin", "cos": "cos", "fabs": "abs", "floor": "floor",
    "ceil": "ceil", "trunc": "trunc", "rint": "nearbyint", "nearbyint": "nearbyint", "ctpop": "popcount",
    "copysign": "copysign", "pow": "pow", "maxnum": "max", "minnum": "min", "smax": "max", "smin": "min",
}  # fmt: skip
_AXES = {"tid": "get_thread_binding", "ctaid": "get_block_binding", "ntid": "get_thread_extent",
         "nctaid": "get_block_extent"}


def call_llvm_intrin(dtype: Any, name: str, *args: Any) -> Any:
    """An intrinsic of LLVM by its name: `T.call_llvm_intrin("float32", "llvm.nvvm.ex2.approx.f", x)`.

    Those that mean what a function of T means are that function, on every target and in the simulator. Others go to
    LLVM as they are, with scalar arguments and results of at most 64 bits; the simulator does not run them.

    Raises:
        TileTypeError: the name is none of LLVM's, or an argument no scalar. CompileError: when compiled, if LLVM knows
            no such intrinsic.
    """
    if not isinstance(name, str) or not name.startswith("llvm."):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TileTypeError(f"T.call_llvm_intrin needs a name of LLVM, got {describe(name)}",
                            hint='write it in full: "llvm.nvvm.ex2.approx.f"')
    in_kernel("T.call_llvm_intrin")
    short = name.removeprefix("llvm.")
    if short.startswith("nvvm.read.ptx.sreg.") and short.count(".") == 5:
        register, axis = short.split(".")[-2:]
        if register in _AXES and axis in "xyz":
            return _result(dtype, _function(_AXES[register])("xyz".index(axis)))
    parts = short.split(".")
    for count in range(len(parts), 0, -1):
        known = _LLVM.get(".".join(parts[:count]))
        if known is not None:
            return _result(dtype, _function(known)(*args))
    return call_intrinsic(dtype, name, args)


def call_intrin(dtype: Any, op: Any, *args: Any) -> Any:
    """An operator of TVM by its name, `"tir.exp2"` or `"tl.any_sync"`: the function of T that is called so.

    Raises:
        UnsupportedError: T has no function of that name.
    """
    in_kernel("T.call_intrin")
    name = getattr(op, "name", op)
    if not isinstance(name, str):
        raise TileTypeError(f"T.call_intrin needs the name of an operator, got {describe(op)}",
                            hint='write it as TVM does: "tir.exp2"')
    short = name.split(".")[-1]
    language: Any = importlib.import_module("tilelang_mlir.language")
    if not short.isidentifier() or short not in (*language.__all__, "__exp"):
        raise UnsupportedError(f"T.call_intrin: no function of T does what {name!r} does",
                               hint="T.call_extern calls device code, T.call_llvm_intrin intrinsics of LLVM")
    return _result(dtype, _function(short)(*args))


def _function(name: str) -> Callable[..., Any]:
    return getattr(importlib.import_module("tilelang_mlir.language"), name)


def _result(dtype: Any, value: Any) -> Any:
    """The value as the dtype that the program gives it."""
    if value is None or str(dtype) in ("handle", "void", "") or not isinstance(value, Expr | int | float):
        return value
    return arith.cast(as_expr(value), DType(dtype))
