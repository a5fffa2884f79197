"""Printing and assertions on the device."""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir

from ...dialect.location import python_location
from .context import Context, rule
from .index import Index
from .scalar import cast


@rule("tl.print")
def lower_print(ctx: Context, op: ir.Operation) -> None:
    """One line per thread with the scalars' values (buffers are expanded to element prints before lowering)."""
    message = ir.StringAttr(op.attributes["message"]).value if "message" in op.attributes else ""
    values = [ctx.get(v) for v in op.operands]
    operands = [ctx.materialize(v, k.type) for v, k in zip(values, op.operands, strict=True)]
    if any(isinstance(v.type, ir.VectorType) for v in operands):
        raise UnsupportedError("print of a value inside a vectorised loop", python_location(op.location))
    formats, arguments = [], []
    for operand in operands:
        text, argument = _argument(ctx, operand)
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


def _printf(ctx: Context, text: str, arguments: Sequence[ir.Value]) -> None:
    ctx.e.op("gpu.printf", [], arguments, {"format": ir.StringAttr.get(text)})


def _argument(ctx: Context, value: ir.Value) -> tuple[str, ir.Value]:
    """A printf conversion and the value widened to what it takes."""
    if isinstance(value.type, ir.IntegerType):
        width = value.type.width
        if width == 1:
            return "%d", ctx.e.pure("arith.extui", ctx.e.i32, [value])
        if width < 32:
            return "%d", ctx.e.pure("arith.extsi", ctx.e.i32, [value])
        return ("%d" if width == 32 else "%lld"), value
    names = {"f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64"}
    wide = cast(ctx, value, DType(names[str(value.type)]), DType("float64"))
    return "%f", wide


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
        _printf(ctx, f"{where or ''}: assertion failed: {message}\n", [])
        ctx.e.op("llvm.intr.trap")
        ctx.e.end_region()
