"""Matrix products of tiles."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import FRAGMENT, SHARED, TL, TMEM
from ..verify import buffers, element_of, enum_attr, fail, same_class, same_element, structure, typed

ext = dialect("ext")

PRODUCTS = ("tl.gemm", "tl.gemm_sp")  # what warpgroups and warps multiply together
POLICIES = ("square", "full_row", "full_col")


class GemmOp(TL.Operation, name="gemm"):
    """C += op(A) op(B) on tiles, all threads of the CTA together.

    A is [M, K] or, with `transpose_a`, [K, M]; B is [K, N] or, with `transpose_b`, [N, K]; C is [M, N]. The flags are
    boolean attributes. `policy` (square, full_row, full_col) says how warps split C; `clear` (boolean) starts from
    zero.
    An optional fourth operand (i1) is a run-time `clear`. Optional unit attributes: `a_unsigned`, `b_unsigned`, `wgmma`
    (asynchronous: the program waits). With `pending` the product ends when at most so many products of these threads
    are unfinished: C then has its value only after `tl.wait_products`.
    """

    a: ext.Operand[Any]
    b: ext.Operand[Any]
    c: ext.Operand[Any]
    clear_if: Sequence[ext.Operand[Any]]
    transpose_a: Any
    transpose_b: Any

    @structure((3, 4), attributes={
        "transpose_a": "a boolean", "transpose_b": "a boolean", "?clear": "a boolean", "policy": "a string",
        "?a_unsigned": "a unit attribute", "?b_unsigned": "a unit attribute", "?wgmma": "a unit attribute",
        "?pending": "an integer",
    })  # fmt: skip
    def verify_invariants(self) -> bool:
        op = self.operation
        a, b, c = list(op.operands)[:3]
        if not (buffers(self, [a, b], (SHARED, FRAGMENT, TMEM)) and buffers(self, [c], (FRAGMENT, TMEM), first=2)):
            return False
        if not enum_attr(self, "policy", POLICIES):
            return False
        shapes = [tile_shape_2d(x) for x in (a, b, c)]
        if any(s is None for s in shapes):
            return fail(self, "operands must be two-dimensional tiles")
        (a0, a1), (b0, b1), (m, n) = shapes  # type: ignore[misc]
        am, ak = (a1, a0) if op.attributes["transpose_a"].value else (a0, a1)
        bk, bn = (b1, b0) if op.attributes["transpose_b"].value else (b0, b1)
        if (am, bn) != (m, n) or ak != bk:
            return fail(self, f"shapes do not agree: op(A) is {am}x{ak}, op(B) is {bk}x{bn}, C is {m}x{n}")
        if not same_class(self, [a, b, c], "A, B and C"):
            return False
        widths = {element_of(a).width, element_of(b).width}
        # Floats of eight bits and fewer may be mixed (PTX ISA, tcgen05.mma .kind::f8f6f4).
        if len(widths) > 1 and max(widths) > 8:
            return fail(self, f"A and B differ in element width: {element_of(a)} and {element_of(b)}")
        return len(op.operands) == 3 or typed(self, op.operands[3], "i1", "the run-time 'clear'")


class MmaScaledOp(TL.Operation, name="mma_scaled"):
    """C += (op(A) * SA) (op(B) * SB) with block scales, all threads of the CTA together: `(A, B, C, SA, SB)`.

    A, B and the factors are shared tiles, C is a fragment of f32; flags as for `tl.gemm`. SA is [M, words] and SB [N,
    words] of i32: a word has four factors of a row of A (a column of B). `scale_bytes` and `scale_blocks` as for
    `tl.tcgen05_scaled_mma`; with `packed` operands of i8 are bytes of two e2m1 elements along k.
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
        "scale_bytes": "array<i64>", "scale_blocks": "array<i64>", "?packed": "a unit attribute",
    })  # fmt: skip
    def verify_invariants(self) -> bool:
        op = self.operation
        a, b, c, *scales = op.operands
        if not (buffers(self, [a, b], (SHARED,)) and buffers(self, [c], (FRAGMENT,), first=2)):
            return False
        if not (buffers(self, scales, (SHARED,), first=3) and enum_attr(self, "policy", POLICIES)):
            return False
        shapes = [tile_shape_2d(x) for x in op.operands]
        if any(s is None for s in shapes):
            return fail(self, "operands must be two-dimensional tiles")
        (a0, a1), (b0, b1), (m, n), (rows, _), (columns, _) = shapes  # type: ignore[misc]
        am, ak = (a1, a0) if op.attributes["transpose_a"].value else (a0, a1)
        bk, bn = (b1, b0) if op.attributes["transpose_b"].value else (b0, b1)
        ak, bk = (2 * k if half else k for k, half in zip((ak, bk), packed_operands(op), strict=True))
        if (am, bn) != (m, n) or ak != bk:
            return fail(self, f"shapes do not agree: op(A) is {am}x{ak}, op(B) is {bk}x{bn}, C is {m}x{n}")
        if (rows, columns) != (m, n):
            return fail(self, f"has factors of {rows} rows and {columns} columns, expected {m} and {n}")
        return True


def factors(op: ir.Operation) -> tuple[ir.Value, ir.Value, ir.Value]:
    """A, B and C of a product, dense or sparse."""
    a, *metadata, b, c = list(op.operands)[: 4 if op.name == "tl.gemm_sp" else 3]
    del metadata
    return a, b, c


def packed_operands(op: ir.Operation) -> tuple[bool, bool]:
    """Whether A and B of a block-scaled product are bytes of two 4-bit floats: no other operands of it are integers."""
    a, b = ("packed" in op.attributes and isinstance(element_of(v), ir.IntegerType) for v in list(op.operands)[:2])
    return a, b


def tile_shape_2d(value: ir.Value) -> tuple[int, int] | None:
    """The last two dimensions of a tile whose leading dimensions are all one."""
    kind = ir.MemRefType(value.type)
    shape = list(kind.shape)
    if len(shape) < 2 or any(s != 1 for s in shape[:-2]):
        return None
    return shape[-2], shape[-1]


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
