"""CTAs of one batch that go different ways: loops and branches on the block index, whole warps and CTAs masked."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pytest

from tests.unit.isa.kernel_builder import POINTER, build, lane, load, offset, smem, store
from tests.unit.simulator import programs
from tests.unit.simulator.texts import Text, poisoned, relative_error
from tilelang_mlir import errors, knobs
from tilelang_mlir.isa.instruction import constant, create
from tilelang_mlir.isa.nvidia import ldmatrix, mma, thread, warp
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator import Program, simulate

both_modes = pytest.mark.parametrize("checked", [False, True], ids=["fast", "checked"])
targets = pytest.mark.parametrize("target", ["sim:sm_80", "sim:sm_90a"])


@both_modes
@targets
@pytest.mark.parametrize("size", [64, 320])
def test_matrix_loop_whose_length_is_the_block_index(size: int, target: str, checked: bool) -> None:
    rng = np.random.default_rng(size)
    steps = size // 64
    a = np.tril(rng.standard_normal((steps, steps))).repeat(64, 0).repeat(64, 1).astype(np.float16)
    b, c = rng.standard_normal((size, 64)).astype(np.float16), poisoned((size, 64))
    with knobs.overrides({"TILELANG_SIM_CHECKED": checked}):
        kernel = programs.compiled(programs.triangular(size), target)
        kernel(a, b, c)
    assert relative_error(c, a.astype(np.float64) @ b.astype(np.float64)) < 1e-5


@both_modes
@pytest.mark.parametrize(("target", "tile", "threads"), [("sim:sm_80", (64, 64), 128), ("sim:sm_90a", (128, 64), 256)])
@pytest.mark.parametrize("seed", [0, 4])
def test_causal_attention(target: str, tile: tuple[int, int], threads: int, seed: int, checked: bool) -> None:
    q, k, v = np.random.default_rng(1).standard_normal((3, 2, 384, 64)).astype(np.float16)
    out = poisoned(q.shape, np.float16)
    kernel = programs.compiled(programs.attention(2, 384, 64, tile, threads, causal=True), target)
    with knobs.overrides({"TILELANG_SIM_CHECKED": checked, "TILELANG_SIM_SEED": seed}):
        kernel(q, k, v, out)
    assert relative_error(out, programs.attention_reference(q, k, v, causal=True)) < 2e-3


def test_causal_attention_is_not_slow() -> None:
    """Groups of CTAs with equal loops keep one shadow for all; the bound is generous for a loaded machine."""
    q, k, v = np.random.default_rng(1).standard_normal((3, 4, 512, 64)).astype(np.float16)
    kernel = programs.compiled(programs.attention(4, 512, 64, causal=True), "sim:sm_80")
    out = poisoned(q.shape, np.float16)
    kernel(q, k, v, out)
    start = time.process_time()
    kernel(q, k, v, out)
    assert time.process_time() - start < 2.0


def _reports(t: Text, grid: int, *args: np.ndarray) -> list[tuple[np.ndarray, dict[str, int], list[str]]]:
    """Results, instruction counts and output with all CTAs in one batch, with two at a time and with one."""
    results = []
    with ir.Context():
        program = Program(ir.Module.parse(t.text))
        for batch in (None, 2, 1):
            out = [a.copy() for a in args]
            report = program.launch("k", (grid, 1, 1), out, batch_ctas=batch)
            results.append((np.concatenate([x.reshape(-1) for x in out]), dict(report.instructions), report.printed))
    return results


def test_a_restart_leaves_no_trace() -> None:
    """Atomics, printed lines, counters and owners of memory are those of one run."""
    t = Text("%count: !llvm.ptr<1>, %y: !llvm.ptr<1>", 64, 256)
    tid, cta, base = t.sreg("tid.x"), t.sreg("ctaid.x"), t.smem()
    ticket = t.let(f"llvm.atomicrmw add %count, {t.const(1)} monotonic : !llvm.ptr<1>, i32")
    t.line(f"scf.if {t.cmp('eq', tid, 0)} {{")
    t.line(f'gpu.printf "CTA %d\\0A", {cta} : i32')
    t.line("}")
    t.line(f"scf.if {t.cmp('eq', t.op('remui', cta, 3), 1)} {{")
    t.store(ticket, t.at(base, tid, "i32", "s"), "i32", "s")
    t.barrier()
    other = t.load(t.at(base, t.op("xori", tid, 63), "i32", "s"), "i32", "s")
    t.store(t.op("addi", other, ticket), t.at("%y", t.add(t.mul(cta, 64), tid), "i32"), "i32")
    t.line("}")
    runs = _reports(t, 5, np.zeros(1, np.int32), poisoned((5, 64), np.int32))
    for values, counts, printed in runs:
        assert values[0] == 5 * 64
        assert counts["llvm.atomicrmw"] == 5 * 2 and counts["nvvm.barrier"] == 2 * 2
        assert sorted(printed) == [f"CTA {i}\n" for i in range(5)]
        rows = values[1:].reshape(5, 64)
        assert (rows[[1, 4]] == rows[[1, 4], :1]).all() and (rows[[0, 2, 3]] == poisoned(1, np.int32)).all()


@both_modes
def test_nested_loops_and_exchange_by_block_index(checked: bool) -> None:
    """Persistent: CTA c takes tiles c, c + 3, ...; a tile t takes t % 4 steps of shuffles and votes in warp 0."""
    t = Text("%y: !llvm.ptr<1>", 64)
    tid, cta = t.sreg("tid.x"), t.sreg("ctaid.x")
    t.line(f"scf.for %tile = {cta} to {t.const(10)} step {t.const(3)} : i32 {{")
    t.line(f"scf.if {t.cmp('ult', tid, 32)} {{")
    steps = t.op("remui", "%tile", 4)
    head = f"scf.for %i = {t.const(0)} to {steps} step {t.const(1)} iter_args(%x = {tid}) -> (i32) : i32"
    total = t.let(head + " {")
    control = f"{t.const(-1)}, %x, {t.const(1)}, {t.const(31)}"
    moved = t.let(f"nvvm.shfl.sync bfly {control} : i32 -> i32")
    odd = t.cmp("eq", t.op("andi", moved, 1), 1)
    votes = t.let(f"nvvm.vote.sync ballot {t.const(-1)}, {odd} -> i32")
    t.line(f"scf.yield {t.op('addi', moved, t.op('andi', votes, 2))} : i32")
    t.line("}")
    t.store(total, t.at("%y", t.add(t.mul("%tile", 32), tid), "i32"), "i32")
    t.line("}")
    t.line("}")
    y = poisoned((10, 32), np.int32)
    t.run(3, y, checked=checked)
    for tile in range(10):
        x = np.arange(32)
        for _ in range(tile % 4):
            moved_x = x[np.arange(32) ^ 1]
            x = moved_x + (2 if moved_x[1] & 1 else 0)
        assert y[tile].tolist() == x.tolist()


@both_modes
@pytest.mark.parametrize("by", ["warp", "cta", "warp of a cta"])
def test_matrix_instructions_in_some_warps_and_ctas(by: str, checked: bool) -> None:
    """ldmatrix and mma.sync under masks of whole warps; the other warps' addresses are not looked at."""
    with ir.Context(), ir.Location.unknown():

        def body(a: Sequence[ir.Value]) -> None:
            i32 = ir.IntegerType.get_signless(32)
            tid, cta = thread.tid(), thread.ctaid()
            index = create("arith.shrui", [tid, constant(5)], [i32])
            compare = {"warp": index, "cta": cta, "warp of a cta": create("arith.xori", [index, cta], [i32])}[by]
            chosen = create("arith.cmpi", [compare, constant(1)], [ir.IntegerType.get_signless(1)], predicate="0 : i64")
            wild = create("arith.select", [chosen, constant(0), constant(1 << 20)], [i32])
            for word in range(4):
                store(load(lane(a[0], 4, word)), lane(smem(), 4, word))
            create("nvvm.barrier", operandSegmentSizes=ir.DenseI32ArrayAttr.get([0, 0]))
            branch = ir.Operation.create("scf.if", operands=[chosen], regions=2)
            with ir.InsertionPoint(branch.regions[0].blocks.append()):
                row = create("arith.muli", [create("arith.andi", [tid, constant(31)], [i32]), constant(4)], [i32])
                place = offset(smem(), create("arith.addi", [row, wild], [i32]))
                words = ldmatrix.emit(place, 4)
                zero = create("arith.constant", [], [ir.F32Type.get()], value=ir.FloatAttr.get(ir.F32Type.get(), 0.0))
                out = mma.emit(words, words[:2], [zero] * 4)
                first = create("arith.muli", [cta, constant(256)], [i32])
                for k, value in enumerate(out):
                    store(value, lane(offset(a[1], first), 4, k))
                ir.Operation.create("scf.yield")

        module = build(body, [POINTER, POINTER], threads=64, shared=1024)
        x = np.random.default_rng(0).integers(-3, 4, (64, 8)).astype(np.float16)
        y = np.full((3, 2, 32, 4), -1, np.float32)
        simulate(module, "k", (3, 1, 1), [x, y], checked=checked)
    a = x[:32].astype(np.float32)
    left = np.block([[a[0:8], a[16:24]], [a[8:16], a[24:32]]])
    product = left @ np.concatenate([a[0:8], a[8:16]], axis=1).T
    for c in range(3):
        for w in range(2):
            active = {"warp": w, "cta": c, "warp of a cta": w ^ c}[by] == 1
            want = np.full((32, 4), -1, np.float32)
            for t in range(32 * active):
                for i in range(4):
                    want[t, i] = product[t // 4 + 8 * (i // 2), 2 * (t % 4) + i % 2]
            assert np.array_equal(y[c, w], want), (c, w)


def test_constant_operands_of_a_masked_shuffle() -> None:
    t = Text("%y: !llvm.ptr<1>", 64)
    tid, cta = t.sreg("tid.x"), t.sreg("ctaid.x")
    group = t.add(t.op("shrui", tid, 5), cta)
    t.line(f"scf.if {t.cmp('eq', group, 1)} {{")
    value = t.let(f"nvvm.shfl.sync bfly {t.const(-1)}, {t.const(7)}, {t.const(1)}, {t.const(31)} : i32 -> i32")
    t.store(value, t.at("%y", t.add(t.mul(cta, 64), tid), "i32"), "i32")
    t.line("}")
    y = np.zeros((2, 2, 32), np.int32)
    t.run(2, y)
    assert (y == np.array([[0, 7], [7, 0]])[:, :, None]).all()


def test_a_part_of_a_warp_is_still_reported() -> None:
    with ir.Context(), ir.Location.unknown():

        def body(a: Sequence[ir.Value]) -> None:
            few = create(
                "arith.cmpi", [thread.tid(), constant(8)], [ir.IntegerType.get_signless(1)], predicate="6 : i64"
            )
            branch = ir.Operation.create("scf.if", operands=[few], regions=2)
            with ir.InsertionPoint(branch.regions[0].blocks.append()):
                ldmatrix.emit(smem(), 1)
                ir.Operation.create("scf.yield")
            warp.sync()

        with pytest.raises(errors.SimulationError, match="ldmatrix is reached by 8 of 32 lanes of warp 0"):
            simulate(build(body, [POINTER], shared=512), "k", (2, 1, 1), [np.zeros(4, np.int32)])
