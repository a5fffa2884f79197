"""Where threads meet: block votes, member masks, tests of mbarriers, copies that arrive on them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from tests.unit.isa.kernel_builder import POINTER, build, lane, load, offset, smem, store
from tilelang_mlir import errors
from tilelang_mlir.isa.instruction import constant, create
from tilelang_mlir.isa.nvidia import barrier, cluster, cp_async, mbarrier, memory, tcgen05, thread, tma, warp, wgmma
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator import simulate

both_modes = pytest.mark.parametrize("checked", [False, True], ids=["fast", "checked"])
seeds = pytest.mark.parametrize("seed", [0, 1, 2])


@pytest.fixture(autouse=True)
def context() -> Iterator[None]:
    with ir.Context(), ir.Location.unknown():
        yield


def _i32() -> ir.Type:
    return ir.IntegerType.get_signless(32)


def _compare(predicate: int, left: ir.Value, right: ir.Value) -> ir.Value:
    result = ir.IntegerType.get_signless(1)
    return create("arith.cmpi", [left, right], [result], predicate=f"{predicate} : i64")


def _if(condition: ir.Value, yes: Callable[[], None], no: Callable[[], None] | None = None) -> None:
    branch = ir.Operation.create("scf.if", operands=[condition], regions=2)
    for region, side in zip(branch.regions, (yes, no), strict=True):
        if side is not None:
            with ir.InsertionPoint(region.blocks.append()):
                side()
                ir.Operation.create("scf.yield")


def _first_thread(body: Callable[[], None]) -> None:
    _if(_compare(0, thread.tid(), constant(0)), body)


@both_modes
@pytest.mark.parametrize("ctas", [1, 3])
def test_block_votes(ctas: int, checked: bool) -> None:
    x = np.random.default_rng(0).integers(0, 3, (ctas, 96)).astype(np.int32)
    x[0], y = 1, np.full((ctas, 96, 3), -1, np.int32)

    def body(a: Sequence[ir.Value]) -> None:
        start = create("arith.muli", [thread.ctaid(), constant(96)], [_i32()])
        value = load(lane(offset(a[0], start), 1))
        out = offset(a[1], create("arith.muli", [start, constant(3)], [_i32()]))
        positive = _compare(4, value, constant(0))
        store(barrier.reduce("popc", positive), lane(out, 3, 0))
        store(barrier.reduce("and", value), lane(out, 3, 1))
        store(barrier.reduce("or", positive, 5, 96), lane(out, 3, 2))

    simulate(build(body, [POINTER, POINTER], threads=96), "k", (ctas, 1, 1), [x, y], checked=checked)
    want = np.stack([(x > 0).sum(1), (x != 0).all(1), (x > 0).any(1)], axis=1)
    assert (y == want[:, None, :]).all()


@both_modes
@seeds
def test_block_votes_of_roles_that_meet(seed: int, checked: bool) -> None:
    """Both sides of a branch vote at one barrier; a third of the warps votes among itself at another."""
    x = np.random.default_rng(3).integers(0, 2, 96).astype(np.int32)
    y = np.full((96, 2), -1, np.int32)

    def body(a: Sequence[ir.Value]) -> None:
        value = load(lane(a[0], 1))

        def side(alone: bool) -> Callable[[], None]:
            def emit() -> None:
                store(barrier.reduce("popc", value, 1, 96), lane(a[1], 2, 0))
                if alone:
                    store(barrier.reduce("popc", value, 2, 32), lane(a[1], 2, 1))

            return emit

        _if(_compare(6, thread.tid(), constant(32)), side(True), side(False))

    simulate(build(body, [POINTER, POINTER], threads=96), "k", (1, 1, 1), [x, y], checked=checked, seed=seed)
    assert (y[:, 0] == x.sum()).all() and (y[:32, 1] == x[:32].sum()).all() and (y[32:, 1] == -1).all()


def test_different_operations_at_one_barrier_are_reported() -> None:
    def body(a: Sequence[ir.Value]) -> None:
        _if(
            _compare(6, thread.tid(), constant(32)),
            lambda: [barrier.reduce("popc", constant(1), 1, 64)] and None,
            lambda: [barrier.reduce("and", constant(1), 1, 64)] and None,
        )

    with pytest.raises(errors.SimulationError, match="barrier 1 is used for bar.popc and bar.and at once"):
        simulate(build(body, [], threads=64), "k", (1, 1, 1), [])


@both_modes
def test_groups_of_lanes_by_member_mask(checked: bool) -> None:
    """Lanes whose x agrees form a group: votes, matches, reductions and shuffles stay inside it."""
    rng = np.random.default_rng(5)
    x, v = rng.integers(0, 4, 64).astype(np.int32), rng.integers(-9, 9, 64).astype(np.int32)
    y = np.full((64, 7), -1, np.int32)

    def body(a: Sequence[ir.Value]) -> None:
        group, value = load(lane(a[0], 1)), load(lane(a[1], 1))
        members = warp.match("any", group)
        positive = _compare(4, value, constant(0))
        out = [members, warp.vote("ballot", positive, members)]
        out += [create("arith.extui", [warp.vote(kind, positive, members)], [_i32()]) for kind in ("any", "all")]
        out += [warp.reduce("min", value, members), warp.match("any", value, members)]
        shared, same = warp.match("all", value, members)
        out.append(create("arith.select", [same, shared, constant(0)], [_i32()]))
        for k, word in enumerate(out):
            store(word, lane(a[2], 7, k))

    simulate(build(body, [POINTER] * 3, threads=64), "k", (1, 1, 1), [x, v, y], checked=checked)
    for w in (0, 32):
        for i in range(32):
            group = [j for j in range(32) if x[w + j] == x[w + i]]
            mask = sum(1 << j for j in group)
            ballot = sum(1 << j for j in group if v[w + j] > 0)
            equal = sum(1 << j for j in group if v[w + j] == v[w + i])
            least = min(int(v[w + j]) for j in group)
            want = [mask, ballot, ballot != 0, ballot == mask, least, equal, mask if equal == mask else 0]
            assert [int(z) & 0xFFFFFFFF for z in y[w + i]] == [int(z) & 0xFFFFFFFF for z in want]


@pytest.mark.parametrize(("mask", "lanes"), [(0x3, 32), (-1, 8), (0xFF00, 8)])
def test_wrong_member_masks_are_reported(mask: int, lanes: int) -> None:
    def body(a: Sequence[ir.Value]) -> None:
        positive = _compare(6, thread.tid(), constant(lanes))
        _if(positive, lambda: [warp.vote("any", positive, constant(mask))] and None)

    with pytest.raises(errors.SimulationError, match="the member mask of lane . names lanes that do not execute it"):
        simulate(build(body, []), "k", (1, 1, 1), [])


# PTX ISA 8.7: `.aligned` (9.7.13.1, 9.7.13.5, 9.7.15.7, 9.7.16.7) means that all threads of a warp execute the
# instruction, and a member mask names threads that do (9.7.9.6, 9.7.13.14). With each, whether a last warp may be short
# of threads.
TOGETHER = {
    "barrier 1": (lambda: barrier.emit(1, 32), False),
    "wgmma.fence": (wgmma.fence, False),
    "wgmma.commit_group": (wgmma.commit, False),
    "wgmma.wait_group": (lambda: create("nvvm.wgmma.wait.group.sync.aligned", group="0 : i64"), False),
    "setmaxnreg": (lambda: tma.set_registers(64, increase=True), False),
    "barrier.cluster.arrive.aligned": (cluster.arrive, True),
    "tcgen05.relinquish_alloc_permit": (tcgen05.relinquish, False),
    "shfl.sync": (lambda: warp.shuffle("bfly", thread.tid(), 1), True),
    "elect.sync": (warp.elect, True),
}


@pytest.mark.parametrize("waits", [False, True], ids=["masked", "of their own"])
@pytest.mark.parametrize("name", TOGETHER)
def test_a_part_of_a_warp_at_what_all_of_it_executes(name: str, waits: bool) -> None:
    """Nine lanes in a branch, which run under a mask, or on their own where the branch also waits."""
    emit, short = TOGETHER[name]

    def body(lanes: int, first: int) -> Callable[[Sequence[ir.Value]], None]:
        def reached() -> None:
            emit()
            if waits:
                mbarrier.test_wait(offset(smem(), 4), constant(1))

        def whole(a: Sequence[ir.Value]) -> None:
            _first_thread(lambda: mbarrier.init(offset(smem(), 4), 1))
            barrier.emit()
            inside = _compare(5 if first else 6, thread.tid(), constant(first or lanes))
            _if(inside, reached)

        return whole

    with pytest.raises(errors.SimulationError, match=f"{re.escape(name)}.* is reached by 9 of|{name}: the member mask"):
        simulate(build(body(9, 0), [], threads=64, shared=64), "k", (1, 1, 1), [])
    if name != "setmaxnreg":  # of a warpgroup
        simulate(build(body(32, 0), [], threads=64, shared=64), "k", (1, 1, 1), [])
    if short:
        simulate(build(body(0, 32), [], threads=48, shared=64), "k", (1, 1, 1), [])


@both_modes
@seeds
@pytest.mark.parametrize("by_token", [False, True])
def test_polling_an_mbarrier(by_token: bool, seed: int, checked: bool) -> None:
    """Warp 1 counts its failed tests until warp 0 has arrived, then reads what warp 0 wrote before."""
    y = np.full(32, -1, np.int32)

    def body(a: Sequence[ir.Value]) -> None:
        flag = offset(smem(), 64)
        _first_thread(lambda: mbarrier.init(flag, 64))
        barrier.emit()
        other = create("arith.xori", [thread.tid(), constant(32)], [_i32()])

        def produce() -> None:
            store(thread.tid(), offset(smem(), thread.tid()))
            mbarrier.arrive(flag)

        def consume() -> None:
            state = mbarrier.arrive(flag)
            i1 = ir.IntegerType.get_signless(1)
            loop = ir.Operation.create("scf.while", regions=2)
            before, after = loop.regions[0].blocks.append(), loop.regions[1].blocks.append()
            with ir.InsertionPoint(before):
                done = mbarrier.test_wait(flag, state if by_token else constant(0))
                ir.Operation.create("scf.condition", operands=[create("arith.xori", [done, constant(1, 1)], [i1])])
            with ir.InsertionPoint(after):
                ir.Operation.create("scf.yield")
            store(load(offset(smem(), other)), offset(a[0], other))

        _if(_compare(6, thread.tid(), constant(32)), produce, consume)

    module = build(body, [POINTER], threads=64, shared=512)
    simulate(module, "k", (1, 1, 1), [y], checked=checked, seed=seed)
    assert y.tolist() == list(range(32))


def test_a_test_that_never_holds_is_a_deadlock() -> None:
    def body(a: Sequence[ir.Value]) -> None:
        flag = smem()
        _first_thread(lambda: mbarrier.init(flag, 65))
        barrier.emit()
        state = mbarrier.arrive(flag)
        loop = ir.Operation.create("scf.while", regions=2)
        before, after = loop.regions[0].blocks.append(), loop.regions[1].blocks.append()
        with ir.InsertionPoint(before):
            done = mbarrier.test_wait(flag, state)
            again = create("arith.xori", [done, constant(1, 1)], [ir.IntegerType.get_signless(1)])
            ir.Operation.create("scf.condition", operands=[again])
        with ir.InsertionPoint(after):
            ir.Operation.create("scf.yield")

    with pytest.raises(errors.DeadlockError, match="phase 0 of the mbarrier .* 1 of 65 arrivals missing"):
        simulate(build(body, [], threads=64, shared=64), "k", (2, 1, 1), [])


@both_modes
@seeds
@pytest.mark.parametrize("noinc", [False, True])
def test_copies_that_arrive_on_an_mbarrier(noinc: bool, seed: int, checked: bool) -> None:
    x, y = np.arange(64, dtype=np.int32) + 7, np.full(64, -1, np.int32)

    def body(a: Sequence[ir.Value]) -> None:
        flag = offset(smem(), 128)
        _first_thread(lambda: mbarrier.init(flag, 64))
        barrier.emit()
        place = offset(smem(), thread.tid())
        cp_async.emit(place, lane(a[0], 1), 4)
        mbarrier.arrive_after_copies(flag, noinc=noinc)
        if not noinc:
            mbarrier.arrive(flag)
        mbarrier.expect_tx(flag, 0)
        loop = ir.Operation.create("scf.while", regions=2)
        before, after = loop.regions[0].blocks.append(), loop.regions[1].blocks.append()
        with ir.InsertionPoint(before):
            done = mbarrier.wait(flag, constant(0))
            again = create("arith.xori", [done, constant(1, 1)], [ir.IntegerType.get_signless(1)])
            ir.Operation.create("scf.condition", operands=[again])
        with ir.InsertionPoint(after):
            ir.Operation.create("scf.yield")
        other = create("arith.xori", [thread.tid(), constant(63)], [_i32()])
        store(load(offset(smem(), other)), lane(a[1], 1))
        memory.grid_dependency("wait")

    module = build(body, [POINTER, POINTER], threads=64, shared=640)
    simulate(module, "k", (1, 1, 1), [x, y], checked=checked, seed=seed)
    assert np.array_equal(y, x[::-1])


def test_reading_before_the_copies_have_arrived() -> None:
    def body(a: Sequence[ir.Value]) -> None:
        flag = offset(smem(), 128)
        _first_thread(lambda: mbarrier.init(flag, 64))
        barrier.emit()
        cp_async.emit(offset(smem(), thread.tid()), lane(a[0], 1), 4)
        mbarrier.arrive_after_copies(flag)
        store(load(offset(smem(), thread.tid())), lane(a[0], 1))

    with pytest.raises(errors.RaceError, match="while an asynchronous copy into it is in flight"):
        simulate(build(body, [POINTER], threads=64, shared=640), "k", (1, 1, 1), [np.zeros(64, np.int32)])
