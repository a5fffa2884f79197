"""Matrix products of tiles."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..products import packed_operands, tile_shape_2d
from ..tl import FRAGMENT, SHARED, TL, TMEM
from ..verify import buffers, enum_attr, factors_agree, fail, same_class, same_element, structure, tiles_2d, typed

ext = dialect("ext")

POLICIES = ("square", "full_row", "full_col")


class GemmOp(TL.Operation, name="gemm"):
    """C += op(A) op(B) on tiles, all threads of the CTA together.

    A is [M, K] or, with `transpose_a`, [K, M]; B is [K, N] or, with `transpose_b`, [N, K]; C is [M, N]. The flags are
    boolean attributes. `policy` (square, full_row, full_col) says how warps split C; `clear` (boolean) starts from
    zero.
    An optional fourth operand (i1) is a run-time `clear`. Optional unit attributes: `a_unsigned`, `b_unsigned`, `tf32`
    (ten fraction bits of f32 operands are enough), `wgmma` (asynchronous: the program waits). With `pending` the
    product ends when at most so many products of these threads are unfinished: C then has its value only after
    `tl.wait_products`. `a_packed`, `b_packed`: as for `tl.mma_scaled`.
    """

    a: ext.Operand[Any]
    b: ext.Operand[Any]
    c: ext.Operand[Any]
    clear_if: Sequence[ext.Operand[Any]]
    transpose_a: Any
    transpose_b: Any

    @structure((3, 4), attributes={
        "transpose_a": "a boolean", "transpose_b": "a boolean", "?clear": "a boolean", "policy": "a string",
        "?a_unsigned": "a unit attribute", "?b_unsigned": "a unit attribute", "?tf32": "a unit attribute",
        "?wgmma": "a unit attribute", "?pending": "an integer", "?a_packed": "a string", "?b_packed": "a string",
    })  # fmt: skip
    def verify_invariants(self) -> bool:
        op = self.operation
        a, b, c = list(op.operands)[:3]
        if not (buffers(self, [a, b], (SHARED, FRAGMENT, TMEM)) and buffers(self, [c], (FRAGMENT, TMEM), first=2)):
            return False
        if not enum_attr(self, "policy", POLICIES):
            return False
        if "tf32" in op.attributes and any(str(ir.MemRefType(v.type).element_type) != "f32" for v in (a, b)):
            return fail(self, "tf32 is said of f32 operands")
        alike = [v for v, kind in zip((a, b), packed_operands(op), strict=True) if not kind]
        if not (factors_agree(self, a, b, c) and same_class(self, [*alike, c], "A, B and C")):
            return False
        return len(op.operands) == 3 or typed(self, op.operands[3], "i1", "the run-time 'clear'")


class MmaScaledOp(TL.Operation, name="mma_scaled"):
    """C += (op(A) * SA) (op(B) * SB) with block scales, all threads of the CTA together: `(A, B, C, SA, SB)`.

    A, B and the factors are shared tiles, C is a fragment of f32; flags as for `tl.gemm`. SA is [M, words] and SB [N,
    words] of i32: a word has four factors of a row of A (a column of B). `scale_bytes` and `scale_blocks` as for
    `tl.tcgen05_scaled_mma`. With `a_packed` (`b_packed`) A (B) is bytes that share elements along k: one of two e2m1
    elements, or three of four e2m3 or e3m2 elements.
    """

    a: ext.Operand[Any]
    b: ext.Operand[Any]
    c: ext.Operand[Any]
    scale_a: ext.Operand[Any]
    scale_b: ext.Operand[Any]
    transpose_a: Any
    transpose_b: Any
    policy: Any
    scale_bytes: Any
    scale_blocks: Any

    @structure(5, attributes={
        "transpose_a": "a boolean", "transpose_b": "a boolean", "?clear": "a boolean", "policy": "a string",
        "scale_bytes": "array<i64>", "scale_blocks": "array<i64>", "?a_packed": "a string", "?b_packed": "a string",
    })  # fmt: skip
    def verify_invariants(self) -> bool:
        op = self.operation
        a, b, c, *scales = op.operands
        if not (buffers(self, [a, b], (SHARED,)) and buffers(self, [c], (FRAGMENT,), first=2)):
            return False
        if not (buffers(self, scales, (SHARED,), first=3) and enum_attr(self, "policy", POLICIES)):
            return False
        if not (factors_agree(self, a, b, c) and (tiles := tiles_2d(self, [c, *scales]))):
            return False
        (m, n), (rows, _), (columns, _) = tiles
        if (rows, columns) != (m, n):
            return fail(self, f"has factors of {rows} rows and {columns} columns, expected {m} and {n}")
        return True


class WaitProductsOp(TL.Operation, name="wait_products"):
    """Waits until at most `pending` later products are unfinished: the accumulator then has its value.

    Takes the accumulator of a `tl.gemm` with the attribute `asynchronous` or `pending`; nothing but further products
    may touch it in between.
    Without an operand it waits for all products of the program's own (`tl.gemm {wgmma}`).
    """

    accumulator: Sequence[ext.Operand[Any]]
    pending: Any

    @structure((0, 1), attributes={"pending": "an integer"})
    def verify_invariants(self) -> bool:
        return buffers(self, self.operation.operands, (FRAGMENT,))


class LoadOperandOp(TL.Operation, name="load_operand"):
    """Loads one operand of a matrix product from shared memory into a fragment that has that operand's layout.

    `side` ("a" or "b") is the operand, `k_dim` (0 or 1) the dimension of the tile that runs along K, `warps` how many
    warps split C along M and along N. `ldmatrix` does it where rows of 16 bytes allow it.
    """

    source: ext.Operand[Any]
    target: ext.Operand[Any]
    side: Any
    k_dim: Any
    warps: Any

    @structure(2, attributes={"side": "a string", "k_dim": "an integer", "warps": "array<i32>"})
    def verify_invariants(self) -> bool:
        source, target = self.operation.operands
        if not (buffers(self, [source], (SHARED,)) and buffers(self, [target], (FRAGMENT,), first=1)):
            return False
        if tile_shape_2d(source) is None or tile_shape_2d(source) != tile_shape_2d(target):
            return fail(self, f"expects two-dimensional tiles of one shape, got {source.type} and {target.type}")
        warps = list(self.operation.attributes["warps"])
        if len(warps) != 2 or min(warps) < 1:
            return fail(self, f"attribute 'warps' is {warps}, expected two positive numbers")
        return same_element(self, source, target, "source and target") and enum_attr(self, "side", ("a", "b"))
