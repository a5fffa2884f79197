"""Branches on the thread index: tile operations inside are for the threads that take the branch.

    if tx < 128 { parallel .. } else { copy .. }   =>   warpgroups [0] { parallel .. } warpgroups [1] { copy .. }

Where the branch parts a warpgroup the regions are of single warps. A branch in whose arms threads exchange elements of
shared memory becomes regions too, for barriers in an ordinary branch would be met by some threads only.
"""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import int_array, ir

from ..dialect.effects import effects
from ..dialect.location import python_location
from ..dialect.tl import FRAGMENT, LOCAL, SHARED, VAR, scope_of
from . import build
from .fragment_parts import expand
from .private_loops import run_whole
from .thread_values import Sizes, by_thread, varies
from .walk import WARP, members_of, nested, num_threads

# The arms of one branch have one number: they run side by side, and what follows them comes after all of them.
BRANCH = "tl.branch"
_HINT = "branch on whole warps that follow each other, or work on single elements there"


def split_branch(branch: ir.Operation, launch: ir.Operation, *, warp: int = WARP, block_syncs: bool = False) -> None:
    """Give the tile operations of a branch on the thread index to its warps; other branches stay.

    A chain of `else if` becomes regions side by side, a branch among other operations of a region nested ones. So does
    a branch of whole warps whose threads meet at a barrier in it, unless `block_syncs` says that all threads of the
    block do, or exchange elements of shared memory, which takes barriers. A warp has `warp` threads.

    Raises:
        UnsupportedError: the threads that take a branch with tile operations or a barrier are no whole warps.
    """
    members = members_of(branch)
    mine = members or range(num_threads(launch))
    taken = _taken(branch, launch, mine)
    if taken is None:
        _check(branch, launch, branch.operands[0], "a branch that some threads take and others do not")
        return
    tiles = any(is_collective(op) and not (taken[0] and _is_single(op)) for op in nested(branch))
    meets = not block_syncs and any(op.name == "tl.sync_threads" and "id" not in op.attributes for op in nested(branch))
    if not (tiles or meets or _exchanges(branch, taken, mine)):
        return
    here = _span(taken, mine)
    whole = num_threads(launch) % warp == 0
    arms = _arms(here, mine, branch, warp) if here is not None and whole else None
    if arms is None:
        if not tiles and not meets:
            return
        chosen = [thread for thread, takes in zip(mine, taken, strict=True) if takes]
        who = f"threads {chosen[0]} to {chosen[-1]} take" if len(chosen) > 1 else f"thread {chosen[0]} takes"
        who = who if here is not None else "some threads of a warp take"
        what = "tile operations" if tiles else "a barrier"
        raise UnsupportedError(f"{what} in a branch that {who}", python_location(branch.location), hint=_HINT)
    for op in [op for op in nested(branch) if op.name == "tl.thread_id" and members_of(op) == members]:
        op.move_before(branch)  # in a region it would count from the region's first thread
    around = branch.parent.operation
    if not _fills(around, branch):
        _build_arms(branch, arms, branch, _next_number(launch))
        branch.erase()
        return
    number = around.attributes[BRANCH] if BRANCH in around.attributes else _next_number(launch)
    # All arms of a chain come to stand in one another's place: what decides them precedes the first.
    first = next(o.operation for o in around.block.operations if BRANCH in o.operation.attributes
                 and o.operation.attributes[BRANCH] == number or o.operation == around)  # fmt: skip
    for op in list(branch.block.operations):
        if op.operation != branch:
            op.operation.move_before(first)
    _build_arms(branch, arms, around, number)
    branch.erase()
    around.erase()


def check_loop(loop: ir.Operation, launch: ir.Operation) -> None:
    """Look whether all threads run a loop with tile operations equally often.

    Raises:
        UnsupportedError: its bounds follow from the thread index.
    """
    for bound in list(loop.operands)[:3]:
        _check(loop, launch, bound, "a loop that some threads run more often than others")


