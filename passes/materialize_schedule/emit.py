"""Writing the roles out: barriers, versions, and a region or branch for each role."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir

from ...dialect.location import python_location
from ...dialect.role_schedule import MARK, OPENS, ROOT, WARPS_PER_GROUP, Pipeline, Role, Step, Sync
from ...dialect.tl import FRAGMENT, GLOBAL, TMEM, buffer_type, scope_of
from .. import build
from ..nvidia.tma_rules import tensor_obstacle
from ..use_tensor_memory import barriers, keep_of, start_product, variable
from ..walk import WARP
from .check import delays
from .copies import Copier
from .kernel import Group, Kernel, is_pure

Bounds = tuple[ir.Value, ir.Value, ir.Value]
_MANY_REGISTERS = 128  # from here on a role asks for more registers than a kernel starts with, below it gives some up


@dataclass
class _Ring:
    """A pipeline's barriers and the thread's count of the versions it has had."""

    pipeline: Pipeline
    full: ir.Value
    empty: ir.Value
    rounds: ir.Value

    def slot(self) -> ir.Value:
        return build.binary("remui", self._round(), build.constant(self.pipeline.depth))

    def parity(self) -> ir.Value:
        return build.binary("andi", build.binary("divui", self._round(), build.constant(self.pipeline.depth)),
                            build.constant(1))

    def _round(self) -> ir.Value:
        return build.load(self.rounds, [build.constant(0)])

    def advance(self) -> None:
        zero = build.constant(0)
        build.store(build.binary("addi", build.load(self.rounds, [zero]), build.constant(1)), self.rounds, [zero])


class Emitter:
    """Writes the roles of one kernel behind its statements, which it then removes."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.schedule = kernel.schedule
        self.rings: dict[str, _Ring] = {}
        self.versions: dict[ir.Value, ir.Value] = {}

    def run(self) -> None:
        before = [view.operation for view in self.kernel.block.operations]
        with ir.InsertionPoint(self.kernel.op), self.kernel.op.location:
            for pipeline in self.schedule.pipelines:
                full, empty = (barriers([self._arrivals(pipeline, kind)] * pipeline.depth) for kind in OPENS.values())
                self.rings[pipeline.name] = _Ring(pipeline, full, empty, variable(0))
        for buffer, name in self.kernel.protected.items():
            self.versions[buffer] = _versioned(buffer, self.rings[name].pipeline.depth)
        with ir.InsertionPoint(self.kernel.block), self.kernel.op.location:
            groups = range(self.schedule.warps // WARPS_PER_GROUP)
            for group in groups:
                self._share(group)
            for role in sorted(self.schedule.roles, key=lambda role: role.first):
                with ir.InsertionPoint(build.thread_region(range(WARP * role.first, WARP * role.last))):
                    self._body(role, ROOT, self._copier(role))
        self.kernel.launch.attributes["threads"] = ir.DenseI32ArrayAttr.get([WARP * self.schedule.warps, 1, 1])
        self._remove(before)

    def _remove(self, before: list[ir.Operation]) -> None:
        """The statements, last ones first, and arithmetic that only they used."""
        for op in reversed(before):
            scheduled = MARK in op.attributes and not is_pure(op) or op.name == "scf.if" or op == self.kernel.op
            unused = is_pure(op) and not any(list(result.uses) for result in op.results) and op.name != "tl.assume"
            if scheduled or unused:
                op.erase()
            elif MARK in op.attributes:
                del op.attributes[MARK]
        for buffer, new in self.versions.items():
            if new != buffer:
                buffer.owner.erase()

    # -- warps ---------------------------------------------------------------------------------------------------------
    def _share(self, group: int) -> None:
        """The registers of a warpgroup, whose threads change them together."""
        roles = sorted((role for role in self.schedule.roles if group in role.groups), key=lambda role: role.first)
        registers = next((role.registers for role in roles if role.registers), 0 if roles else self._spare_registers())
        if registers:
            first = WARP * WARPS_PER_GROUP * group
            with ir.InsertionPoint(build.thread_region(range(first, first + WARP * WARPS_PER_GROUP))):
                _set_registers(registers)

    def _copier(self, role: Role) -> Copier:
        slots = {b: self.rings[self.kernel.protected[b]].slot for b in self.versions}
        versions = {b: (new, slots[b]) for b, new in self.versions.items()}
        return Copier(self.kernel, role.name, versions, self._fragments(role))

    def _spare_registers(self) -> int:
        """What a warpgroup without a role keeps: as little as any role."""
        given = [role.registers for role in self.schedule.roles if 0 < role.registers < _MANY_REGISTERS]
        return min(given, default=0)

    def _fragments(self, role: Role) -> dict[ir.Value, ir.Value]:
        """Fragments that several roles use are those of each role: their layouts depend on its threads."""
        users: dict[ir.Value, set[str]] = {}
        for _, name, step in self.schedule.steps():
            group = self.kernel.groups.get(step) if isinstance(step, str) else None
            for buffer in group.touched() if group else ():
                if isinstance(buffer.type, ir.MemRefType) and scope_of(buffer) == FRAGMENT:
                    users.setdefault(buffer, set()).add(name)
        own: dict[ir.Value, ir.Value] = {}
        for buffer, names in users.items():
            if role.name in names and role.name != min(names):
                own[buffer] = buffer.owner.clone(ip=ir.InsertionPoint(self.kernel.op)).operation.results[0]
        return own

    # -- bodies --------------------------------------------------------------------------------------------------------
    def _body(self, role: Role, scope: str, copier: Copier) -> None:
        for step in self._steps(role, scope):
            self._step(role, step, copier)

    def _steps(self, role: Role, scope: str) -> tuple[Step, ...]:
        found = self.schedule.scope(scope)
        return found.bodies.get(role.name, ()) if found else ()

    def _step(self, role: Role, step: Step, copier: Copier) -> None:
        if isinstance(step, Sync):
            self._sync(step)
        elif step in self.kernel.loops:
            loop = self.kernel.loops[step]
            if self._steps(role, step):
                with loop.op.location:
                    self._guarded(loop.guards, copier, lambda inner: self._loop(role, step, inner))
        else:
            group = self.kernel.groups[step]
            if group.ops:
                self._guarded(group.guards, copier, lambda inner: self._operations(group, inner))

    def _guarded(self, guards: tuple[ir.Value, ...], copier: Copier, write: Callable[[Copier], None]) -> None:
        """Under the branches that the source has around a statement."""
        if not guards:
            write(copier)
            return
        block = build.branch(copier.value(guards[0]))
        with ir.InsertionPoint(build.terminator(block)):
            self._guarded(guards[1:], copier.inner(), write)

    def _loop(self, role: Role, scope: str, copier: Copier) -> None:
        loop = self.kernel.loops[scope].op
        behind = delays(self.kernel, role.name, scope)
        if loop.name == "scf.while":
            if any(behind):
                raise UnsupportedError(f"stages in scope {scope!r}, whose number of iterations is not known ahead",
                                       python_location(loop.location), hint="give all its waits one stage")
            self._while(role, scope, copier)
            return
        low, high, step = (copier.value(v) for v in list(loop.operands)[:3])
        more = build.binary("muli", step, _like(step, max(behind))) if any(behind) else None
        attributes = {n: a for n, a in build.attributes_of(loop).items() if n not in ("tl.pipeline", MARK)}
        operands = [low, build.binary("addi", high, more) if more is not None else high, step]
        new = ir.Operation.create("scf.for", [], operands, attributes, regions=1)
        variable_of = loop.regions[0].blocks[0].arguments[0]
        block = new.regions[0].blocks.append(variable_of.type, arg_locs=[variable_of.location])
        with ir.InsertionPoint(block):
            inner = copier.inner()
            inner.values[variable_of] = block.arguments[0]
            if more is None:
                self._body(role, scope, inner)
            else:
                self._staged(role, scope, inner, behind, (low, high, step))
            ir.Operation.create("scf.yield")

    def _staged(self, role: Role, scope: str, copier: Copier, behind: list[int], bounds: Bounds) -> None:
        """Steps that run behind: those of one delay together, in the iterations that there are."""
        low, high, step = bounds
        variable_of = self.kernel.loops[scope].op.regions[0].blocks[0].arguments[0]
        here = copier.values[variable_of]
        steps = list(zip(self._steps(role, scope), behind, strict=True))
        while steps:
            delay, run = steps[0][1], []
            while steps and steps[0][1] == delay:
                run.append(steps.pop(0)[0])
            shift = build.binary("muli", step, _like(step, delay))
            logical = build.binary("subi", here, shift)
            inside = build.binary("andi", build.compare(5, logical, low), build.compare(2, logical, high))
            block = build.branch(inside)
            with ir.InsertionPoint(build.terminator(block)):
                inner = copier.inner()
                inner.values[variable_of] = logical
                for item in run:
                    self._step(role, item, inner)

    def _while(self, role: Role, scope: str, copier: Copier) -> None:
        loop = self.kernel.loops[scope].op
        new = ir.Operation.create("scf.while", regions=2)
        with ir.InsertionPoint(new.regions[0].blocks.append()):
            inner = copier.inner()
            for view in loop.regions[0].blocks[0].operations:
                inner.statement(view.operation)
        with ir.InsertionPoint(new.regions[1].blocks.append()):
            self._body(role, scope, copier.inner())
            ir.Operation.create("scf.yield")

    # -- statements ----------------------------------------------------------------------------------------------------
    def _operations(self, group: Group, copier: Copier) -> None:
        kind = self._kind(group)
        for op in group.ops:
            copy = copier.statement(op)
            with ir.InsertionPoint(copy), copy.location:
                if kind == "bulk":
                    self._load(copy, self.kernel.protected[op.operands[1]])
                elif kind == "tensor" and copy.name == "tl.gemm":
                    start_product(self.kernel.launch, copy, copy.operands[2], keep_of(copy))
                    copy.erase()

    def _load(self, copy: ir.Operation, pipeline: str) -> None:
        ring = self.rings[pipeline]
        attributes = {"explicit": build.unit()}
        if "eviction" in copy.attributes:
            attributes["eviction"] = copy.attributes["eviction"]
        ir.Operation.create("tl.tma_load", [], [*copy.operands, ring.full, ring.slot()], attributes)
        copy.erase()

    def _kind(self, group: Group) -> str:
        """What shows the end of an operation: bulk copies and tensor products arrive at a barrier on their own,
        cp.async copies in the name of the threads that started them; after everything else the threads do."""
        op = group.ops[0] if group.ops else None
        if op is None:
            return "threads"
        if op.name == "tl.copy" and "async" in op.attributes:
            return "copies"
        if len(group.ops) == 1 and op.name == "tl.copy":
            source, target = op.operands[:2] if len(op.operands) == 2 else (None, None)
            if source is not None and scope_of(source) == GLOBAL and target in self.kernel.protected:
                return "bulk" if _is_bulk(op) else "threads"
        if op.name == "tl.tcgen05_mma" or op.name == "tl.gemm" and scope_of(op.operands[2]) == TMEM:
            return "tensor"
        return "threads"

    # -- synchronisation -----------------------------------------------------------------------------------------------
    def _kinds(self, pipeline: str, kind: str) -> set[str]:
        """How the role that commits or releases a pipeline is done with its buffers."""
        role = self.schedule.signaller(pipeline, kind)
        steps = {s for _, r, s in self.schedule.steps() if r == role and isinstance(s, str)}
        mine = [name for name in self.kernel.groups if name in steps]
        groups = [self.kernel.groups[n] for n in mine if pipeline in self.kernel.pipelines_of(role, n)]
        found = {self._kind(group) for group in groups} or {"threads"}
        return found - {"bulk"} | {"threads"} if "bulk" in found else found

    def _arrivals(self, pipeline: Pipeline, kind: str) -> int:
        """Arrivals that complete a phase: one of the products, and one per thread of each other kind."""
        kinds = self._kinds(pipeline.name, kind)
        threads = self.schedule.role(self.schedule.signaller(pipeline.name, kind)).threads
        return ("tensor" in kinds) + threads * len(kinds - {"tensor"})

    def _sync(self, sync: Sync) -> None:
        ring = self.rings[sync.pipeline]
        if sync.opens:
            parity = ring.parity()
            if sync.is_producer:
                parity = build.binary("xori", parity, build.constant(1))
            barrier = ring.empty if sync.is_producer else ring.full
            ir.Operation.create("tl.mbarrier_wait", [], [barrier, ring.slot(), parity])
            return
        kinds = self._kinds(sync.pipeline, sync.kind)
        place = [ring.full if sync.is_producer else ring.empty, ring.slot()]
        if "tensor" in kinds:
            ir.Operation.create("tl.tcgen05_commit", [], place)
        if "copies" in kinds:
            ir.Operation.create("tl.mbarrier_arrive", [], place, {"copies": build.unit()})
        if "threads" in kinds:
            ir.Operation.create("tl.mbarrier_arrive", [], place)
        ring.advance()


def _versioned(buffer: ir.Value, depth: int) -> ir.Value:
    """A buffer with a leading dimension of versions, in the place of one."""
    if depth == 1:
        return buffer
    old = buffer.owner.operation
    kind = ir.MemRefType(buffer.type)
    result = buffer_type([depth, *kind.shape], kind.element_type, scope_of(buffer))
    with ir.InsertionPoint(old), old.location:
        return ir.Operation.create("tl.alloc", [result], attributes=build.attributes_of(old)).result


def _like(value: ir.Value, number: int) -> ir.Value:
    """A constant of a value's integer type."""
    attribute = ir.IntegerAttr.get(value.type, number)
    return ir.Operation.create("arith.constant", [value.type], attributes={"value": attribute}).result


def _set_registers(count: int) -> None:
    attributes: dict[str, ir.Attribute] = {"name": ir.StringAttr.get("set_registers")}
    for name, value in (("count", count), ("increase", int(count >= _MANY_REGISTERS))):
        attributes[name] = ir.IntegerAttr.get(build.i32(), value)
    ir.Operation.create("tl.intrinsic", [], [], attributes)


def _is_bulk(op: ir.Operation) -> bool:
    """Whether a bulk copy fills a shared tile; layouts may have reasons against it later."""
    source, target = (ir.MemRefType(value.type) for value in list(op.operands)[:2])
    if "disable_tma" in op.attributes or source.element_type != target.element_type:
        return False
    row_bits = list(target.shape)[-1] * target.element_type.width
    return not tensor_obstacle(op.operands[0]) and row_bits % 128 == 0
