"""A kernel as generated Python: one numpy statement per op.

Uniform values are Python scalars, all others arrays of lanes. Masks exist only while lanes diverge. The function is a
generator that yields where an agent must wait. A table from generated line to MLIR location costs nothing at run time.
"""

from __future__ import annotations

import linecache
from collections import Counter
from collections.abc import Callable, Generator
from itertools import count
from typing import Any

import numpy as np

from tilelang_mlir.errors import Location, UnsupportedError
from tilelang_mlir.isa import Instruction, kernels, key_of, table
from tilelang_mlir.isa.instruction import GLOBAL, SHARED, Access, MemoryOrder
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator import control
from tilelang_mlir.simulator.grouping import Group
from tilelang_mlir.simulator.locations import location_of, name_of
from tilelang_mlir.simulator.memory import SHARED_BASE
from tilelang_mlir.simulator.ops import RULES
from tilelang_mlir.simulator.ops.memory import memory_order
from tilelang_mlir.simulator.private import Alloca
from tilelang_mlir.simulator.provenance import accesses
from tilelang_mlir.simulator.uniform import uniform_values
from tilelang_mlir.simulator.values import as_lanes, element_of, kind_of, size_of

_FILES = count(1)
_PRIVATE_BASE = 256
_READS = (Access.READ, Access.ATOMIC)
_TERMINATORS = ("scf.yield", "scf.condition", "llvm.return", "func.return")


class Kernel:
    """The generated code of one kernel. `start(lanes, arguments)` returns the agent that runs it."""

    def __init__(self, function: ir.Operation, shared: dict[str, int], checked: bool) -> None:
        self.name = ir.StringAttr(function.attributes["sym_name"]).value
        self.block = kernels.block_size(function) or (1, 1, 1)
        self.cluster = _cluster(function)
        self.warp_size = kernels.warp_size(function)
        self.shared_bytes = (
            int(ir.IntegerAttr(function.attributes["tl.shared_bytes"]).value)
            if "tl.shared_bytes" in function.attributes
            else 0
        )
        self.cooperative = "tl.cooperative" in function.attributes
        entry = function.regions[0].blocks[0]
        self.argument_kinds = [kind_of(str(a.type)) for a in entry.arguments]
        writer = SourceWriter(function, shared, checked)
        self.allocas = writer.allocas
        self.ops_by_site = writer.ops_by_site
        self.histograms = writer.histograms
        self.global_unit = writer.global_unit
        self.shared_unit = writer.shared_unit
        self.may_split = writer.may_split
        self.ordered = writer.ordered
        self.copied_into = writer.copied_into
        self.waits_for_lds = writer.waits_for_lds
        self.spinning = writer.spinning
        self.takes_over = writer.takes_over
        self.accesses = accesses(function, table())
        self.file = f"<simulated {self.name} {next(_FILES)}>"
        self._loops = writer.loops
        source = "\n".join(writer.lines) + "\n"
        linecache.cache[self.file] = (len(source), None, source.splitlines(True), self.file)
        exec(compile(source, self.file, "exec"), writer.namespace)
        self.start: Callable[..., Generator[Any, None, None]] = writer.namespace["kernel"]

    def locate(self, site: int) -> Location | None:
        """The Python location of a generated line."""
        op = self.ops_by_site.get(site)
        return None if op is None else location_of(op.location)

    def locate_agent(self, agent: Any) -> tuple[Location | None, dict[str, int]]:
        """Where a suspended agent waits, and the iteration values of the loops around it."""
        where: Location | None = None
        iterations: dict[str, int] = {}
        while agent is not None and agent.gi_frame is not None:
            frame = agent.gi_frame
            where = self.locate(frame.f_lineno) or where
            iterations.update(self._iterations(frame.f_locals, frame.f_lineno))
            agent = getattr(agent, "gi_yieldfrom", None)
        return where, iterations

    def _iterations(self, values: dict[str, Any], line: int) -> dict[str, int]:
        """Values of the loop variables in a frame that stands at a line, where all lanes agree."""
        found: dict[str, int] = {}
        for variable, label, first, last in self._loops:
            value = values.get(variable)
            if isinstance(value, np.ndarray) and value.size and (value == value.flat[0]).all():
                value = int(value.flat[0])
            if first <= line <= last and isinstance(value, int):
                found[label] = value
        return found

    def locate_error(self, error: BaseException) -> tuple[Location | None, dict[str, int], str]:
        """Where an exception came from, the iteration values of the loops around it, and which threads ran there."""
        where: Location | None = None
        role = ""
        iterations: dict[str, int] = {}
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == self.file:
                where = self.locate(trace.tb_lineno) or where
                iterations.update(self._iterations(trace.tb_frame.f_locals, trace.tb_lineno))
                role = getattr(trace.tb_frame.f_locals.get("L"), "name", role)
            trace = trace.tb_next
        return where, iterations, role