def _check(op: ir.Operation, launch: ir.Operation, value: ir.Value, what: str) -> None:
    """Raises UnsupportedError for tile operations where a value decides that differs between threads."""
    members = members_of(op)
    threads, sizes = (members, None) if members else (range(num_threads(launch)), _sizes(launch))
    if any(is_collective(inner) for inner in nested(op)) and varies(value, threads, sizes):
        raise UnsupportedError(f"tile operations in {what}", python_location(op.location), hint=_HINT)


def _is_single(op: ir.Operation) -> bool:
    """Whether a tile operation is one of a single element, which is the first thread's."""
    if op.name == "tl.parallel":
        return all(extent == 1 for extent in int_array(op.attributes["extents"]))
    tiles = [ir.MemRefType(v.type) for v in op.operands if isinstance(v.type, ir.MemRefType)]
    return op.name in ("tl.copy", "tl.fill") and all(t.has_static_shape and set(t.shape) <= {1} for t in tiles)


def _sizes(launch: ir.Operation) -> Sizes:
    x, y, z = int_array(launch.attributes["threads"])
    return x, y, z


def settle_branches(launch: ir.Operation) -> None:
    """Replace branches on the thread index that all threads take, or none, by the arm that they take. In one that a
    single thread takes that thread runs the loops, copies and fills of memory alone, element by element."""
    branches = [op for op in nested(launch) if op.name == "scf.if" and not op.results]
    for branch in reversed(branches):  # inner ones first, for an arm goes with what it contains
        taken = _taken(branch, launch, members_of(branch) or range(num_threads(launch)))
        if taken is None:
            continue
        if sum(taken) == 1 < len(taken):
            _run_alone(branch.regions[0].blocks[0])
        if any(taken) and not all(taken):
            continue
        for block in branch.regions[0 if taken[0] else 1]:
            for op in [o.operation for o in block.operations]:
                if op.name != "scf.yield":
                    op.move_before(branch)
        branch.erase()


def _run_alone(block: ir.Block) -> None:
    for op in [o.operation for o in block.operations]:
        if op.name in ("scf.for", "scf.if", "scf.while"):
            for region in op.regions:
                for inner in region.blocks:
                    _run_alone(inner)
        if op.name not in ("tl.copy", "tl.fill", "tl.parallel") or not is_collective(op) or _holds_fragments(op):
            continue
        loop = op if op.name == "tl.parallel" else expand(op)
        if loop is not None and min(int_array(loop.attributes["extents"]), default=1) > 0:
            run_whole(loop)


def _holds_fragments(op: ir.Operation) -> bool:
    inside = (e for o in (op, *nested(op)) for e in effects(o))
    return any(isinstance(e.value.type, ir.MemRefType) and scope_of(e.value) == FRAGMENT for e in inside)


def _taken(branch: ir.Operation, launch: ir.Operation, mine: range) -> list[int] | None:
    """Whether each of some threads takes a branch; None where more than the thread index decides."""
    is_flat = _sizes(launch)[1:] == (1, 1)
    return by_thread(branch.operands[0], mine) if is_flat else None


def _exchanges(branch: ir.Operation, taken: list[int], mine: range) -> bool:
    """Whether an arm stores elements of a shared tile that other threads of it load or store: they then wait for each
    other. Where all indices are the same each thread has elements of its own; whatever else touches the tile (copies in
    bulk, addresses of it) is ordered by the program."""
    if _in_loop_of_threads(branch):
        return False
    for arm, region in enumerate(branch.regions):
        loads: dict[ir.Value, dict[object, list[ir.Value]]] = {}  # the indices, by what makes them the same
        stores: dict[ir.Value, dict[object, list[ir.Value]]] = {}
        others: set[ir.Value] = set()
        inner = [op for block in region for o in block.operations for op in (o.operation, *nested(o.operation))]
        for op in inner:
            for effect in effects(op):
                if not isinstance(effect.value.type, ir.MemRefType) or scope_of(effect.value) != SHARED:
                    continue
                if op.name in ("memref.load", "memref.store"):
                    indices = list(op.operands)[1 if op.name == "memref.load" else 2 :]
                    places = (loads if op.name == "memref.load" else stores).setdefault(effect.value, {})
                    places[tuple(_key(v) for v in indices)] = indices
                else:
                    others.add(effect.value)
        threads = [i for i, takes in enumerate(taken) if bool(takes) != bool(arm)]
        for buffer in stores.keys() - others:
            touched = {**loads.get(buffer, {}), **stores[buffer]}
            pairs = ((s, t) for s in stores[buffer] for t in touched if s != t)
            if any(_meet(stores[buffer][s], touched[t], threads, mine) for s, t in pairs):
                return True
    return False


