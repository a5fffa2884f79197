"""Tensor memory: products that one thread starts, their completion, and what orders them."""

from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..products import packed_operands
from ..tl import SHARED, TL, TMEM, scope_of
from ..verify import (
    barrier,
    buffers,
    element_of,
    enum_attr,
    factors_agree,
    fail,
    int_operands,
    same_class,
    structure,
    tiles_2d,
    typed,
)

ext = dialect("ext")

_MMA = {
    "transpose_a": "a boolean", "transpose_b": "a boolean", "?a_unsigned": "a unit attribute",
    "?b_unsigned": "a unit attribute", "?pair": "a unit attribute",
    "?a_packed": "a string", "?b_packed": "a string", "?a_padded": "a string", "?b_padded": "a string",
}  # fmt: skip


class Tcgen05MmaOp(TL.Operation, name="tcgen05_mma"):
    """Starts `C = op(A) op(B)`, plus C where `keep` (i1) holds, in tensor memory: `(A, B, C, keep)`.

    One thread of those that reach it issues the product. It runs asynchronously: the barrier of a later
    `tl.tcgen05_commit` by the same thread says when it is complete. A is a shared tile or in tensor memory, B a shared
    tile. With `pair` it is one of two CTAs of a cluster: each has its own rows of A and C, and half of B's columns.
    """

    a: ext.Operand[Any]
    b: ext.Operand[Any]
    c: ext.Operand[Any]
    keep: ext.Operand[Any]
    transpose_a: Any
    transpose_b: Any

    @structure(4, attributes=_MMA)
    def verify_invariants(self) -> bool:
        return _product(self)


class Tcgen05ScaledMmaOp(TL.Operation, name="tcgen05_scaled_mma"):
    """The same with block scales: `(A, B, C, keep, SA, SB)`, factors of A's rows and B's columns in tensor memory.

    A 32-bit column has four factors of a row (see `tl.tcgen05_cp`). `scale_bytes = array<i64: a, b>` are the first
    factors, `scale_blocks = array<i64: a, b>` the elements along k of one: 16 (factors of type e4m3), or 32 and more
    (powers of two). With `a_packed` (`b_packed`) A (B) is bytes of two e2m1 elements along k. With `a_padded`
    (`b_padded`) every 16 bytes of A (B) hold 16 elements along k: of e2m1 in the first eight, of e2m3 or e3m2 in the
    first twelve.
    """

    a: ext.Operand[Any]
    b: ext.Operand[Any]
    c: ext.Operand[Any]
    keep: ext.Operand[Any]
    scale_a: ext.Operand[Any]
    scale_b: ext.Operand[Any]
    transpose_a: Any
    transpose_b: Any
    scale_bytes: Any
    scale_blocks: Any

    @structure(6, attributes={**_MMA, "scale_bytes": "array<i64>", "scale_blocks": "array<i64>"})
    def verify_invariants(self) -> bool:
        op = self.operation
        if not buffers(self, list(op.operands)[4:], (TMEM,), first=4):
            return False
        for name in ("scale_bytes", "scale_blocks"):
            if len(list(op.attributes[name])) != 2:
                return fail(self, f"attribute '{name}' has {len(list(op.attributes[name]))} numbers, expected 2")
        return _product(self)


class Tcgen05SparseMmaOp(TL.Operation, name="tcgen05_sparse_mma"):
    """`tl.tcgen05_mma` of an A that is 2:4 sparse: `(A, B, C, keep, E)`, A [M, K / 2] holds what is kept.

    E says which elements are kept, as for `tl.gemm_sp`: [M, K / f] in shared memory; `use-tensor-memory` brings it to
    tensor memory, four 32-bit columns per instruction, the words of `isa/nvidia/tcgen05_sparse` first.
    """

    a: ext.Operand[Any]
    b: ext.Operand[Any]
    c: ext.Operand[Any]
    keep: ext.Operand[Any]
    metadata: ext.Operand[Any]
    transpose_a: Any
    transpose_b: Any

    @structure(5, attributes={
        "transpose_a": "a boolean", "transpose_b": "a boolean", "?a_unsigned": "a unit attribute",
        "?b_unsigned": "a unit attribute",
    })  # fmt: skip
    def verify_invariants(self) -> bool:
        op = self.operation
        a, b, c, keep, metadata = op.operands
        if not (buffers(self, [a, b], (SHARED,)) and buffers(self, [c], (TMEM,), first=2)):
            return False
        if not (typed(self, keep, "i1", "'keep'") and buffers(self, [metadata], (SHARED, TMEM), first=4)):
            return False
        if not (tiles := tiles_2d(self, [a, b, c, metadata])):
            return False
        turned = [ir.BoolAttr(op.attributes[f"transpose_{x}"]).value for x in "ab"]
        (am, ak), (bk, bn) = (t[::-1] if turn else t for t, turn in zip(tiles[:2], turned, strict=True))
        (m, n), (rows, columns) = tiles[2:]
        if (am, bn, 2 * ak) != (m, n, bk) or rows != m:
            shapes = f"op(A) is {am}x{ak}, op(B) is {bk}x{bn}, C is {m}x{n}, the metadata have {rows} rows"
            return fail(self, f"shapes do not agree: {shapes}, and B is twice as deep as A")
        element = element_of(metadata)
        group = 2 if element_of(a).width == 32 else 4
        described = element.width // 4 * group if isinstance(element, ir.IntegerType) else 0
        if scope_of(metadata) == SHARED and columns * described != bk:
            return fail(self, f"metadata of {columns} {element} a row do not describe {bk} elements")
        if element_of(a).width != element_of(b).width:
            return fail(self, f"A and B differ in element width: {element_of(a)} and {element_of(b)}")
        return same_class(self, [a, b, c], "A, B and C")


