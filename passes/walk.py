"""Walking programs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from tilelang_mlir.mlir import ADVANCE, PRE_ORDER, SKIP, int_array, ir

WARP, WARPGROUP = 32, 128  # threads


def nested(op: ir.Operation) -> Iterator[ir.Operation]:
    """Every operation that is inside an op's regions now, in program order.

    Whoever erases operations on the way takes a list of those that it handles first: one that went with another must
    not be looked at again.
    """
    found: list[ir.Operation] = []
    if not len(op.regions):
        return iter(found)

    def note(inner: ir.Operation) -> ir.WalkResult:
        found.append(inner)
        return ADVANCE

    op.walk(note, PRE_ORDER)  # half the time of going through regions and blocks in Python
    return itertools.islice(found, 1, None)


def launches(module: ir.Module) -> list[ir.Operation]:
    """The kernels of all host functions, in order."""
    found: list[ir.Operation] = []

    def note(op: ir.Operation) -> ir.WalkResult:
        if op.name != "tl.launch":
            return ADVANCE
        found.append(op)
        return SKIP

    module.operation.walk(note, PRE_ORDER)
    return found


def num_threads(launch: ir.Operation) -> int:
    """Threads of a CTA."""
    x, y, z = int_array(launch.attributes["threads"])
    return x * y * z


def threads_of(op: ir.Operation) -> int:
    """Threads that run an operation together: those of the enclosing role or warpgroups, else the whole CTA."""
    while op.name != "tl.launch":
        op = op.parent.operation
        if op.name in ("tl.specialize", "tl.tensor_roles"):
            return ir.IntegerAttr(op.attributes["consumers"]).value
        if op.name == "tl.warpgroups":
            return len(members_of(op))
    return num_threads(op)


def span_of(threads: range) -> str:
    """What a message calls the threads of a region."""
    if not len(threads):
        return "all threads"
    size, name = (WARP, "warps") if threads.start % WARPGROUP or threads.stop % WARPGROUP else (WARPGROUP, "warpgroups")
    return f"{name} {list(range(threads.start // size, threads.stop // size))}"


def launch_of(op: ir.Operation) -> ir.Operation:
    """The kernel that an operation lies in."""
    while op.name != "tl.launch":
        op = op.parent.operation
    return op


def members_of(op: ir.Operation) -> range:
    """The threads of the nearest `tl.warpgroups` that an operation is or lies in; empty outside of them."""
    while op.name not in ("tl.launch", "func.func", "builtin.module"):
        if op.name == "tl.warpgroups":
            size = WARP if "warps" in op.attributes else WARPGROUP
            groups = int_array(op.attributes["groups"])
            return range(groups[0] * size, (groups[-1] + 1) * size)
        op = op.parent.operation
    return range(0)


def depends_on_block(value: ir.Value, launch: ir.Operation) -> bool:
    """Whether a value is computed from the indices of a kernel's blocks."""
    owner = value.owner
    if isinstance(owner, ir.Block):
        return owner.owner.operation == launch
    return any(depends_on_block(v, launch) for v in owner.operation.operands)
