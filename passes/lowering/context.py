"""State of the lowering of one kernel, and the registry of its rules.

A rule lowers one operation of the tile program: `rule(ctx, op) -> None`. Values of the tile program map to `Value`s
here: an `Index` (integers of the form base + constant per lane) or an SSA value, scalar when all lanes agree, a vector
of `ctx.width` elements when they differ.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from tilelang_mlir.errors import PassError, TileError, UnsupportedError
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ...dialect.effects import Effect
from ...dialect.layout import Fragment
from ...dialect.location import python_location
from ..facts import ATTRIBUTE, Facts, facts_of
from .buffers import Buffer, FragmentBuffer, PrivateBuffer, RegisterFile, TensorBuffer
from .emitter import Emitter
from .index import Index, IndexMath

if TYPE_CHECKING:
    from ..nvidia.maps import MapKey
    from .hardware import Hardware

Value = Index | ir.Value
Rule = Callable[["Context", ir.Operation], None]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register the rule of an operation; a second one for the same operation is an error."""

    def register(function: Rule) -> Rule:
        for name in names:
            if name in RULES:
                raise PassError(f"two lowering rules for {name}")
            RULES[name] = function
        return function

    return register


class _Step(NamedTuple):
    """An operation of a block that may be lowered many times: its rule and place, whether something is stated of it."""

    op: ir.Operation
    rule: Rule | None
    location: ir.Location
    refined: bool

    @staticmethod
    def of(op: ir.Operation) -> _Step:
        return _Step(op, RULES.get(op.name), op.location, ATTRIBUTE in op.attributes)


