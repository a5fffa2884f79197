"""Tracing whole kernels: structure of the host function, arguments, locations, speed."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

import tilelang_mlir.language as T
from tilelang_mlir.dialect.location import call_stack, name_of, python_location
from tilelang_mlir.errors import TileTypeError
from tilelang_mlir.frontend.primfunc import PrimFunc
from tilelang_mlir.mlir import ir
from tilelang_mlir.reference import evaluate

from .tracing import checked, run_text, trace_kernel


def matmul(M, N, K, block_M=32, block_N=32, block_K=16, dtype="float16"):
    @T.prim_func
    def main(A: T.Tensor((M, K), dtype), B: T.Tensor((K, N), dtype), C: T.Tensor((M, N), dtype)):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=128) as (bx, by):
            A_shared = T.alloc_shared((block_M, block_K), dtype)
            B_shared = T.alloc_shared((block_K, block_N), dtype)
            C_local = T.alloc_fragment((block_M, block_N), "float32")
            T.clear(C_local)
            for ko in T.Pipelined(T.ceildiv(K, block_K), num_stages=3):
                T.copy(A[by * block_M, ko * block_K], A_shared)
                T.copy(B[ko * block_K : (ko + 1) * block_K, bx * block_N : (bx + 1) * block_N], B_shared)
                T.gemm(A_shared, B_shared, C_local)
            T.copy(C_local, C[by * block_M, bx * block_N])

    return main


def walk(op) -> list:
    found = []

    def visit(inner):
        found.append(inner)
        return ir.WalkResult.ADVANCE

    op.walk(visit)
    return found


def ops(func: PrimFunc, name: str) -> list:
    return [op for op in walk(func.module.operation) if op.name == name]


@pytest.mark.parametrize("shape", [(64, 64, 32), (70, 45, 33)])
def test_matmul_computes_the_product(shape: tuple[int, int, int]) -> None:
    M, N, K = shape
    func = checked(matmul(M, N, K))
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(s).astype(np.float16) for s in ((M, K), (K, N)))
    c = np.full((M, N), np.nan, np.float16)
    with func.context:
        evaluate(func.module, "main", [a, b, c])
    expected = a.astype(np.float64) @ b.astype(np.float64)
    assert np.linalg.norm(c - expected) <= 2e-3 * np.linalg.norm(expected)


def test_matmul_with_symbolic_sizes() -> None:
    m, n = T.dynamic("m, n")
    func = checked(matmul(m, n, 33))
    text = str(func.module)
    assert '{dtype = "int32", kind = "symbol", name = "m"}' in text
    assert "memref<?x33xf16" in text and "memref<33x?xf16" in text
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((50, 33)).astype(np.float16), rng.standard_normal((33, 41)).astype(np.float16)
    c = np.full((50, 41), np.nan, np.float16)
    with func.context:
        evaluate(func.module, "main", [a, b, c, 50, 41])
    expected = a.astype(np.float64) @ b.astype(np.float64)
    assert np.linalg.norm(c - expected) <= 2e-3 * np.linalg.norm(expected)


def test_tracing_is_fast() -> None:
    matmul(512, 512, 512, 128, 128, 32)
    times = []
    for _ in range(5):
        start = time.process_time()
        matmul(512, 512, 512, 128, 128, 32)
        times.append(time.process_time() - start)
    assert min(times) < 0.1  # a tenth of that is usual; the test machine may be busy


def test_import_is_light() -> None:
    program = (
        "import sys, time; t = time.process_time(); import tilelang_mlir; t = time.process_time() - t;"
        "print(t, any(m.split('.')[0] in ('torch', 'torch_mlir', 'mlir', 'numpy') for m in sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert float(out[0]) < 0.15
    assert out[1] == "False"


def test_host_function_arguments_in_order() -> None:
    m = T.dynamic("m")

    @T.prim_func
    def main(
        A: T.Tensor((m, 4), "float16"), p: T.ptr, x: T.float32, n: T.int64, C: T.StridedTensor((4, m), (m, 1), "int8")
    ):
        with T.Kernel(T.ceildiv(m, 2), threads=[32, 2]) as bx:
            C[0, bx] = T.cast(A[bx, 0] * x, "int8")

    text = str(checked(main).module)
    assert "(%arg0: !llvm.ptr<1>, %arg1: !llvm.ptr<1>, %arg2: f32, %arg3: i64, %arg4: !llvm.ptr<1>, %arg5: i32)" in text
    kinds = ["tensor", "pointer", "scalar", "scalar", "tensor", "symbol"]
    places = [text.index(f'kind = "{kind}", name = "{name}"') for kind, name in zip(kinds, "ApxnCm", strict=True)]
    assert places == sorted(places)
    assert "strided<[?, 1]>" in text and "threads = array<i32: 32, 2, 1>" in text
    assert [param.name for param in main.params] == ["A", "p", "x", "n", "C"]
    assert [main.buffer_map[param].name for param in main.buffer_map] == ["A", "C"]


def test_kernels_use_only_arguments_of_the_host_function() -> None:
    m = T.dynamic("m")
    rows = T.ceildiv(m, 4) * 4

    @T.prim_func
    def main(A: T.Tensor((m, 8), "float32")):
        half = rows // 2
        with T.Kernel(half, threads=32) as bx:
            A[bx, 0] = half + T.min(rows, 7)

    launch = ops(checked(main), "tl.launch")[0]
    for op in walk(launch):
        if op.name == "tl.launch":
            continue
        for operand in op.operands:
            owner = operand.owner
            outside = hasattr(owner, "name") and owner.parent.name == "func.func"
            assert not outside or owner.name == "tl.tensor"


def test_locations_and_names() -> None:
    text = """
    @T.macro
    def scale(x, y):
        return x * y

    @T.prim_func
    def main(A: T.Tensor((16,), "float32")):
        with T.Kernel(2, threads=32) as bx:
            total = T.alloc_fragment((16,), "float32")
            doubled = A[bx] * 2.0
            T.clear(total)
            A[bx] = scale(doubled, A[0])
    """
    func = checked(run_text(text)["main"])
    alloc = ops(func, "tl.alloc")[0]
    assert name_of(alloc.location) == "total"
    where = python_location(alloc.location)
    assert where is not None and (where.line, where.column) == (11, 16)
    fill = python_location(ops(func, "tl.fill")[0].location)
    assert fill is not None and fill.render().endswith("^" * len("T.clear(total)"))
    multiply, in_macro = ops(func, "arith.mulf")
    assert name_of(multiply.location) == "doubled"
    callers = call_stack(in_macro.location)
    inner = python_location(in_macro.location)
    assert inner is not None and inner.line == 6 and inner.render().splitlines()[0].endswith("return x * y")
    assert len(callers) == 1 and callers[0].line == 14
    store = python_location(ops(func, "memref.store")[0].location)
    assert store is not None and store.line == 14 and store.render().endswith("^" * len("A[bx]"))
    assert "%total =" in func.script() and "^bb0(%bx: i32)" in func.script()


def test_equal_expressions_are_emitted_once() -> None:
    func = trace_kernel("for i in T.serial(4):\n    A[bx * 4 + i] = A[bx * 4 + i] + 1.0")
    assert str(func).count("arith.muli") == 1


def test_slice_extents_fold() -> None:
    func = trace_kernel(
        "s = T.alloc_shared((16, 64), 'float16')\nT.copy(B[(bx + 1) * 16 : (bx + 2) * 16, :], s)\n"
        "T.copy(B[bx * 8 + 3 : bx * 8 + 3 + 16, 0:64], s)"
    )
    assert str(func).count("sizes = array<i64: 16, 64>") == 2


def test_several_kernels_and_workspace() -> None:
    @T.prim_func
    def main(A: T.Tensor((64,), "float32")):
        work = T.alloc_global((64,), "float32")
        with T.Kernel(2, threads=32) as (bx,):
            for i in T.Parallel(32):
                work[bx * 32 + i] = A[bx * 32 + i] * 2.0
        with T.Kernel(2, threads=32) as bx:
            for i in T.Parallel(32):
                A[bx * 32 + i] = work[63 - bx * 32 - i]

    func = checked(main)
    data = np.arange(64, dtype=np.float32)
    with func.context:
        evaluate(func.module, "main", [data])
    np.testing.assert_array_equal(data, np.arange(64)[::-1] * 2)
    assert [op.attributes["name"].value for op in ops(func, "tl.launch")] == ["main_kernel", "main_kernel_1"]


def test_string_annotations() -> None:
    text = (
        "N = 16\ndef make(dt):\n    @T.prim_func\n    def main(A: 'T.Tensor((N,), dt)'):\n"
        "        with T.Kernel(1):\n            A[0] = 1\n    return main\nmain = make('int8')\n"
    )
    assert "memref<16xi8" in str(checked(run_text(text)["main"]))


def test_unbound_source_is_reported() -> None:
    scope: dict = {"T": T}
    exec("def main(A: T.Tensor((4,), 'float32')):\n    with T.Kernel(1):\n        A[0] = 1.0\n", scope)
    with pytest.raises(Exception, match="source of 'main' is not available"):
        T.prim_func(scope["main"])


def test_integer_dtypes_and_division() -> None:
    func = trace_kernel("x = bx // 3\ny = (bx - 5) // 3\nA[x] = bx % 4\nA[0] = y % 4 + (bx * 8) % 4 + (bx * 8) // 4")
    text = str(func)
    assert text.count("arith.floordivsi") == 2 and "arith.divui" in text and "arith.remui" in text
    assert "arith.remsi" not in text


def test_dtype_promotion() -> None:
    params = (
        'H: T.Tensor((8,), "float16"), F: T.Tensor((8,), "float32"), I: T.Tensor((8,), "int8"), U: '
        'T.Tensor((8,), "uint8")'
    )
    func = trace_kernel(
        "F[0] = H[0] + F[1]\nF[2] = I[0] * H[0]\nI[1] = I[0] + 1\nF[3] = I[0] * 0.5\nF[4] = (H[0] > 1) + 1\n"
        "I[2] = U[0] + I[0]\nU[1] = U[0] >> 1\nI[3] = I[0] >> 1\nF[5] = U[0] < 3\n"
        'F[6] = T.cast((U[0] >> 2) & 15, "float32")\nF[7] = T.cast((I[0] + I[1]) & 15, "float32")\n'
        "if I[0] + 2**40 > I[1] - 300:\n    U[2] = 1",
        params,
    )
    text = str(func)
    assert 'from = "float16", to = "float32"' in text  # wider float wins
    assert 'from = "int8", to = "float16"' in text  # an integer meets a float as that float
    assert 'from = "int8", to = "float32"' in text  # a float literal makes float32
    assert 'from = "bool", to = "int32"' in text
    assert "arith.shrui" in text and "arith.shrsi" in text and "arith.cmpi ult" in text
    assert 'from = "uint8", to = "int8"' in text
    assert 'from = "int8", to = "int64"' in text  # literals without room make wider integers
    assert "300 : i32" in text
    assert 'from = "uint8", to = "float32"' in text and 'from = "uint8", to = "int32"' not in text  # masks stay narrow
    assert 'from = "int8", to = "int32"' in text  # sums do not


def test_host_condition_on_size_is_an_error() -> None:
    m = T.dynamic("m")
    with pytest.raises(Exception, match="only be used inside"):

        @T.prim_func
        def main(A: T.Tensor((m,), "float32")):
            if m > 3:
                with T.Kernel(1):
                    A[0] = 1.0


def test_type_error_is_a_python_type_error() -> None:
    with pytest.raises(TypeError):
        trace_kernel("x = bx / 2")
    assert issubclass(TileTypeError, TypeError)


def test_reads_of_a_local_array_are_one_value_until_something_may_write() -> None:
    """So the length of `A[n[0] : n[0] + 64]` is known; over stores, loops and branches reads stay apart."""
    text = str(
        trace_kernel(
            'n = T.alloc_local((1,), "int32")\nn[0] = 3\ns = T.alloc_shared((64,), "float32")\n'
            "T.copy(A[n[0] : n[0] + 64], s)\nbefore = n[0]\nfor i in T.serial(2):\n    A[n[0] - before] = 1.0\n"
            "    n[0] = n[0] + 1\nA[n[0] - before] = 2.0",
            'A: T.Tensor((128,), "float32")',
        )
    )
    assert "sizes = array<i64: 64>" in text and text.count("arith.subi") == 2


def test_extents_of_quotients_without_remainder() -> None:
    """A product by a multiple of the divisor is divided exactly, whatever its sign: the difference is a number."""

    @T.prim_func
    def kernel(A: T.Tensor((64, 128), "float16"), B: T.Tensor((2, 64), "float16"), first: T.int32):
        with T.Kernel(2, threads=32) as b:
            s = T.alloc_shared((1, 64), "float16")
            k = first - b  # may be negative
            T.copy(A[b : b + 1, k * 128 // 2 : (k + 1) * 128 // 2], s)
            T.copy(s, B[b : b + 1, :])

    assert "sizes = array<i64: 1, 64>" in str(kernel.module) and "-1" not in str(kernel.module).split("tl.launch")[1]
