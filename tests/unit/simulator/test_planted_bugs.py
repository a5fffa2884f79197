"""Every rule the checker enforces, broken once: the message and the line must say so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.unit.simulator.texts import Text, gemm, poisoned, vector_add
from tilelang_mlir import errors


def _exchange(sync: str, other: int) -> Text:
    """Each thread reads what thread `tid xor other` wrote to shared memory."""
    t = Text("%y: !llvm.ptr<1>", 64, 256)
    tid, smem = t.sreg("tid.x"), t.smem()
    t.store(tid, t.at(smem, tid, "i32", "s"), "i32", "s", mark="write")
    if sync:
        t.line(sync)
    value = t.load(t.at(smem, t.op("xori", tid, other), "i32", "s"), "i32", "s", mark="read")
    t.store(value, t.at("%y", tid, "i32"), "i32")
    return t


@pytest.mark.parametrize(
    ("sync", "other"), [("nvvm.barrier", 33), ("nvvm.barrier", 1), ("nvvm.bar.warp.sync %all : i32", 1)]
)
def test_synchronised_exchange_is_accepted(sync: str, other: int) -> None:
    y = poisoned(64, np.int32)
    t = _exchange(sync, other)
    t.lines.insert(0, "%all = arith.constant -1 : i32")
    t.run(1, y)
    assert np.array_equal(y, np.arange(64) ^ other)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (32, "race: read of shared byte 128 of CTA 0 by warp 0 is not ordered after the write by warp 1"),
        (
            1,
            "race inside warp 0: read of shared byte 4 of CTA 0 by thread 0 is not ordered after the write by thread 1",
        ),
    ],
)
def test_missing_synchronisation(other: int, message: str) -> None:
    t = _exchange("", other)
    with pytest.raises(errors.RaceError) as caught:
        t.run(1, poisoned(64, np.int32))
    assert caught.value.message == message
    assert caught.value.location is not None and caught.value.location.line == t.line_of("read")
    (_, other_access), *_ = caught.value.notes
    assert other_access is not None and other_access.line == t.line_of("write")


@pytest.mark.parametrize("reader", [3, 6])
def test_lanes_that_store_the_same_may_read_it_at_once(reader: int) -> None:
    """Lanes of a quad write one value to one place: each has written what it then reads, and other quads have not."""
    t = Text("%y: !llvm.ptr<1>", 32, 256)
    tid, smem = t.sreg("tid.x"), t.smem()
    quad = t.op("shrui", tid, 2)
    t.store(quad, t.at(smem, quad, "i32", "s"), "i32", "s", mark="write")
    place = quad if reader == 3 else t.op("shrui", t.op("xori", tid, reader), 2)
    t.store(t.load(t.at(smem, place, "i32", "s"), "i32", "s", mark="read"), t.at("%y", tid, "i32"), "i32")
    y = poisoned(32, np.int32)
    if reader == 3:
        t.run(1, y)
        assert y.tolist() == [i // 4 for i in range(32)]
        return
    with pytest.raises(errors.RaceError, match="race inside warp 0: read .* not ordered after the write by thread 7"):
        t.run(1, y)


def test_write_after_unordered_read() -> None:
    t = Text("%y: !llvm.ptr<1>", 64, 256)
    tid, smem = t.sreg("tid.x"), t.smem()
    t.store(tid, t.at(smem, tid, "i32", "s"), "i32", "s")
    t.barrier()
    value = t.load(t.at(smem, t.op("xori", tid, 32), "i32", "s"), "i32", "s", mark="read")
    t.store(value, t.at(smem, tid, "i32", "s"), "i32", "s", mark="write")
    with pytest.raises(
        errors.RaceError, match="write of shared byte 0 .* not ordered after the read by warp 1"
    ) as caught:
        t.run(1, poisoned(64, np.int32))
    assert caught.value.location is not None and caught.value.location.line == t.line_of("write")
    assert caught.value.notes[0][1] is not None and caught.value.notes[0][1].line == t.line_of("read")


@pytest.mark.parametrize(
    ("skip", "message", "mark"),
    [
        ("after wait", "not ordered after the write by warp", "ldmatrix"),
        ("before refill", "asynchronous copy of shared byte .* not ordered after the read by warp", "refill"),
        ("wait", "while an asynchronous copy into it is in flight", "ldmatrix"),
    ],
)
@pytest.mark.parametrize("ctas", [1, 4])
def test_gemm_without_one_synchronisation(skip: str, message: str, mark: str, ctas: int) -> None:
    size = 64 * (1 if ctas == 1 else 2)
    a = b = np.ones((size, 128), np.float16)
    t = gemm(size, size, 128, skip=skip)
    with pytest.raises(errors.RaceError, match=message) as caught:
        t.run(ctas, a, b.reshape(128, size), poisoned((size, size)))
    assert caught.value.location is not None and caught.value.location.line >= t.line_of(mark)
    if skip == "before refill":
        assert caught.value.location.line == t.line_of(mark)
        assert any("iteration" in text for text, _ in caught.value.notes)


def test_uninitialised_shared_read() -> None:
    t = Text("%y: !llvm.ptr<1>", 32, 256)
    tid, smem = t.sreg("tid.x"), t.smem()
    t.store(t.load(t.at(smem, tid, "i32", "s"), "i32", "s", mark="read"), t.at("%y", tid, "i32"), "i32")
    with pytest.raises(errors.UninitializedReadError, match="warp 0 reads shared byte 0 of CTA 0") as caught:
        t.run(2, poisoned(32, np.int32))
    assert caught.value.location is not None and caught.value.location.line == t.line_of("read")


def test_uninitialised_private_read() -> None:
    t = Text("%y: !llvm.ptr<1>", 32)
    array = t.let(f"llvm.alloca {t.const(1)} x !llvm.array<4 x i32> : (i32) -> !llvm.ptr")
    t.store(t.load(t.at(array, 1, "i32", "p"), "i32", "p", mark="read"), "%y", "i32")
    with pytest.raises(errors.UninitializedReadError, match="element 1 of a local buffer") as caught:
        t.run(1, poisoned(32, np.int32))
    assert caught.value.location is not None and caught.value.location.line == t.line_of("read")


@pytest.mark.parametrize("checked", [False, True])
def test_global_out_of_bounds(checked: bool) -> None:
    t = vector_add()
    x = np.ones(100, np.float32)
    with pytest.raises(errors.OutOfBoundsError) as caught:
        t.run(1, x, np.ones(128, np.float32), np.ones(128, np.float32), 128, checked=checked)
    assert caught.value.message == (
        "global access of 4 bytes at byte 400 of argument 0, which has 400 bytes, by thread 100 (warp 3) of CTA 0"
    )
    assert caught.value.location is not None and caught.value.location.line == t.line_of("load")


def test_misaligned_vector_access() -> None:
    t = Text("%x: !llvm.ptr<1>", 32)
    tid = t.sreg("tid.x")
    t.load(t.at("%x", t.add(tid, 1)), "vector<4xf32>", mark="load")
    with pytest.raises(
        errors.OutOfBoundsError, match="at byte 4 of argument 0 is not 16-byte aligned, by thread 0"
    ) as caught:
        t.run(1, np.ones(64, np.float32))
    assert caught.value.location is not None and caught.value.location.line == t.line_of("load")


def test_shared_and_private_out_of_bounds() -> None:
    t = Text("", 32, 64)
    tid, smem = t.sreg("tid.x"), t.smem()
    t.store(tid, t.at(smem, tid, "i32", "s"), "i32", "s", mark="store")
    with pytest.raises(errors.OutOfBoundsError, match="at byte 64 is outside its 64 bytes, by thread 16"):
        t.run(1)
    t = Text("", 32)
    array = t.let(f"llvm.alloca {t.const(1)} x !llvm.array<4 x i32> : (i32) -> !llvm.ptr")
    t.store(t.sreg("tid.x"), t.at(array, 4, "i32", "p"), "i32", "p")
    with pytest.raises(errors.OutOfBoundsError, match="outside every local buffer"):
        t.run(1)


def _divergent_if(t: Text) -> None:
    t.line(f"scf.if {t.cmp('ult', t.sreg('tid.x'), 10)} {{")
    t.line("nvvm.barrier", "bug")
    t.line("}")


def _divergent_loop(t: Text) -> None:
    t.line(f"scf.for %i = {t.const(0)} to {t.sreg('tid.x')} step {t.const(1)} : i32 {{")
    t.line("nvvm.barrier", "bug")
    t.line("}")


def _half_shuffle(t: Text) -> None:
    t.line(f"scf.if {t.cmp('ult', t.sreg('tid.x'), 16)} {{")
    t.let(f"nvvm.shfl.sync bfly {t.const(-1)}, {t.const(1)}, {t.const(1)}, {t.const(31)} : i32 -> i32", "bug")
    t.line("}")


def _too_many(t: Text) -> None:
    t.line(f"nvvm.barrier.arrive id = {t.const(1)} number_of_threads = {t.const(32)}", "bug")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (_divergent_if, r"barrier 0 is reached by 10 of 64 threads of CTA 0 \(divergent\)"),
        (_divergent_loop, r"barrier 0 is reached by 63 of 64 threads of CTA 0 \(divergent\)"),
        (_half_shuffle, "shfl.sync: the member mask of lane 0 names lanes that do not execute it"),
        (_too_many, "barrier 1: 64 threads arrived where 32 are expected"),
    ],
)
def test_misused_collectives(body: Callable[[Text], None], message: str) -> None:
    t = Text("", 64)
    body(t)
    with pytest.raises(errors.SimulationError, match=message) as caught:
        t.run(2)
    assert caught.value.location is not None and caught.value.location.line == t.line_of("bug")


def test_missing_arrival_is_a_deadlock() -> None:
    t = Text("", 128)
    t.line(f"scf.if {t.cmp('ult', t.sreg('tid.x'), 64)} {{")
    t.line(f"nvvm.barrier id = {t.const(1)} number_of_threads = {t.const(128)}", "wait")
    t.line("}")
    with pytest.raises(
        errors.DeadlockError, match=r"threads 0 to 63 wait on barrier 1: 64 of 128 threads arrived"
    ) as caught:
        t.run(2)
    assert caught.value.location is not None and caught.value.location.line == t.line_of("wait")


@pytest.mark.parametrize("batch", [1, 4])
def test_two_ctas_write_one_place(batch: int) -> None:
    from tilelang_mlir.mlir import ir
    from tilelang_mlir.simulator import Program

    t = Text("%y: !llvm.ptr<1>", 32)
    t.store(t.sreg("ctaid.x"), t.at("%y", t.sreg("tid.x"), "i32"), "i32", mark="write")
    with ir.Context():
        program = Program(ir.Module.parse(t.text))
        with pytest.raises(errors.RaceError, match="race between CTAs: CTA . writes byte 0 of argument 0") as caught:
            program.launch("k", (4, 1, 1), [poisoned(32, np.int32)], batch_ctas=batch)
    assert caught.value.location is not None and caught.value.location.line == t.line_of("write")


@pytest.mark.parametrize("batch", [1, 4])
def test_two_ctas_write_the_same_to_one_place(batch: int) -> None:
    from tilelang_mlir.mlir import ir
    from tilelang_mlir.simulator import Program

    t = Text("%y: !llvm.ptr<1>", 32)
    t.store(t.sreg("tid.x"), t.at("%y", t.sreg("tid.x"), "i32"), "i32")
    y = poisoned(32, np.int32)
    with ir.Context():
        Program(ir.Module.parse(t.text)).launch("k", (4, 1, 1), [y], batch_ctas=batch)
    assert y.tolist() == list(range(32))


def test_reading_what_another_cta_wrote() -> None:
    t = Text("%y: !llvm.ptr<1>", 32)
    cta, tid = t.sreg("ctaid.x"), t.sreg("tid.x")
    t.store(tid, t.at("%y", t.add(t.mul(cta, 32), tid), "i32"), "i32", mark="write")
    t.load(t.at("%y", t.add(t.mul(t.op("xori", cta, 1), 32), tid), "i32"), "i32", mark="read")
    with pytest.raises(errors.RaceError, match="CTA 0 reads byte 128 of argument 0, which CTA 1 has written") as caught:
        t.run(2, poisoned(64, np.int32))
    assert caught.value.location is not None and caught.value.location.line == t.line_of("read")
    assert caught.value.notes[0][1] is not None and caught.value.notes[0][1].line == t.line_of("write")


def test_different_values_to_one_shared_place() -> None:
    t = Text("", 32, 16)
    t.store(t.sreg("tid.x"), t.smem(), "i32", "s", mark="write")
    with pytest.raises(errors.RaceError, match="two threads write different values") as caught:
        t.run(1)
    assert caught.value.location is not None and caught.value.location.line == t.line_of("write")


def test_trap_reports_the_last_message() -> None:
    t = Text("", 32)
    t.line(f"scf.if {t.cmp('eq', t.sreg('tid.x'), 3)} {{")
    t.line('gpu.printf "assertion x < 3 failed\\0A"')
    t.line('"llvm.intr.trap"() : () -> ()', "trap")
    t.line("}")
    with pytest.raises(
        errors.DeviceAssertError, match=r"assertion x < 3 failed \(thread 3 \(warp 0\) of CTA 0\)"
    ) as caught:
        t.run(1)
    assert caught.value.location is not None and caught.value.location.line == t.line_of("trap")


def test_false_assumption_and_unknown_op() -> None:
    t = Text("%n: i32", 32)
    t.line(f"llvm.intr.assume {t.cmp('slt', '%n', 5)} : i1", "assume")
    with pytest.raises(errors.SimulationError, match="an assumption does not hold") as caught:
        t.run(1, 7)
    assert caught.value.location is not None and caught.value.location.line == t.line_of("assume")
    t = Text("", 32)
    t.line("nvvm.breakpoint", "op")
    with pytest.raises(errors.UnsupportedError, match="no semantics for nvvm.breakpoint"):
        t.run(1)
