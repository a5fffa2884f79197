"""The statements of a kernel by the names that its schedule has for them."""

from __future__ import annotations

from dataclasses import dataclass, field

from tilelang_mlir.errors import TileValueError, UnsupportedError
from tilelang_mlir.mlir import ir

from ...dialect.effects import region_effects, root
from ...dialect.location import location_notes, python_location
from ...dialect.role_schedule import MARK, PIPELINE, ROOT, Schedule, Step, from_attributes
from ...dialect.tl import LOCAL, VAR, scope_of

_PURE = ("tl.cast", "tl.bitcast", "tl.math", "tl.slice", "tl.reshape", "tl.tensor", "tl.thread_id", "tl.assume")
_ALLOCATIONS = ("tl.alloc", "tl.alloc_barrier", "tl.alloc_reducer")


def is_pure(op: ir.Operation) -> bool:
    """Arithmetic and views: every role computes what it needs of them."""
    return op.name.startswith(("arith.", "math.", "vector.")) or op.name in _PURE


@dataclass
class Group:
    """The operations of one name, in the source's branches `guards`."""

    name: str
    scope: str
    guards: tuple[ir.Value, ...]
    ops: list[ir.Operation] = field(default_factory=list)
    location: ir.Location | None = None

    def accesses(self, kind: str) -> set[ir.Value]:
        """Buffers read, or written."""
        return {e.value for op in self.ops for e in region_effects(op) if e.kind == kind}

    def touched(self) -> set[ir.Value]:
        return self.accesses("read") | self.accesses("write") | condition_buffers(self.guards)


@dataclass
class Loop:
    """The loop of a scope."""

    op: ir.Operation
    guards: tuple[ir.Value, ...]


class Kernel:
    """A kernel's statements: groups and loops by name.

    Raises:
        TileValueError: a statement without a name or a place, a place without a statement.
        UnsupportedError: an else branch.
    """

    def __init__(self, launch: ir.Operation, op: ir.Operation) -> None:
        self.launch, self.op = launch, op
        self.schedule: Schedule = from_attributes(op.attributes)
        self.block: ir.Block = launch.regions[0].blocks[0]
        self.groups: dict[str, Group] = {}
        self.loops: dict[str, Loop] = {}
        self.places = {s: scope.name for scope, _, s in self.schedule.steps() if isinstance(s, str)}
        self.protected: dict[ir.Value, str] = {}
        for view in self.block.operations:
            if PIPELINE in view.operation.attributes:
                name = ir.StringAttr(view.operation.attributes[PIPELINE]).value
                self.protected[view.operation.results[0]] = name
                del view.operation.attributes[PIPELINE]
        self._match(ROOT, self.block, ())
        for name, scope in self.places.items():
            if name not in self.groups and name not in self.loops:
                raise self.error(f"no statement of the kernel is called {name!r}, which has a place in scope {scope!r}")

    def error(self, text: str, op: ir.Operation | None = None, hint: str = "") -> TileValueError:
        """An error at a statement, or at the schedule."""
        where = (op or self.op).location
        return TileValueError(text, python_location(where), notes=location_notes(where), hint=hint)

    def pipelines_of(self, role: str, step: Step) -> set[str]:
        """The pipelines whose buffers an operation or a scope of a role touches."""
        if step in self.groups:
            return {self.protected[b] for b in self.groups[str(step)].touched() if b in self.protected}
        inner = self.schedule.scope(step) if isinstance(step, str) else None
        body = inner.bodies.get(role, ()) if inner else ()
        return {name for item in body for name in self.pipelines_of(role, item)}

    # -- matching ------------------------------------------------------------------------------------------------------
    def _match(self, scope: str, block: ir.Block, guards: tuple[ir.Value, ...]) -> None:
        for view in list(block.operations):
            op = view.operation
            if op.name in _ALLOCATIONS:
                if op.block != self.block:
                    op.move_before(self.op)
            elif MARK in op.attributes:
                self._named(ir.StringAttr(op.attributes[MARK]).value, scope, op, guards)
            elif op.name == "scf.if":
                self._branch(scope, op, guards)
            elif not (op == self.op or is_pure(op) or op.name in ("scf.yield", "scf.condition")):
                self._unnamed(scope, op)

    def _named(self, name: str, scope: str, op: ir.Operation, guards: tuple[ir.Value, ...]) -> None:
        if is_pure(op):
            if name in self.places and self.schedule.scope(name) is None:
                self.groups.setdefault(name, Group(name, scope, guards, location=op.location))
            return
        if name not in self.places:
            raise self.error(f"{name!r} has no place in the schedule", op,
                             "put it into the body of the role that runs it")
        if self.places[name] != scope:
            raise self.error(f"{name!r} is in scope {scope!r} and has its place in scope {self.places[name]!r}", op)
        if self.schedule.scope(name) is None:
            group = self.groups.setdefault(name, Group(name, scope, guards, location=op.location))
            if group.ops and group.ops[-1].block != op.block:
                raise self.error(f"two statements are called {name!r}", op)
            group.ops.append(op)
            group.guards = guards
            return
        if name in self.loops:
            raise self.error(f"two loops are called {name!r}", op)
        if op.name not in ("scf.for", "scf.while") or "tl.unroll" in op.attributes:
            raise self.error(f"scope {name!r} is no loop that runs in order", op,
                             "T.serial, T.Pipelined and while loops are scopes; others are single operations")
        self.loops[name] = Loop(op, guards)
        self._match(name, op.regions[-1].blocks[0], ())

    def _branch(self, scope: str, op: ir.Operation, guards: tuple[ir.Value, ...]) -> None:
        other = [o for block in op.regions[1] for o in block.operations if o.operation.name != "scf.yield"]
        if other:
            where = python_location(op.location)
            raise UnsupportedError("a branch with an else around scheduled operations", where,
                                   hint="write two branches, or give the whole branch a name with T.ws_op")
        self._match(scope, op.regions[0].blocks[0], (*guards, op.operands[0]))

    def _unnamed(self, scope: str, op: ir.Operation) -> None:
        """What only touches a thread's own scalars in front of everything else runs in front of the roles."""
        private = all(scope_of(e.value) in (VAR, LOCAL) for e in region_effects(op) if is_buffer(e.value))
        if scope == ROOT and private and op.name.startswith("memref.") and not self.groups and not self.loops:
            return
        raise self.error("a statement of a kernel with a schedule has no name", op,
                         'annotations={T.WSID: "name"} names tile operations and loops, T.ws_op("name") any statement')


def is_buffer(value: ir.Value) -> bool:
    return isinstance(value.type, ir.MemRefType)


def condition_buffers(values: tuple[ir.Value, ...]) -> set[ir.Value]:
    """Buffers that the conditions of branches are computed from."""
    found: set[ir.Value] = set()
    for value in values:
        if not isinstance(value.owner, ir.Block):
            op = value.owner.operation
            found |= {root(op.operands[0])} if op.name == "memref.load" else condition_buffers(tuple(op.operands))
    return found
