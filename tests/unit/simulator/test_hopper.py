"""mbarriers, bulk and tensor copies, warpgroup products: hand-written kernels, and every rule broken once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from tests.unit.isa.kernel_builder import POINTER, build, lane, load, offset, smem, store
from tests.unit.simulator.texts import Text, poisoned, relative_error
from tilelang_mlir import errors
from tilelang_mlir.isa.instruction import constant, create
from tilelang_mlir.isa.nvidia import barrier, bulk, mbarrier, thread, tma, wgmma, wgmma_product
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator import TensorMap, simulate

DESCRIPTOR = "!llvm.ptr"


FENCE = "nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}"


def wait(t: Text, place: str, parity: int, mark: str = "") -> None:
    """A loop that tests an mbarrier until its phase of the parity is over."""
    t.line("scf.while : () -> () {")
    done = t.let(f"nvvm.mbarrier.try_wait {place}, {t.const(parity)} : !llvm.ptr<3>, i32 -> i1", mark)
    again = t.let(f"arith.xori {done}, {t.const('true', 'i1')} : i1")
    t.line(f"scf.condition({again})")
    t.line("} do {")
    t.line("scf.yield")
    t.line("}")


def ring(*, skip: str = "", stages: int = 2, rounds: int = 5, fence: str = "reader") -> Text:
    """Warp 0 copies tiles of 512 bytes through a ring of mbarriers, warps 1-4 add one and write them out.

    `fence` says who makes the fence between ordinary reads and the next copy: reader, copier, late (the reader, after
    its arrival) or nobody."""
    t = Text("%x: !llvm.ptr<1>, %y: !llvm.ptr<1>", 160, 4096)
    tid, base = t.sreg("tid.x"), t.smem()
    full = [t.at(base, 2048 + 8 * s, "i8", "s") for s in range(stages)]
    empty = [t.at(base, 2112 + 8 * s, "i8", "s") for s in range(stages)]
    cta = t.mul(t.sreg("ctaid.x"), rounds * 128)
    first = t.cmp("eq", tid, 0)
    t.line(f"scf.if {first} {{")
    for s in range(stages):
        t.line(f"nvvm.mbarrier.init {full[s]}, {t.const(1)} : !llvm.ptr<3>, i32")
        t.line(f"nvvm.mbarrier.init {empty[s]}, {t.const(128)} : !llvm.ptr<3>, i32")
    t.line("}")
    t.line("nvvm.fence.mbarrier.init")
    t.barrier()
    producer = t.cmp("ult", tid, 32)

    t.line(f"scf.if {producer} {{")
    t.line(f"scf.if {first} {{")
    for k in range(rounds):
        s, turn = k % stages, k // stages
        if turn and skip != "empty":
            wait(t, empty[s], (turn - 1) & 1, "wait empty")
            if fence == "copier":
                t.line(FENCE)
        size = 496 if skip == "bytes" else 512
        t.line(f"nvvm.mbarrier.arrive.expect_tx {full[s]}, {t.const(size)} : !llvm.ptr<3>, i32")
        target = t.let(f"llvm.addrspacecast {t.at(base, 512 * s, 'i8', 's')} : !llvm.ptr<3> to !llvm.ptr<7>")
        source = t.at("%x", t.add(cta, 128 * k))
        t.line(
            f"nvvm.cp.async.bulk.shared.cluster.global {target}, {source}, {full[s]}, {t.const(512)} "
            ": !llvm.ptr<7>, !llvm.ptr<1>",
            "copy",
        )
    t.line("}")
    t.line("} else {")
    mine = t.op("subi", tid, 32)
    for k in range(rounds):
        s, turn = k % stages, k // stages
        if skip != "full":
            wait(t, full[s], turn & 1, "wait full")
        value = t.load(t.at(base, t.add(mine, 128 * s), "f32", "s"), "f32", "s", mark="read")
        if fence == "reader":
            t.line(FENCE)
        if skip != "arrive":
            t.let(f"nvvm.mbarrier.arrive {empty[s]} : !llvm.ptr<3> -> i64")
        if fence == "late":
            t.line(FENCE)
        if skip == "early":
            value = t.load(t.at(base, t.add(mine, 128 * s), "f32", "s"), "f32", "s", mark="late read")
        t.store(t.op("addf", value, t.const("1.0", "f32"), "f32"), t.at("%y", t.add(cta, t.add(mine, 128 * k))))
    t.line("}")
    return t


def test_ordinary_reads_are_fenced_before_a_copy_overwrites_them() -> None:
    """PTX ISA 8.7, section 8.9.5: anywhere on the path from the read to the copy, but on it."""
    x, y = np.arange(640, dtype=np.float32), poisoned(640)
    ring(fence="copier").run(1, x, y)
    assert np.array_equal(y, x + 1)
    for fence in ("nobody", "late"):
        with pytest.raises(errors.ProxyFenceError, match="read by ordinary loads of warp 1 .* overwritten") as caught:
            ring(fence=fence, rounds=3).run(1, x, y)
        assert any("the read" in text for text, _ in caught.value.notes)


@pytest.mark.parametrize("fence", [False, True])
def test_ordinary_stores_are_fenced_before_a_copy_overwrites_them(fence: bool) -> None:
    t = Text("%x: !llvm.ptr<1>", 32, 1024)
    tid, base = t.sreg("tid.x"), t.smem()
    bar, first = t.at(base, 512, "i8", "s"), t.cmp("eq", tid, 0)
    t.line(f"scf.if {first} {{")
    t.line(f"nvvm.mbarrier.init {bar}, {t.const(1)} : !llvm.ptr<3>, i32")
    t.line("}")
    t.line("nvvm.fence.mbarrier.init")
    t.store(t.const("1.0", "f32"), t.at(base, tid, "f32", "s"), space="s")
    if fence:
        t.line(FENCE)
    t.barrier()
    t.line(f"scf.if {first} {{")
    t.line(f"nvvm.mbarrier.arrive.expect_tx {bar}, {t.const(128)} : !llvm.ptr<3>, i32")
    target = t.let(f"llvm.addrspacecast {base} : !llvm.ptr<3> to !llvm.ptr<7>")
    t.line(
        f"nvvm.cp.async.bulk.shared.cluster.global {target}, %x, {bar}, {t.const(128)} : !llvm.ptr<7>, !llvm.ptr<1>"
    )
    t.line("}")
    t.line("scf.while : () -> () {")
    done = t.let(f"nvvm.mbarrier.try_wait {bar}, {t.const(0)} : !llvm.ptr<3>, i32 -> i1")
    again = t.let(f"arith.xori {done}, {t.const('true', 'i1')} : i1")
    t.line(f"scf.condition({again})")
    t.line("} do {")
    t.line("scf.yield")
    t.line("}")
    if fence:
        t.run(1, np.zeros(32, np.float32))
        return
    with pytest.raises(errors.ProxyFenceError, match="written by ordinary stores of warp 0 and is overwritten"):
        t.run(1, np.zeros(32, np.float32))


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ring(seed: int, checked: bool) -> None:
    x, y = np.arange(3 * 640, dtype=np.float32), poisoned(3 * 640)
    ring().run(3, x, y, seed=seed, checked=checked)
    assert np.array_equal(y, x + 1)


@pytest.mark.parametrize(
    ("skip", "kind", "message", "mark"),
    [
        (
            "empty",
            errors.SimulationError,
            "more arrivals in a phase than its count 1",
            "copy",
        ),
        ("full", errors.SimulationError, "asynchronous copy into it is in flight|nothing has written", "read"),
        ("arrive", errors.DeadlockError, "waits on parity 0 of the mbarrier at .* 128 of 128 arrivals", "wait empty"),
        ("bytes", errors.DeadlockError, "0 of 1 arrivals missing, 16 bytes more than expected", "wait full"),
        ("early", errors.RaceError, "not ordered after the read|in flight", ""),
    ],
)
def test_broken_rings(skip: str, kind: type[Exception], message: str, mark: str) -> None:
    t = ring(skip=skip)
    with pytest.raises(kind, match=message) as caught:
        t.run(2, np.zeros(2 * 640, np.float32), poisoned(2 * 640))
    location = caught.value.location  # type: ignore[attr-defined]
    assert location is not None
    if mark and skip in ("full",):
        assert location.line <= t.line_of(mark)


@pytest.fixture
def context() -> Iterator[None]:
    with ir.Context(), ir.Location.unknown():
        yield


def once(body: Callable[[], None]) -> None:
    """Run `body` in thread 0 only."""
    first = create("arith.cmpi", [thread.tid(), constant(0)], [ir.IntegerType.get_signless(1)], predicate="0 : i64")
    branch = ir.Operation.create("scf.if", operands=[first], regions=2)
    block = branch.regions[0].blocks.append()
    with ir.InsertionPoint(block):
        body()
        ir.Operation.create("scf.yield")


def wait_for(place: ir.Value, parity: int) -> None:
    """Spin on a barrier's phase."""
    i1 = ir.IntegerType.get_signless(1)
    loop = ir.Operation.create("scf.while", regions=2)
    before, after = loop.regions[0].blocks.append(), loop.regions[1].blocks.append()
    with ir.InsertionPoint(before):
        done = mbarrier.wait(place, constant(parity))
        again = create("arith.xori", [done, constant(1, 1)], [i1])
        ir.Operation.create("scf.condition", operands=[again])
    with ir.InsertionPoint(after):
        ir.Operation.create("scf.yield")


