"""Which values are the same in all lanes, statically: they are Python scalars in the generated code."""

from __future__ import annotations

from tilelang_mlir.mlir import ir

_PURE = ("arith.", "math.", "llvm.intr.f", "llvm.intr.m")
_POINTERS = {
    "llvm.getelementptr",
    "llvm.mlir.addressof",
    "llvm.mlir.constant",
    "llvm.mlir.zero",
    "llvm.mlir.undef",
    "llvm.mlir.poison",
    "ub.poison",
    "llvm.ptrtoint",
    "llvm.inttoptr",
    "llvm.bitcast",
    "llvm.addrspacecast",
    "llvm.alloca",
}
_VARYING = {"arith.mulsi_extended", "arith.mului_extended"}


def uniform_values(function: ir.Operation) -> set[ir.Value]:
    """Scalar values of a kernel that depend on nothing but arguments and constants."""
    block = function.regions[0].blocks[0]
    found: set[ir.Value] = set(block.arguments)
    _block(block, found)
    return found


def _scalar(value: ir.Value) -> bool:
    text = str(value.type)
    return not text.startswith(("vector", "!llvm.struct"))


def _block(block: ir.Block, found: set[ir.Value]) -> list[ir.Value]:
    """Adds the uniform values of a block; returns its terminator's operands."""
    last: list[ir.Value] = []
    for view in block.operations:
        op = view.operation
        name = op.name
        if name.startswith("scf."):
            if name in _REGIONS:
                _REGIONS[name](op, found)
            else:
                last = list(op.operands)
        elif (name.startswith(_PURE) or name in _POINTERS) and name not in _VARYING and len(op.results) == 1:
            if _scalar(op.result) and all(v in found for v in op.operands):
                found.add(op.result)
    return last


def _settle(carried: list[ir.Value], initial: list[ir.Value], body: ir.Block, found: set[ir.Value]) -> list[bool]:
    """Loop-carried values stay uniform only if what the body yields is; assume so and retract until stable."""
    keep = [v in found and _scalar(v) for v in initial]
    while True:
        trial = set(found)
        trial.update(v for v, ok in zip(carried, keep, strict=True) if ok)
        yielded = _block(body, trial)
        stable = [ok and v in trial for ok, v in zip(keep, yielded, strict=True)]
        if stable == keep:
            found |= trial
            return keep
        keep = stable


def _for(op: ir.Operation, found: set[ir.Value]) -> None:
    operands, body = list(op.operands), op.regions[0].blocks[0]
    if not all(v in found for v in operands[:3]):
        _block(body, found)
        return
    found.add(body.arguments[0])
    keep = _settle(list(body.arguments)[1:], operands[3:], body, found)
    found.update(r for r, ok in zip(op.results, keep, strict=True) if ok)


def _if(op: ir.Operation, found: set[ir.Value]) -> None:
    sides = [_block(region.blocks[0], found) for region in op.regions if len(region.blocks)]
    if op.operands[0] in found and len(sides) == 2:
        found.update(r for r, a, b in zip(op.results, *sides, strict=True) if a in found and b in found)


def _while(op: ir.Operation, found: set[ir.Value]) -> None:
    """Loops until a condition: carried values are varying, so that a divergent exit can merge them."""
    for region in op.regions:
        _block(region.blocks[0], found)


_REGIONS = {"scf.for": _for, "scf.if": _if, "scf.while": _while}
