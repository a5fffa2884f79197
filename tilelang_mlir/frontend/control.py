"""Structured control flow: loops, branches, and jumps out of loops.

Every generator here opens a region, yields once with the insertion point inside, and closes it when resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tilelang_mlir.dialect.tl import VAR, buffer_type, scope_of
from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileSyntaxError, TileTypeError, TileValueError
from tilelang_mlir.frontend import arith, nested
from tilelang_mlir.frontend.buffer import Buffer, Variable, int32_value, store
from tilelang_mlir.frontend.builder import Builder, require
from tilelang_mlir.frontend.conversions import common_dtype, in_int, literal_for
from tilelang_mlir.frontend.expr import BOOL, INT32, INT64, Expr, Lanes, as_expr, value_of
from tilelang_mlir.frontend.vector import Vector, spread
from tilelang_mlir.frontend.wide import MAX_SIZE, index_variable
from tilelang_mlir.mlir import ir

Attributes = dict[str, Callable[[], ir.Attribute]]


@dataclass
class Loop:
    """What `T.serial`, `T.Parallel` and the others return: a loop that has not been opened.

    `kind` is serial, pipelined, unroll, vectorize or parallel; a parallel loop has `extents`, the others `start`,
    `stop` and `step`. `then` maps the loop variables to what the loop yields, None where the body must not run.
    """

    kind: str
    start: Any = 0
    stop: Any = 0
    step: Any = 1
    extents: Sequence[Any] = ()
    attributes: Attributes = field(default_factory=dict)

    def __iter__(self) -> Iterator[Any]:
        raise TileSyntaxError(
            f"a {self.kind} loop can only be run by a for statement of a traced function",
            hint="decorate the function that contains the loop with @T.macro",
        )


def allocate_variable(builder: Builder, name: str, dtype: DType, initial: Any = None) -> Variable:
    """A mutable scalar in scope `var`, stored to at once when it has an initial value."""
    buffer = Buffer(name, (1,), dtype, VAR)
    kind = buffer_type([1], builder.type(dtype), VAR)
    buffer.value = builder.emit("tl.alloc", [], [kind], loc=builder.named(name)).results[0]
    buffer.frame = builder.frame
    variable = Variable(buffer)
    if initial is not None:
        store(variable.element, initial)
    return variable


class Jumps:
    """Break and continue of one loop: flags in `var` buffers, and which blocks have nothing left to run."""

    def __init__(self, may_break: bool, may_continue: bool) -> None:
        self.may_break, self.may_continue = may_break, may_continue
        self.broken: Variable | None = None
        self.continued: Variable | None = None
        self.reset: ir.Operation | None = None
        self.used = False
        self.stopped = False
        self.dirty = False
        self.dead: list[Any] = []

    def open(self, builder: Builder) -> None:
        """Before the loop."""
        if self.may_break:
            self.broken = allocate_variable(builder, "broken", BOOL, False)

    def enter(self, builder: Builder) -> None:
        """At the start of an iteration."""
        if self.may_continue:
            self.continued = allocate_variable(builder, "continued", BOOL)
            self.reset = store(self.continued.element, False)

    def leave(self) -> None:
        """At the end of an iteration: drop the flag when every continue turned out to need none."""
        if (
            self.reset is not None
            and self.continued is not None
            and not self.used
            and self.continued.buffer.value is not None
        ):
            self.reset.erase()
            self.continued.buffer.value.owner.erase()

    def break_(self) -> None:
        self.stopped = True
        self._jump(self.broken)

    def continue_(self) -> None:
        self.used = True
        self._jump(self.continued)

    def _jump(self, flag: Variable | None) -> None:
        if flag is None:
            raise TileSyntaxError("break and continue work in loops over T.serial, T.unroll, range, and in while")
        store(flag.element, True)
        self.dirty = True
        self.dead.append(require("a jump").frame)

    def guard(self) -> Iterator[None]:
        """Around what follows a statement that may jump."""
        builder = require("a jump")
        if builder.frame in self.dead:
            return
        if not self.dirty:
            yield
            return
        flags = [
            flag.read()
            for flag, set_ in ((self.broken, self.stopped), (self.continued, self.used))
            if flag is not None and set_
        ]
        stop = flags[0] if len(flags) == 1 else arith.logical_or(*flags)
        for _ in branch(builder, arith.logical_not(stop), has_else=False):
            yield

    def proceed(self, condition: Any) -> Any:
        """A loop condition that also ends the loop after a break."""
        return condition if self.broken is None else arith.logical_and(condition, arith.logical_not(self.broken))


def run(loop: Loop, names: Sequence[str], jumps: Jumps | None) -> Iterator[Any]:
    """Open a loop for the body of a for statement. Around kernels the body is traced for each of a known range."""
    builder = require("a loop")
    steps = _known_range(loop) if builder.launch() is None and jumps is None else None
    if steps is not None:
        yield from steps
        return
    builder.require_launch("a loop")
    if loop.kind == "parallel":
        if jumps is not None and jumps.may_break:
            raise TileSyntaxError("a T.Parallel loop has no break: its iterations have no order", hint="use T.serial")
        yield from _parallel(builder, loop, names, jumps)
    elif jumps is not None and jumps.may_break:
        if loop.kind not in ("serial", "unroll"):
            raise TileSyntaxError(f"a {loop.kind} loop has no break", hint="use T.serial")
        yield from _breakable(builder, loop, names, jumps)
    else:
        yield from _for(builder, loop, names, jumps)


def _known_range(loop: Loop) -> range | None:
    """The values of the variable of a counted loop, where they are known while tracing."""
    bounds = (loop.start, loop.stop, loop.step)
    if loop.kind not in ("serial", "unroll") or not all(isinstance(bound, int) for bound in bounds) or not loop.step:
        return None
    return range(*bounds)


def _for(builder: Builder, loop: Loop, names: Sequence[str], jumps: Jumps | None) -> Iterator[Any]:
    dtype = _bound_dtype(loop)
    step = loop.step
    if isinstance(step, int) and step < 0:
        # scf.for counts upwards: iterate over the trip number.
        trips = arith.ceildiv(arith.sub(loop.start, loop.stop), -step)
        bounds: list[Any] = [0, arith.maximum(trips, 0), 1]
    else:
        bounds = [loop.start, loop.stop, step]
    values = [value_of(builder, arith.cast(as_expr(bound, dtype), dtype)) for bound in bounds]
    kind = builder.type(dtype)
    attributes = {name: attribute() for name, attribute in loop.attributes.items()}
    op = builder.emit("scf.for", values, [], attributes, regions=1)
    block = op.regions[0].blocks.append(kind, arg_locs=[_named(builder, names, 0)])
    frame = builder.push("for", block)
    nonneg = bounds[0].nonneg if isinstance(bounds[0], Expr) else bounds[0] >= 0
    iv: Any = index_variable(builder, Expr(dtype, value=block.arguments[0], frame=frame, nonneg=nonneg), bounds[1])
    if loop.kind == "vectorize" and isinstance(bounds[0], int) and not bounds[0] and isinstance(bounds[1], int):
        frame.lanes = iv, bounds[1]
    if bounds[0] is not loop.start:
        iv = arith.add(loop.start, arith.mul(iv, step))
    if jumps is not None:
        jumps.enter(builder)
    yield iv
    if jumps is not None:
        jumps.leave()
    builder.emit("scf.yield")
    builder.pop(frame)


def _bound_dtype(loop: Loop) -> DType:
    dtype = INT32
    for bound in (loop.start, loop.stop, loop.step):
        if isinstance(bound, Expr):
            if not bound.dtype.is_integer:
                raise TileTypeError(f"loop bounds must be integers, got a value of dtype {bound.dtype}")
            dtype = common_dtype(dtype, bound.dtype)
        elif not isinstance(bound, int):
            raise TileTypeError(f"loop bounds must be integers, got {bound!r}")
        elif abs(bound) > MAX_SIZE:
            dtype = INT64
    if isinstance(loop.step, int) and loop.step == 0:
        raise TileValueError("the step of a loop is zero")
    return DType(f"int{dtype.bits}") if dtype.kind == "uint" else dtype


def _named(builder: Builder, names: Sequence[str], index: int) -> ir.Location:
    return builder.named(names[index]) if index < len(names) else builder.location()


def _breakable(builder: Builder, loop: Loop, names: Sequence[str], jumps: Jumps) -> Iterator[Any]:
    """A counted loop that may end early: an scf.while over a counter in a `var`."""
    dtype = _bound_dtype(loop)
    if not isinstance(loop.step, int):
        raise TileTypeError("a loop with break needs a constant step")
    counter = allocate_variable(builder, names[0] if names else "i", dtype, loop.start)
    down = loop.step < 0
    # The counter is not negative when it starts so and counts up.
    nonneg = not down and (loop.start.nonneg if isinstance(loop.start, Expr) else loop.start >= 0)
    for _ in while_(
        builder, lambda: arith.compare("Gt" if down else "Lt", counter, loop.stop), jumps, counter, loop.step
    ):
        iv = counter.read()
        iv.nonneg = nonneg
        yield index_variable(builder, iv)


def while_(
    builder: Builder, condition: Callable[[], Any], jumps: Jumps | None, counter: Variable | None = None, step: int = 0
) -> Iterator[Any]:
    """An scf.while; `counter` is advanced by `step` at the end of every iteration."""
    if jumps is not None:
        jumps.open(builder)
    op = builder.emit("scf.while", [], [], regions=2)
    before, after = (region.blocks.append() for region in op.regions)
    with builder.inside("while", before):
        test = arith.to_bool(condition())
        if isinstance(test, bool):
            if test and not (jumps is not None and jumps.may_break):
                raise TileValueError(
                    "the condition of the while loop is always true",
                    hint="test a T.alloc_var or a buffer element, or break",
                )
            test = arith.typed_constant(test, BOOL)
        if jumps is not None:
            test = jumps.proceed(test)
        builder.emit("scf.condition", [value_of(builder, test)])
    frame = builder.push("while", after)
    if jumps is not None:
        jumps.enter(builder)
    yield None
    if jumps is not None:
        jumps.leave()
    if counter is not None:
        store(counter.element, arith.add(counter, step))
    builder.emit("scf.yield")
    builder.pop(frame)


def _parallel(builder: Builder, loop: Loop, names: Sequence[str], jumps: Jumps | None) -> Iterator[Any]:
    extents = list(loop.extents)
    sizes = [extent if isinstance(extent, int) else -1 for extent in extents]
    operands = [int32_value(builder, extent) for extent in extents if not isinstance(extent, int)]
    attributes: dict[str, ir.Attribute] = {"extents": ir.DenseI64ArrayAttr.get(sizes)}
    attributes.update((name, attribute()) for name, attribute in loop.attributes.items())
    op = builder.emit("tl.parallel", operands, [], attributes, regions=1)
    locations = [_named(builder, names, index) for index in range(len(extents))]
    block = op.regions[0].blocks.append(*[builder.type(INT32)] * len(extents), arg_locs=locations)
    frame = builder.push("parallel", block)
    ivs = [index_variable(builder, Expr(INT32, value=argument, frame=frame, nonneg=True), extent)
           for argument, extent in zip(block.arguments, extents, strict=True)]  # fmt: skip
    if jumps is not None:
        jumps.enter(builder)
    yield ivs[0] if len(ivs) == 1 else tuple(ivs)
    if jumps is not None:
        jumps.leave()
    builder.pop(frame)
    if not any(f.kind == "parallel" for f in builder.frames):
        nested.flatten(op)


def nest(extents: Sequence[int], kind: str = "serial", ivs: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Nested counted loops, the innermost one annotated; yields the loop variables once."""
    if not extents:
        yield ivs
        return
    attributes: Attributes = {}
    if kind in ("vectorize", "unroll") and len(extents) == 1:
        attributes[f"tl.{kind}"] = ir.UnitAttr.get
    loop = Loop(kind, 0, extents[0], 1, attributes=attributes)
    for iv in _for(require("a loop"), loop, (), None):
        yield from nest(extents[1:], kind, (*ivs, iv))


