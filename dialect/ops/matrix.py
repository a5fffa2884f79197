"""Matrix instructions on registers that a program holds itself, in its threads' own arrays.

Registers travel as i32 values (two 16-bit elements, four 8-bit ones), so that every access to memory is an op of its
own. Which thread holds what is the instruction's, see `isa/nvidia/mma` and `isa/nvidia/ldmatrix`.
"""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import LOCAL, SHARED, TL
from ..verify import buffers, fail, structure, typed

ext = dialect("ext")

MATRICES = (1, 2, 4)
KINDS = {"f16": 16, "bf16": 16, "tf32": 32, "s8": 8, "u8": 8, "e4m3": 8, "e5m2": 8, "f64": 64}
SUMS = ("f16", "f32", "s32", "f64")
"""Element types of operands with their bits, and of sums."""


class LoadMatrixOp(TL.Operation, name="load_matrix"):
    """The 8x8 matrices of 16-bit elements whose rows lanes point at: `(buffer, index...)`, 1, 2 or 4 words.

    All threads of a warp run it; lane 8 q + r gives row r of matrix q, 16 bytes. `transpose` transposes each matrix.
    """

    buffer: ext.Operand[Any]
    indices: Sequence[ext.Operand[Any]]
    words: Sequence[ext.Result[Any]]

    @structure((2, None), results=(1, 4), attributes={"transpose": "a boolean"})
    def verify_invariants(self) -> bool:
        return _place(self, 0) and _count(self, len(self.operation.results))


class StoreMatrixOp(TL.Operation, name="store_matrix"):
    """Stores 1, 2 or 4 matrices: `(buffer, index..., word...)`; the inverse of `tl.load_matrix`."""

    buffer: ext.Operand[Any]
    values: Sequence[ext.Operand[Any]]

    @structure((3, None), attributes={"transpose": "a boolean", "count": "an integer"})
    def verify_invariants(self) -> bool:
        count = ir.IntegerAttr(self.operation.attributes["count"]).value
        return _count(self, count) and _place(self, count)


class WarpMmaOp(TL.Operation, name="warp_mma"):
    """`D = A B + C` of one warp: `(a..., b..., c...)`, results as many as c; all i32, or all f64.

    `shape` is (m, n, k), `kinds` the element types of A, B and the sums, `segments` how many registers of each there
    are. With `selector` A is 2:4 sparse: half of k is stored, and the last operand says which half (section
    "Sparse matrix storage" of the PTX ISA); `selector` names the lanes whose words are read.
    `layouts` (row.col and so on) belongs to shape (16, 16, 4): four products of 8x8x4 of float16 at once.
    """

    registers: Sequence[ext.Operand[Any]]
    sums: Sequence[ext.Result[Any]]

    @structure((3, None), results=(1, 8), attributes={
        "shape": "array<i32>", "segments": "array<i32>", "a": "a string", "b": "a string", "c": "a string",
        "?selector": "an integer", "?layouts": "a string",
    })  # fmt: skip
    def verify_invariants(self) -> bool:
        op = self.operation
        kinds = [ir.StringAttr(op.attributes[name]).value for name in "abc"]
        if any(k not in KINDS for k in kinds[:2]) or KINDS[kinds[0]] != KINDS[kinds[1]] or kinds[2] not in SUMS:
            return fail(self, f"multiplies {kinds[0]} with {kinds[1]} into {kinds[2]}, which is no matrix product")
        segments = list(ir.DenseI32ArrayAttr(op.attributes["segments"]))
        sparse = "selector" in op.attributes
        if sum(segments) + sparse != len(op.operands) or segments[2] != len(op.results):
            return fail(self, f"segments {segments} do not fit {len(op.operands)} operands, {len(op.results)} results")
        wanted = segment_sizes(list(ir.DenseI32ArrayAttr(op.attributes["shape"])), kinds, sparse=sparse)
        if segments != wanted:
            return fail(self, f"has registers {segments}, expected {wanted} for its shape and types")
        word = "f64" if kinds[0] == "f64" else "i32"
        return all(typed(self, v, word, "a register") for v in (*op.operands, *op.results))


class WarpgroupMmaOp(TL.Operation, name="warpgroup_mma"):
    """Starts one product of a warpgroup: `(sums, index, a..., b low, b high, scale)`, all but the sums i32.

    A is the two words of a descriptor or four registers; the n / 2 sums start at element `index` of a thread's own
    array and have no value before the program waits for their group. A `scale` of zero starts from zero. `negate_a` and
    so on are unit attributes; `transpose` says that an operand is MN-major.
    """

    sums: ext.Operand[Any]
    values: Sequence[ext.Operand[Any]]

    @structure((7, 9), attributes={
        "n": "an integer", "a": "a string", "b": "a string", "?transpose_a": "a unit attribute",
        "?transpose_b": "a unit attribute", "?negate_a": "a unit attribute", "?negate_b": "a unit attribute",
    })  # fmt: skip
    def verify_invariants(self) -> bool:
        sums, *values = self.operation.operands
        if not buffers(self, [sums], (LOCAL,)):
            return False
        kinds = [ir.StringAttr(self.operation.attributes[name]).value for name in "ab"]
        if any(k not in KINDS or k == "f64" for k in kinds):
            return fail(self, f"multiplies {kinds[0]} with {kinds[1]}, which is no product of a warpgroup")
        if len(values) not in (6, 8):
            return fail(self, f"has {len(values)} values, expected 6 (A in shared memory) or 8 (in registers)")
        return all(typed(self, v, "i32", "a value") for v in values)


def starts_from_zero(op: ir.Operation) -> bool:
    """Whether a `tl.warpgroup_mma` is known to read no sums."""
    owner = op.operands[len(op.operands) - 1].owner
    if isinstance(owner, ir.Block) or owner.operation.name != "arith.constant":
        return False
    return ir.IntegerAttr(owner.operation.attributes["value"]).value == 0


def segment_sizes(shape: Sequence[int], kinds: Sequence[str], *, sparse: bool = False) -> list[int]:
    """Registers of A, B and the sums that each of 32 lanes holds."""
    m, n, k = shape
    sums = m * n // 32 // (2 if kinds[2] == "f16" else 1)
    if (m, n, k) == (16, 16, 4):  # each half of A and of B belongs to two of the four products
        return [2, 2, sums]
    bits = KINDS[kinds[0]]
    width = max(bits, 32)
    stored = k // 2 if sparse else k
    return [m * stored * bits // 32 // width, n * k * bits // 32 // width, sums]


def _count(op: ir.OpView, count: int) -> bool:
    return count in MATRICES or fail(op, f"moves {count} matrices, expected 1, 2 or 4")


def _place(op: ir.OpView, words: int) -> bool:
    buffer, *rest = op.operation.operands
    if not buffers(op, [buffer], (SHARED,)):
        return False
    rank = ir.MemRefType(buffer.type).rank
    if len(rest) != rank + words:
        return fail(op, f"has {len(rest) - words} indices for a buffer of rank {rank}")
    return all(typed(op, value, "i32", "an index or word") for value in rest)
