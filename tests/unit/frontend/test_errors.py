"""Wrong programs: each names the fault, the line and the column."""

from __future__ import annotations

import pytest

from tilelang_mlir.errors import (
    TileError,
    TileNameError,
    TileSyntaxError,
    TileTypeError,
    TileValueError,
    UnsupportedError,
)

from .tracing import expect_error, kernel_text, run_text

# (what the body does, error, part of the message); the line at fault ends in "# !".
BODIES: list[tuple[str, type[TileError], str]] = [
    # Names and scopes.
    ("x = undefined_thing + 1  # !", TileNameError, "'undefined_thing' is not defined"),
    ("x = x + 1  # !", TileNameError, "'x' is read before it is assigned"),
    ("for i in T.serial(4):\n    t = A[i] + 1\nA[0] = t  # !", TileNameError, "outside of the block"),
    ("for i in T.serial(4):\n    pass\nA[i] = 1.0  # !", TileNameError, "outside of the block"),
    (
        "if bx > 1:\n    s = T.alloc_shared((8,), 'float32')\nT.clear(s)  # !",
        TileNameError,
        "outside of the block that allocates",
    ),
    ("k = 0\nif bx > 1:\n    k = 5\nA[k] = 1.0  # !", TileNameError, "changed in a run-time branch"),
    ("if bx > 1:\n    k = 1\nelse:\n    k = 2\nA[0] = k + 1  # !", TileNameError, "changed in a run-time branch"),
    (
        "k = 0\nfor i in T.serial(4):\n    k = i + 1 if False else 3\nA[0] = k * 2  # !",
        TileNameError,
        "changed in a run-time",
    ),
    ("k = 0\nfor i in T.serial(4):  # !\n    k += 1\n", TileSyntaxError, "every iteration of a run-time loop updates"),
    # Python that kernels do not have.
    ("try:  # !\n    pass\nexcept ValueError:\n    pass", TileSyntaxError, "no try statements"),
    ("for i in [1, 2]:  # !\n    A[i] = 1.0", TileSyntaxError, "cannot iterate over list"),
    ("for i in enumerate(range(3)):  # !\n    pass", TileSyntaxError, "cannot iterate over enumerate"),
    ("for i in T.serial(3):\n    A[i] = 1.0\nelse:\n    A[0] = 2.0  # !", TileSyntaxError, "else clauses"),
    ("while True:  # !\n    A[0] = 1.0", TileValueError, "always true"),
    ("if (n := 3) > 2:  # !\n    pass", TileSyntaxError, "assignment expressions"),
    ("a, *b = 1, 2, 3  # !", TileSyntaxError, "starred"),
    ("yield 3  # !", TileSyntaxError, "no yield"),
    ("global g  # !\ng = 3", TileSyntaxError, "global"),
    ("match 3:  # !\n    case 3: pass", TileSyntaxError, "match"),
    ("if bx > 2:\n    raise ValueError('x')  # !", TileSyntaxError, "raise under a run-time condition"),
    ("for i in T.serial(4):\n    return  # !", TileSyntaxError, "return inside"),
    ("f = lambda: (1 if bool(bx > 2) else 0)  # !\nf()", TileTypeError, "no truth value"),
    ("k = max(bx, 3)  # !", TileTypeError, "no truth value"),
    ("for i in T.Parallel(4):  # !\n    if i > 2:\n        break", TileSyntaxError, "no break"),
    ("for i in T.Pipelined(4, num_stages=2):  # !\n    if bx > 2:\n        break", TileSyntaxError, "no break"),
    ("x = [i for i in T.serial(3)]  # !", TileSyntaxError, "for statement"),
    ("a, b = bx  # !\n", TileTypeError, "cannot unpack 1 values into 2"),
    # Elements and slices.
    ("A[bx, 1] = 1.0  # !", TileTypeError, "has 1 dimension but got 2 indices"),
    ("B[bx] = 1.0  # !", TileTypeError, "has 2 dimensions but got 1 index"),
    ("x = B[bx] + 1  # !", TileTypeError, "has 2 dimensions but got 1 index"),
    ("A[128] = 1.0  # !", TileValueError, "index 128 is out of range"),
    ("A[-129] = 1.0  # !", TileValueError, "out of range"),
    ("A[1.5] = 1.0  # !", TileTypeError, "must be an integer"),
    ("A[A[0]] = 1.0  # !", TileTypeError, "must be an integer, got a value of dtype float32"),
    ("T.clear(A[3:3])  # !", TileValueError, "is empty"),
    ("T.clear(A[0:8:2])  # !", TileTypeError, "slices have step 1"),
    ("A[0] = B  # !", TileTypeError, "expected a scalar, got a buffer of shape"),
    ("x = A + 1  # !", TypeError, "unsupported operand"),
    # Arithmetic.
    ("x = bx / 2  # !", TileTypeError, "ambiguous"),
    ("x = bx // 0  # !", TileValueError, "division by zero"),
    ("x = A[0] & 1  # !", TileTypeError, "integer operands"),
    ("x = A[0] << 2  # !", TileTypeError, "integer operands"),
    ("x = T.exp(A)  # !", TileTypeError, "needs scalars, got a buffer"),
    ("x = T.exp(A[0], A[1])  # !", TileTypeError, "takes 1 argument"),
    ("x = T.cast(A[0], 'float17')  # !", TileTypeError, "unknown dtype"),
    ("x = T.reinterpret(A[0], 'int64')  # !", TileTypeError, "cannot reinterpret"),
    ("x = T.infinity('int32')  # !", TileTypeError, "no infinity"),
    ("x = T.ieee_add(A[0], A[1], 'up')  # !", TileValueError, "unknown rounding mode"),
    # Allocation and launch.
    ("s = T.alloc_shared((bx, 4), 'float16')  # !", TileTypeError, "compile-time integer"),
    ("s = T.alloc_shared((0, 4), 'float16')  # !", TileValueError, "expected a positive number"),
    ("s = T.alloc_fragment((4.5,), 'float16')  # !", TileTypeError, "must be an integer"),
    ("s = T.alloc_local((4,), 'float32', 'nowhere')  # !", TileValueError, "unknown scope"),
    ("v = T.alloc_var('int32', 1, 2)  # !", TileTypeError, "two initial values"),
    ("b = T.alloc_barrier(0)  # !", TileValueError, "arrival count"),
    ("with T.Kernel(4) as by:  # !\n    pass", TileError, "inside another T.Kernel"),
    ("x = T.get_thread_binding(3)  # !", TileValueError, "not in 0 to 2"),
    # Tile operations.
    ("s = T.alloc_shared((32,), 'float32')\nT.copy(A, s)  # !", TileValueError, r"\(128\) and \(32\)"),
    ("T.copy(A[0], 3)  # !", TileTypeError, "the target of T.copy must be a buffer"),
    ("T.copy(B[0], B[1])  # !", TileTypeError, "no extent"),
    (
        "s = T.alloc_shared((128,), 'float32')\nT.copy(A, s, eviction_policy='never')  # !",
        TileValueError,
        "eviction_policy",
    ),
    ("s = T.alloc_shared((128,), 'float32')\nT.async_copy(s, A)  # !", TileTypeError, "must be in global memory"),
    ("T.fill(A, A)  # !", TileTypeError, "needs a scalar value"),
    ("T.ptx_wait_group(-1)  # !", TileValueError, "0 or more"),
    (
        "a = T.alloc_shared((64, 32), 'float16')\nb = T.alloc_shared((16, 64), 'float16')\n"
        "c = T.alloc_fragment((64, 64), 'float32')\nT.gemm(a, b, c)  # !",
        TileValueError,
        r"op\(A\) is \(64, 32\), op\(B\) is \(16, 64\)",
    ),
    (
        "a = T.alloc_shared((64, 32), 'float16')\nb = T.alloc_shared((32, 64), 'bfloat16')\n"
        "c = T.alloc_fragment((64, 64), 'float32')\nT.gemm(a, b, c)  # !",
        TileTypeError,
        "multiplies float16 with bfloat16",
    ),
    (
        "a = T.alloc_shared((64, 64), 'int8')\nc = T.alloc_fragment((64, 64), 'float32')\nT.gemm(a, a, c)  # !",
        TileTypeError,
        "cannot accumulate in float32",
    ),
    (
        "a = T.alloc_shared((64, 64), 'float16')\nT.gemm(a, a, a)  # !",
        TileTypeError,
        "operand C of T.gemm is in shared memory",
    ),
    ("c = T.alloc_fragment((64,), 'float32')\nT.gemm(c, c, c)  # !", TileValueError, "two-dimensional"),
    (
        "a = T.alloc_fragment((8, 4), 'float32')\nb = T.alloc_fragment((4,), 'float32')\n"
        "T.reduce_sum(a, b, dim=1)  # !",
        TileValueError,
        r"gives \(8\), but the target has shape \(4\)",
    ),
    (
        "a = T.alloc_fragment((8, 4), 'float32')\nb = T.alloc_fragment((8,), 'float32')\n"
        "T.reduce_sum(a, b, dim=2)  # !",
        TileValueError,
        "dimension 2 is out of range",
    ),
    ("T.reduce_max(A, A, dim=0)  # !", TileTypeError, "works on fragments"),
    ("r = T.alloc_reducer((8,), 'float32', 'prod')  # !", TileValueError, "unknown reducer operation"),
    ("r = T.alloc_reducer((8,), 'float32')\nr[0] = 3.0  # !", TileTypeError, "can only be combined"),
    ("r = T.alloc_reducer((8,), 'float32', 'max')\nr[0] += 3.0  # !", TileTypeError, "of kind 'max'"),
    ("T.finalize_reducer(A)  # !", TileTypeError, "made by T.alloc_reducer"),
    ("f = T.alloc_fragment((8,), 'float32')\nT.atomic_add(f[0], 1.0)  # !", TileTypeError, "global and shared memory"),
    ("T.atomic_add(A[0], 1.0, memory_order='later')  # !", TileValueError, "unknown memory order"),
    ("T.atomic_or(A[0], 1)  # !", TileTypeError, "integer element"),
    ("T.mbarrier_arrive(A)  # !", TileTypeError, "made by T.alloc_barrier"),
    ("b = T.alloc_barrier([1, 2])\nT.mbarrier_arrive(b)  # !", TileTypeError, "array of 2"),
    ("x = T.shfl_xor(bx, 1, width=5)  # !", TileValueError, "power of two"),
    ("T.use_swizzle(0)  # !", TileValueError, "positive integer"),
    ("T.annotate_safe_value({A: bx})  # !", TileTypeError, "must be a constant"),
    ("for i in T.Parallel():  # !\n    pass", TileTypeError, "at least one extent"),
    ("for i in T.Parallel(1.5):  # !\n    pass", TileTypeError, "must be an integer"),
    ("for i in T.Pipelined(4, num_stages=bx):  # !\n    pass", TileValueError, "num_stages"),
    ("for i in T.serial(0, 4, 0):  # !\n    pass", TileValueError, "step of a loop is zero"),
    ("for i in T.serial(A[0]):  # !\n    pass", TileTypeError, "loop bounds must be integers"),
    ("T.call_extern('int32', 'f', bx)  # !", UnsupportedError, "call_extern"),
    ("T.tma_copy(A, A)  # !", UnsupportedError, "T.tma_copy is not available"),
    ("T.view(B, (128,))  # !", TileValueError, "bits"),
    ("N = T.const('N')  # !", TileError, "eager"),
    ("T.empty((3,), 'float32')  # !", TileError, "inside a kernel"),
]


