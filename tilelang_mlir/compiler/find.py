"""Finding operations before they are changed: a walk that erases what it stands on crashes the process."""

from __future__ import annotations

from tilelang_mlir.mlir import ADVANCE, ir


class Census:
    """The operations inside another one by name, from one walk: each takes as long as a pass. Whoever adds operations
    that later steps look for says so (`add`); who erases some takes them out (`take`)."""

    def __init__(self, root: ir.Operation) -> None:
        self._by_name: dict[str, list[ir.Operation]] = {}

        def look(op: ir.Operation) -> ir.WalkResult:
            self.add(op)
            return ADVANCE

        root.walk(look)

    def add(self, op: ir.Operation) -> None:
        self._by_name.setdefault(op.name, []).append(op)

    def named(self, name: str) -> list[ir.Operation]:
        """The operations of that name, in the order of a walk."""
        return list(self._by_name.get(name, ()))

    def take(self, name: str) -> list[ir.Operation]:
        """As `named`; nobody gets them again."""
        return self._by_name.pop(name, [])

    def starting(self, *prefixes: str) -> list[ir.Operation]:
        """The operations whose names start with one of these, by name."""
        return [op for name, ops in self._by_name.items() if name.startswith(prefixes) for op in ops]
