"""Single products of a warpgroup, on descriptors and registers that the program makes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tilelang_mlir.dialect.ops.matrix import KINDS
from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import Element, int32_value, memory_of
from tilelang_mlir.frontend.builder import Builder
from tilelang_mlir.frontend.expr import INT32, Expr, as_expr, value_of
from tilelang_mlir.language.matrix import NAMES, load_own_words, own_array
from tilelang_mlir.language.pointers import place_of
from tilelang_mlir.language.sync import in_kernel
from tilelang_mlir.mlir import ir

_UINT32, _UINT64 = DType("uint32"), DType("uint64")
_PREFIX = re.compile(r"m64n(\d+)k(\d+)")


def ptx_wgmma_ss(
    dtype: Any,
    wgmma_prefix: str,
    a_is_k_major: Any,
    b_is_k_major: Any,
    a_dtype_abbrv: str,
    b_dtype_abbrv: str,
    accum_dtype_abbrv: str,
    A_desc: Any,
    A_offset: Any,
    B_desc: Any,
    B_offset: Any,
    C_data: Any,
    C_offset: Any,
    scale_out: Any,
    scale_in_a: Any = 1,
    scale_in_b: Any = 1,
) -> None:
    """Start one product of a warpgroup, `wgmma.mma_async`, with both operands in shared memory.

        T.warpgroup_arrive()
        T.ptx_wgmma_ss("float32", "m64n64k16", True, True, "fp16", "fp16", "fp32", da.data, 0, db.data, 0, c.data, 0, 0)
        T.warpgroup_commit_batch()
        T.warpgroup_wait(0)

    Args:
        wgmma_prefix: shape "m64nNkK", K of 32 bytes.
        a_is_k_major, b_is_k_major: whether K is the contiguous dimension.
        A_desc, B_desc: of `T.alloc_wgmma_desc`; the offsets move them, in units of 16 bytes.
        C_data, C_offset: array and first element of the n / 2 sums that each thread holds (PTX ISA 8.7, 9.7.15.5.1.1),
            the first a Python integer. They have no value before the wait, which is in the same block of the program.
        scale_out: 0 starts from zero. scale_in_a, scale_in_b: 1, or 0 or -1 to change an operand's signs.

    Raises:
        TileValueError: no such shape or dtype. TileTypeError: a descriptor or an array of another kind.
        UnsupportedError: when compiled, for a target without warpgroup products, or where the wait is elsewhere.
    """
    del dtype
    what = "T.ptx_wgmma_ss"
    builder = in_kernel(what)
    kinds = _kinds(what, wgmma_prefix, (a_dtype_abbrv, b_dtype_abbrv), accum_dtype_abbrv)
    words = [*_descriptor(builder, what, A_desc, A_offset), *_descriptor(builder, what, B_desc, B_offset)]
    majors = {"transpose_a": not _flag(a_is_k_major), "transpose_b": not _flag(b_is_k_major)}
    _emit(builder, what, wgmma_prefix, kinds, words, (C_data, C_offset), scale_out, (scale_in_a, scale_in_b), majors)


def ptx_wgmma_rs(
    dtype: Any,
    wgmma_prefix: str,
    b_is_k_major: Any,
    a_dtype_abbrv: str,
    b_dtype_abbrv: str,
    accum_dtype_abbrv: str,
    A_buf: Any,
    A_offset: Any,
    B_desc: Any,
    B_offset: Any,
    C_data: Any,
    C_offset: Any,
    scale_out: Any,
    scale_in_a: Any = 1,
    scale_in_b: Any = 1,
) -> None:
    """`T.ptx_wgmma_ss` with A in registers: 16 bytes from element `A_offset` of a `T.alloc_local` array on.

    Raises:
        TileValueError, TileTypeError, UnsupportedError: as `T.ptx_wgmma_ss`.
    """
    del dtype
    what = "T.ptx_wgmma_rs"
    builder = in_kernel(what)
    kinds = _kinds(what, wgmma_prefix, (a_dtype_abbrv, b_dtype_abbrv), accum_dtype_abbrv)
    registers = load_own_words(builder, own_array(what, A_buf, A_offset, "A"), 4)
    words = [*registers, *_descriptor(builder, what, B_desc, B_offset)]
    majors = {"transpose_b": not _flag(b_is_k_major)}
    _emit(builder, what, wgmma_prefix, kinds, words, (C_data, C_offset), scale_out, (scale_in_a, scale_in_b), majors)


def _flag(value: Any) -> bool:
    return bool(value.const if isinstance(value, Expr) else value)


def _kinds(what: str, prefix: str, names: Sequence[Any], sums: Any) -> tuple[str, str]:
    kinds = [NAMES.get(str(name), "") for name in names]
    found = _PREFIX.fullmatch(str(prefix))
    if not all(kinds) or KINDS[kinds[0]] != KINDS[kinds[1]] or "f64" in kinds:
        raise TileValueError(f"{what}: no product of {names[0]} and {names[1]}")
    if found is None or int(found[2]) != 256 // KINDS[kinds[0]] or int(found[1]) % 8 or not 8 <= int(found[1]) <= 256:
        raise TileValueError(
            f"{what}: shape {prefix!r} for {names[0]}",
            hint=f"m64nNk{256 // KINDS[kinds[0]]} with N a multiple of 8 up to 256",
        )
    wanted = ("int32", "s32") if kinds[0] in ("s8", "u8") else ("fp32", "float32", "f32")
    if str(sums) not in wanted:
        raise TileValueError(f"{what}: products of {names[0]} are summed in {wanted[0]} here, not {sums}")
    return kinds[0], kinds[1]


def _descriptor(builder: Builder, what: str, value: Any, offset: Any) -> list[ir.Value]:
    """Lower and upper word, moved by so many units of 16 bytes."""
    element = place_of(what, value)
    if element.buffer.memory not in ("local", "var") or element.buffer.dtype.bits != 64:
        raise TileTypeError(f"{what} needs descriptors, got {element.buffer!r}", hint="see T.alloc_wgmma_desc")
    moved = arith.add(arith.cast(element.read(), _UINT64), arith.cast(as_expr(offset, INT32), _UINT64))
    return [value_of(builder, arith.cast(word, _UINT32)) for word in (moved, arith.shift_right(moved, 32))]


def _emit(
    builder: Builder,
    what: str,
    prefix: str,
    kinds: tuple[str, str],
    words: list[ir.Value],
    sums: tuple[Any, Any],
    scale: Any,
    signs: tuple[Any, Any],
    majors: dict[str, bool],
) -> None:
    first: Element = own_array(what, *sums, "the sum")
    wanted = "int32" if kinds[0] in ("s8", "u8") else "float32"
    if first.buffer.ndim != 1 or str(first.buffer.dtype) != wanted:
        raise TileTypeError(f"{what}: the sums are an array [n / 2] of {wanted}, got {first.buffer!r}")
    flags = {**majors, **{f"negate_{x}": _sign(s) for x, s in zip("ab", signs, strict=True)}}
    n = re.sub(r"m64n(\d+)k.*", r"\1", prefix)
    attributes: dict[str, ir.Attribute] = {
        "n": ir.IntegerAttr.get(ir.IntegerType.get_signless(32), int(n)),
        "a": ir.StringAttr.get(kinds[0]),
        "b": ir.StringAttr.get(kinds[1]),
        **{name: ir.UnitAttr.get() for name, on in flags.items() if on},
    }
    start = value_of(builder, arith.cast(as_expr(scale, INT32), INT32))
    operands = [memory_of(first.buffer), int32_value(builder, first.indices[0]), *words, start]
    builder.emit("tl.warpgroup_mma", operands, [], attributes)


def _sign(value: Any) -> bool:
    """Whether an operand changes sign."""
    number = value.const if isinstance(value, Expr) else value
    return number in (0, -1)