def _product(op: ir.OpView) -> bool:
    a, b, c, keep = list(op.operation.operands)[:4]
    if not (buffers(op, [a], (SHARED, TMEM)) and buffers(op, [b], (SHARED,), first=1)):
        return False
    if not (buffers(op, [c], (TMEM,), first=2) and typed(op, keep, "i1", "'keep'")):
        return False
    packed = packed_operands(op.operation)
    if all(packed):
        for value, name in ((a, "A"), (b, "B")):
            if str(element_of(value)) != "i8":
                return fail(op, f"packed {name} has elements of {element_of(value)}, expected i8")
        return factors_agree(op, a, b, c)
    floats = [c]
    for value, name in ((a, "a"), (b, "b")):
        if f"{name}_padded" not in op.operation.attributes:
            floats.append(value)
        elif str(element_of(value)) != "i8":
            return fail(op, f"padded {name.upper()} has elements of {element_of(value)}, expected i8")
    return factors_agree(op, a, b, c) and same_class(op, floats, "A, B and C")


class Tcgen05CommitOp(TL.Operation, name="tcgen05_commit"):
    """Arrives once at barrier `index` when the products and copies that its thread has started are complete.

    Operands are `(barrier, index)`. With `pair` it arrives there in both CTAs of a pair.
    """

    barrier: ext.Operand[Any]
    index: ext.Operand[Any]

    @structure(2, attributes={"?pair": "a unit attribute"})
    def verify_invariants(self) -> bool:
        first, index = self.operation.operands
        return barrier(self, first) and int_operands(self, [index])


class Tcgen05FenceOp(TL.Operation, name="tcgen05_fence"):
    """Orders tensor memory operations of this thread: `kind` before a synchronisation of threads, or after one."""

    kind: Any

    @structure(0, attributes={"kind": "a string"})
    def verify_invariants(self) -> bool:
        return enum_attr(self, "kind", ("before", "after"))


class Tcgen05CpOp(TL.Operation, name="tcgen05_cp"):
    """Starts a copy from a shared tile to tensor memory: `(source, target)`. Completes as `tl.tcgen05_mma` does.

    Of scale factors every 512 bytes, 32 rows of 16, become four columns, the same in each quarter of the lanes. With
    `by_rows` row r of 128 goes to lane r. With `pair` in both CTAs of a pair, each from its own shared tile.
    """

    source: ext.Operand[Any]
    target: ext.Operand[Any]

    @structure(2, attributes={"?pair": "a unit attribute", "?by_rows": "a unit attribute"})
    def verify_invariants(self) -> bool:
        source, target = self.operation.operands
        if not buffers(self, [source], (SHARED,)) or not buffers(self, [target], (TMEM,), first=1):
            return False
        kinds = [ir.MemRefType(v.type) for v in (source, target)]
        shapes, elements = [list(k.shape)[-2:] for k in kinds], [k.element_type for k in kinds]
        if "by_rows" in self.operation.attributes and (shapes[0] != shapes[1] or elements[0] != elements[1]):
            tiles = [f"{'x'.join(map(str, s))} of {e}" for s, e in zip(shapes, elements, strict=True)]
            return fail(self, f"rows of {tiles[0]} are copied to {tiles[1]}, expected the same shape and dtype")
        return True


class DeallocTmemOp(TL.Operation, name="dealloc_tmem"):
    """Frees a buffer in tensor memory before the kernel ends; all threads reach it."""

    buffer: ext.Operand[Any]

    @structure(1)
    def verify_invariants(self) -> bool:
        return buffers(self, self.operation.operands, (TMEM,))


class TmemArenaOp(TL.Operation, name="tmem_arena"):
    """Allocates `columns` of tensor memory for the buffers whose `tl.arena` is `id`; all threads reach it.

    Made by `plan-tensor-memory`. The address passes through shared memory at `tl.offset`.
    """

    columns: Any
    id: Any

    @structure(0, attributes={"columns": "an integer", "id": "an integer", "?tl.offset": "an integer"})
    def verify_invariants(self) -> bool:
        count = ir.IntegerAttr(self.operation.attributes["columns"]).value
        if count & (count - 1) or not 32 <= count <= 512:
            return fail(self, f"attribute 'columns' is {count}, expected a power of two from 32 to 512")
        return True


class TmemFreeOp(TL.Operation, name="tmem_free"):
    """Frees an arena of tensor memory: what `tl.tmem_arena` with the same `id` allocated; all threads reach it."""

    id: Any

    @structure(0, attributes={"id": "an integer"})
    def verify_invariants(self) -> bool:
        return True
