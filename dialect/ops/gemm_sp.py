"""Products whose left operand is 2:4 sparse."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import FRAGMENT, SHARED, TL
from ..verify import buffers, element_of, enum_attr, fail, same_class, structure, tiles_2d, typed

ext = dialect("ext")


def metadata_elements(op: ir.Operation) -> int:
    """How many elements of dense A an element of the metadata describes: four bits per group of four (of two for 32-bit
    elements)."""
    group = 2 if element_of(op.operands[0]).width == 32 else 4
    return element_of(op.operands[1]).width // 4 * group


class GemmSpOp(TL.Operation, name="gemm_sp"):
    """C += A op(B), A 2:4 sparse: `(A, E, B, C)` and an optional run-time `clear`, all threads of the CTA together.

    A [M, K / 2] holds the two elements of every four that are kept (of every two, one, for 32-bit elements), E
    [M, K / f] which ones: four bits per group, the place of the first element in the lower two. B is [K, N]. The
    boolean attributes `transpose_a`, `transpose_e`, `transpose_b` say that an operand is stored the other way round;
    `policy`, `clear` and `wgmma` are those of `tl.gemm`.
    """

    a: ext.Operand[Any]
    e: ext.Operand[Any]
    b: ext.Operand[Any]
    c: ext.Operand[Any]
    clear_if: Sequence[ext.Operand[Any]]

    @structure((4, 5), attributes={
        "transpose_a": "a boolean", "transpose_e": "a boolean", "transpose_b": "a boolean", "?clear": "a boolean",
        "policy": "a string", "?a_unsigned": "a unit attribute", "?b_unsigned": "a unit attribute",
        "?wgmma": "a unit attribute",
    })  # fmt: skip
    def verify_invariants(self) -> bool:
        op = self.operation
        a, e, b, c = list(op.operands)[:4]
        if not (buffers(self, [a, b], (SHARED, FRAGMENT)) and buffers(self, [e], (SHARED,), first=1)):
            return False
        if not buffers(self, [c], (FRAGMENT,), first=3):
            return False
        if not enum_attr(self, "policy", ("square", "full_row", "full_col")):
            return False
        if not (tiles := tiles_2d(self, [a, e, b, c])):
            return False
        (am, ak), (em, ek), (bk, bn) = (_turned(op, s, x) for s, x in zip(tiles[:3], "aeb", strict=True))
        m, n = tiles[3]
        if (am, em, bn) != (m, m, n) or 2 * ak != bk:
            return fail(
                self,
                f"shapes do not agree: A is {am}x{ak}, E has {em} rows, op(B) is {bk}x{bn}, C is "
                f"{m}x{n}, and B is twice as deep as A",
            )
        if not str(element_of(e)).startswith("i") or ek * metadata_elements(op) != bk:
            return fail(self, f"metadata of {ek} {element_of(e)} a row do not describe {bk} elements")
        if not same_class(self, [a, b, c], "A, B and C"):
            return False
        if element_of(a).width != element_of(b).width:
            return fail(self, f"A and B differ in element width: {element_of(a)} and {element_of(b)}")
        return len(op.operands) == 4 or typed(self, op.operands[4], "i1", "the run-time 'clear'")


def _turned(op: ir.Operation, shape: tuple[int, int], side: str) -> tuple[int, int]:
    return shape[::-1] if ir.BoolAttr(op.attributes[f"transpose_{side}"]).value else shape
