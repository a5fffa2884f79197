"""Control flow: a traced kernel, evaluated, does what Python does with the same statements."""

from __future__ import annotations

import numpy as np
import pytest

from tilelang_mlir.reference import evaluate

from .tracing import checked, run_text, trace_kernel

PARAMS = 'I: T.Tensor((32,), "int32"), O: T.Tensor((32,), "int32"), n: T.int32'

# Statements over I (input), O (output), n, which mean the same in Python and in a kernel; `var` makes mutable scalars.
PROGRAMS = {
    "for-range": "for i in range(n):\n    O[i] = I[i] + 1",
    "for-step": "for i in range(3, 20, 4):\n    O[i] = i",
    "for-down": "for i in range(9, 1, -3):\n    O[i] = i",
    "for-down-empty": "for i in range(1, 9, -3):\n    O[i] = i",
    "nested": "for i in range(4):\n    for j in range(i):\n        O[i * 4 + j] = i - j",
    "if-else": "for i in range(32):\n    if I[i] > 3:\n        O[i] = 1\n    elif I[i] == 2:\n"
        "        O[i] = 2\n    else:\n        O[i] = 3",
    "break": "for i in range(32):\n    if I[i] == 5:\n        break\n    O[i] = 1",
    "break-nested": (
        "for i in range(6):\n    for j in range(5):\n        if I[i * 5 + j] > 6:\n            break\n"
        "        O[i * 5 + j] = 1\n    O[31] += 1"
    ),
    "continue": "for i in range(32):\n    if I[i] % 2 == 0:\n        continue\n    O[i] = I[i]",
    "continue-deep": (
        "for i in range(32):\n    if I[i] > 2:\n        if I[i] < 6:\n            continue\n        O[i] = 1\n"
        "    O[i] += 2"
    ),
    "break-and-continue": (
        "for i in range(32):\n    if I[i] == 1:\n        continue\n    if I[i] == 7:\n        O[i] = 9\n        break\n"
        "    O[i] = 4\nO[31] = 3"
    ),
    "break-first": "for i in range(32):\n    O[i] = 1\n    break\n",
    "continue-always": "for i in range(8):\n    O[i] = 1\n    continue\n    O[i] = 2",
    "while": "v = var(0)\nwhile v < n:\n    O[v] = v * 2\n    v += 1",
    "while-break": "v = var(0)\nwhile True:\n    if v >= n:\n        break\n    O[v] = 7\n    v = v + 1",
    "while-continue": "v = var(0)\nwhile v < 10:\n    v += 1\n    if v % 3 == 0:\n        continue\n    O[v] = v",
    "while-load": "v = var(0)\nwhile v < 32 and I[v] != 6:\n    O[v] = 1\n    v += 1",
    "ternary": "for i in range(32):\n    O[i] = I[i] if I[i] > 4 else -1",
    "ternary-guard": "for i in range(40):\n    O[i % 32] = O[i % 32] + (I[i] if i < 32 else 100)",
    "and-or-not": "for i in range(32):\n    if I[i] > 2 and not I[i] == 5 or i == 3:\n        O[i] = 1",
    "chain": "for i in range(32):\n    if 2 < I[i] <= 5 != i:\n        O[i] = 1",
    "swap": "a = var(1)\nb = var(2)\na, b = b, a\nO[0] = a\nO[1] = b",
    "read-then-store": "t = I[0]\nO[0] = 5\nu = O[0]\nO[0] = 6\nO[1] = u + t",
    "accumulate": "s = var(0)\nfor i in range(n):\n    s += I[i]\nO[0] = s",
    "alias-copies": "a = var(4)\nb = a\na = 9\nO[0] = a\nO[1] = b",
    "floor-division": "for i in range(16):\n    O[i] = (i - 8) // 3\n    O[i + 16] = (i - 8) % 3",
    "shifts": "for i in range(16):\n    O[i] = (I[i] << 3) ^ (I[i] >> 1) | 64 & ~i",
    "compile-time": "k = 0\nk = k + 3\nif k == 3:\n    O[k] = 1\nelse:\n    O[0] = 2",
    "augmented-item": "for i in range(8):\n    O[i] += 5\n    O[i] *= 2\n    O[i] -= i\n    O[i] //= 3",
    "multiple-targets": "a = b = 7\nO[0] = a\nO[1] = b",
    "loop-break-call": "for i in range(32):\n    if I[i] == 5:\n        T.loop_break()\n    O[i] = 1",
    "else-sees-value-before": "k = n\nif I[0] > 100:\n    k = k + 1\n    O[0] = k\nelse:\n    O[1] = k",
    "same-value-in-branch": "k = 3\nif I[0] > 100:\n    k = 3\nO[k] = 1",
    "local-in-loop": "for i in range(4):\n    k = 0\n    k += 2\n    O[i] = k",
    "pass": "for i in range(3):\n    pass\nO[0] = 1",
}