def _meet(stored: list[ir.Value], touched: list[ir.Value], threads: list[int], mine: range) -> bool:
    """Whether one of some threads may store the element that another one touches."""
    first, second = ([by_thread(v, mine) for v in indices] for indices in (stored, touched))
    if any(column is None for column in (*first, *second)):
        return True
    owners = {tuple(column[i] for column in first if column is not None): i for i in threads}
    if len(owners) < len(threads):
        return True
    return any(owners.get(tuple(column[i] for column in second if column is not None), i) != i for i in threads)


def _key(value: ir.Value) -> object:
    """The same for values that the same arithmetic makes of the same values."""
    if isinstance(value.owner, ir.Block) or not value.owner.operation.name.startswith(("arith.", "tl.thread_id")):
        return value
    op = value.owner.operation
    attributes = tuple((name, str(value)) for name, value in build.attributes_of(op).items())
    return op.name, attributes, tuple(_key(v) for v in op.operands)


def _in_loop_of_threads(op: ir.Operation) -> bool:
    while op.name not in ("tl.launch", "tl.parallel"):
        op = op.parent.operation
    return op.name == "tl.parallel"


def _fills(around: ir.Operation, branch: ir.Operation) -> bool:
    """Whether a region holds nothing but the branch, as with `else if`: its arms take the region's place then.

    Beside other operations the arms are nested, for all threads of the region run those.
    """
    alone = (o == branch or o.operation.name.startswith("arith.") for o in branch.block.operations)
    return around.name == "tl.warpgroups" and all(alone)


def _build_arms(branch: ir.Operation, arms: tuple[range, range], place: ir.Operation, number: ir.Attribute) -> None:
    """Move the branch's regions into those of their threads, in front of `place`."""
    with ir.InsertionPoint(place), branch.location:
        for region, mine in zip(branch.regions, arms, strict=True):
            if not len(region.blocks) or not len(mine):
                continue
            block = build.thread_region(mine)
            block.owner.operation.attributes[BRANCH] = number
            for op in list(region.blocks[0].operations):
                if op.operation.name != "scf.yield":
                    block.append(op)


def _next_number(launch: ir.Operation) -> ir.Attribute:
    numbers = [ir.IntegerAttr(op.attributes[BRANCH]).value for op in nested(launch) if BRANCH in op.attributes]
    return ir.IntegerAttr.get(ir.IntegerType.get_signless(32), max(numbers, default=-1) + 1)


def _span(taken: list[int], mine: range) -> range | None:
    """The threads that take a branch, where they follow each other."""
    count = sum(map(bool, taken))
    first = taken.index(1) if count else 0
    return mine[first : first + count] if all(taken[first : first + count]) else None


def _arms(then: range, all_threads: range, branch: ir.Operation, warp: int) -> tuple[range, range] | None:
    """The threads of both arms, where each is whole warps that follow each other."""
    if then.start % warp or then.stop % warp:
        return None
    if then.start == all_threads.start:
        return then, range(then.stop, all_threads.stop)
    if then.stop == all_threads.stop:
        return then, range(all_threads.start, then.start)
    return None if len(branch.regions[1].blocks) else (then, range(0))


def is_collective(op: ir.Operation) -> bool:
    """Whether the threads of a CTA share the operation's work."""
    if op.name in ("tl.copy", "tl.fill"):
        return not any(scope_of(v) in (LOCAL, VAR) for v in op.operands if isinstance(v.type, ir.MemRefType))
    return op.name in ("tl.parallel", "tl.gemm", "tl.gemm_sp", "tl.im2col", "tl.reduce", "tl.scan", "tl.transpose")
