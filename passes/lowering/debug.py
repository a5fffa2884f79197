"""Printing and assertions on the device."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tilelang_mlir.dtypes import DType, from_mlir
from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir

from ...dialect.location import python_location
from .buffers import Buffer, FragmentBuffer, PrivateBuffer
from .context import Context, rule
from .index import Index
from .memory import load_lanes
from .parallel import replica_guard, thread_coordinates
from .scalar import cast, is_narrow


@rule("tl.print")
def lower_print(ctx: Context, op: ir.Operation) -> None:
    """Scalars: one line per thread. Buffers: one line per element, from one thread (of a fragment, from its holder)."""
    message = _literal(ir.StringAttr(op.attributes["message"]).value) if "message" in op.attributes else ""
    unsigned = "unsigned" in op.attributes
    if any(isinstance(v.type, ir.MemRefType) for v in op.operands):
        for value in op.operands:
            print_buffer(ctx, ctx.buffers[value], message, _printer(ctx, op), unsigned=unsigned)
        return
    values = [ctx.get(v) for v in op.operands]
    operands = [ctx.materialize(v, k.type) for v, k in zip(values, op.operands, strict=True)]
    if any(isinstance(v.type, ir.VectorType) for v in operands):
        raise UnsupportedError("print of a value inside a vectorised loop", python_location(op.location))
    formats, arguments = [], []
    for operand, value in zip(operands, op.operands, strict=True):
        text, argument = _argument(ctx, operand, value.type, unsigned)
        formats.append(text)
        arguments.append(argument)
    line = " ".join(x for x in (message, *formats) if x) + "\n"
    if ctx.predicate is None:
        _printf(ctx, line, arguments)
        return
    branch = ctx.e.op("scf.if", [], [ctx.predicate], regions=2)
    with ctx.e.scope(branch.regions[0].blocks.append()):
        _printf(ctx, line, arguments)
        ctx.e.end_region()


def _printer(ctx: Context, op: ir.Operation) -> ir.Value:
    """Whether this is the thread that prints a buffer: the first of the region, or the one that the program names."""
    if "thread" in op.attributes:
        number = ir.IntegerAttr(op.attributes["thread"]).value
        return ctx.e.compare("eq", ctx.ix.scalar(ctx.hardware.thread_index(ctx)), number)
    return ctx.e.compare("eq", ctx.ix.scalar(ctx.thread), 0)


def print_buffer(
    ctx: Context, buffer: Buffer, message: str, printer: ir.Value | None = None, *, unsigned: bool = False
) -> None:
    """Every element of a buffer with its indices."""
    element = _Element(ctx, message, buffer.element, unsigned)
    if isinstance(buffer, FragmentBuffer):
        _print_fragment(ctx, buffer, element)
        return
    shape = [s for s in buffer.shape if isinstance(s, int)]
    if len(shape) != len(buffer.shape):
        raise UnsupportedError("print of a tensor with run-time sizes")
    guard = None if isinstance(buffer, PrivateBuffer) else printer
    with contextlib.ExitStack() as stack:
        if guard is not None:
            branch = ctx.e.op("scf.if", [], [guard], regions=2)
            stack.enter_context(ctx.e.scope(branch.regions[0].blocks.append()))
            stack.callback(ctx.e.end_region)
        count = ctx.e.value(math.prod(shape))
        loop = ctx.e.op("scf.for", [], [ctx.e.value(0), count, ctx.e.value(1)], regions=1)
        with ctx.e.scope(loop.regions[0].blocks.append(ctx.e.i32)):
            indices = _coordinates(ctx, loop.regions[0].blocks[0].arguments[0], shape)
            element.print(indices, load_lanes(ctx, buffer, indices))
            ctx.e.end_region()


def _coordinates(ctx: Context, linear: ir.Value, shape: Sequence[int]) -> list[Index]:
    out: list[Index] = []
    rest: int | ir.Value = linear
    for size in reversed(shape):
        out.append(ctx.ix.uniform(ctx.e.value(ctx.e.rem(rest, size)), lo=0, hi=size - 1))
        rest = ctx.e.div(rest, size)
    return out[::-1]


def _print_fragment(ctx: Context, buffer: FragmentBuffer, element: _Element) -> None:
    part, guard = thread_coordinates(ctx, buffer.layout), replica_guard(ctx, buffer.layout)
    file = ctx.registers[buffer]
    for register in range(buffer.layout.num_values):
        constants = buffer.layout.value_part(register)
        indices = [ctx.ix.add(p, Index.of(int(c))) for p, c in zip(part, constants, strict=True)]
        inside = guard
        for dim in buffer.layout.padded_dims():
            inside = ctx.e.both(inside, ctx.e.compare("slt", ctx.ix.scalar(indices[dim]), buffer.layout.shape[dim]))
        value = ctx.e.extract(file[register // buffer.chunk], register % buffer.chunk)
        if inside is None:
            element.print(indices, value)
            continue
        branch = ctx.e.op("scf.if", [], [inside], regions=2)
        with ctx.e.scope(branch.regions[0].blocks.append()):
            element.print(indices, value)
            ctx.e.end_region()


@dataclass(frozen=True)
class _Element:
    """How elements of a buffer are printed."""

    ctx: Context
    message: str
    kind: ir.Type
    unsigned: bool

    def print(self, indices: Sequence[Index], value: ir.Value) -> None:
        ctx = self.ctx
        text, argument = _argument(ctx, value, self.kind, self.unsigned)
        place = ", ".join(["%d"] * len(indices))
        numbers = [ctx.e.value(ctx.ix.scalar(i)) for i in indices]
        _printf(ctx, f"{self.message}[{place}] = {text}\n", [*numbers, argument])


def _literal(message: str) -> str:
    """A message in a format, where % starts a conversion."""
    return message.replace("%", "%%")


def _printf(ctx: Context, text: str, arguments: Sequence[ir.Value]) -> None:
    ctx.e.op("gpu.printf", [], arguments, {"format": ir.StringAttr.get(text)})


def _argument(ctx: Context, value: ir.Value, kind: ir.Type, unsigned: bool) -> tuple[str, ir.Value]:
    """A printf conversion and the value of some type widened to what it takes."""
    if isinstance(kind, ir.FloatType):
        source, wide = DType(from_mlir(str(kind), unsigned=False)), DType("float32")
        value = cast(ctx, value, source, wide) if is_narrow(kind) else value
        return "%f", cast(ctx, value, wide if is_narrow(kind) else source, DType("float64"))
    letter, width = "u" if unsigned else "d", value.type.width
    if width < 32:
        name = "arith.extui" if unsigned or width == 1 else "arith.extsi"
        return f"%{letter}", ctx.e.pure(name, ctx.e.i32, [value])
    return f"%{letter}" if width == 32 else f"%ll{letter}", value


@rule("tl.assert")
def lower_assert(ctx: Context, op: ir.Operation) -> None:
    """Print the message and trap where the condition is false."""
    found = ctx.get(op.operands[0])
    condition = ctx.materialize(found, op.operands[0].type) if isinstance(found, Index) else found
    message = ir.StringAttr(op.attributes["message"]).value
    failed = ctx.e.pure("arith.xori", ctx.e.i1, [condition, ctx.e.constant(ctx.e.i1, 1)])
    predicate = ctx.e.both(ctx.predicate, failed)
    assert predicate is not None
    branch = ctx.e.op("scf.if", [], [predicate], regions=2)
    with ctx.e.scope(branch.regions[0].blocks.append()):
        where = python_location(op.location)
        _printf(ctx, _literal(f"{where or ''}: assertion failed: {message}") + "\n", [])
        ctx.e.op("llvm.intr.trap")
        ctx.e.end_region()