def branch(builder: Builder, condition: Any, *, has_else: bool) -> Iterator[bool]:
    """An scf.if: yields True inside its first region and, with `has_else`, False inside its second."""
    builder.require_launch("a branch on a run-time value")
    op = builder.emit("scf.if", [value_of(builder, condition)], [], regions=2)
    for region, taken in zip(op.regions, (True, False), strict=True):
        if taken or has_else:
            frame = builder.push("if", region.blocks.append())
            yield taken
            builder.emit("scf.yield")
            builder.pop(frame)


_UNSAFE_LOADS = ("global", "shared", "local")


class Moved:
    """A side of a conditional that has been evaluated already: its value and the ops that made it."""

    def __init__(self, value: Any, ops: Sequence[ir.Operation]) -> None:
        self.value, self.ops = value, ops

    @classmethod
    def evaluate(cls, builder: Builder, side: Callable[[], Any]) -> Moved:
        if isinstance(side, Moved):
            return side
        with builder.recording() as ops:
            value = side()
            value = value.vector() if isinstance(value, Lanes) else in_int(value)
        return cls(value, ops)

    def __call__(self) -> Any:
        return self.value


def choose(condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """A conditional value of which only the chosen side is evaluated.

    A side without memory accesses that could be out of bounds is cheap to evaluate always: then it is a select.
    """
    builder = require("a conditional value")
    if builder.deferring:
        return arith.select(condition, then(), otherwise())
    sides = [Moved.evaluate(builder, then), Moved.evaluate(builder, otherwise)]
    if not any(needs_guard(op) for side in sides for op in side.ops):
        return arith.select(condition, sides[0].value, sides[1].value)
    lanes = [side.value if isinstance(side.value, Vector) else None for side in sides]
    whole = next((vector for vector in lanes if vector is not None), None)
    count = len(whole) if whole is not None else 1
    kinds = [side.value if vector is None else vector[0] for side, vector in zip(sides, lanes, strict=True)]
    results = [allocate_variable(builder, "chosen", _result_dtype(*kinds)) for _ in range(count)]
    for taken in branch(builder, condition, has_else=True):
        side = sides[0 if taken else 1]
        for op in side.ops:
            builder.frame.block.append(op)
        for result, value in zip(results, spread(side.value, count), strict=True):
            store(result.element, value)
    read = [result.read() for result in results]
    return read[0] if whole is None else Vector(read)


def _result_dtype(a: Any, b: Any) -> DType:
    """The dtype both sides promote to, without emitting conversions."""
    sides = [side if isinstance(side, Expr) else None for side in (a, b)]
    if sides[0] is not None and sides[1] is not None:
        return common_dtype(sides[0].dtype, sides[1].dtype)
    for side, other in ((sides[0], b), (sides[1], a)):
        if side is not None:
            return (
                as_expr(other, literal_for(other, side.dtype)).dtype
                if not isinstance(other, Expr)
                else side.dtype
            )
    return as_expr(a).dtype


def needs_guard(op: ir.Operation) -> bool:
    """Whether an op reads memory at an index that may be out of bounds, or has an effect."""
    name = op.name
    if name == "memref.load":
        return scope_of(op.operands[0]) in _UNSAFE_LOADS
    return name in ("memref.store", "tl.atomic", "tl.shuffle") or name.startswith(("scf.", "tl.copy", "tl.parallel"))
