"""Whole kernels against numpy, in checked and in fast mode."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.simulator.texts import Text, gemm, poisoned, relative_error, softmax, vector_add
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator import GlobalMemory, Program

both_modes = pytest.mark.parametrize("checked", [False, True], ids=["fast", "checked"])


@both_modes
@pytest.mark.parametrize("n", [1, 127, 128, 1000, 40001])
def test_vector_add(n: int, checked: bool) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.standard_normal((2, n)).astype(np.float32)
    c = poisoned(n)
    vector_add().run((n + 127) // 128, a, b, c, n, checked=checked)
    assert np.array_equal(c, a + b)


@both_modes
@pytest.mark.parametrize("rows", [4, 7])
def test_softmax(rows: int, checked: bool) -> None:
    x = np.random.default_rng(0).standard_normal((rows, 96)).astype(np.float32) * 4
    y = poisoned(x.shape)
    softmax(96).run(2, x, y, rows, checked=checked)
    wide = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    assert relative_error(y, wide / wide.sum(1, keepdims=True)) < 1e-6


@both_modes
@pytest.mark.parametrize("shape", [(64, 64, 32), (128, 192, 96)])
def test_gemm(shape: tuple[int, int, int], checked: bool) -> None:
    m, n, k = shape
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((m, k)).astype(np.float16), rng.standard_normal((k, n)).astype(np.float16)
    c = poisoned((m, n))
    report = gemm(m, n, k).run(m * n // 4096, a, b, c, checked=checked)
    assert relative_error(c, a.astype(np.float64) @ b.astype(np.float64)) < 1e-5
    if checked:
        assert report.bank_conflicts == 0
        assert report.instructions["nvvm.mma.sync"] == m * n * k // (16 * 8 * 16)


def test_gemm_does_not_depend_on_the_batch_or_the_schedule() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.integers(-4, 5, (128, 64)).astype(np.float16), rng.integers(-4, 5, (64, 128)).astype(np.float16)
    want = a.astype(np.float32) @ b.astype(np.float32)
    with ir.Context():
        program = Program(ir.Module.parse(gemm(128, 128, 64).text))
        for options in ({}, {"batch_ctas": 1}, {"seed": 3}, {"batch_ctas": 3, "seed": 1}):
            c = poisoned((128, 128))
            program.launch("k", (4, 1, 1), [a, b, c], **options)  # type: ignore[arg-type]
            assert np.array_equal(c, want), options


@both_modes
def test_divergent_while_with_memory(checked: bool) -> None:
    """Collatz: every lane leaves at its own time and writes each step to its own row."""
    t = Text("%x: !llvm.ptr<1>, %trace: !llvm.ptr<1>, %steps: !llvm.ptr<1>", 64)
    i = t.add(t.mul(t.sreg("ctaid.x"), 64), t.sreg("tid.x"))
    start = t.load(t.at("%x", i, "i32"), "i32")
    t.line(f"%r:2 = scf.while (%n = {start}, %k = {t.const(0)}) : (i32, i32) -> (i32, i32) {{")
    more = t.cmp("ne", "%n", 1)
    t.line(f"scf.condition({more}) %n, %k : i32, i32")
    t.line("} do {")
    t.line("^bb0(%n: i32, %k: i32):")
    t.store("%n", t.at("%trace", t.add(t.mul(i, 128), "%k"), "i32"), "i32")
    odd = t.cmp("eq", t.op("andi", "%n", 1), 1)
    following = t.let(f"scf.if {odd} -> (i32) {{")
    t.line(f"scf.yield {t.add(t.mul('%n', 3), 1)} : i32")
    t.line("} else {")
    t.line(f"scf.yield {t.op('shrui', '%n', 1)} : i32")
    t.line("}")
    t.line(f"scf.yield {following}, {t.add('%k', 1)} : i32, i32")
    t.line("}")
    t.store("%r#1", t.at("%steps", i, "i32"), "i32")
    x = np.arange(1, 129, dtype=np.int32)
    trace, steps = np.zeros((128, 128), np.int32), poisoned(128, np.int32)
    t.run(2, x, trace, steps, checked=checked)
    for value in x:
        path, n = [], int(value)
        while n != 1:
            path.append(n)
            n = 3 * n + 1 if n % 2 else n // 2
        assert steps[value - 1] == len(path)
        assert trace[value - 1, : len(path)].tolist() == path


@both_modes
def test_divergent_for_with_carried_values(checked: bool) -> None:
    t = Text("%n: !llvm.ptr<1>, %y: !llvm.ptr<1>", 96)
    tid = t.sreg("tid.x")
    count = t.load(t.at("%n", tid, "i32"), "i32")
    t.line(f"%s = scf.for %i = {tid} to {count} step {t.const(3)} iter_args(%acc = {t.const(0)}) -> (i32) : i32 {{")
    t.line(f"scf.yield {t.add('%acc', t.mul('%i', '%i'))} : i32")
    t.line("}")
    t.store("%s", t.at("%y", tid, "i32"), "i32")
    n = np.random.default_rng(3).integers(0, 200, 96).astype(np.int32)
    y = poisoned(96, np.int32)
    t.run(1, n, y, checked=checked)
    assert y.tolist() == [sum(i * i for i in range(lane, n[lane], 3)) for lane in range(96)]


@both_modes
def test_private_arrays_with_uniform_and_varying_addresses(checked: bool) -> None:
    t = Text("%x: !llvm.ptr<1>, %y: !llvm.ptr<1>", 64)
    tid = t.sreg("tid.x")
    array = t.let(f"llvm.alloca {t.const(1)} x !llvm.array<8 x i32> : (i32) -> !llvm.ptr")
    t.line(f"scf.for %i = {t.const(0)} to {t.const(8)} step {t.const(1)} : i32 {{")
    t.store(t.load(t.at("%x", t.add(t.mul(tid, 8), "%i"), "i32"), "i32"), t.at(array, "%i", "i32", "p"), "i32", "p")
    t.line("}")
    pair = t.load(t.at(array, 2, "i32", "p"), "vector<2xi32>", "p")
    t.store(t.let(f"vector.extract {pair}[1] : i32 from vector<2xi32>"), t.at("%y", tid, "i32"), "i32")
    chosen = t.load(t.at(array, t.op("andi", tid, 7), "i32", "p"), "i32", "p")
    t.store(chosen, t.at("%y", t.add(tid, 64), "i32"), "i32")
    x, y = np.arange(512, dtype=np.int32).reshape(64, 8), poisoned((2, 64), np.int32)
    t.run(1, x, y, checked=checked)
    lanes = np.arange(64)
    assert np.array_equal(y, [x[:, 3], x[lanes, lanes & 7]])


@both_modes
def test_atomics_return_serial_old_values(checked: bool) -> None:
    t = Text("%count: !llvm.ptr<1>, %old: !llvm.ptr<1>, %sum: !llvm.ptr<1>", 64)
    i = t.add(t.mul(t.sreg("ctaid.x"), 64), t.sreg("tid.x"))
    place = t.at("%count", t.op("andi", i, 3), "i32")
    old = t.let(f"llvm.atomicrmw add {place}, {t.const(1)} monotonic : !llvm.ptr<1>, i32")
    t.store(old, t.at("%old", i, "i32"), "i32")
    value = t.let(f"arith.sitofp {i} : i32 to f32")
    t.let(f"llvm.atomicrmw fadd %sum, {value} monotonic : !llvm.ptr<1>, f32")
    t.let(f"llvm.atomicrmw umax {t.at('%count', 4, 'i32')}, {i} monotonic : !llvm.ptr<1>, i32")
    swapped = t.let(f"llvm.cmpxchg {t.at('%count', 5, 'i32')}, {t.const(7)}, {i} acq_rel monotonic : !llvm.ptr<1>, i32")
    won = t.let(f"llvm.extractvalue {swapped}[1] : !llvm.struct<(i32, i1)>")
    one = t.let(f"arith.extui {won} : i1 to i32")
    t.let(f"llvm.atomicrmw add {t.at('%count', 6, 'i32')}, {one} monotonic : !llvm.ptr<1>, i32")
    count, old_values, total = (
        np.array([0, 0, 0, 0, 0, 7, 0], np.int32),
        poisoned(256, np.int32),
        np.zeros(1, np.float32),
    )
    t.run(4, count, old_values, total, checked=checked)
    assert count[:4].tolist() == [64] * 4 and count[4] == 255 and total[0] == 255 * 128
    assert 0 <= count[5] < 256 and count[6] == 1
    for slot in range(4):
        assert sorted(old_values[slot::4]) == list(range(64))


@both_modes
@pytest.mark.parametrize("seed", [0, 5])
def test_roles_meet_at_named_barriers(checked: bool, seed: int) -> None:
    """Warps 0-1 write, warps 2-3 read, twice; bar.arrive and bar.sync on two barriers."""
    t = Text("%x: !llvm.ptr<1>, %y: !llvm.ptr<1>", 128, 256)
    tid, smem = t.sreg("tid.x"), t.smem()
    half = t.op("andi", tid, 63)
    cta = t.mul(t.sreg("ctaid.x"), 128)
    full, empty, n = t.const(1), t.const(2), t.const(128)
    t.line(f"scf.if {t.cmp('ult', tid, 64)} {{")
    for turn in range(2):
        if turn:
            t.line(f"nvvm.barrier id = {empty} number_of_threads = {n}")
        value = t.load(t.at("%x", t.add(cta, t.add(half, 64 * turn)), "i32"), "i32")
        t.store(value, t.at(smem, half, "i32", "s"), "i32", "s")
        t.line(f"nvvm.barrier.arrive id = {full} number_of_threads = {n}")
    t.line("} else {")
    for turn in range(2):
        t.line(f"nvvm.barrier id = {full} number_of_threads = {n}")
        value = t.load(t.at(smem, t.op("subi", 63, half), "i32", "s"), "i32", "s")
        t.store(value, t.at("%y", t.add(cta, t.add(half, 64 * turn)), "i32"), "i32")
        if not turn:
            t.line(f"nvvm.barrier.arrive id = {empty} number_of_threads = {n}")
    t.line("}")
    x, y = np.arange(384, dtype=np.int32), poisoned(384, np.int32)
    t.run(3, x, y, checked=checked, seed=seed)
    assert np.array_equal(y.reshape(-1, 64), x.reshape(-1, 64)[:, ::-1])


def test_barrier_in_a_loop_that_depends_on_the_cta() -> None:
    t = Text("%y: !llvm.ptr<1>", 64, 256)
    tid, cta, smem = t.sreg("tid.x"), t.sreg("ctaid.x"), t.smem()
    t.line(f"scf.for %i = {t.const(0)} to {cta} step {t.const(1)} : i32 {{")
    t.store("%i", t.at(smem, tid, "i32", "s"), "i32", "s")
    t.barrier()
    value = t.load(t.at(smem, t.op("xori", tid, 63), "i32", "s"), "i32", "s")
    t.store(value, t.at("%y", t.add(t.mul(cta, 64), tid), "i32"), "i32")
    t.barrier()
    t.line("}")
    y = np.full((4, 64), -1, np.int32)
    t.run(4, y)
    assert np.array_equal(y, np.repeat([[-1], [0], [1], [2]], 64, axis=1))


def test_printf(capsys: pytest.CaptureFixture[str]) -> None:
    t = Text("%x: i32", 4)
    tid = t.sreg("tid.x")
    t.line(f"scf.if {t.cmp('ult', tid, 2)} {{")
    t.line(f'gpu.printf "t %d x %u 100%% f %.2f\\0A", {tid}, %x, {t.const(1.5, "f32")} : i32, i32, f32')
    t.line("}")
    report = t.run(1, -1)
    assert report.printed == ["t 0 x 4294967295 100% f 1.50\n", "t 1 x 4294967295 100% f 1.50\n"]
    assert capsys.readouterr().out == "".join(report.printed)


def test_arrays_that_share_memory_and_several_launches() -> None:
    x = np.arange(64, dtype=np.float32)
    with ir.Context():
        program = Program(ir.Module.parse(vector_add(32).text))
        program.launch("k", (1, 1, 1), [x, x[32:], x, 32])  # in place; the second operand overlaps
        assert np.array_equal(x[:32], np.arange(32) * 2 + 32)
        memory = GlobalMemory()
        data = np.ones(32, np.float32)
        place = memory.allocate(data.nbytes, "kept")
        memory.write(place, data.view(np.uint8))
        out = poisoned(32)
        for _ in range(3):
            program.launch("k", (1, 1, 1), [place, place, place, 32], memory=memory)
        program.launch("k", (1, 1, 1), [place, place, out, 32], memory=memory)
        assert (out == 16).all()


def test_strided_views_are_passed_by_address() -> None:
    x, y = np.arange(64, dtype=np.float32).reshape(8, 8), np.zeros((8, 8), np.float32)
    vector_add(32).run(1, x.T, x.T, y.T, 64 - 32)
    assert np.array_equal(y.reshape(-1)[:32], 2 * x.reshape(-1)[:32])
