"""Builds one-kernel level 4 modules around an emitter, for the instruction tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tilelang_mlir.isa.instruction import constant, create
from tilelang_mlir.isa.nvidia import thread
from tilelang_mlir.mlir import ir

POINTER, SHARED, I32 = "!llvm.ptr<1>", "!llvm.ptr<3>", "i32"

Body = Callable[[Sequence[ir.Value]], None]


def build(body: Body, arguments: Sequence[str], threads: int = 32, shared: int = 0, warp: int = 32) -> ir.Module:
    """A module with kernel `k`; `body` gets the arguments and emits at the insertion point. Needs a current context."""
    text = f"""
    module {{ gpu.module @kernels {{
      llvm.mlir.global external @smem() {{addr_space = 3 : i32, alignment = 1024 : i64}} : !llvm.array<0 x i8>
      llvm.func @k({", ".join(f"%a{i}: {t}" for i, t in enumerate(arguments))}) attributes {{gpu.kernel, nvvm.kernel,
          nvvm.reqntid = array<i32: {threads}, 1, 1>, tl.shared_bytes = {shared} : i64, tl.warp_size = {warp} : i32}} {{
        llvm.return
      }}
    }} }}"""
    module = ir.Module.parse(text)
    function = list(module.body.operations[0].regions[0].blocks[0].operations)[1]
    block = function.regions[0].blocks[0]
    with ir.InsertionPoint(block.operations[0]), ir.Location.file("kernel.py", 7, 1, function.context):
        body(list(block.arguments))
    module.operation.verify()
    return module


def smem() -> ir.Value:
    return create("llvm.mlir.addressof", [], [ir.Type.parse(SHARED)], global_name="@smem")


def offset(pointer: ir.Value, index: ir.Value | int, element: str = "i32") -> ir.Value:
    """`pointer + index` elements."""
    index = index if isinstance(index, ir.Value) else constant(index)
    return create(
        "llvm.getelementptr",
        [pointer, index],
        [pointer.type],
        elem_type=ir.TypeAttr.get(ir.Type.parse(element)),
        rawConstantIndices=ir.DenseI32ArrayAttr.get([-(1 << 31)]),
    )


def load(pointer: ir.Value, kind: str = "i32", alignment: int = 4) -> ir.Value:
    return create("llvm.load", [pointer], [ir.Type.parse(kind)], alignment=_i64(alignment))


def store(value: ir.Value, pointer: ir.Value, alignment: int = 4) -> None:
    create("llvm.store", [value, pointer], alignment=_i64(alignment))


def lane(pointer: ir.Value, count: int, position: int = 0) -> ir.Value:
    """Pointer to 32-bit word `position` of this lane, where lanes have `count` words each."""
    first = create("arith.muli", [thread.tid(), constant(count)], [ir.Type.parse(I32)])
    return offset(offset(pointer, first), position)


def _i64(value: int) -> ir.Attribute:
    return ir.IntegerAttr.get(ir.IntegerType.get_signless(64), value)