class Context:
    """Where the emission of one kernel stands."""

    def __init__(self, emitter: Emitter, target: Target, hardware: Hardware, threads: tuple[int, int, int]) -> None:
        self.e = emitter
        self.ix = IndexMath(emitter)
        self.target = target
        self.hardware = hardware
        self.threads = threads
        self.values: dict[ir.Value, Value] = {}
        self.buffers: dict[ir.Value, Buffer] = {}
        self.accesses: dict[ir.Operation, list[Effect]] = {}  # of operations with regions
        self._steps: dict[ir.Block, list[_Step]] = {}
        self.registers = RegisterFile(emitter)
        self.width = 1
        self.inside: ir.Value | None = None  # the iteration exists: guards all accesses to memory
        self.owner: ir.Value | None = None  # this replica of the iteration acts: guards effects on memory
        # Inside a parallel loop: its variables over [thread, register], and what was derived from them.
        self.iteration_tables: dict[ir.Value, npt.NDArray[np.int64]] = {}
        self.iteration_valid: npt.NDArray[np.bool_] | None = None
        self.register_tables: dict[ir.Operation, list[int | tuple[int, ...]]] = {}
        self.iteration_layout: Fragment | None = None
        self.chunk_start = 0
        self.arena: ir.Value | None = None
        self.pending_products: dict[FragmentBuffer, list[ir.Value]] = {}  # accumulators without a value yet
        self.unfinished: set[FragmentBuffer] = set()  # accumulators that only products and waits may touch
        self.in_flight: dict[FragmentBuffer, None] = {}  # accumulators of products that the program waits for
        # Sums of products on a thread's own arrays, before the wait: by array and first element, with where they began.
        self.own_products: dict[tuple[PrivateBuffer, int], tuple[ir.Block, list[ir.Value]]] = {}
        self.barriers: dict[ir.Value, ir.Value] = {}  # mbarrier arrays by address
        self.tensors: dict[ir.Value, TensorBuffer] = {}  # what lies in tensor memory
        self.tensor_arenas: dict[int, tuple[ir.Value, int]] = {}  # tensor memory: address and columns
        self.tensor_maps: dict[object, ir.Value] = {}  # descriptors by what they describe
        self.made_maps: list[MapKey] = []  # those that the kernel makes itself
        self.map_memory: ir.Value | None = None  # where it keeps them
        self.barrier_id: int | ir.Value = 0  # the barrier of the threads that run this code
        self.consumers = self.num_threads  # threads with this role, in all groups
        self.group = Index.of(0)  # the number of the group
        self.wide_accesses = True  # of 32 bytes to device memory, where the target has them
        self.wide_arguments: set[int] = set()  # the numbers of the arguments that are accessed so
        self.fast_math = False  # one hardware approximation instead of an accurate expansion
        self.small_tensors = False  # those of run-time size have less than 2 GiB, which launches check
        self.small_arguments: set[int] = set()  # the numbers of the arguments that it is asked of
        self.wide_indices = False  # a dimension has more than 2**31 - 1 elements: indices of 64 bits keep them
        self.guards = True  # accesses of tensors are clipped at their edges
        self.thread = hardware.thread_index(self)

    @property
    def num_threads(self) -> int:
        return self.threads[0] * self.threads[1] * self.threads[2]

    # -- values --------------------------------------------------------------------------------------------------------
    def get(self, value: ir.Value) -> Value:
        """What a value of the tile program has become; host arithmetic is emitted when first asked for."""
        if value not in self.values:
            owner = value.owner
            if not isinstance(owner, ir.Operation | ir.OpView):
                raise PassError(f"no value for a block argument of type {value.type}")
            self.lower(owner.operation)
        return self.values[value]

    def index(self, value: ir.Value) -> Index:
        """An integer value as an index over the lanes."""
        found = self.get(value)
        if isinstance(found, Index):
            return found.spread(self.width)
        if isinstance(found.type, ir.VectorType):
            raise PassError(f"an index differs between lanes in a way that is not affine: {value.owner}")
        return self.ix.uniform(found).spread(self.width)

    def narrow_index(self, value: ir.Value) -> Index:
        """The same of a place in memory whose addresses have 32 bits."""
        found = self.index(value)
        if found.base is None or found.base.type != self.e.i64:
            return found
        lo, hi = (bound if bound is not None and abs(bound) < 2**31 else None for bound in (found.lo, found.hi))
        base = self.e.pure("arith.trunci", self.e.i32, [found.base])
        return Index(base, found.constants, found.divisor, lo, hi, found.bits if lo is not None else None)

    def ssa(self, value: ir.Value, *, varying: bool = False) -> ir.Value:
        """The value as SSA: a scalar when all lanes agree (unless `varying` asks for a vector), else a vector."""
        return self.materialize(self.get(value), value.type, varying=varying)

    def materialize(self, found: Value, kind: ir.Type, *, varying: bool = False) -> ir.Value:
        value = self._from_index(found, kind) if isinstance(found, Index) else found
        if varying and self.width > 1 and not isinstance(value.type, ir.VectorType):
            return self.e.broadcast(value, self.width)
        return value

    def _from_index(self, index: Index, kind: ir.Type) -> ir.Value:
        kind = self.e.i32 if isinstance(kind, ir.IndexType) else kind
        if index.is_uniform:
            return self.e.value(self.ix.scalar(index), kind)
        element = kind.element_type if isinstance(kind, ir.VectorType) else kind
        offsets = self.e.numbers(element, index.constants)
        if index.base is None:
            return offsets
        return self.e.pure("arith.addi", offsets.type, [self.e.broadcast(index.base, index.width), offsets])

    def hardware_arena(self) -> ir.Value:
        """The start of the CTA's shared memory."""
        if self.arena is None:
            symbol = {"global_name": ir.FlatSymbolRefAttr.get("smem")}
            with ir.InsertionPoint.at_block_begin(self.e.entry):
                self.arena = self.e.op("llvm.mlir.addressof", [self.e.shared_ptr], attributes=symbol).result
        return self.arena

    # -- control -------------------------------------------------------------------------------------------------------
    def lower(self, op: ir.Operation) -> None:
        """Lower one operation through its rule, at its own location."""
        self._take(_Step.of(op))

    def _take(self, step: _Step) -> None:
        op = step.op
        if step.rule is None:
            raise UnsupportedError(f"no lowering for {op.name} on {self.target}", python_location(op.location))
        with step.location:
            try:
                step.rule(self, op)
            except TileError as error:
                error.location = error.location or python_location(op.location)
                raise
            if step.refined:
                self._refine(op.results[0])

    def _refine(self, value: ir.Value) -> None:
        """Add what is stated of a 32-bit integer to what is known of it."""
        found = self.values[value]
        if not isinstance(found, Index):
            if isinstance(found.type, ir.VectorType) or found.type != self.e.i32:
                return
            found = self.ix.uniform(found)
        if not found.is_constant and found.is_uniform:
            place = self.e.value(self.ix.scalar(found))
            computed = Facts(found.multiple_of(), found.minimum(), found.maximum())
            known = facts_of(value).both(computed)
            refined = self.ix.uniform(place, lo=known.lo, hi=known.hi, divisor=known.divisor)
            self.values[value] = refined.spread(found.width)

    def lower_block(self, block: ir.Block) -> None:
        outer = set(self.registers)
        steps = self._steps.get(block)
        if steps is None:
            inside = [op.operation for op in block.operations]
            steps = self._steps[block] = [_Step.of(op) for op in inside if op.name not in ("scf.yield", "func.return")]
        for step in steps:
            self._take(step)
        for made_inside in [b for b in self.in_flight if b not in outer]:
            del self.in_flight[made_inside]  # no wait outside of the block sees it

    @property
    def predicate(self) -> ir.Value | None:
        """What guards effects outside the registers."""
        return self.e.both(self.inside, self.owner)

    @contextlib.contextmanager
    def where_effective(self) -> Generator[None]:
        """Emit an effect for the iterations that exist and may act on memory."""
        if self.predicate is None:
            yield
            return
        branch = self.e.op("scf.if", [], [self.predicate], regions=2)
        with self.e.scope(branch.regions[0].blocks.append()):
            yield
            self.e.end_region()

    @contextlib.contextmanager
    def guarded(self, inside: ir.Value | None, owner: ir.Value | None = None) -> Generator[None]:
        """Add conditions under which iterations exist, and under which they may act on memory."""
        before = self.inside, self.owner
        self.inside, self.owner = self.e.both(self.inside, inside), self.e.both(self.owner, owner)
        try:
            yield
        finally:
            self.inside, self.owner = before

    @contextlib.contextmanager
    def lanes(self, width: int) -> Generator[None]:
        """Lower with this many lanes."""
        before = self.width
        self.width = width
        try:
            yield
        finally:
            self.width = before
