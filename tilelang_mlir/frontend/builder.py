"""Where ops go while a function is traced: the current block, its constants, the function's arguments.

A `Builder` makes one host function. Blocks form a stack of `Frame`s; a value may be used while the frame that made
it is open. Outside of kernels (in the host function) arithmetic is not emitted but kept as expressions, which are
emitted where they are needed: kernels then depend on nothing but the function's arguments and tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any

from tilelang_mlir.dialect import shared_context
from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import Location, TileError, TileTypeError
from tilelang_mlir.frontend import where
from tilelang_mlir.mlir import ir

_WITHOUT_EFFECT = ("arith.", "math.", "memref.load", "tl.cast", "tl.bitcast", "tl.slice", "tl.reshape")
_CURRENT: ContextVar[Builder | None] = ContextVar("tilelang_builder", default=None)


def current() -> Builder | None:
    """The builder of the function being traced in this thread, if any."""
    return _CURRENT.get()


def require(what: str) -> Builder:
    """The current builder; raises a TileError when no kernel is being traced."""
    builder = _CURRENT.get()
    if builder is None:
        raise TileError(
            f"{what} can only be used inside a kernel", hint="call it in a @T.prim_func or @tilelang.jit function"
        )
    return builder


class Frame:
    """An open block. `cache` holds constants and index casts that later ops of the block and of inner blocks share;
    `lanes` are the variable and the number of iterations of a vectorised loop over a known range from zero up."""

    __slots__ = ("block", "cache", "ip", "kind", "lanes", "open", "opened_at", "recorded")

    def __init__(self, kind: str, block: ir.Block, opened_at: Location | None = None) -> None:
        self.kind, self.block, self.opened_at = kind, block, opened_at
        self.ip = ir.InsertionPoint(block)
        self.cache: dict[Any, ir.Value] = {}
        self.open = True
        self.lanes: tuple[Any, int] | None = None
        self.recorded: list[ir.Operation] | None = None


class Parameter:
    """An argument of the host function: a value that stands for it until the function's signature is known."""

    def __init__(self, name: str, kind: str, dtype: DType, stand_in: ir.Operation) -> None:
        self.name, self.kind, self.dtype, self.stand_in = name, kind, dtype, stand_in

    @property
    def value(self) -> ir.Value:
        return self.stand_in.results[0]


