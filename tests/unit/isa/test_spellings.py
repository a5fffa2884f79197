"""Every emitter's spelling parses, verifies, and reaches the instruction it names in PTX that ptxas accepts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.unit.isa.bulk_spellings import BULK_CASES
from tests.unit.isa.kernel_builder import POINTER, build, lane, load, offset, smem, store
from tilelang_mlir.compiler.codegen import generate
from tilelang_mlir.isa import table
from tilelang_mlir.isa.instruction import bitcast, constant, create
from tilelang_mlir.isa.nvidia import (
    atomic,
    barrier,
    bulk,
    convert,
    cp_async,
    ldmatrix,
    math,
    mbarrier,
    memory,
    mma,
    tcgen05,
    tcgen05_descriptors,
    tcgen05_mma,
    thread,
    tma,
    warp,
    wgmma,
    wgmma_product,
)
from tilelang_mlir.mlir import ir


@pytest.fixture(autouse=True)
def context() -> Iterator[None]:
    with ir.Context(), ir.Location.unknown():
        yield


def _result(out: ir.Value, *values: ir.Value) -> None:
    for position, value in enumerate(values):
        store(value, lane(out, len(values), position))


def _mma(shape: tuple[int, int, int], kind: str, other: str, total: str) -> Callable[[list[ir.Value]], None]:
    def body(arguments: list[ir.Value]) -> None:
        source, out = arguments
        na, nb = mma.registers(shape, kind)
        text = "f64" if kind == "f64" else "i32"
        values = [load(lane(source, na + nb, i), text, 4) for i in range(na + nb)]
        count = shape[0] * shape[1] // 32 // (2 if total == "f16" else 1)
        typed = {"f32": "f32", "f16": "i32", "s32": "i32", "f64": "f64"}[total]
        start = [load(lane(out, count, i), typed, 4) for i in range(count)]
        _result(out, *mma.emit(values[:na], values[na:], start, shape, kind, other, total))

    return body


def _thread(arguments: list[ir.Value]) -> None:
    _result(
        arguments[1],
        thread.tid("y"),
        thread.ctaid(),
        thread.emit("ntid.x"),
        thread.emit("nctaid.x"),
        thread.emit("laneid"),
    )


def _barriers(arguments: list[ir.Value]) -> None:
    barrier.emit()
    barrier.emit(1, 32)
    barrier.arrive(2, 64)
    barrier.emit(2, 64)
    warp.sync()
    memory.fence("gpu")
    value = load(lane(arguments[0], 1))
    reduced = [barrier.reduce(kind, value) for kind in ("popc", "and", "or")]
    reduced += [barrier.reduce(kind, value, 3, 32) for kind in ("popc", "and", "or")]
    _result(arguments[1], *reduced, barrier.reduce("popc", value, 4))


def _exchange(arguments: list[ir.Value]) -> None:
    value = load(lane(arguments[0], 1))
    for kind in ("bfly", "up", "down", "idx"):
        value = warp.shuffle(kind, value, 1, 16)
    i1 = ir.IntegerType.get_signless(1)
    predicate = ir.Operation.create("arith.trunci", results=[i1], operands=[value]).result
    flag = warp.vote("any", predicate)
    chosen = ir.Operation.create("arith.select", results=[value.type], operands=[flag, value, constant(3)]).result
    _result(
        arguments[1],
        chosen,
        warp.vote("ballot", predicate),
        warp.reduce("add", value),
        warp.reduce("umax", value),
        warp.match("any", value),
        warp.match("all", create("arith.extui", [value], [ir.IntegerType.get_signless(64)]), -1)[0],
        warp.reduce("xor", value, warp.vote("ballot", predicate, warp.match("any", value))),
    )


def _elect(arguments: list[ir.Value]) -> None:
    chosen = ir.Operation.create("arith.extui", results=[ir.Type.parse("i32")], operands=[warp.elect()]).result
    _result(arguments[1], chosen)


def _ldmatrix(arguments: list[ir.Value]) -> None:
    row = lane(smem(), 4)
    cp_async.emit(row, lane(arguments[0], 4), 16)
    cp_async.emit(row, lane(arguments[0], 4), 4)
    cp_async.emit(row, lane(arguments[0], 4), 8, constant(3))
    cp_async.commit()
    cp_async.wait(0)
    values = ldmatrix.emit(row, 4) + ldmatrix.emit(row, 2, transpose=True) + ldmatrix.emit(row, 1)
    _result(arguments[1], *values)


def _stmatrix(arguments: list[ir.Value]) -> None:
    values = [load(lane(arguments[0], 4, i)) for i in range(4)]
    ldmatrix.store(lane(smem(), 4), values)
    ldmatrix.store(lane(smem(), 4), values[:2], transpose=True)
    ldmatrix.store(lane(smem(), 4), values[:1])


def _atomics(kind: str) -> Callable[[list[ir.Value]], None]:
    def body(arguments: list[ir.Value]) -> None:
        pair = bitcast(load(lane(arguments[0], 1)), ir.Type.parse(f"vector<2x{kind}>"))
        atomic.add_pair(lane(arguments[1], 1), pair)
        _result(arguments[1], atomic.fetch_add_pair(lane(arguments[1], 1), pair))

    return body


def _atomic_floats(arguments: list[ir.Value]) -> None:
    values = [load(lane(arguments[0], 4, i), "f32") for i in range(4)]
    atomic.add_floats(lane(arguments[1], 4), values)
    atomic.add_floats(lane(arguments[1], 4), values[:2])


def _fp8(arguments: list[ir.Value]) -> None:
    low, high = (load(lane(arguments[0], 2, i), "f32") for i in range(2))
    for kind in ("e4m3", "e5m2"):
        bits = convert.f32x2_to_fp8x2(low, high, kind)
        store(convert.fp8x2_to_f16x2(bits, kind), lane(arguments[1], 2, int(kind == "e5m2")))


def _tf32(arguments: list[ir.Value]) -> None:
    _result(arguments[1], convert.f32_to_tf32(load(lane(arguments[0], 1), "f32")))


def _stochastic(arguments: list[ir.Value]) -> None:
    low, high = (load(lane(arguments[0], 2, i), "f32") for i in range(2))
    store(convert.f32x2_to_bf16x2_rs(low, high, load(arguments[0])), lane(arguments[1], 1))


def _math(arguments: list[ir.Value]) -> None:
    value = load(lane(arguments[0], 1), "f32")
    for name in ("ex2", "lg2", "rsqrt", "sin", "cos"):
        value = math.emit(name, value)
    _result(arguments[1], math.reciprocal(value))


def _mbarriers(arguments: list[ir.Value]) -> None:
    place = offset(smem(), 1024, "i8")
    mbarrier.init(place, 1)
    mbarrier.fence_init()
    state = mbarrier.arrive(place)
    mbarrier.arrive_expect_tx(place, 64)
    mbarrier.expect_tx(place, 32)
    mbarrier.arrive_after_copies(place)
    mbarrier.arrive_after_copies(place, noinc=False)
    bulk.load(smem(), arguments[0], place, 64)
    done = ir.Operation.create(
        "arith.extui", results=[ir.Type.parse("i32")], operands=[mbarrier.wait(place, constant(0))]
    )
    tested = [mbarrier.test_wait(place, phase) for phase in (state, constant(1))]
    tested = [create("arith.extui", [t], [ir.Type.parse("i32")]) for t in tested]
    _result(arguments[1], done.result, *tested)
    memory.grid_dependency("wait")
    memory.grid_dependency("launch_dependents")
    memory.sleep(constant(40))
    tma.fence_shared()
    bulk.store(arguments[1], smem(), 64)
    tma.commit()
    tma.wait(0)
    tma.wait(0, read=False)
    mbarrier.invalidate(place)
    tma.set_registers(40, increase=False)


def _tcgen05(arguments: list[ir.Value]) -> None:
    source, out = arguments
    columns, long = constant(64), create("arith.extui", [load(source)], [ir.Type.parse("i64")])
    tcgen05.alloc(smem(), columns)
    tcgen05.relinquish()
    address, accumulate = load(smem()), warp.elect()
    pieces = [tcgen05.Piece("32x32b", 4, 0), tcgen05.Piece("32x32b", 1, 8)]
    tcgen05.store(address, pieces, [load(lane(source, 5, i)) for i in range(5)])
    for kind, a in (("f16", "bf16"), ("tf32", "tf32"), ("f8f6f4", "e4m3"), ("i8", "s8")):
        shape = tcgen05_descriptors.Shape(128, 64, kind, a, a, "s32" if kind == "i8" else "f32")
        tcgen05_mma.emit(address, long, long, constant(tcgen05_descriptors.instruction(shape)), accumulate, kind)
    word = constant(tcgen05_descriptors.instruction(tcgen05_descriptors.Shape(128, 64, "f16", "f16", "f16")))
    tcgen05_mma.emit(address, address, long, word, accumulate, "f16")
    for kind, block in (("mxf8f6f4", 32), ("mxf4", 32), ("mxf4nvf4", 16)):
        tcgen05_mma.emit_scaled(address, long, long, word, accumulate, (address, address), kind, block)
    tcgen05.copy_scales(address, long)
    tcgen05.copy_rows(address, long)
    halves = tcgen05.load(address, [tcgen05.Piece("32x32b", 2, 0, packed=True)], ir.Type.parse("i32"))
    tcgen05.store(address, [tcgen05.Piece("16x128b", 1, 0, packed=True)], halves)
    tcgen05.commit(offset(smem(), 4))
    tcgen05.fence("before")
    tcgen05.fence("after")
    loaded = tcgen05.load(address, [*pieces, tcgen05.Piece("16x256b", 1, 16)], ir.F32Type.get())
    _result(out, *loaded, *tcgen05.load(address, [tcgen05.Piece("16x128b", 2, 0)], ir.Type.parse("i32")))
    tcgen05.dealloc(address, columns)


def _wgmma(arguments: list[ir.Value]) -> None:
    sums = [load(lane(arguments[0], 4, i), "f32") for i in range(4)]
    low = load(lane(arguments[0], 1))
    long = create("arith.extui", [low], [ir.IntegerType.get_signless(64)])
    wgmma.fence()
    packed = wgmma.emit(wgmma.pack(sums), long, long, 8)
    wgmma.commit()
    sums = wgmma.wait(0, packed, 4)
    shared = wgmma_product.Descriptor(low, wgmma_product.high_word(1024, 128), (0, 2))
    sums = wgmma_product.product(sums, shared, shared, 8, ("bf16", "bf16"))
    words = [[low] * 4] * 2
    _result(arguments[1], *wgmma_product.product([], words, shared, 8, ("e4m3", "e5m2"), clear=True), *sums)


CASES = [
    *BULK_CASES,
    ("thread", _thread, "sm_80", ["%tid.y", "%ctaid.x", "%nctaid.x", "%laneid"]),
    (
        "barrier",
        _barriers,
        "sm_80",
        [
            "bar.sync",
            "bar.*arrive",
            "bar.warp.sync",
            "membar.gl|fence",
            *(f"bar.*red.*{kind}" for kind in ("popc", "and", "or")),
        ],
    ),
    (
        "exchange",
        _exchange,
        "sm_80",
        [
            "shfl.sync.bfly",
            "shfl.sync.up",
            "shfl.sync.down",
            "shfl.sync.idx",
            "vote.sync.any",
            "vote.sync.ballot",
            "redux.sync.add.s32",
            "redux.sync.max.u32",
            "match.any.sync.b32",
            "match.all.sync.b64",
        ],
    ),
    ("elect", _elect, "sm_90a", ["elect.sync"]),
    (
        "ldmatrix",
        _ldmatrix,
        "sm_80",
        [
            "ldmatrix.sync.aligned.m8n8.x4.shared",
            "ldmatrix.sync.aligned.m8n8.x2.trans.shared",
            "ldmatrix.sync.aligned.m8n8.x1.shared",
            "cp.async.cg.shared.global",
            "cp.async.ca.shared.global",
            "cp.async.commit_group",
            "cp.async.wait_group",
        ],
    ),
    (
        "stmatrix",
        _stmatrix,
        "sm_90a",
        [
            "stmatrix.sync.aligned.m8n8.x4.shared",
            "stmatrix.sync.aligned.m8n8.x2.trans.shared",
            "stmatrix.sync.aligned.m8n8.x1.shared",
        ],
    ),
    ("atomic f16", _atomics("f16"), "sm_80", ["red.global.add.noftz.f16x2", "atom.global.add.noftz.f16x2"]),
    ("atomic bf16", _atomics("bf16"), "sm_90a", ["red.global.add.noftz.bf16x2", "atom.global.add.noftz.bf16x2"]),
    ("atomic floats", _atomic_floats, "sm_90a", ["red.global.add.v4.f32", "red.global.add.v2.f32"]),
    (
        "fp8",
        _fp8,
        "sm_90a",
        ["cvt.rn.satfinite.e4m3x2.f32", "cvt.rn.satfinite.e5m2x2.f32", "cvt.rn.f16x2.e4m3x2", "cvt.rn.f16x2.e5m2x2"],
    ),
    ("tf32", _tf32, "sm_80", ["cvt.rna.tf32.f32"]),
    ("stochastic", _stochastic, "sm_103a", ["cvt.rs.bf16x2.f32"]),
    (
        "mbarrier",
        _mbarriers,
        "sm_90a",
        [
            "mbarrier.init.shared",
            "fence.mbarrier_init.release.cluster",
            "mbarrier.arrive",
            "mbarrier.arrive.expect_tx",
            "mbarrier.expect_tx",
            "mbarrier.try_wait.parity",
            "mbarrier.test_wait.parity",
            "mbarrier.test_wait.shared",
            "cp.async.mbarrier.arrive.noinc.shared",
            "cp.async.mbarrier.arrive.shared",
            "griddepcontrol.wait",
            "griddepcontrol.launch_dependents",
            "nanosleep.u32",
            "cp.async.bulk.shared",
            "cp.async.bulk.global.shared::cta",
            "fence.proxy.async.shared::cta",
            "cp.async.bulk.commit_group",
            "cp.async.bulk.wait_group.read",
            "mbarrier.inval.shared",
            "setmaxnreg.dec",
        ],
    ),
    (
        "tcgen05",
        _tcgen05,
        "sm_100a",
        [
            "tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32",
            "tcgen05.relinquish_alloc_permit.cta_group::1.sync.aligned",
            "tcgen05.st.sync.aligned.32x32b.x4.b32",
            "tcgen05.wait::st.sync.aligned",
            "tcgen05.mma.cta_group::1.kind::f16",
            "tcgen05.mma.cta_group::1.kind::tf32",
            "tcgen05.mma.cta_group::1.kind::f8f6f4",
            "tcgen05.mma.cta_group::1.kind::i8",
            "tcgen05.mma.cta_group::1.kind::mxf8f6f4.block_scale",
            "tcgen05.mma.cta_group::1.kind::mxf4.block_scale",
            "tcgen05.mma.cta_group::1.kind::mxf4nvf4.block_scale",
            "tcgen05.cp.cta_group::1.32x128b.warpx4",
            "tcgen05.cp.cta_group::1.128x256b",
            "tcgen05.ld.sync.aligned.32x32b.x2.pack::16b.b32",
            "tcgen05.st.sync.aligned.16x128b.x1.unpack::16b.b32",
            "tcgen05.commit.cta_group::1.mbarrier::arrive::one.shared::cluster.b64",
            "tcgen05.fence::before_thread_sync",
            "tcgen05.fence::after_thread_sync",
            "tcgen05.ld.sync.aligned.16x256b.x1.b32",
            "tcgen05.ld.sync.aligned.16x128b.x2.b32",
            "tcgen05.wait::ld.sync.aligned",
            "tcgen05.dealloc.cta_group::1.sync.aligned.b32",
        ],
    ),
    (
        "wgmma",
        _wgmma,
        "sm_90a",
        [
            "wgmma.fence.sync.aligned",
            "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16",
            "wgmma.wait_group.sync.aligned 0",
            "m64n8k16.f32.bf16.bf16",
            "m64n8k32.f32.e4m3.e5m2",
            "wgmma.commit_group.sync.aligned",
        ],
    ),
    (
        "math",
        _math,
        "sm_80",
        [
            "ex2.approx.ftz.f32",
            "lg2.approx.ftz.f32",
            "rsqrt.approx.ftz.f32",
            "sin.approx.ftz.f32",
            "cos.approx.ftz.f32",
            "rcp.approx.ftz.f32",
        ],
    ),
]
MMA = [
    ((16, 8, 16), "f16", "f16", "f32", "sm_80"),
    ((16, 8, 16), "f16", "f16", "f16", "sm_80"),
    ((16, 8, 8), "f16", "f16", "f32", "sm_80"),
    ((16, 8, 16), "bf16", "bf16", "f32", "sm_80"),
    ((16, 8, 8), "bf16", "bf16", "f32", "sm_80"),
    ((16, 8, 8), "tf32", "tf32", "f32", "sm_80"),
    ((16, 8, 4), "tf32", "tf32", "f32", "sm_80"),
    ((16, 8, 32), "s8", "s8", "s32", "sm_80"),
    ((16, 8, 32), "u8", "s8", "s32", "sm_80"),
    ((16, 8, 16), "s8", "s8", "s32", "sm_80"),
    ((8, 8, 16), "s8", "s8", "s32", "sm_80"),
    ((8, 8, 4), "f64", "f64", "f64", "sm_80"),
    ((16, 8, 32), "e4m3", "e4m3", "f32", "sm_90a"),
    ((16, 8, 32), "e5m2", "e4m3", "f32", "sm_90a"),
]


@pytest.mark.parametrize(("name", "body", "arch", "expected"), CASES, ids=[c[0] for c in CASES])
def test_reaches_ptx(name: str, body: Callable[[list[ir.Value]], None], arch: str, expected: list[str]) -> None:
    code = generate(build(body, [POINTER, POINTER], 128 if name == "wgmma" else 32, 2048), arch)
    for pattern in expected:
        regex = pattern.replace(".", r"\.").replace(r"\.*", ".*")
        assert re.search(regex, code.assembly), f"{pattern} is not in\n{code.assembly}"
    assert code.binary


@pytest.mark.parametrize(("shape", "a", "b", "total", "arch"), MMA)
def test_mma_reaches_ptx(shape: tuple[int, int, int], a: str, b: str, total: str, arch: str) -> None:
    code = generate(build(_mma(shape, a, b, total), [POINTER, POINTER]), arch)
    m, n, k = shape
    assert re.search(rf"mma\.sync\.aligned\.m{m}n{n}k{k}\.row\.col.*\.{total}\.{a}\.{b}\.{total}", code.assembly)
    assert code.binary


def test_keys_are_unique_and_sections_are_given() -> None:
    from tilelang_mlir.isa.nvidia import INSTRUCTIONS

    assert all(any(known is entry for known in table().values()) for entry in INSTRUCTIONS)
    assert all(re.match(r"(9\.7|10)\.\d", entry.section) for entry in INSTRUCTIONS)


def test_emitters_name_the_ops_of_their_entries() -> None:
    """Whatever an emitter builds has an entry, so the simulator can run it."""
    bodies = [c[1] for c in CASES] + [_mma(*case[:4]) for case in MMA]
    for body in bodies:
        module = build(body, [POINTER, POINTER])

        def check(op: ir.Operation) -> ir.WalkResult:
            inline = op.name in ("nvvm.inline_ptx", "llvm.inline_asm")
            if op.name.startswith("nvvm.") or inline:
                key = ir.StringAttr(op.attributes["tl.instr"]).value if inline else op.name
                assert key in table(), key
            return ir.WalkResult.ADVANCE

        module.operation.walk(check)