def _expected(program: str, source: np.ndarray, n: int) -> np.ndarray:
    out = np.zeros(32, np.int32)
    text = program.replace("T.loop_break()", "break")
    exec(text, {"I": source, "O": out, "n": n, "var": lambda value: value})
    return out


@pytest.mark.parametrize("name", PROGRAMS)
def test_kernel_does_what_python_does(name: str) -> None:
    program = PROGRAMS[name]
    text = program.replace("var(", 'T.alloc_var("int32", ')
    func = checked(run_text(_single(text))["main"])
    source = np.random.default_rng(len(name)).integers(0, 9, 40).astype(np.int32)
    out = np.zeros(32, np.int32)
    with func.context:
        evaluate(func.module, "main", [source[:32].copy(), out, 11])
    np.testing.assert_array_equal(out, _expected(program, source, 11))


def _single(body: str) -> str:
    inner = "\n".join("        " + line for line in body.splitlines())
    return f"@T.prim_func\ndef main({PARAMS}):\n    with T.Kernel(1, threads=1) as bx:\n{inner}\n"


def test_python_condition_traces_one_branch() -> None:
    func = trace_kernel("if True:\n    A[0] = 1.0\nelse:\n    A[0] = undefined")
    assert "scf.if" not in str(func)
    assert str(func).count("memref.store") == 1


def test_continue_at_the_top_of_a_loop_needs_no_flag() -> None:
    func = trace_kernel("for i in T.serial(8):\n    if A[i] > 1.0:\n        continue\n    A[i] = 2.0")
    assert "i1, #tl.scope" not in str(func)
    assert "scf.for" in str(func)


def test_select_or_branch_by_what_a_side_reads() -> None:
    cheap = trace_kernel("A[0] = T.if_then_else(bx > 1, bx * 2.0, 0.0)")
    assert "arith.select" in str(cheap) and "scf.if" not in str(cheap)
    guarded = trace_kernel("A[0] = T.if_then_else(bx < 3, A[bx + 1], 0.0)")
    text = str(guarded)
    assert "scf.if" in text and text.index("scf.if") < text.index("memref.load")


def test_index_arithmetic_of_a_guarded_load_stays_inside() -> None:
    func = trace_kernel("x = A[bx * 7 + 1] if bx < 3 else 0.0\nA[0] = x + (bx * 7)")
    assert "arith.muli" in str(func)


def test_pipelined_attributes() -> None:
    func = trace_kernel("for k in T.Pipelined(8, num_stages=3):\n    A[k] = 1.0")
    assert "tl.pipeline = {num_stages = 3 : i32}" in str(func)
    plain = trace_kernel("for k in T.Pipelined(8):\n    A[k] = 1.0")
    assert "tl.pipeline" not in str(plain)
    ordered = trace_kernel("for k in T.Pipelined(8, order=[0, 1], stage=[0, 2]):\n    A[k] = 1.0\n    A[k] = 2.0")
    assert "order = array<i64: 0, 1>" in str(ordered) and "stage = array<i64: 0, 2>" in str(ordered)


def test_parallel_grid_unroll_vectorized() -> None:
    func = trace_kernel(
        "for i, j in T.Parallel(8, bx + 1, coalesced_width=4):\n    A[i] = 1.0\n"
        "for i, j in T.grid(2, 3):\n    A[i + j] = 2.0\n"
        "for i in T.unroll(4):\n    A[i] = 3.0\n"
        "for i in T.vectorized(4):\n    A[i] = 4.0\n"
        "for i in T.unroll(8, unroll_factor=2):\n    A[i] = 5.0\n"
    )
    text = str(func)
    assert "coalesced_width = 4 : i32, extents = array<i64: 8, -1>" in text
    assert text.count("scf.for") == 5
    assert "{tl.unroll}" in text and "{tl.vectorize}" in text and "tl.unroll = 2 : i32" in text


def test_persistent_loop_visits_every_tile_once() -> None:
    text = """
    @T.prim_func
    def main(O: T.Tensor((6, 10), "int32")):
        with T.Kernel(7, threads=1) as bx:
            for i, j in T.Persistent([6, 10], 7, bx, group_size=4):
                O[i, j] += 1
            for k in T.Persistent([60], 7, bx):
                O[k // 10, k % 10] += 1
    """
    func = checked(run_text(text)["main"])
    out = np.zeros((6, 10), np.int32)
    with func.context:
        evaluate(func.module, "main", [out])
    np.testing.assert_array_equal(out, np.full((6, 10), 2))