def initialise(place: ir.Value) -> None:
    once(lambda: mbarrier.init(place, 1))
    mbarrier.fence_init()
    barrier.emit()


@pytest.mark.parametrize("swizzle", [0, 32, 64, 128])
def test_tensor_copies_swizzle_and_clip(swizzle: int, context: None) -> None:
    """A box over the tensor's corner: zeros outside on the way in, nothing written outside on the way out."""
    columns = (swizzle or 64) // 2
    x = np.random.default_rng(0).integers(1, 1000, (20, 72)).astype(np.int16)
    out, raw = np.full((20, 72), -1, np.int16), np.zeros((16, columns), np.int16)
    box = (columns, 16)

    def body(a: Sequence[ir.Value]) -> None:
        flag = offset(smem(), 4096, "i8")
        initialise(flag)

        def copy() -> None:
            mbarrier.arrive_expect_tx(flag, 16 * columns * 2)
            tma.load(smem(), a[0], flag, [constant(72 - 8), constant(-3)])

        once(copy)
        wait_for(flag, 0)
        words = 16 * columns * 2 // 4 // 32
        for k in range(words):
            store(load(lane(smem(), words, k)), lane(a[2], words, k))
        barrier.emit()

        def back() -> None:
            tma.store(a[1], smem(), [constant(72 - 8), constant(10)])
            tma.commit()
            tma.wait(0)

        once(back)

    module = build(body, [DESCRIPTOR, DESCRIPTOR, POINTER], 32, 8192)
    maps = [TensorMap(t, 2, (72, 20), (144,), box, swizzle) for t in (x, out)]
    simulate(module, "k", (1, 1, 1), [*maps, raw])
    want = np.zeros((16, columns), np.int16)
    inner = min(8, columns)
    want[3:, :inner] = x[:13, 64 : 64 + inner]
    for row in range(16):
        for column in range(columns):
            place = row * columns * 2 + column * 2
            bits = {0: 0, 32: 1, 64: 3, 128: 7}[swizzle]
            place ^= (place >> 7 & bits) << 4  # 5.5.6: chunk index xor line index
            assert raw.reshape(-1)[place // 2] == want[row, column]
    expected = np.full((20, 72), -1, np.int16)
    expected[10:20, 64 : 64 + inner] = want[:10, :inner]
    assert np.array_equal(out, expected)


def _fragment(t: int, i: int) -> tuple[int, int]:
    """9.7.15.5.1.1: (row, column) of accumulator register i in thread t of a warpgroup."""
    row = 16 * (t // 32) + (t % 32) // 4 + (8 if (i // 2) % 2 else 0)
    return row, 8 * (i // 4) + 2 * (t % 4) + i % 2


def _float32(value: float) -> ir.Value:
    kind = ir.F32Type.get()
    return ir.Operation.create("arith.constant", [kind], [], {"value": ir.FloatAttr.get(kind, value)}).result


def _wgmma_body(
    n: int, *, bug: str = "", whole: bool = False, registers: bool = False
) -> Callable[[Sequence[ir.Value]], None]:
    """D (64 x n) = A (64 x 64) B (n x 64)^T in f16: 128-byte swizzle, both K-major, loaded by TMA."""

    def body(a: Sequence[ir.Value]) -> None:
        flag, b_place = offset(smem(), 8192 + n * 128, "i8"), offset(smem(), 8192, "i8")
        initialise(flag)

        def copy() -> None:
            mbarrier.arrive_expect_tx(flag, 8192 + n * 128)
            tma.load(smem(), a[0], flag, [0, 0])
            tma.load(b_place, a[1], flag, [0, 0])

        once(copy)
        if bug != "wait":
            wait_for(flag, 0)
        i32, i64 = ir.IntegerType.get_signless(32), ir.IntegerType.get_signless(64)

        def low(place: ir.Value) -> ir.Value:
            address = create("llvm.ptrtoint", [place], [i32])
            return create("arith.shrui", [address, constant(4)], [i32])

        if whole:
            moves = tuple(2 * s for s in range(4))
            left: Any = wgmma_product.Descriptor(low(smem()), wgmma_product.high_word(1024, 128), moves)
            if registers:
                left = [[load(lane(a[3], 16, 4 * s + q)) for q in range(4)] for s in range(4)]
            right = wgmma_product.Descriptor(low(b_place), wgmma_product.high_word(1024, 128), moves)
            values = wgmma_product.product([_float32(1.0)] * (n // 2), left, right, n, ("f16", "f16"))
        else:
            high = constant((1024 >> 4 | 1 << 30) << 32, 64)
            sums = wgmma.pack([_float32(0.0)] * (n // 2))
            wgmma.fence()
            for step in range(4):
                descriptors = []
                for place in (smem(), b_place):
                    word = create("arith.addi", [low(place), constant(2 * step)], [i32])
                    descriptors.append(create("arith.ori", [create("arith.extui", [word], [i64]), high], [i64]))
                sums = wgmma.emit(sums, *descriptors, n)
            wgmma.commit()
            if bug == "read":
                values = [
                    create("llvm.extractvalue", [sums], [ir.F32Type.get()], position=ir.DenseI64ArrayAttr.get([k]))
                    for k in range(n // 2)
                ]
            else:
                values = wgmma.wait(0, sums, n // 2)
        for k, value in enumerate(values):
            store(value, lane(a[2], n // 2, k))

    return body


def _wgmma_run(n: int, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((64, 64)).astype(np.float16), rng.standard_normal((n, 64)).astype(np.float16)
    d = poisoned((128, n // 2))
    module = build(_wgmma_body(n, **options), [DESCRIPTOR, DESCRIPTOR, POINTER, POINTER], 128, 8192 + n * 128 + 64)
    maps = [TensorMap(x, 2, (64, len(x)), (128,), (64, len(x)), 128) for x in (a, b)]
    words = np.zeros((128, 16), np.uint32)
    for t in range(128):
        for s in range(4):
            for q in range(4):
                row = 16 * (t // 32) + (t % 32) // 4 + 8 * (q % 2)
                k = 16 * s + 2 * (t % 4) + 8 * (q // 2)
                words[t, 4 * s + q] = a[row, k : k + 2].view(np.uint32)[0]
    simulate(module, "k", (1, 1, 1), [*maps, d, words])
    full = a.astype(np.float64) @ b.astype(np.float64).T
    want = np.array([[full[_fragment(t, i)] for i in range(n // 2)] for t in range(128)])
    return d, want


@pytest.mark.parametrize("n", [8, 64, 136])
def test_wgmma(n: int, context: None) -> None:
    got, want = _wgmma_run(n)
    assert relative_error(got, want) < 1e-6


@pytest.mark.parametrize("registers", [False, True])
def test_whole_product(registers: bool, context: None) -> None:
    got, want = _wgmma_run(32, whole=True, registers=registers)
    assert relative_error(got, want + 1) < 1e-6


def test_accumulator_read_before_its_wait(context: None) -> None:
    with pytest.raises(errors.SimulationError, match="a wgmma accumulator is read before wgmma.wait_group"):
        _wgmma_run(8, bug="read")


def test_product_before_its_operands_have_arrived(context: None) -> None:
    with pytest.raises(errors.SimulationError, match="in flight"):
        _wgmma_run(8, bug="wait")


@pytest.mark.parametrize("fence", [False, True])
def test_ordinary_stores_need_a_proxy_fence(fence: bool, context: None) -> None:
    out = np.zeros((8, 64), np.int16)

    def body(a: Sequence[ir.Value]) -> None:
        for k in range(8):
            store(constant(3 << 16 | 3), lane(smem(), 8, k))
        if fence:
            tma.fence_shared()
        barrier.emit()

        def back() -> None:
            tma.store(a[0], smem(), [0, 0])
            tma.commit()
            tma.wait(0)

        once(back)

    module = build(body, [DESCRIPTOR], 32, 1024)
    arguments = [TensorMap(out, 2, (64, 8), (128,), (64, 8))]
    if fence:
        simulate(module, "k", (1, 1, 1), arguments)
        assert (out == 3).all()
        return
    with pytest.raises(errors.RaceError, match="without fence.proxy.async between"):
        simulate(module, "k", (1, 1, 1), arguments)


@pytest.mark.parametrize(
    ("groups", "pending", "message"),
    [
        (1, 0, ""),
        (2, 0, ""),
        (1, 1, "write of shared byte 0 .* not ordered after the read by an asynchronous operation"),
        (2, 1, "write of shared byte 0 .* not ordered after the read by an asynchronous operation"),
    ],
)
def test_source_of_stores_is_free_when_all_readers_are_done(
    groups: int, pending: int, message: str, context: None
) -> None:
    """`groups` copies out of the same bytes overlap; all but `pending` are waited for before the bytes change."""
    out = np.zeros((groups, 64), np.int32)

    def body(a: Sequence[ir.Value]) -> None:
        for k in range(2):
            store(constant(3), lane(smem(), 2, k))
        tma.fence_shared()
        barrier.emit()

        def back() -> None:
            for group in range(groups):
                bulk.store(offset(a[0], 64 * group), smem(), 256)
                tma.commit()
            tma.wait(pending)

        once(back)
        barrier.emit()
        store(constant(4), lane(smem(), 2))
        once(lambda: tma.wait(0))

    module = build(body, [POINTER], 32, 256)
    if not message:
        simulate(module, "k", (1, 1, 1), [out])
        assert (out == 3).all()
        return
    with pytest.raises(errors.RaceError, match=message):
        simulate(module, "k", (1, 1, 1), [out])


@pytest.mark.parametrize(
    ("skip", "message"),
    [
        ("fence", "completes on the mbarrier at shared address 1280 without a fence after its initialisation"),
        ("barrier", "warp 1 of CTA 0 uses the mbarrier .* whose initialisation is not ordered before"),
        ("wait", "the kernel ends before an asynchronous copy into shared memory by all threads has been waited for"),
        ("", ""),
    ],
)
def test_life_of_an_mbarrier(skip: str, message: str, context: None) -> None:
    def body(a: Sequence[ir.Value]) -> None:
        flag = offset(smem(), 64)
        once(lambda: mbarrier.init(flag, 1))
        if skip != "fence":
            mbarrier.fence_init()
        if skip != "barrier":
            barrier.emit()

        def copy() -> None:
            mbarrier.arrive_expect_tx(flag, 256)
            bulk.load(smem(), a[0], flag, 256)

        once(copy)
        if skip != "wait":
            wait_for(flag, 0)

    module = build(body, [POINTER], 64, 512)
    if not message:
        simulate(module, "k", (2, 1, 1), [np.zeros(64, np.int32)])
        return
    with pytest.raises(errors.RaceError, match=message):
        simulate(module, "k", (2, 1, 1), [np.zeros(64, np.int32)])


def test_mbarrier_misuse() -> None:
    for lines, message in (
        (["nvvm.mbarrier.arrive %p : !llvm.ptr<3> -> i64"], "is not initialised"),
        (
            ["nvvm.mbarrier.init %p, %n : !llvm.ptr<3>, i32", "nvvm.mbarrier.arrive %p : !llvm.ptr<3> -> i64"],
            "more arrivals in a phase than its count 1",
        ),
        (["nvvm.mbarrier.init %q, %n : !llvm.ptr<3>, i32"], "is not 8-byte aligned"),
    ):
        t = Text("", 32, 64)
        t.line("%n = arith.constant 1 : i32")
        base = t.smem()
        t.line(f"%p = llvm.getelementptr {base}[8] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8")
        t.line(f"%q = llvm.getelementptr {base}[4] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8")
        for index, text in enumerate(lines):
            t.line(text if "->" not in text else f"%r{index} = {text}")
        with pytest.raises(errors.SimulationError, match=message):
            t.run(1)


def test_tensor_copies_start_at_multiples_of_16_bytes() -> None:
    tensor_map = TensorMap(np.zeros((8, 64), np.float16), 2, (64, 8), (128,), (64, 8))
    places, _, inside, unit = tensor_map.places(np.zeros(1, np.int64), [np.array([8]), np.array([0])])
    assert places.shape == (1, 64) and unit == 16 and int(inside.sum()) == 56
    with pytest.raises(errors.SimulationError, match="starts at byte 8 .*, not at a multiple of 16"):
        tensor_map.places(np.zeros(1, np.int64), [np.array([4]), np.array([0])])
