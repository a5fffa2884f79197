"""Random programs by the reference evaluator and the simulator, and the fuzzer's own parts."""

from __future__ import annotations

import pytest

from tests.fuzz import chains, threads
from tests.fuzz.check import Outcome, check, trace
from tests.fuzz.generate import generate
from tests.fuzz.products import case_of, run
from tests.fuzz.program import KernelText, Node, Program, Tensor
from tests.fuzz.shrink import shrink
from tilelang_mlir.jit.simulated import SimulatedKernel
from tilelang_mlir.target import parse_target

BLOCKS = 20
PER_BLOCK = 10
MAX_REJECTED = 1  # of a block: a fuzzer whose programs the compiler declines tests nothing


@pytest.mark.parametrize("block", range(BLOCKS))
def test_programs_agree_with_the_reference(block: int) -> None:
    seeds = range(block * PER_BLOCK, (block + 1) * PER_BLOCK)
    found = {seed: check(generate(seed)) for seed in seeds}
    failed = {seed: outcome for seed, outcome in found.items() if outcome.kind not in ("ok", "rejected")}
    text = "\n".join(
        f"seed {seed}: {o.kind}\n{o.detail[-1500:]}\n{generate(seed).text()}" for seed, o in failed.items()
    )
    assert not failed, text
    assert sum(outcome.kind == "rejected" for outcome in found.values()) <= MAX_REJECTED, found


@pytest.mark.parametrize(("target", "seed"), [("sm_100a", 100), ("sm_100a", 108), ("gfx950", 105)])
def test_products_of_large_tiles(target: str, seed: int) -> None:
    assert run(case_of(seed, target)) == "ok"


@pytest.mark.parametrize(("target", "seed"), [("sm_90a", 0), ("sm_100a", 1), ("gfx950", 2)])
def test_chains_of_products(target: str, seed: int) -> None:
    assert chains.run(chains.case_of(seed, target)) == "ok"


def test_a_seed_always_gives_the_same_program() -> None:
    assert [generate(seed).text() for seed in range(5)] == [generate(seed).text() for seed in range(5)]
    assert len({generate(seed).text() for seed in range(20)}) == 20


def test_programs_cover_the_language() -> None:
    text = "\n".join(generate(seed).text() for seed in range(2000))
    for needed in (
        "T.Pipelined", "T.gemm", "transpose_A", "transpose_B", "T.reduce_", "clear=False", "T.cumsum", "T.atomic_",
        "T.dynamic", "T.transpose", "if ", "T.serial", "float8_e4m3fn", "int8", "float64", "num_stages=4",
        "T.ws(1)", "T.mbarrier_wait_parity", "while ", "break", "int4", "float4_e2m1fn", "(i + 1) %", "T.ceildiv(m",
        "176", "return_prev", "T.view", "[j, i] =", "(i + j) %",
    ):  # fmt: skip
        assert needed in text, needed


def _program(*body: Node, fill: str = "poison") -> Program:
    params = [Tensor("A1", (8, 8), ("8", "8"), "float32", "random"), Tensor("O2", (8, 8), ("8", "8"), "float32", fill)]
    allocations = {"f3": 'T.alloc_fragment((8, 8), "float32")'}
    return Program(0, "sm_80", params, {}, [KernelText((1, 1), ("1", "1"), 32, allocations, list(body))])


_LOAD, _STORE = Node("T.copy(A1[0, 0], f3)"), Node("T.copy(f3, O2[0, 0])")


def test_check_passes_a_copy() -> None:
    assert check(_program(_LOAD, _STORE)) == Outcome("ok")


def test_check_sees_a_wrong_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator runs a program whose input was changed behind the evaluator's back."""
    import tests.fuzz.check as module

    original = module._simulate

    def disturbed(program: Program, kernel: SimulatedKernel, values: list) -> None:
        values[0][3, 4] += 1
        original(program, kernel, values)

    monkeypatch.setattr(module, "_simulate", disturbed)
    outcome = check(_program(_LOAD, _STORE))
    assert outcome.kind == "mismatch"
    assert "A1: 1 of 64" in outcome.detail


def test_check_calls_a_read_of_nothing_invalid() -> None:
    assert check(_program(_STORE)).kind == "invalid"


def test_check_names_the_stage_of_an_error() -> None:
    assert check(_program(Node("T.copy(A1[0, 0], undefined)"))).kind == "trace TileNameError"


def test_shrink_keeps_what_is_needed() -> None:
    loop = Node("for k in T.serial(2):", [Node("T.clear(f3)"), Node("T.copy(A1[0, 0], f3)")])
    program = _program(_LOAD, loop, Node("T.clear(f3)"), _STORE)
    small = shrink(program, lambda p: "T.clear" in p.text() and check(p).kind == "ok")
    assert [line.strip() for line in small.kernels[0].lines(0)][2:] == ["T.clear(f3)"]


def test_programs_print_and_parse() -> None:
    func = trace(generate(3))
    assert func.name == "main"


@pytest.mark.parametrize(("target", "least"), [("sm_80", 8), ("sm_90a", 8), ("gfx942", 7), ("gfx1100", 7)])
def test_programs_of_single_threads(target: str, least: int) -> None:
    """A seed whose program computed something else once is among them."""
    warp = parse_target(target).warp_size
    found = {seed: threads.check(threads.generate(seed, warp), f"sim:{target}") for seed in (*range(8), 121)}
    failed = {seed: outcome for seed, outcome in found.items() if outcome.failed}
    assert not failed, "\n".join(f"{s}: {o.detail}\n{threads.generate(s, warp).text()}" for s, o in failed.items())
    assert sum(outcome.kind == "ok" for outcome in found.values()) >= least
