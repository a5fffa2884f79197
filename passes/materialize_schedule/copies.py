"""Copies of statements for one role: values computed anew where it needs them, buffers in the version it holds."""

from __future__ import annotations

from collections.abc import Callable

from tilelang_mlir.mlir import ir

from ...dialect.effects import root
from ...dialect.role_schedule import MARK
from .. import build
from ..walk import nested
from .kernel import Kernel, is_pure

Slot = Callable[[], ir.Value]  # computes the held version's number at the insertion point


class Copier:
    """Copies statements of a kernel. `values` maps values of the kernel to those of the role; it holds in one block.

    `versions` maps a buffer to the one with all versions and its slot.
    """

    def __init__(
        self, kernel: Kernel, role: str, versions: dict[ir.Value, tuple[ir.Value, Slot]],
        values: dict[ir.Value, ir.Value],
    ) -> None:  # fmt: skip
        self.kernel, self.role, self.versions, self.values = kernel, role, versions, values

    def inner(self) -> Copier:
        """For a block inside of this one: what is computed there is not known outside."""
        return Copier(self.kernel, self.role, self.versions, dict(self.values))

    def value(self, value: ir.Value) -> ir.Value:
        """The role's value."""
        if value in self.values:
            return self.values[value]
        if isinstance(value.owner, ir.Block) or value in self.versions:
            return value
        op = value.owner.operation
        if not _is_in(value, self.kernel.launch):
            return value
        if op.name == "tl.thread_id":
            return self._thread(op)
        if not is_pure(op):
            if MARK in op.attributes:
                name = ir.StringAttr(op.attributes[MARK]).value
                raise self.kernel.error(f"role {self.role!r} uses a value of {name!r} but does not run it before", op,
                                        "give it a place in the body of the role, ahead of its uses")
            return value
        if op.name == "tl.slice" and op.operands[0] in self.versions:
            return self._slice(op)
        operands = [self.operand(v) for v in op.operands]
        if op.block == self.kernel.block and operands == list(op.operands):
            return value
        with op.location:
            copy = ir.Operation.create(op.name, [r.type for r in op.results], operands, build.attributes_of(op))
        if root(value) in self.versions:
            return copy.result  # another version later on
        self.values[value] = copy.result
        return copy.result

    def operand(self, value: ir.Value) -> ir.Value:
        """The same, with a whole buffer in the version that is held."""
        if value not in self.versions:
            return self.value(value)
        buffer, slot = self.versions[value]
        shape = list(ir.MemRefType(value.type).shape)
        if list(ir.MemRefType(buffer.type).shape) == shape:
            return buffer
        zero = build.constant(0)
        return build.slice_of(buffer, [slot(), *[zero] * len(shape)], [1, *shape])

    def _thread(self, op: ir.Operation) -> ir.Value:
        """Threads count from the first of the CTA, wherever the program asks."""
        if op.block != self.kernel.block:
            op.move_before(self.kernel.op)
        return op.results[0]

    def _slice(self, op: ir.Operation) -> ir.Value:
        buffer, slot = self.versions[op.operands[0]]
        offsets = [self.value(v) for v in list(op.operands)[1:]]
        sizes = list(ir.DenseI64ArrayAttr(op.attributes["sizes"]))
        if ir.MemRefType(buffer.type).rank == len(sizes):
            return build.slice_of(buffer, offsets, sizes)
        return build.slice_of(buffer, [slot(), *offsets], [1, *sizes])

    def statement(self, op: ir.Operation) -> ir.Operation:
        """A copy of a statement with everything in it; its results become known."""
        outside = {v for inner in [op, *nested(op)] for v in inner.operands if not _is_in(v, op)}
        known: dict[ir.Value, ir.Value] = {}
        for value in outside:
            if root(value) == value and value in self.versions:
                continue  # accesses to elements take one more index, below
            known[value] = self.value(value)
        with op.location:
            copy = op.clone().operation
        _unmark(copy)
        for old, new in zip(op.results, copy.results, strict=True):
            self.values[old] = new
        for inner in [copy, *nested(copy)]:
            for position, operand in enumerate(inner.operands):
                if operand in known:
                    inner.operands[position] = known[operand]
        result = copy
        for inner in [copy, *nested(copy)]:
            if any(operand in self.versions for operand in inner.operands):
                whole = inner == copy
                replaced = self._versioned(inner)
                result = replaced if whole else result
        return result

    def _versioned(self, op: ir.Operation) -> ir.Operation:
        """An operation on whole buffers of pipelines, or on their elements, on the version that is held."""
        with ir.InsertionPoint(op), op.location:
            operands = list(op.operands)
            if op.name in ("memref.load", "memref.store"):
                position = 0 if op.name == "memref.load" else 1
                buffer, slot = self.versions[operands[position]]
                single = ir.MemRefType(buffer.type).rank == len(operands) - position - 1
                operands[position : position + 1] = [buffer] if single else [buffer, build.to_index(slot())]
            elif op.name == "tl.slice":
                new = self._slice(op)
                op.results[0].replace_all_uses_with(new)
                op.erase()
                return new.owner.operation
            else:
                for position, operand in enumerate(operands):
                    op.operands[position] = self.operand(operand) if operand in self.versions else operand
                return op
            new = ir.Operation.create(op.name, [r.type for r in op.results], operands, build.attributes_of(op))
        for old, fresh in zip(op.results, new.results, strict=True):
            old.replace_all_uses_with(fresh)
            for key, value in self.values.items():
                if value == old:
                    self.values[key] = fresh
        op.erase()
        return new


def _unmark(op: ir.Operation) -> None:
    for inner in [op, *nested(op)]:
        if MARK in inner.attributes:
            del inner.attributes[MARK]


def _is_in(value: ir.Value, op: ir.Operation) -> bool:
    """Whether a value is made inside an operation's regions."""
    owner = value.owner
    inner = owner.owner.operation if isinstance(owner, ir.Block) else owner.operation.parent
    while inner is not None:
        if inner.operation == op:
            return True
        inner = inner.operation.parent
    return False