class Builder:
    """Builds the `tl` module of one function defined at `place`. `Builder.tracing()` makes it current."""

    def __init__(self, name: str, place: Location) -> None:
        self.name = name
        self.context = shared_context()
        self.types: dict[str, ir.Type] = {}
        self.locations: dict[tuple[where.Span, ...], ir.Location] = {}
        self.parameters: list[Parameter] = []
        self.descriptors = 0  # views whose tensor maps kernels make
        self.symbols: dict[Any, Parameter] = {}
        self.kernels = 0
        self.forcing = 0  # > 0 while host expressions are being emitted
        self.wide = False  # a dimension has more elements than 32-bit indices count (`wide.py`)
        self.last_values: dict[Any, int] = {}  # of loop variables and block indices, by the keys of their expressions
        self.effects = 0  # ops so far that may write memory, or begin or end a region
        self.calls: list[int] = [1]  # depth of the frame stack at the entry of each running macro
        self.numbered_barriers: dict[Frame, Any] = {}  # by kernel (`T.create_list_of_mbarrier`)
        self.side: dict[str, Any] = {}  # facts for the PrimFunc that are no IR: layouts, flags
        self.entry: FrameType | None = None
        self.probe_loads: list[ir.Operation] = []
        with self.context:
            self.place = ir.Location.file(place.file, place.line, 1)
            self.module = ir.Module.create(loc=self.place)
            attributes = {
                "sym_name": ir.StringAttr.get(name),
                "function_type": ir.TypeAttr.get(ir.FunctionType.get([], [])),
            }
            self.function = ir.Operation.create(
                "func.func", attributes=attributes, regions=1, loc=self.place, ip=ir.InsertionPoint(self.module.body)
            )
            self.frames = [Frame("host", self.function.regions[0].blocks.append())]

    @contextmanager
    def tracing(self) -> Generator[Builder, None, None]:
        """Make this the current builder of the thread."""
        token = _CURRENT.set(self)
        try:
            # The ambient location is what types and attributes are made with; ops get their own.
            with self.context, self.place:
                yield self
        finally:
            self.entry = None
            _CURRENT.reset(token)

    # Frames.

    @property
    def frame(self) -> Frame:
        return self.frames[-1]

    @property
    def deferring(self) -> bool:
        """Whether arithmetic stays symbolic: in the host function, unless it is needed there now."""
        return self.frames[-1].kind == "host" and not self.forcing

    def launch(self) -> Frame | None:
        """The kernel being traced, if any."""
        return next((frame for frame in self.frames if frame.kind == "launch"), None)

    def require_launch(self, what: str) -> Frame:
        frame = self.launch()
        if frame is None:
            raise TileError(f"{what} can only be used inside `with T.Kernel(...)`")
        return frame

    @contextmanager
    def inside(self, kind: str, block: ir.Block) -> Generator[Frame, None, None]:
        """Emit into a block for the duration of the context."""
        frame = self.push(kind, block)
        try:
            yield frame
        finally:
            self.pop(frame)

    def push(self, kind: str, block: ir.Block) -> Frame:
        frame = Frame(kind, block, where.here())
        self.frames.append(frame)
        return frame

    def pop(self, frame: Frame) -> None:
        frame.open = False
        self.frames.remove(frame)

    @contextmanager
    def recording(self) -> Generator[list[ir.Operation], None, None]:
        """Collect the ops emitted into the current block. They can be moved: nothing else shares their constants."""
        frame = Frame("record", self.frame.block)
        frame.recorded = []
        outer = self.frame
        self.frames.append(frame)
        try:
            yield frame.recorded
        finally:
            self.frames.remove(frame)
            if outer.recorded is not None:
                outer.recorded.extend(frame.recorded)

    # Ops.

    def emit(
        self,
        name: str,
        operands: Sequence[ir.Value] = (),
        results: Sequence[ir.Type] = (),
        attributes: dict[str, ir.Attribute] | None = None,
        regions: int = 0,
        loc: ir.Location | None = None,
    ) -> ir.Operation:
        """Append an op to the current block, located at the Python expression that is running."""
        frame = self.frames[-1]
        op = ir.Operation.create(
            name,
            operands=list(operands),
            results=list(results),
            attributes=attributes,
            regions=regions,
            loc=loc or self.location(),
            ip=frame.ip,
        )
        if frame.recorded is not None:
            frame.recorded.append(op)
        if not name.startswith(_WITHOUT_EFFECT):
            self.effects += 1
        return op

    def location(self) -> ir.Location:
        """The running expression; a call site chain inside macros."""
        spans = tuple(where.stack(self.entry))
        found = self.locations.get(spans)
        if found is None:
            parts = [_file_location(span) for span in spans]
            found = parts[0] if len(parts) == 1 else self.place
            if len(parts) > 1:
                found = ir.Location.callsite(parts[0], parts[1:])
            self.locations[spans] = found
        return found

    def named(self, name: str) -> ir.Location:
        """The running expression under a variable's name."""
        return ir.Location.name(name, self.location())

    def type(self, dtype: DType) -> ir.Type:
        """The MLIR element type of a dtype."""
        found = self.types.get(dtype)
        if found is None:
            if dtype.lanes != 1:
                raise TileTypeError(
                    f"an argument cannot have elements of the vector dtype {dtype}",
                    hint=f"give it a last dimension of {dtype.lanes} elements of {dtype.scalar}; buffers of a kernel "
                         f"may have vector dtypes",
                )
            found = self.types[dtype] = ir.Type.parse(dtype.mlir)
        return found

    def constant(self, value: float, dtype: DType) -> ir.Value:
        """An `arith.constant` of a dtype, shared within the kernel."""
        kind = self.type(dtype)
        key = (dtype.mlir, type(value), repr(value))
        return self.shared(key, lambda: self._constant(value, dtype, kind))

    def _constant(self, value: float, dtype: DType, kind: ir.Type) -> ir.Value:
        attribute = scalar_attribute(value, dtype, kind)
        return self.emit("arith.constant", [], [kind], {"value": attribute}).results[0]

    def index_constant(self, value: int) -> ir.Value:
        kind = ir.IndexType.get()

        def make() -> ir.Value:
            return self.emit("arith.constant", [], [kind], {"value": ir.IntegerAttr.get(kind, value)}).results[0]

        return self.shared(("index", value), make)

    def shared(self, key: object, make: Callable[[], ir.Value]) -> ir.Value:
        """The value made for `key` in an open frame of this kernel, or a new one in the current frame."""
        return self.shared_in(key, make)[0]

    def shared_in(self, key: object, make: Callable[[], ir.Value]) -> tuple[ir.Value, Frame]:
        """As `shared`, with the frame the value belongs to."""
        for frame in reversed(self.frames):
            found = frame.cache.get(key)
            if found is not None:
                return found, frame
            if frame.kind == "launch":
                break
        value = self.frames[-1].cache[key] = make()
        return value, self.frames[-1]

    # Arguments of the host function.

    def add_parameter(self, name: str, kind: str, dtype: DType, type_: ir.Type | None = None) -> Parameter:
        """Declare an argument; symbols come after all others in the final signature."""
        kind_of_value = type_ or self.type(dtype)
        taken = {parameter.name for parameter in self.parameters}
        unique, count = name, 0
        while unique in taken:
            count += 1
            unique = f"{name}_{count}"
        loc = ir.Location.name(unique, self.location())
        # At the head of the function, so that every later op may use it.
        stand_in = ir.Operation.create(
            "builtin.unrealized_conversion_cast",
            results=[kind_of_value],
            loc=loc,
            ip=ir.InsertionPoint.at_block_begin(self.frames[0].block),
        )
        parameter = Parameter(unique, kind, dtype, stand_in)
        self.parameters.append(parameter)
        return parameter

    @contextmanager
    def at_host(self) -> Generator[None, None, None]:
        """Emit into the host function, before the kernel being traced."""
        host, launch = self.frames[0], self.launch()
        frame = Frame("host", host.block)
        if launch is not None:
            frame.ip = ir.InsertionPoint(launch.block.owner)
        self.frames.append(frame)
        self.forcing += 1
        try:
            yield
        finally:
            self.forcing -= 1
            self.frames.remove(frame)

    def finish(self, out_idx: Sequence[int]) -> None:
        """Give the function its signature and close it."""
        block = self.frames[0].block
        for op in self.probe_loads:
            if not list(op.results[0].uses):
                op.erase()
        self.emit("func.return", loc=self.place)
        ordered = [p for p in self.parameters if p.kind != "symbol"] + [
            p for p in self.parameters if p.kind == "symbol"
        ]
        descriptions, types = [], []
        for parameter in ordered:
            argument = block.add_argument(parameter.value.type, parameter.stand_in.location)
            parameter.value.replace_all_uses_with(argument)
            parameter.stand_in.erase()
            types.append(argument.type)
            entry = {"name": parameter.name, "kind": parameter.kind, "dtype": str(parameter.dtype)}
            descriptions.append(ir.DictAttr.get({key: ir.StringAttr.get(text) for key, text in entry.items()}))
        self.function.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(types, []))
        self.function.attributes["tl.params"] = ir.ArrayAttr.get(descriptions)
        if out_idx:
            self.function.attributes["tl.out_idx"] = ir.DenseI64ArrayAttr.get(list(out_idx))


def scalar_attribute(value: float, dtype: DType, kind: ir.Type) -> ir.Attribute:
    """A number as an attribute of an element type; integers wrap to the type's width."""
    if dtype.is_float:
        return ir.FloatAttr.get(kind, float(value))
    bits = 1 if dtype.kind == "bool" else dtype.bits
    number = int(value) & ((1 << bits) - 1)
    if bits > 1 and number >= 1 << (bits - 1):
        number -= 1 << bits
    return ir.IntegerAttr.get(kind, number if bits > 1 else (-1 if number else 0))


def _file_location(span: where.Span) -> ir.Location:
    file, line, column, end = span
    if column < 0:
        return ir.Location.file(file, line, 0)
    if end <= column:
        return ir.Location.file(file, line, column + 1)
    return ir.Location.file(file, line, column + 1, line, end + 1)