def _cluster(function: ir.Operation) -> tuple[int, int, int]:
    """CTAs of a cluster along x, y, z."""
    if "nvvm.cluster_dim" not in function.attributes:
        return (1, 1, 1)
    x, y, z = ir.DenseI32ArrayAttr(function.attributes["nvvm.cluster_dim"])
    return (x, y, z)


class SourceWriter:
    """Writes the source of one kernel. Implements `ops.rule.Writer`."""

    def __init__(self, function: ir.Operation, shared: dict[str, int], checked: bool) -> None:
        self.checked = checked
        self.warp_size = kernels.warp_size(function)
        self.lines: list[str] = []
        self.namespace: dict[str, Any] = {"np": np, **control.HELPERS}
        self.ops_by_site: dict[int, ir.Operation] = {}
        self.loops: list[tuple[str, str, int, int]] = []
        self.allocas: list[Alloca] = []
        self.histograms: list[Counter[str]] = []
        self.global_unit = 16  # the narrowest global store: the granularity of ownership checks
        self.shared_unit = 4  # the narrowest shared store, at most a word: the granularity of the race check
        self.may_split = False  # whether CTAs of a batch may part ways where they wait
        self._order = MemoryOrder.RELAXED  # what its fences and atomic operations on device memory do
        self.takes_over = False  # whether CTAs take over the work of others
        self.spinning = False  # whether a loop may wait for what other CTAs write
        self.copied_into = False  # whether bulk copies write shared memory
        self.waits_for_lds = False  # whether there are barriers that leave accesses to device memory open
        self.depth = 0
        self._shared = shared
        self._table = table()
        self._names: dict[ir.Value, str] = {}
        self._refs: dict[int, str] = {}
        self._alloca_address: dict[ir.Operation, int] = {}
        self._uniform = uniform_values(function)
        self._blocks_cache: dict[ir.Operation, bool] = {}
        self._together_cache: dict[ir.Operation, bool] = {}
        entry = function.regions[0].blocks[0]
        arguments = [self.name(a) for a in entry.arguments]
        self.line(f"def kernel({', '.join(['L', *arguments])}):")
        self.depth += 1
        self.block(entry)
        self.line("return")
        self.line("yield")

    # ---- names and lines ---------------------------------------------------------------------------------------------
    def line(self, text: str, op: ir.Operation | None = None) -> None:
        self.lines.append("    " * self.depth + text)
        if op is not None:
            self.ops_by_site[len(self.lines)] = op

    def statement(self, text: str, op: ir.Operation) -> None:
        if self.checked:
            self.lines.append("    " * self.depth + f"L.site = {len(self.lines) + 2}")
        self.line(text, op)

    def name(self, value: ir.Value) -> str:
        known = self._names.get(value)
        if known is None:
            known = self._names[value] = f"v{len(self._names)}"
        return known

    def rename(self, names: dict[ir.Value, str]) -> dict[ir.Value, str]:
        """Use other names for some values; returns the names to restore with `restore`."""
        saved = dict(self._names)
        self._names.update(names)
        return saved

    def restore(self, saved: dict[ir.Value, str]) -> None:
        self._names = {**self._names, **saved}

    def ref(self, value: Any) -> str:
        """The name under which generated code finds a Python object."""
        known = self._refs.get(id(value))
        if known is None:
            known = self._refs[id(value)] = f"k{len(self._refs)}"
            self.namespace[known] = value  # also keeps the object alive, so its id stays its own
        return known

    def uniform(self, value: ir.Value) -> bool:
        return value in self._uniform

    def lanes_name(self, value: ir.Value, name: str | None = None) -> str:
        """The value as an array, for merges with varying values."""
        name = name or self.name(value)
        if value not in self._uniform:
            return name
        return f"{self.ref(as_lanes)}({name}, {self.ref(kind_of(str(value.type)).dtype)})"

    def named(self, value: ir.Value) -> bool:
        return value in self._names

    # ---- blocks and ops --------------------------------------------------------------------------
    def block(self, block: ir.Block) -> list[ir.Value]:
        """Emit a block; returns its terminator's operands."""
        if self.checked:
            self.histograms.append(Counter())
            self.line(f"L.batch.count({len(self.histograms) - 1}, L)")
        histogram = self.histograms[-1] if self.checked else Counter()
        group = Group(self)
        last: list[ir.Value] = []
        for view in block.operations:
            op = view.operation
            if op.name in _TERMINATORS:
                last = list(op.operands)
                continue
            histogram[op.name] += 1
            if not group.take(op, self.instruction(op)):
                self.op(op)
        group.flush()
        return last

    def op(self, op: ir.Operation) -> None:
        """Write the code of one operation."""
        name = op.name
        if name in control.RULES:
            bounds = op.operands[: 3 if name == "scf.for" else 1]
            if name == "scf.while" or not all(v in self._uniform for v in bounds):
                self.may_split = self.may_split or self.moves_together(op)
            control.RULES[name](self, op)
            return
        operands = [self.name(v) for v in op.operands]
        entry = self.instruction(op)
        if entry is not None:
            self._instruction(op, entry, operands)
            return
        rule = RULES.get(name)
        if rule is None and name == "llvm.call":
            raise UnsupportedError(
                f"the simulator does not run device code of other languages: {op.attributes['callee']}",
                location_of(op.location),
                hint="write the function with T.macro, or compile for a device",
            )
        if rule is None:
            raise UnsupportedError(f"the simulator has no semantics for {key_of(op)}", location_of(op.location))
        self._note_memory(op)
        expression = rule(self, op, operands)
        if expression is not None and len(op.results):
            self._assign(op, expression)

    def _assign(self, op: ir.Operation, expression: str) -> None:
        results = list(op.results)
        if len(results) == 1:
            # A literal needs no statement.
            if op.name == "arith.constant" or op.name in ("llvm.mlir.addressof", "llvm.alloca"):
                self._names[results[0]] = expression
                return
        targets = ", ".join(self.name(r) for r in results)
        if op.name.startswith("llvm.") and "L." in expression or "(L," in expression:
            self.statement(f"{targets} = {expression}", op)
        else:
            self.line(f"{targets} = {expression}", op)

    def _waits_on_others(self, entry: Instruction) -> bool:
        shared = any(e.access is Access.BARRIER and e.space == SHARED for e in entry.effects)
        return shared or (entry.blocking and any(e.access is Access.WAIT for e in entry.effects))

    def _instruction(self, op: ir.Operation, entry: Instruction, operands: list[str]) -> None:
        call = f"{self.ref(entry.semantics(op))}({', '.join(['L', *operands])})"
        results = list(op.results)
        self.may_split = self.may_split or self._waits_on_others(entry)
        self.copied_into = self.copied_into or any(
            e.access is Access.WRITE and e.space == SHARED and e.group == "mbarrier" for e in entry.effects
        )
        for e in entry.effects:
            self.takes_over = self.takes_over or e.access is Access.TAKE_OVER
            self.waits_for_lds = self.waits_for_lds or (e.access is Access.BARRIER and bool(e.group))
            if e.access is Access.WRITE and e.space == GLOBAL and e.value >= 0:
                self.global_unit = min(self.global_unit, kind_of(str(op.operands[e.value].type)).nbytes)
            elif e.access is Access.WRITE and e.space == SHARED and e.size and not e.group:
                self.shared_unit = min(self.shared_unit, e.size)
            elif e.access is Access.ATOMIC and e.space == GLOBAL:
                self.global_unit = min(self.global_unit, e.size or 4, 4)
            elif e.access is Access.FENCE and e.space == GLOBAL:
                self._order = MemoryOrder.BOTH
        if entry.blocking:
            self.statement(f"w = {call}", op)
            self.line("if w is not None: yield w", op)
            if results:
                self.line(f"{self.name(results[0])} = {self.ref(_TRUE)} if w is None else w.outcome()")
            return
        targets = ", ".join(self.name(r) for r in results)
        self.statement(f"{targets} = {call}" if results else call, op)

    def instruction(self, op: ir.Operation) -> Instruction | None:
        return self._table.get(key_of(op))

    def blocks(self, op: ir.Operation) -> bool:
        """Whether an op, or one nested in it, may wait or is executed by whole warpgroups (agents, without masks)."""
        known = self._blocks_cache.get(op)
        if known is None:
            entry = self.instruction(op)
            known = entry is not None and (entry.blocking or entry.together > self.warp_size)
            known = known or any(self.blocks(x.operation) for r in op.regions for b in r for x in b.operations)
            self._blocks_cache[op] = known
        return known

    def moves_together(self, op: ir.Operation) -> bool:
        """Whether an op, or one nested in it, needs whole warps or shares state with them: shared memory, queues."""
        known = self._together_cache.get(op)
        if known is None:
            entry = self.instruction(op)
            known = entry is not None and (
                entry.blocking or entry.together > 0 or any(e.space == SHARED or e.group for e in entry.effects)
            )
            pointer = {"llvm.load": 0, "llvm.store": 1}.get(op.name)
            known = known or (pointer is not None and str(op.operands[pointer].type) == "!llvm.ptr<3>")
            known = known or any(self.moves_together(x.operation) for r in op.regions for b in r for x in b.operations)
            self._together_cache[op] = known
        return known

    def spins(self, op: ir.Operation) -> bool:
        """Whether a loop reads device memory, which other CTAs may write meanwhile."""
        found = any(self._reads_device(x.operation) for region in op.regions for b in region for x in b.operations)
        self.spinning = self.spinning or found
        return found

    def _reads_device(self, op: ir.Operation) -> bool:
        pointer = op.operands[0] if op.name in ("llvm.load", "llvm.atomicrmw", "llvm.cmpxchg") else None
        entry = self.instruction(op)
        if pointer is not None and str(pointer.type) == "!llvm.ptr<1>":
            return True
        if entry is not None and any(e.space == GLOBAL and e.access in _READS for e in entry.effects):
            return True
        return any(self._reads_device(x.operation) for region in op.regions for b in region for x in b.operations)

    def roles(self, op: ir.Operation) -> tuple[str, str]:
        """What the two sides of a branch do: the side that alone starts asynchronous copies is the producer."""
        loads = [any(self._copies(x.operation) for b in region for x in b.operations) for region in op.regions]
        if len(loads) < 2 or loads[0] == loads[1] or not len(op.regions[1].blocks):
            return "", ""
        return ("producer", "consumer") if loads[0] else ("consumer", "producer")

    def _copies(self, op: ir.Operation) -> bool:
        entry = self.instruction(op)
        if entry is not None and any(e.access is Access.WRITE and e.space == SHARED and e.group for e in entry.effects):
            return True
        return any(self._copies(x.operation) for region in op.regions for b in region for x in b.operations)

    def _note_memory(self, op: ir.Operation) -> None:
        if op.name == "llvm.store":
            space, size = str(op.operands[1].type), kind_of(str(op.operands[0].type)).nbytes
            if space == "!llvm.ptr<1>":
                self.global_unit = min(self.global_unit, size)
            elif space == "!llvm.ptr<3>":
                self.shared_unit = min(self.shared_unit, size)
        elif op.name in ("llvm.atomicrmw", "llvm.cmpxchg"):
            size = kind_of(str(op.operands[1].type)).nbytes
            self.global_unit, self.shared_unit = min(self.global_unit, size), min(self.shared_unit, size)
            if str(op.operands[0].type) == "!llvm.ptr<1>":
                self._order |= memory_order(op)
        elif op.name == "llvm.fence":
            self._order |= memory_order(op)

    @property
    def ordered(self) -> bool:
        """Whether CTAs may pass device memory on: that takes one that releases it and one that acquires it."""
        return self._order is MemoryOrder.BOTH

    # ---- addresses -------------------------------------------------------------------------------
    def shared_address(self, symbol: str) -> int:
        if symbol not in self._shared:
            raise UnsupportedError(f"the simulator has no global variable @{symbol}")
        return SHARED_BASE + self._shared[symbol]

    def alloca_address(self, op: ir.Operation) -> int:
        if op not in self._alloca_address:
            text = str(ir.TypeAttr(op.attributes["elem_type"]).value)
            size = op.operands[0].owner
            repeat = int(ir.IntegerAttr(size.attributes["value"]).value)
            unit = size_of(element_of(text))
            kind = kind_of(element_of(text))
            unit = kind.unit if kind.lanes else unit
            nbytes = size_of(text) * repeat
            top = self.allocas[-1] if self.allocas else Alloca(_PRIVATE_BASE, 1, 0)
            base = (top.base + top.element * top.count + 255) // 256 * 256 + 256
            self.allocas.append(Alloca(base, unit, nbytes // unit))
            self._alloca_address[op] = base
        return self._alloca_address[op]

    def loop(self, op: ir.Operation, variable: ir.Value, first: int) -> None:
        """Remember a loop variable for error messages; `first` is the first generated line of the body."""
        self.loops.append((self.name(variable), name_of(variable, op.location), first, len(self.lines)))


_TRUE = np.ones((1, 1), np.bool_)
