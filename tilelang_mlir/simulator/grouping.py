"""Delays matrix instructions so that independent ones run as one batched product.

A matrix instruction has no memory effects: it may run later in its block, up to the first use of its result. Cheap ops
that only take such results apart, and stores of them to private memory at constant addresses, are delayed along.
"""

from __future__ import annotations

from typing import Any, Protocol

from tilelang_mlir.isa import Instruction
from tilelang_mlir.mlir import ir

_FOLLOWERS = ("llvm.extractvalue", "llvm.bitcast", "vector.extract", "vector.from_elements", "vector.bitcast")


class _Writer(Protocol):
    def op(self, op: ir.Operation) -> None: ...
    def name(self, value: ir.Value) -> str: ...
    def ref(self, value: Any) -> str: ...
    def line(self, text: str, op: ir.Operation | None = None) -> None: ...


class Group:
    """The delayed instructions of one block."""

    def __init__(self, writer: _Writer) -> None:
        self._writer = writer
        self._products: list[ir.Operation] = []
        self._followers: list[ir.Operation] = []
        self._waiting: set[ir.Value] = set()
        self._stored: list[tuple[ir.Value, int, int]] = []
        self._entry: Instruction | None = None

    def take(self, op: ir.Operation, entry: Instruction | None) -> bool:
        """Whether the op was delayed. Flushes first when the op needs a delayed result."""
        if entry is not None and entry.grid is not None:
            if any(v in self._waiting for v in op.operands) or (self._products and not self._like(op)):
                self.flush()
            self._entry = entry
            self._products.append(op)
            self._waiting.update(op.results)
            return True
        if not self._products:
            return False
        if len(op.regions):
            self.flush()
            return False
        dependent = any(v in self._waiting for v in op.operands)
        if dependent and op.name in _FOLLOWERS:
            self._followers.append(op)
            self._waiting.update(op.results)
            return True
        if op.name in ("llvm.load", "llvm.store"):
            return self._take_access(op, dependent)
        if dependent:
            self.flush()
        return False

    def _like(self, op: ir.Operation) -> bool:
        first = self._products[0]
        return (
            op.name == first.name
            and all(str(a.type) == str(b.type) for a, b in zip(op.operands, first.operands, strict=False))
            and list(op.attributes) == list(first.attributes)
            and all(op.attributes[k] == first.attributes[k] for k in first.attributes)
        )

    def _take_access(self, op: ir.Operation, dependent: bool) -> bool:
        pointer = op.operands[0 if op.name == "llvm.load" else 1]
        private = str(pointer.type) == "!llvm.ptr"
        place = _private_place(pointer) if private else None
        if not dependent:
            if self._stored and private and (place is None or self._overlaps(*place, 16)):
                self.flush()
            return False
        if op.name == "llvm.load" or place is None or op.operands[1] in self._waiting or self._overlaps(*place, 16):
            self.flush()
            return False
        self._followers.append(op)
        self._stored.append((place[0], place[1], 16))
        return True

    def _overlaps(self, base: ir.Value, offset: int, size: int) -> bool:
        return any(b == base and offset < o + n and o < offset + size for b, o, n in self._stored)

    def flush(self) -> None:
        """Emit the products, then what followed them, in order."""
        if not self._products:
            return
        products, followers = self._products, self._followers
        self._products, self._followers, self._waiting, self._stored = [], [], set(), []
        self._emit(products)
        for op in followers:
            self._writer.op(op)

    def _emit(self, products: list[ir.Operation]) -> None:
        assert self._entry is not None and self._entry.grid is not None
        grid = self._entry.grid
        rows: dict[tuple[ir.Value, ...], list[tuple[tuple[ir.Value, ...], ir.Operation]]] = {}
        for op in products:
            a, b, _ = grid.split(op)
            rows.setdefault(a, []).append((b, op))
        columns = [b for b, _ in next(iter(rows.values()))]
        if all([b for b, _ in row] == columns for row in rows.values()):
            self._product([op for row in rows.values() for _, op in row], list(rows), columns)
            return
        for a, row in rows.items():
            self._product([op for _, op in row], [a], [b for b, _ in row])

    def _product(
        self, ops: list[ir.Operation], rows: list[tuple[ir.Value, ...]], columns: list[tuple[ir.Value, ...]]
    ) -> None:
        w = self._writer
        assert self._entry is not None and self._entry.grid is not None
        grid = self._entry.grid

        def group(values: list[tuple[ir.Value, ...]]) -> str:
            return "[" + ", ".join("(" + "".join(f"{w.name(v)}, " for v in value) + ")" for value in values) + "]"

        starts = group([grid.split(op)[2] for op in ops])
        targets = ", ".join(w.name(op.results[0]) for op in ops)
        call = f"{w.ref(grid.run(ops[0]))}(L, {group(rows)}, {group(columns)}, {starts})"
        w.line(f"{targets}{',' if len(ops) == 1 else ''} = {call}", ops[0])


def _private_place(pointer: ir.Value) -> tuple[ir.Value, int] | None:
    """The alloca behind a pointer and a constant byte offset, or None."""
    from tilelang_mlir.simulator.values import size_of

    offset = 0
    while True:
        owner = pointer.owner
        if isinstance(owner, ir.Block):
            return None
        op = owner.operation
        if op.name == "llvm.alloca":
            return pointer, offset
        if op.name != "llvm.getelementptr":
            return None
        indices = list(ir.DenseI32ArrayAttr(op.attributes["rawConstantIndices"]))
        if len(indices) != 1:
            return None
        index = indices[0]
        if index == -(1 << 31):
            source = op.operands[1].owner
            if isinstance(source, ir.Block) or source.operation.name != "arith.constant":
                return None
            index = int(ir.IntegerAttr(source.operation.attributes["value"]).value)
        offset += index * size_of(str(ir.TypeAttr(op.attributes["elem_type"]).value))
        pointer = op.operands[0]
