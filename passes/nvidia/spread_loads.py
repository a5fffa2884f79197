"""Loads between the products of `mma.sync` that run over them.

`operand_prefetch` puts the loads of a k step, of operands and of tiles ahead, in front of the products of the step
before, which need none of them:

    load; load; copy; copy; mma; mma; mma; mma
    =>
    mma; load; mma; load; mma; copy; mma; copy

At `-O3` ptxas finds such an order by itself, with a search that takes two thirds of the assembly of a kernel and starts
where all operands of products come from the iteration before. At `-O1` it keeps to the order it is given. Measured on
an H200, in rates of `-O3` without this order: four k steps and 128 threads, `-O1` with it 0.995 to 1.03 (float16,
bfloat16; tiles of 64x64 to 128x128), without it 0.95 to 1.02; two k steps, `-O3` with it 1.03 to 1.09. Not so eight
steps (0.96) and 256 threads (0.99 to 1.035, but 1.08 without it at `-O3`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tilelang_mlir.mlir import ir

OPERAND_STEPS = "tl.operand_steps"
"""On a loop that `operand_prefetch` has made and that gains by the order: its k steps."""
_MOVED = ("nvvm.ldmatrix", "nvvm.cp.async.shared.global")
_COPY = _MOVED[1]
_PRODUCT = "nvvm.mma.sync"
_PURE = (
    "arith.", "vector.", "llvm.getelementptr", "llvm.extractvalue", "llvm.insertvalue", "llvm.bitcast", "llvm.mlir.",
)  # fmt: skip

_Group = list[ir.Operation]


def spread_loads(block: ir.Block) -> bool:
    """Move the loads of a lowered block between the products behind them, in their order and at even distances.

    Not where copies check bounds of their own: the checks between products would take registers that are not there.
    Returns whether the block has that order.
    """
    ops = [op.operation for op in block.operations]
    names = [op.name for op in ops]
    copies = [list(op.operands)[2:] for op, name in zip(ops, names, strict=True) if name == _COPY]
    if any(sizes != copies[0] for sizes in copies):
        return False
    for groups, tail, run in list(_segments(ops, names)):
        used = _used([op for group in (*groups, tail) for op in group], run)
        if not groups or any(group[-1] in used for group in groups):
            continue
        products = [op for op in run if op.name == _PRODUCT]
        each = max(1, len(products) // len(groups))
        anchor = run[0]
        for index, group in enumerate([*groups, tail]):
            place = (index + 1) * each - 1
            if index < len(groups) and place < len(products):
                anchor = products[place]
            for op in group:
                if op not in used:
                    op.move_after(anchor)
                    anchor = op
    return True


def _segments(
    ops: Sequence[ir.Operation], names: Sequence[str]
) -> Iterator[tuple[list[_Group], _Group, list[ir.Operation]]]:
    """Loads, each behind what is computed for it; what is computed behind them; the run of products that follows."""
    groups: list[_Group] = []
    computed: _Group = []
    tail: _Group = []
    first = last = -1
    for index, (op, name) in enumerate(zip(ops, names, strict=True)):
        if name == _PRODUCT:
            if first < 0:
                first, tail = index, computed
            last, computed = index, []  # what lies between products is theirs
        elif name.startswith(_PURE):
            computed.append(op)
        else:
            if first >= 0:
                yield groups, tail, list(ops[first : last + 1])
                groups, first = [], -1
            if name in _MOVED:
                groups.append([*computed, op])
            else:
                groups = []  # it may be ordered with the loads: a barrier, a wait
            computed = []
    if first >= 0:
        yield groups, tail, list(ops[first : last + 1])


def _used(candidates: Sequence[ir.Operation], run: Sequence[ir.Operation]) -> set[ir.Operation]:
    """The candidates that a run of products uses, or what it uses does: they stay in front of it."""
    users, used = set(run), set[ir.Operation]()
    for op in reversed(candidates):  # whatever uses one lies behind it
        if any(use.owner.operation in users for result in op.results for use in result.uses):
            used.add(op)
            users.add(op)
    return used