@pytest.mark.parametrize(("body", "kind", "match"), BODIES, ids=[f"{i}-{m[:24]}" for i, (_, _, m) in enumerate(BODIES)])
def test_wrong_kernel_body(body: str, kind: type[TileError], match: str) -> None:
    text = kernel_text(body)
    if kind is TypeError:  # Python's own error passes through unchanged
        with pytest.raises(TypeError, match=match):
            run_text(text)
        return
    expect_error(text, kind, match)


FUNCTIONS: list[tuple[str, type[TileError], str]] = [
    ("@T.prim_func\ndef main(A):\n    with T.Kernel(1):\n        pass\n", TileTypeError, "'A' has no annotation"),
    ("@T.prim_func\ndef main(A: T.Tensor((4,), 'float32')):\n    pass\n", TileTypeError, "launches no kernel"),
    (
        "@T.prim_func\ndef main(A: 'T.Tensr((4,))'):\n    with T.Kernel(1):\n        pass\n",
        TileTypeError,
        "cannot evaluate",
    ),
    ("@T.prim_func\ndef main():\n    with T.Kernel(0):  # !\n        pass\n", TileValueError, "grid dimension 0 is 0"),
    (
        "@T.prim_func\ndef main():\n    with T.Kernel(1, threads=2048):  # !\n        pass\n",
        TileValueError,
        "at most 1024",
    ),
    ("@T.prim_func\ndef main():\n    with T.Kernel(1, 2, 3, 4):  # !\n        pass\n", TileValueError, "1 to 3 grid"),
    ("@T.prim_func\ndef main():\n    with T.Kernel(1.5):  # !\n        pass\n", TileTypeError, "must be an integer"),
    (
        "@T.prim_func\ndef main():\n    s = T.alloc_shared((4,), 'float32')  # !\n",
        TileError,
        "only be used inside `with T.Kernel",
    ),
    (
        "@T.prim_func\ndef main(A: T.Tensor((4,), 'float32')):\n    A[0] = 1.0  # !\n    with T.Kernel(1):\n"
        "        pass\n",
        TileError,
        "only be used inside `with T.Kernel",
    ),
    (
        "@T.prim_func\ndef main(x: T.int32):\n    with T.Kernel(1):\n        return x  # !\n",
        TileSyntaxError,
        "return inside",
    ),
    (
        "@T.prim_func\ndef main(x: T.int32):\n    with T.Kernel(1):\n        pass\n    return x\n",
        TileTypeError,
        "can only return tensors made by T.empty",
    ),
]


