"""Parallel loops inside parallel loops: one loop over all extents where they nest perfectly, else serial inside.

    for i in T.Parallel(4):            for i, j in T.Parallel(4, 8):
        for j in T.Parallel(8): ...  =>    ...
"""

from __future__ import annotations

from tilelang_mlir.dialect.location import python_location
from tilelang_mlir.dialect.tl import FRAGMENT, GLOBAL, SHARED, TMEM, scope_of
from tilelang_mlir.errors import TileValueError
from tilelang_mlir.mlir import ADVANCE, int_array, ir

# What all threads do together, with the names that programs give it.
_TOGETHER = {
    "tl.copy": "T.copy", "tl.gemm": "T.gemm", "tl.gemm_sp": "T.gemm_sp", "tl.reduce": "a reduction",
    "tl.scan": "a scan", "tl.fill": "T.fill", "tl.transpose": "T.transpose",
}  # fmt: skip
_OF_THE_BLOCK = (FRAGMENT, GLOBAL, SHARED, TMEM)


def flatten(outer: ir.Operation) -> None:
    """Resolve the parallel loops directly inside a traced one, which no other parallel loop encloses.

    Raises:
        TileValueError: a tile operation stands in the loop, whose iterations are single threads.
    """
    block = outer.regions[0].blocks[0]
    inner = [op.operation for op in block.operations if op.operation.name == "tl.parallel"]
    while len(inner) == 1 and _perfect(block, inner[0]):
        _merge(outer, block, inner[0])
        inner = [op.operation for op in block.operations if op.operation.name == "tl.parallel"]
    for op in _all_inside(outer):
        if op.name == "tl.parallel":
            _serialise(op)
        elif all(scope_of(tile) in _OF_THE_BLOCK for tile in op.operands if isinstance(tile.type, ir.MemRefType)):
            raise TileValueError(
                f"{_TOGETHER[op.name]} inside T.Parallel: all threads run it together, an iteration is one thread's",
                python_location(op.location),
                hint="move it out of the parallel loop, or make that loop T.serial",
            )


def _perfect(block: ir.Block, inner: ir.Operation) -> bool:
    """Everything beside the inner loop is arithmetic, and its extents are constants."""
    beside = [op.operation for op in block.operations if op.operation != inner]
    return all(op.name.startswith(("arith.", "tl.cast")) for op in beside) and not len(inner.operands)


def _merge(outer: ir.Operation, block: ir.Block, inner: ir.Operation) -> None:
    body = inner.regions[0].blocks[0]
    for argument in list(body.arguments):
        argument.replace_all_uses_with(block.add_argument(argument.type, argument.location))
    extents = [*int_array(outer.attributes["extents"]), *int_array(inner.attributes["extents"])]
    outer.attributes["extents"] = ir.DenseI64ArrayAttr.get(extents)
    for op in list(body.operations):
        op.operation.move_before(inner)
    inner.erase()


def _all_inside(outer: ir.Operation) -> list[ir.Operation]:
    found: list[ir.Operation] = []

    def visit(op: ir.Operation) -> ir.WalkResult:
        if (op.operation.name == "tl.parallel" and op.operation != outer) or op.operation.name in _TOGETHER:
            found.append(op.operation)
        return ADVANCE

    outer.walk(visit)
    return found


def _serialise(op: ir.Operation) -> None:
    """Each iteration of the outer loop runs the inner one by itself."""
    dynamic = iter(list(op.operands))
    body = op.regions[0].blocks[0]
    last = op  # in front of which the body goes
    with op.location:
        variables: list[ir.Value] = []
        point = ir.InsertionPoint(op)
        for extent in int_array(op.attributes["extents"]):
            with point:
                zero, one, end = (next(dynamic) if n == -1 else _number(n) for n in (0, 1, extent))
                loop = ir.Operation.create("scf.for", [], [zero, end, one], regions=1)
            block = loop.regions[0].blocks.append(ir.IntegerType.get_signless(32))
            with ir.InsertionPoint(block):
                last = ir.Operation.create("scf.yield")
            variables.append(block.arguments[0])
            point = ir.InsertionPoint(last)
    for argument, variable in zip(body.arguments, variables, strict=True):
        argument.replace_all_uses_with(variable)
    for inner in list(body.operations):
        inner.operation.move_before(last)
    op.erase()


def _number(value: int) -> ir.Value:
    kind = ir.IntegerType.get_signless(32)
    return ir.Operation.create("arith.constant", [kind], attributes={"value": ir.IntegerAttr.get(kind, value)}).result
