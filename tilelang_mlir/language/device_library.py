"""CUDA's device functions by their names, as functions of the language: what `T.call_extern` needs no source for.

Source: CUDA C++ Programming Guide (warp votes, shuffles, synchronisation) and CUDA Math API (single precision,
integer and conversion functions). They mean the same in the simulator and on every target.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from tilelang_mlir.language.decoders import DECODERS

_SINGLE = (
    "exp exp2 exp10 log log2 log10 log1p sqrt rsqrt sin cos tan sinh cosh tanh floor ceil trunc erf pow fmod atan2 "
    "asin acos atan copysign round"
).split()
_FAST = "exp exp10 log log2 log10 sin cos".split()
_ROUNDINGS = {"rn": "nearbyint", "rz": "trunc", "rd": "floor", "ru": "ceil"}
_CAST_ROUNDINGS = {"rn": "rn", "rz": "rz", "rd": "rm", "ru": "rp"}
_IEEE = {"__fadd": "ieee_add", "__fsub": "ieee_sub", "__fmul": "ieee_mul", "__fdiv": "ieee_fdiv", "__fmaf": "ieee_fmaf",
         "__frcp": "ieee_frcp", "__fsqrt": "ieee_fsqrt"}  # fmt: skip
# Names of CUDA's, and the function of T that takes the same arguments.
_ALIKE = {
    **{f"{name}f": name for name in _SINGLE},
    **{f"__{name}f": f"__{name}" for name in _FAST},
    "rintf": "nearbyint", "nearbyintf": "nearbyint", "fmaf": "fma", "fabsf": "abs", "fmaxf": "max", "fminf": "min",
    "__powf": "pow", "__frsqrt_rn": "ieee_frsqrt", "__popc": "popcount", "__popcll": "popcount", "__clz": "clz",
    "__clzll": "clz", "__ffs": "__ffs", "__syncthreads": "sync_threads", "__syncwarp": "sync_warp",
    "__syncthreads_count": "syncthreads_count", "__syncthreads_and": "syncthreads_and",
    "__syncthreads_or": "syncthreads_or", "__activemask": "activemask",
}  # fmt: skip
# Those whose mask comes first here and last there.
_MASKED = {
    "__shfl_sync": "shfl_sync", "__shfl_xor_sync": "shfl_xor", "__shfl_up_sync": "shfl_up",
    "__shfl_down_sync": "shfl_down", "__ballot_sync": "ballot_sync", "__any_sync": "any_sync",
    "__all_sync": "all_sync", "__match_any_sync": "match_any_sync",
}  # fmt: skip
_BITS = {"__int_as_float": "float32", "__uint_as_float": "float32", "__float_as_int": "int32",
         "__float_as_uint": "uint32", "__ushort_as_half": "float16", "__half_as_ushort": "uint16"}  # fmt: skip
_CASTS = {"__half2float": "float32", "__bfloat162float": "float32", "__float2half": "float16",
          "__float2bfloat16": "bfloat16"}  # fmt: skip


def _of(name: str) -> Callable[..., Any]:
    return getattr(importlib.import_module("tilelang_mlir.language"), name)


def _masked(name: str) -> Callable[..., Any]:
    return lambda mask, value, *rest: _of(name)(value, *rest, mask=mask)


def _to(dtype: str, rounding: str = "") -> Callable[..., Any]:
    return lambda x: _of("cast")(x, dtype, round=rounding)


def _nanosleep(nanoseconds: Any) -> None:
    from tilelang_mlir.frontend.buffer import int32_value
    from tilelang_mlir.frontend.builder import require
    from tilelang_mlir.language.intrinsic import intrinsic

    intrinsic("T.call_extern", "nanosleep", [int32_value(require("T.call_extern"), nanoseconds)])


def _library() -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {name: lambda *a, n=own: _of(n)(*a) for name, own in _ALIKE.items()}
    found.update((name, _masked(own)) for name, own in _MASKED.items())
    found.update((name, lambda x, d=kind: _of("reinterpret")(x, d)) for name, kind in _BITS.items())
    found.update((name, _to(kind)) for name, kind in _CASTS.items())
    for rounding, function in _ROUNDINGS.items():
        for kind, dtype in (("int", "int32"), ("uint", "uint32"), ("ll", "int64")):
            found[f"__float2{kind}_{rounding}"] = lambda x, f=function, d=dtype: _of("cast")(_of(f)(x), d)
        for name, own in _IEEE.items():
            found[f"{name}_{rounding}"] = lambda *a, f=own, r=rounding: _of(f)(*a, rounding_mode=r)
        for name, dtype in (("__float2half", "float16"), ("__float2bfloat16", "bfloat16")):
            found[f"{name}_{rounding}"] = _to(dtype, _CAST_ROUNDINGS[rounding])
    found["__fdividef"] = lambda x, y: x / y
    found["__nanosleep"] = _nanosleep
    return found


LIBRARY = {**_library(), **DECODERS}
