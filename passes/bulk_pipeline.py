"""Pipelined loops whose tiles one thread loads by bulk copies, without roles.

    for k: copy A[k] -> S; use S
    =>
    for p < s - 1: if lb + p < ub: load A[lb + p] -> S[p], completing at full[p]
    for k: barrier of all threads
           if k + s - 1 < ub: load A[k + s - 1] -> S[(k - lb + s - 1) % s]
           wait for full[(k - lb) % s] (parity of this round); use S[(k - lb) % s]

The barrier says that the version which is loaded next has been read. Where products of the iteration before may still
read it, barrier and load stand behind the wait for them (`RELEASED`), and threads that read none of the tiles need no
barrier. One thread announces the bytes of all tiles at the version's mbarrier and issues the copies. A loop that runs
several times counts on (`Rounds`): versions and parities go on where it left them.
"""

from __future__ import annotations

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target

from ..dialect.effects import region_effects, root
from . import build
from .nvidia.loads import load_obstacle, loads, sources, start
from .nvidia.tma_rules import box_bytes
from .specialize_warps.rings import Rounds, is_access, trip_count
from .versions import Versions
from .walk import num_threads


def applies(loop: ir.Operation, copies: list[ir.Operation], target: Target) -> bool:
    """Whether bulk copies do all of a loop's loads, of tensors that the kernel does not write: its own stores are
    ordered with them in no other way than its barriers.

    The loop lies in loops and branches of the kernel only, not in regions of some threads.
    """
    behind = target.supports(Feature.WGMMA) or target.supports(Feature.TCGEN05)
    if not target.supports(Feature.TMA) or not behind or any(load_obstacle(c) for c in copies):
        return False
    launch = loop.parent.operation
    while launch.name in ("scf.for", "scf.if"):
        launch = launch.parent.operation
    if launch.name != "tl.launch" or len(copies) != len(loads(loop)):
        return False
    written = [e.value for e in region_effects(launch) if e.kind == "write"]
    return all(root(copy.operands[0]) not in written for copy in copies)


def expand(versions: Versions, launch: ir.Operation) -> None:
    """Rewrite one loop; its copies become bulk copies ahead of their use."""
    loop, stages = versions.loop, versions.stages
    bounds = [versions.lower, versions.upper, versions.step]
    nested = loop.parent.operation != launch
    with ir.InsertionPoint.at_block_begin(launch.regions[0].blocks[0]):
        rounds = Rounds(num_threads(launch), build.constant(0)) if nested else None
        kind, counts = ir.Type.parse(f"!tl.barrier<{stages} : i64>"), ir.DenseI64ArrayAttr.get([1] * stages)
        full = ir.Operation.create("tl.alloc_barrier", [kind], attributes={"counts": counts}).result
    accessed = is_accessed(versions)
    with ir.InsertionPoint(loop):
        before = rounds.before() if rounds else build.constant(0)
        for ahead in range(stages - 1):
            load(versions, versions.lower, before, ahead, full, ordered=False)
    if rounds:
        with ir.InsertionPoint.after(loop):
            rounds.advance(before, trip_count(*bounds))
    released = versions.released()
    with ir.InsertionPoint(next(iter(versions.body.operations))):
        if released is None:
            release(accessed)
        variable = versions.body.arguments[0]
        trip = build.binary("addi", before, versions.trip(variable, bounds))
        if released is None:
            load(versions, variable, trip, stages - 1, full)
        slot = versions.slot(trip)
        ir.Operation.create("tl.mbarrier_wait", [], [full, slot, versions.phase(trip)])
    if released is not None:
        with ir.InsertionPoint.after(released):
            if accessed:  # else the products alone have read the version, and the thread that loads has waited for them
                release(accessed)
            load(versions, variable, trip, stages - 1, full)
    versions.finish(slot)


def is_accessed(versions: Versions) -> bool:
    """Whether threads access the tiles, not only products."""
    tiles = list(versions.tiles)
    used = [e for op in versions.body.operations for e in region_effects(op.operation)
            if e.value in tiles and op.operation not in versions.copies]  # fmt: skip
    return any(is_access(e) for e in used)


def release(accessed: bool) -> None:
    """All threads have read the version that is loaded next."""
    if accessed:  # ordinary reads, which the copies that follow overwrite another way
        ir.Operation.create("tl.fence_proxy")
    build.sync_threads()


def load(
    versions: Versions, variable: ir.Value, trip: ir.Value, ahead: int, full: ir.Value, *, ordered: bool = True
) -> None:
    """All copies of the iteration that comes so many behind the one of number `trip` with loop variable `variable`, if
    there is one; the first announces their bytes. `ordered` ones follow what all threads did before."""
    variable = build.binary("addi", variable, build.binary("muli", versions.step, build.constant(ahead)))
    trip = build.binary("addi", trip, build.constant(ahead))
    marked = {"ordered": build.unit()} if ordered else {}
    size = sum(box_bytes(copy.operands[1]) for copy in versions.copies)
    branch = ir.Operation.create("scf.if", [], [build.compare(2, variable, versions.upper)], regions=2)
    with ir.InsertionPoint(branch.regions[0].blocks.append()):
        slot = versions.slot(trip)
        cloned: dict[ir.Value, ir.Value] = {versions.body.arguments[0]: variable}
        for copy in versions.copies:
            bytes_ = {"expect": ir.IntegerAttr.get(build.i32(), size)} if copy == versions.copies[0] else {}
            with copy.location:
                computed = [versions.clone(v, cloned) for v in sources(copy)]
                marks = {"elected": build.unit(), "async": build.unit(), **marked, **bytes_}
                start(copy, computed, versions.version(copy.operands[1], slot), (full, slot), marks)
        ir.Operation.create("scf.yield")
