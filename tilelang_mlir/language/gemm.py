"""Matrix products of tiles."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import buffer_of, extents_of, same_size, tile_of
from tilelang_mlir.frontend.builder import Builder, require
from tilelang_mlir.frontend.expr import Expr, describe, value_of
from tilelang_mlir.language.copy import describe_shape
from tilelang_mlir.language.marks import takes_name
from tilelang_mlir.mlir import ir


class GemmWarpPolicy(enum.IntEnum):
    """How the warps of a block split the result: in both directions, along rows only, along columns only."""

    Square = 0
    FullRow = 1
    FullCol = 2

    @classmethod
    def from_warp_partition(cls, m_warp: int, n_warp: int) -> GemmWarpPolicy:
        """The policy that gives `m_warp` by `n_warp` warps."""
        if n_warp == 1:
            return cls.FullRow
        return cls.FullCol if m_warp == 1 else cls.Square


POLICIES = {GemmWarpPolicy.Square: "square", GemmWarpPolicy.FullRow: "full_row", GemmWarpPolicy.FullCol: "full_col"}


def add_condition(builder: Builder, operands: list[ir.Value], clear_accum: Any) -> bool:
    """Whether a product starts from zero; what decides at run time becomes one more operand."""
    clear = arith.to_bool(clear_accum) if isinstance(clear_accum, Expr) else bool(clear_accum)
    if not isinstance(clear, Expr):
        return clear
    operands.append(value_of(builder, clear))
    return False


def policy_attribute(policy: GemmWarpPolicy) -> ir.Attribute:
    """A policy as the dialect spells it.

    Raises:
        TileValueError: there is no such policy.
    """
    if policy not in tuple(GemmWarpPolicy):
        raise TileValueError(f"no policy of products: {describe(policy)}", hint="T.GemmWarpPolicy.FullRow")
    return ir.StringAttr.get(POLICIES[GemmWarpPolicy(policy)])


@takes_name
def gemm(
    A: Any,
    B: Any,
    C: Any,
    transpose_A: bool = False,
    transpose_B: bool = False,
    policy: GemmWarpPolicy = GemmWarpPolicy.Square,
    clear_accum: Any = False,
    k_pack: int = 1,
    mbar: Any = None,
    wg_wait: int = 0,
    annotations: dict[str, Any] | None = None,
) -> None:
    """`C += op(A) @ op(B)`: A is [M, K], B is [K, N], C is [M, N]; a transposed operand is given the other way round.

    A and B are tiles in shared memory or fragments, C a fragment (or tensor memory). With `clear_accum` C is set,
    not added to. `k_pack` only concerns some AMD layouts and is accepted. Of operands that are both of tfloat32 ten
    bits of the fraction count, where a target has an instruction for it; float32 keeps all bits where it has one.

    The product is complete when the call ends. With `mbar`, which needs C in tensor memory, it is not: the barrier gets
    an arrival then (see `T.tcgen05_gemm`, whose `wg_wait` means nothing).

    Raises:
        TileValueError: the shapes do not agree. TileTypeError: dtypes or memories that have no matrix product.
    """
    del k_pack, annotations, wg_wait
    if mbar is not None:
        _gemm_with_barrier(A, B, C, transpose_A, transpose_B, clear_accum, mbar)
        return
    emit_gemm("T.gemm", A, B, C, transpose_A, transpose_B, policy, clear_accum)


def emit_gemm(
    what: str,
    A: Any,
    B: Any,
    C: Any,
    transpose_A: bool,
    transpose_B: bool,
    policy: GemmWarpPolicy,
    clear_accum: Any,
    *,
    asynchronous: bool = False,
) -> None:
    """Emit the product for `what`; `asynchronous` leaves its end to the program."""
    builder = require(what)
    builder.require_launch(what)
    check_memories(A, B, C)
    check_shapes(A, B, C, bool(transpose_A), bool(transpose_B))
    check_dtypes(*(buffer_of(x, "an operand of T.gemm").dtype for x in (A, B, C)))
    operands = [tile_of(value, f"operand {name} of T.gemm") for name, value in zip("ABC", (A, B, C), strict=True)]
    clear = add_condition(builder, operands, clear_accum)
    attributes: dict[str, ir.Attribute] = {
        "transpose_a": ir.BoolAttr.get(bool(transpose_A)),
        "transpose_b": ir.BoolAttr.get(bool(transpose_B)),
        "policy": policy_attribute(policy),
        "clear": ir.BoolAttr.get(clear),
    }
    for name, value in (("a_unsigned", A), ("b_unsigned", B)):
        if buffer_of(value, "an operand of T.gemm").dtype.kind == "uint":
            attributes[name] = ir.UnitAttr.get()
    if all(str(buffer_of(x, "an operand of T.gemm").dtype) == "tfloat32" for x in (A, B)):
        attributes["tf32"] = ir.UnitAttr.get()
    if asynchronous:
        attributes["wgmma"] = ir.UnitAttr.get()
    builder.emit("tl.gemm", operands, [], attributes)


def _gemm_with_barrier(A: Any, B: Any, C: Any, transpose_a: Any, transpose_b: Any, clear: Any, mbar: Any) -> None:
    from tilelang_mlir.language.tensor import tcgen05_gemm

    memory = buffer_of(C, "operand C of T.gemm").memory
    if memory != "tmem":
        raise TileTypeError(
            f"T.gemm with mbar needs operand C in tmem, got {memory} memory", hint="allocate it with T.alloc_tmem"
        )
    tcgen05_gemm(A, B, C, bool(transpose_a), bool(transpose_b), clear_accum=clear, mbar=mbar)


def check_memories(A: Any, B: Any, C: Any) -> None:
    """Each operand lies where products read it.

    Raises:
        TileTypeError: it does not; the message says where it may lie.
    """
    allowed = {"A": ("shared", "fragment", "tmem"), "B": ("shared", "fragment"), "C": ("fragment", "tmem")}
    for name, value in zip("ABC", (A, B, C), strict=True):
        memory = buffer_of(value, f"operand {name} of T.gemm").memory
        if memory not in allowed[name]:
            raise TileTypeError(
                f"operand {name} of T.gemm is in {memory} memory, expected {' or '.join(allowed[name])}",
                hint="accumulate into T.alloc_fragment" if name == "C" else "copy it to T.alloc_shared first",
            )


def check_shapes(A: Any, B: Any, C: Any, transpose_a: bool, transpose_b: bool, parts: int = 1) -> None:
    """Whether C is op(A) @ op(B), of which B has one of `parts` parts along N."""
    shapes = []
    for name, value in zip("ABC", (A, B, C), strict=True):
        shape = extents_of(value)
        if shape is None or len(shape) < 2 or any(size != 1 for size in shape[:-2]):
            text = "an address" if shape is None else f"shape {describe_shape(shape)}"
            raise TileValueError(f"operand {name} of T.gemm must be a two-dimensional tile, got {text}")
        shapes.append(shape[-2:])
    a: Sequence[Any] = shapes[0][::-1] if transpose_a else shapes[0]
    b: Sequence[Any] = shapes[1][::-1] if transpose_b else shapes[1]
    c = shapes[2]
    if not (same_size(a[0], c[0]) and same_size(b[1] * parts, c[1]) and same_size(a[1], b[0])):
        half = "half of op(B)" if parts == 2 else "op(B)"
        raise TileValueError(
            f"the shapes of T.gemm do not agree: op(A) is {describe_shape(a)}, {half} is {describe_shape(b)}, "
            f"C is {describe_shape(c)}",
            hint="op(A) is [M, K], op(B) is [K, N], C is [M, N]; transpose_A and transpose_B swap an operand's "
                "dimensions",
        )


_EIGHT_BIT = ("float8_e4m3", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")


def check_dtypes(a: DType, b: DType, c: DType) -> None:
    """A and B can be multiplied, and C can hold the sum.

    Raises:
        TileTypeError: dtypes that do not go together.
    """
    both_fp8 = a in _EIGHT_BIT and b in _EIGHT_BIT
    both_small = a.is_float and b.is_float and max(a.bits, b.bits) <= 8
    both_int = a.is_integer and b.is_integer and a.bits == b.bits
    if not (a == b or both_fp8 or both_small or both_int):
        raise TileTypeError(
            f"T.gemm multiplies {a} with {b}", hint="convert one operand: T.copy converts between buffers"
        )
    if a.is_integer != c.is_integer:
        raise TileTypeError(f"T.gemm of {a} cannot accumulate in {c}")
    if c.bits < a.bits or (c.is_integer and c.bits != 32):
        raise TileTypeError(
            f"T.gemm of {a} cannot accumulate in {c}", hint="accumulate in float32, or int32 for integers"
        )
