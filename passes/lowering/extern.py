"""`tl.call_extern` and `tl.address`: calls of functions that other device code defines."""

from __future__ import annotations

import re
import zlib

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import PassError
from tilelang_mlir.mlir import ir

from ...dialect.location import python_location
from .buffers import FragmentBuffer, PrivateBuffer, SharedBuffer
from .context import Context, rule
from .memory import global_pointer, private_pointer, shared_pointer

SOURCES = "tl.sources"


@rule("tl.address")
def lower_address(ctx: Context, op: ir.Operation) -> None:
    if ctx.width != 1:
        raise PassError("an address is taken one iteration at a time", python_location(op.location))
    buffer, indices = ctx.buffers[op.operands[0]], [ctx.index(v) for v in list(op.operands)[1:]]
    assert not isinstance(buffer, FragmentBuffer)
    if isinstance(buffer, PrivateBuffer):
        pointer = private_pointer(ctx, buffer, indices)
    else:
        shared = isinstance(buffer, SharedBuffer)
        found = shared_pointer(ctx, buffer, indices) if shared else global_pointer(ctx, buffer, indices)
        pointer = ctx.e.pure("llvm.addrspacecast", ctx.e.private_ptr, [found])
    ctx.values[op.results[0]] = ctx.e.pure("llvm.ptrtoint", ctx.e.i64, [pointer])


@rule("tl.call_extern")
def lower_call_extern(ctx: Context, op: ir.Operation) -> None:
    name = ir.StringAttr(op.attributes["name"]).value
    types = [ir.StringAttr(t).value for t in ir.ArrayAttr(op.attributes["types"])]
    result = ir.StringAttr(op.attributes["result"]).value
    arguments = [_argument(ctx, ctx.ssa(v), text) for v, text in zip(op.operands, types, strict=True)]
    kinds = [v.type for v in arguments]
    returned = [_scalar(result)] if result else []
    text = f"!llvm.func<{returned[0] if returned else 'void'} ({', '.join(str(k) for k in kinds)})>"
    _declare(ctx, op, name, ir.Type.parse(text), [*types, result])
    segments = ir.DenseI32ArrayAttr.get([len(arguments), 0])
    attributes: dict[str, ir.Attribute] = {
        "callee": ir.FlatSymbolRefAttr.get(symbol_of(name)),
        "operandSegmentSizes": segments,
        "op_bundle_sizes": ir.DenseI32ArrayAttr.get([]),
    }
    if returned:
        call = ctx.e.op("llvm.call", returned, arguments, attributes)
        ctx.values[op.results[0]] = _as_bits(ctx, call.results[0])
        return
    with ctx.where_effective():
        ctx.e.op("llvm.call", [], arguments, attributes)


def symbol_of(name: str) -> str:
    """The symbol of a function in the IR and in PTX, which know no names of C++ (`f<3>`, `space::f`)."""
    if "<" not in name and "::" not in name:
        return name
    return f"{re.sub(r'[^A-Za-z0-9]+', '_', name).strip('_')}_{zlib.crc32(name.encode()):08x}"


def _declare(ctx: Context, op: ir.Operation, name: str, kind: ir.Type, types: list[str]) -> None:
    """The function in the module of the kernels; `tl.extern` keeps the dtypes for code that is compiled from C++."""
    module = ctx.e.entry.owner.operation.parent.operation
    body = module.regions[0].blocks[0]
    symbol = symbol_of(name)
    for other in body.operations:
        if "sym_name" in other.attributes and ir.StringAttr(other.attributes["sym_name"]).value == symbol:
            if other.attributes["function_type"].value != kind:
                raise PassError(f"{name} is called with different types", python_location(op.location))
            return
    own: dict[str, ir.Attribute] = {"tl.extern": ir.ArrayAttr.get([ir.StringAttr.get(t) for t in types])}
    with ir.InsertionPoint.at_block_begin(body):
        ir.Operation.create(
            "llvm.func",
            attributes={
                **({} if name.startswith("llvm.") else own),  # LLVM knows its intrinsics
                **({"tl.extern_name": ir.StringAttr.get(name)} if symbol != name else {}),
                "sym_name": ir.StringAttr.get(symbol),
                "function_type": ir.TypeAttr.get(kind),
                "linkage": ir.Attribute.parse("#llvm.linkage<external>"),
                "CConv": ir.Attribute.parse("#llvm.cconv<ccc>"),
            },
            regions=1,
        )


def _scalar(dtype: str) -> ir.Type:
    return ir.Type.parse(DType(dtype).mlir)


def _argument(ctx: Context, bits: ir.Value, text: str) -> ir.Value:
    if text.endswith("*"):
        return ctx.e.pure("llvm.inttoptr", ctx.e.private_ptr, [bits])
    kind = _scalar(text)
    width = kind.width
    raw = bits if width == 64 else ctx.e.pure("arith.trunci", ir.IntegerType.get_signless(width), [bits])
    return raw if raw.type == kind else ctx.e.pure("arith.bitcast", kind, [raw])


def _as_bits(ctx: Context, value: ir.Value) -> ir.Value:
    width = value.type.width
    integer = ir.IntegerType.get_signless(width)
    raw = value if value.type == integer else ctx.e.pure("arith.bitcast", integer, [value])
    return raw if width == 64 else ctx.e.pure("arith.extui", ctx.e.i64, [raw])
