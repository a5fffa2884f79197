"""Which operations mean the same on a vector of iterations as on each of them."""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from ...dialect.effects import root

_PREFIXES = ("arith.", "math.", "memref.")
_CASTS = ("arith.index_cast", "arith.index_castui", "arith.extui", "arith.extsi")
_OTHERS = frozenset(("tl.cast", "tl.math", "tl.bitcast", "tl.thread_id", "tl.assume"))


def is_lanewise(op: ir.Operation) -> bool:
    """Element arithmetic and element accesses, without control flow or exchange between iterations."""
    if op.name == "tl.atomic":
        return not len(op.results)
    return op.name in _OTHERS or op.name.startswith(_PREFIXES) and not len(op.regions)


def independent(body: ir.Block, trips: range) -> bool:
    """Whether no iteration sees what another one writes: every iteration stores to a place of its own, and what is
    stored is read in the same place only."""
    accesses: dict[ir.Value, list[tuple[ir.Value, ...]]] = {}
    stored: set[ir.Value] = set()
    for op in body.operations:
        inner = op.operation
        if inner.name not in ("memref.load", "memref.store"):
            continue
        first = 1 if inner.name == "memref.load" else 2
        buffer, indices = root(inner.operands[first - 1]), tuple(_uncast(v) for v in list(inner.operands)[first:])
        accesses.setdefault(buffer, []).append(indices)
        if inner.name == "memref.store":
            stored.add(buffer)
            if not any(_distinct(v, body.arguments[0], trips) for v in indices):
                return False
    return all(len(set(accesses[buffer])) == 1 for buffer in stored)


def _uncast(value: ir.Value) -> ir.Value:
    while not isinstance(value.owner, ir.Block) and value.owner.operation.name in _CASTS:
        value = value.owner.operation.operands[0]
    return value


def _distinct(value: ir.Value, variable: ir.Value, trips: range) -> bool:
    """Whether an index is another one in every iteration; `j % 2` and `j // 2` are not."""
    stride = _stride(value, variable)
    if stride is not None:
        return stride != 0
    op = value.owner.operation
    name, operands = op.name, [_uncast(v) for v in op.operands]
    if name in _CASTS:
        return _distinct(operands[0], variable, trips)
    if name in ("arith.addi", "arith.subi", "arith.xori"):  # with what is the same in all iterations
        fixed = [v for v in operands if _stride(v, variable) == 0]
        return len(fixed) == 1 and all(_distinct(v, variable, trips) for v in operands if v not in fixed)
    factor = _constant(operands[1]) if len(operands) == 2 else None
    if name == "arith.muli" and factor:
        return _distinct(operands[0], variable, trips)
    if name in ("arith.remui", "arith.remsi") and factor:  # less than one round of the remainder
        step = _stride(operands[0], variable)
        return bool(step) and abs(step or 0) * (max(trips) - min(trips)) < abs(factor)
    return False


def _stride(value: ir.Value, variable: ir.Value) -> int | None:
    """What an index grows by with the variable; None where it does not so evenly."""
    if value == variable:
        return 1
    if isinstance(value.owner, ir.Block) or value.owner.operation.name in ("tl.alloc", "tl.slice"):
        return 0
    op = value.owner.operation
    strides = [_stride(v, variable) for v in op.operands]
    if not any(s != 0 for s in strides):
        return 0
    if op.name in _CASTS:
        return strides[0]
    if op.name == "memref.load" or any(s is None for s in strides) or len(strides) != 2:
        return None
    left, right = strides[0] or 0, strides[1] or 0
    if op.name in ("arith.addi", "arith.subi"):
        return left + right if op.name == "arith.addi" else left - right
    if op.name in ("arith.muli", "arith.shli") and right == 0:
        factor = _constant(op.operands[1])
        return None if factor is None else left * factor if op.name == "arith.muli" else left << factor
    if op.name == "arith.muli" and left == 0:
        factor = _constant(op.operands[0])
        return None if factor is None else right * factor
    return None


def _constant(value: ir.Value) -> int | None:
    if isinstance(value.owner, ir.Block) or value.owner.operation.name != "arith.constant":
        return None
    number = value.owner.operation.attributes["value"]
    return ir.IntegerAttr(number).value if isinstance(number, ir.IntegerAttr) else None
