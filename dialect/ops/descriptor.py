"""Views of tensors whose tensor maps a kernel makes itself."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import GLOBAL, SHARED, TL
from ..verify import buffers, fail, int_operands, same_element, sized, structure

ext = dialect("ext")

LINE = 128  # bytes of a tensor map


class ViewOp(TL.Operation, name="view", traits=[ext.Pure]):
    """A tensor over part of another one's memory: from an element on, with sizes and strides of its own.

    `%D = "tl.view"(%C, %i, %j, %rows) {shape = array<i64: -1, 64>, strides = array<i64: 64, 1>, id = 0}`: sizes and
    strides (elements) of -1 take the operands behind the indices in order, sizes first. The program promises that the
    first element lies at a multiple of 16 bytes, and all rows do. `id` tells the views of a program apart; `unsigned`
    says of which integers the tensor is.
    """

    tensor: ext.Operand[Any]
    places: Sequence[ext.Operand[Any]]
    shape: Any
    strides: Any
    view: ext.Result[Any]

    @structure((1, None), results=1, attributes={
        "shape": "array<i64>", "strides": "array<i64>", "id": "an integer", "?unsigned": "a unit attribute",
    })  # fmt: skip
    def verify_invariants(self) -> bool:
        op = self.operation
        tensor, *rest = op.operands
        if not (buffers(self, [tensor], (GLOBAL,)) and buffers(self, op.results, (GLOBAL,), "result")):
            return False
        shape, strides = (list(ir.DenseI64ArrayAttr(op.attributes[name])) for name in ("shape", "strides"))
        if len(shape) != len(strides):
            return fail(self, f"has {len(shape)} sizes but {len(strides)} strides")
        wanted = ir.MemRefType(tensor.type).rank + shape.count(-1) + strides.count(-1)
        if len(rest) != wanted:
            return fail(self, f"has {len(rest)} indices, sizes and strides, expected {wanted}")
        if not (int_operands(self, rest) and same_element(self, tensor, op.results[0], "the tensor and its view")):
            return False
        return sized(self, shape, strides)


class MakeDescriptorOp(TL.Operation, name="make_descriptor"):
    """Makes the tensor maps through which bulk copies of a `tl.view` go: `(view, staging)`.

    Every warp that gets here makes its own, in 128 bytes of `staging` (shared, a row per warp), and whole warps get
    here, with the same view in all threads. `place-descriptors` puts it behind the view.
    """

    view: ext.Operand[Any]
    staging: ext.Operand[Any]

    @structure(2)
    def verify_invariants(self) -> bool:
        view, staging = self.operation.operands
        if not (buffers(self, [view], (GLOBAL,)) and buffers(self, [staging], (SHARED,), first=1)):
            return False
        if isinstance(view.owner, ir.Block) or view.owner.operation.name != "tl.view":
            return fail(self, "describes what is no tl.view")
        kind = ir.MemRefType(staging.type)
        if kind.rank != 2 or kind.shape[1] != LINE or str(kind.element_type) != "i8":
            return fail(self, f"stages through {kind}, expected rows of {LINE} bytes")
        return True


def staging_of(view: ir.Operation) -> ir.Value | None:
    """The shared buffer in which the maps of a `tl.view` are made, where it has maps."""
    makers = (use.owner.operation for use in view.results[0].uses)
    return next((maker.operands[1] for maker in makers if maker.name == "tl.make_descriptor"), None)
