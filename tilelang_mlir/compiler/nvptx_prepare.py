"""What LLVM's NVPTX back end leaves out: the order of atomic operations.

`atomicrmw` becomes `atom` without a word on memory order, whatever the instruction says. The order is therefore made of
fences around a relaxed operation (PTX ISA, "Memory Consistency Model", release and acquire patterns).
"""

from __future__ import annotations

from tilelang_mlir.compiler.find import Census
from tilelang_mlir.mlir import ir

# LLVM::AtomicOrdering.
_RELAXED, _ACQUIRE, _RELEASE, _BOTH, _SEQUENTIAL = 2, 4, 5, 6, 7


def order_atomics(device: ir.Operation, census: Census) -> None:
    """Fences around atomic updates that acquire or release; the updates themselves are relaxed then."""
    for op in census.named("llvm.atomicrmw"):
        order = ir.IntegerAttr(op.attributes["ordering"]).value
        if order < _ACQUIRE:
            continue
        scope = op.attributes["syncscope"] if "syncscope" in op.attributes else None
        if order != _ACQUIRE:
            with ir.InsertionPoint(op), op.location:
                _fence(_SEQUENTIAL if order == _SEQUENTIAL else _RELEASE, scope)
        if order != _RELEASE:
            with ir.InsertionPoint.after(op), op.location:
                _fence(_SEQUENTIAL if order == _SEQUENTIAL else _ACQUIRE, scope)
        op.attributes["ordering"] = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), _RELAXED)


def _fence(order: int, scope: ir.Attribute | None) -> None:
    attributes = {"ordering": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), order)}
    ir.Operation.create("llvm.fence", attributes={**attributes, **({"syncscope": scope} if scope else {})})
