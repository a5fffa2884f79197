"""`gpu.printf` becomes a call of the device runtime's function for it.

The upstream conversions that know prints turn math operations into library calls as well, which nothing defines.
"""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.compiler.find import Census
from tilelang_mlir.mlir import ir


def print_by_vprintf(device: ir.Operation, census: Census) -> None:
    """CUDA: `vprintf(format, arguments)`, the arguments in a structure (PTX interoperability guide, system calls)."""
    for number, op in enumerate(census.take("gpu.printf")):
        with op.location, ir.InsertionPoint(op):
            arguments = _promoted(op)
            pointer = ir.Type.parse("!llvm.ptr")
            text = _text(device, op, number, "!llvm.ptr", 0)
            if number == 0:
                _declare(device, "vprintf", "!llvm.func<i32 (ptr, ptr)>")
            place = _structure(op, arguments) if arguments else _one("llvm.mlir.zero", [], pointer)
            for index, value in enumerate(arguments):
                ir.Operation.create("llvm.store", operands=[value, _field(place, arguments, index)], attributes={
                    "ordering": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 0)})  # fmt: skip
            _call("vprintf", [text, place])
        op.erase()


def print_by_printf(device: ir.Operation, census: Census) -> None:
    """AMD: `printf(format, ...)`, which LLVM turns into stores to the runtime's buffer; formats are constants."""
    kind = "!llvm.func<i32 (ptr<4>, ...)>"
    for number, op in enumerate(census.take("gpu.printf")):
        with op.location, ir.InsertionPoint(op):
            arguments = _promoted(op)
            if number == 0:
                _declare(device, "printf", kind)
            _call("printf", [_text(device, op, number, "!llvm.ptr<4>", 4), *arguments], kind)
        op.erase()


def _promoted(op: ir.Operation) -> list[ir.Value]:
    """The arguments as C passes them: floats as doubles."""
    f32, f64 = ir.F32Type.get(), ir.F64Type.get()
    return [_one("arith.extf", [v], f64) if v.type == f32 else v for v in op.operands]


def _text(device: ir.Operation, op: ir.Operation, number: int, pointer: str, space: int) -> ir.Value:
    """The address of the format, a constant of the module."""
    text, name = ir.StringAttr(op.attributes["format"]).value + "\0", f"tilelang_format_{number}"
    i32 = ir.IntegerType.get_signless(32)
    with ir.InsertionPoint.at_block_begin(device.regions[0].blocks[0]):
        ir.Operation.create("llvm.mlir.global", regions=1, attributes={
            "sym_name": ir.StringAttr.get(name), "value": ir.StringAttr.get(text), "constant": ir.UnitAttr.get(),
            "global_type": ir.TypeAttr.get(ir.Type.parse(f"!llvm.array<{len(text.encode())} x i8>")),
            "linkage": ir.Attribute.parse("#llvm.linkage<internal>"), "addr_space": ir.IntegerAttr.get(i32, space),
        })  # fmt: skip
    symbol = {"global_name": ir.FlatSymbolRefAttr.get(name)}
    return _one("llvm.mlir.addressof", [], ir.Type.parse(pointer), symbol)


def _structure(op: ir.Operation, arguments: Sequence[ir.Value]) -> ir.Value:
    """Room for the arguments, at the start of the function: a loop would take more in every round."""
    function = op
    while function.name not in ("llvm.func", "func.func", "gpu.func"):
        function = function.parent.operation
    with ir.InsertionPoint.at_block_begin(function.regions[0].blocks[0]):
        i64 = ir.IntegerType.get_signless(64)
        one = _one("llvm.mlir.constant", [], i64, {"value": ir.IntegerAttr.get(i64, 1)})
        kind = {"elem_type": ir.TypeAttr.get(ir.Type.parse(_fields(arguments)))}
        return _one("llvm.alloca", [one], ir.Type.parse("!llvm.ptr"), kind)


def _fields(arguments: Sequence[ir.Value]) -> str:
    return f"!llvm.struct<({', '.join(str(v.type) for v in arguments)})>"


def _field(place: ir.Value, arguments: Sequence[ir.Value], index: int) -> ir.Value:
    return _one("llvm.getelementptr", [place], place.type, {
        "elem_type": ir.TypeAttr.get(ir.Type.parse(_fields(arguments))),
        "rawConstantIndices": ir.DenseI32ArrayAttr.get([0, index]),
    })  # fmt: skip


def _declare(device: ir.Operation, name: str, kind: str) -> None:
    with ir.InsertionPoint.at_block_begin(device.regions[0].blocks[0]):
        ir.Operation.create("llvm.func", regions=1, attributes={
            "sym_name": ir.StringAttr.get(name), "function_type": ir.TypeAttr.get(ir.Type.parse(kind)),
            "linkage": ir.Attribute.parse("#llvm.linkage<external>"), "CConv": ir.Attribute.parse("#llvm.cconv<ccc>"),
            "visibility_": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 0),
        })  # fmt: skip


def _call(name: str, operands: Sequence[ir.Value], variadic: str = "") -> None:
    attributes: dict[str, ir.Attribute] = {
        "callee": ir.FlatSymbolRefAttr.get(name), "op_bundle_sizes": ir.DenseI32ArrayAttr.get([]),
        "operandSegmentSizes": ir.DenseI32ArrayAttr.get([len(operands), 0]),
        "CConv": ir.Attribute.parse("#llvm.cconv<ccc>"), "TailCallKind": ir.Attribute.parse("#llvm.tailcallkind<none>"),
        "fastmathFlags": ir.Attribute.parse("#llvm.fastmath<none>"),
    }  # fmt: skip
    if variadic:
        attributes["var_callee_type"] = ir.TypeAttr.get(ir.Type.parse(variadic))
    i32 = ir.IntegerType.get_signless(32)
    ir.Operation.create("llvm.call", operands=list(operands), results=[i32], attributes=attributes)


def _one(
    name: str, operands: Sequence[ir.Value], kind: ir.Type, attributes: dict[str, ir.Attribute] | None = None
) -> ir.Value:
    return ir.Operation.create(name, operands=list(operands), results=[kind], attributes=attributes).result
