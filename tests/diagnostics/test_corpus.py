"""Every wrong program of the corpus gets its message, and every message has the same form."""

from __future__ import annotations

import warnings

import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tests.diagnostics import corpus
from tilelang_mlir import knobs
from tilelang_mlir.errors import TileError, TileWarning

CASES = corpus.cases()
# Of calls from outside a kernel: the traceback shows the call.
_WITHOUT_PLACE = {"jit"}


@pytest.mark.parametrize("case", CASES, ids=[f"{c.family}-{c.title}" for c in CASES])
def test_message(case: corpus.Case) -> None:
    with knobs.overrides({"TILELANG_DISABLE_CACHE": True}):
        error, text = corpus.outcome(case)
    assert text == case.message, "python -m tests.diagnostics.corpus writes the messages anew"
    if case.family == "warnings":
        assert error is None and text.startswith("TileWarning: program.py:")
    else:
        assert isinstance(error, TileError), text
    if case.family not in _WITHOUT_PLACE:
        assert "program.py:" in text.splitlines()[0]
    assert text.count("\nhint: ") == 1, "what, where, expected and got, and one hint"


def test_the_corpus_is_large_and_without_repetition() -> None:
    assert len(CASES) >= 120
    assert len({(case.family, case.title, case.body) for case in CASES}) == len(CASES)


def test_places_have_carets() -> None:
    """Columns are known of everything inside a kernel's body."""
    inside = [case for case in CASES if not case.body.startswith("# program")]
    missing = [case.title for case in inside if "^" not in case.message]
    assert not missing


def test_definitions_are_shown() -> None:
    shown = [case.title for case in CASES if "\nnote: program.py:" in case.message]
    assert len(shown) >= 10


QUIET = """
s = T.alloc_shared((128,), "float32")
v = T.alloc_var("int32")
r = T.alloc_fragment((128,), "float32")
v = 0
for i in T.Parallel(64):
    A[i] = A[i] + A[i + 64]
    A[bx * 64 + i] = A[bx * 64 + i] * 2
for k in T.serial(4):
    if k == 0:
        T.copy(A, s)
    T.copy(s, r)
    for i in T.Parallel(128):
        if i == 0:
            s[0] = r[i]
        r[i] = r[i] + v
T.copy(r, A)
h = T.alloc_shared((64, 64), "float16")
c = T.alloc_fragment((64, 64), "float32")
T.clear(h)
for k in T.serial(4):
    T.gemm(h, h, c, clear_accum=k == 0)
"""


def test_sound_programs_are_not_suspected() -> None:
    program = corpus.Case("quiet", "quiet", QUIET.strip(), "").program + 'tilelang.compile(main, target="sim:sm_80")'
    case = corpus.Case("quiet", "quiet", f"# program\n{program}", "")
    with warnings.catch_warnings():
        warnings.simplefilter("error", TileWarning)
        error, text = corpus.outcome(case)
        assert error is None and text == ""


def test_roles_run_in_any_order() -> None:
    """The warpgroup that fills a tile may stand below the one that reads it."""

    @T.prim_func
    def main(A: T.Tensor((64, 64), "float32"), B: T.Tensor((64, 64), "float32")):
        with T.Kernel(1, threads=256) as _:
            tile = T.alloc_shared((64, 64), "float32")
            full = T.alloc_barrier([1])
            with T.ws(0):
                T.barrier_wait(full[0], 0)
                T.copy(tile, B)
            with T.ws(1):
                T.tma_copy(A, tile, barrier=full[0])

    with warnings.catch_warnings():
        warnings.simplefilter("error", TileWarning)
        tilelang.compile(main, target="sim:sm_90a")


@pytest.mark.parametrize("key", ["tl.disable_buffer_init_check", "tl.disable_data_race_check"])
def test_pass_configs_turn_warnings_off(key: str) -> None:
    def make() -> object:
        @T.prim_func
        def main(A: T.Tensor((16,), "float32")):
            with T.Kernel(1, threads=32) as _:
                s = T.alloc_shared((16,), "float32")
                T.copy(s, A)
                for i in T.Parallel(16):
                    A[0] = s[i]

        return main

    with knobs.overrides({"TILELANG_DISABLE_CACHE": True}), warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        tilelang.compile(make(), target="sim:sm_80", pass_configs={key: True})
    found = [str(w.message) for w in heard if issubclass(w.category, TileWarning)]
    assert len(found) == 1 and ("read before" in found[0]) == (key == "tl.disable_data_race_check")