@pytest.mark.parametrize(("text", "kind", "match"), FUNCTIONS, ids=[m[:30] for _, _, m in FUNCTIONS])
def test_wrong_function(text: str, kind: type[TileError], match: str) -> None:
    expect_error(text, kind, match)


def test_users_own_exception_passes_through() -> None:
    with pytest.raises(KeyError, match="missing"):
        run_text(kernel_text("x = {}['missing']"))


def test_python_raise_on_compile_time_condition() -> None:
    with pytest.raises(ValueError, match="odd size"):
        run_text(kernel_text("if 3 % 2:\n    raise ValueError('odd size')"))


def test_python_assert_on_compile_time_condition() -> None:
    with pytest.raises(AssertionError, match="too big"):
        run_text(kernel_text("assert 3 < 2, 'too big'"))


def test_error_in_macro_points_at_both_places() -> None:
    text = """
    @T.macro
    def inner(A, n):
        A[n, 0] = 1.0
    """ + kernel_text("inner(A, bx)").replace("\n", "\n    ")
    error = expect_error(text, TileTypeError, "2 indices")
    assert "A[n, 0] = 1.0" in str(error)
    notes = [place for what, place in error.notes if what == "called from here"]
    assert notes and notes[0] is not None and "inner(A, bx)" in notes[0].render()


def test_caret_is_under_the_expression() -> None:
    error = expect_error(kernel_text("A[bx] = A[bx] + B[bx, 1] / (bx / 3)  # !"), TileTypeError, "ambiguous")
    source, caret = str(error).splitlines()[1:3]
    assert source[caret.index("^") : caret.rindex("^") + 1] == "bx / 3"


def test_column_counts_characters_not_bytes() -> None:
    error = expect_error(kernel_text("s = 'ü大'; x = bx / 3  # !"), TileTypeError, "ambiguous")
    line = error.location.render().splitlines()[0] if error.location else ""
    assert line[8:][error.location.column : error.location.end_column] == "bx / 3"  # type: ignore[union-attr]
