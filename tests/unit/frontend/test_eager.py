"""The jit decorator: styles, argument binding, caching; kernels are stubs that record what they were made of."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.jit.compile as compiling
import tilelang_mlir.language as T
from tilelang_mlir.errors import ArgumentError, TileError, TileTypeError, TileValueError
from tilelang_mlir.jit.batch import Batch

from .tracing import checked


class StubKernel:
    def __init__(self, prim_func: Any, options: dict[str, Any]) -> None:
        self.prim_func, self.options = prim_func, options
        self.calls: list[tuple[Any, ...]] = []

    def __call__(self, *args: Any) -> Any:
        self.calls.append(args)
        return ("ran", self)

    def get_kernel_source(self) -> str:
        return f"source of {self.prim_func.name}"


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[StubKernel]:
    made: list[StubKernel] = []

    def compile_untraced(program: Any, **options: Any) -> StubKernel:
        prim_func = program.trace()
        made.append(StubKernel(prim_func, options))
        return made[-1]

    monkeypatch.setattr(compiling, "compile_untraced", compile_untraced)
    return made


def make_add() -> Any:
    @tilelang.jit
    def add(A, B, blk: int = 256):
        N = T.const("N")
        A: T.Tensor[[N], T.float32]
        B: T.Tensor((N,), T.float32)
        C = T.empty((N,), T.float32)
        with T.Kernel(T.ceildiv(N, blk), threads=128) as b:
            for i in T.Parallel(blk):
                C[b * blk + i] = A[b * blk + i] + B[b * blk + i]
        return C

    return add


def make_scale() -> Any:
    @tilelang.jit(out_idx=[-1], target="sim", pass_configs={"a": 1})
    def scale(N, dt="float32", sizes=(1, 2)):
        @T.prim_func
        def k(X: T.Tensor((N,), dt), Y: T.Tensor((N,), dt)):
            with T.Kernel(T.ceildiv(N, 256), threads=256) as b:
                for i in T.Parallel(256):
                    Y[b * 256 + i] = X[b * 256 + i] * 2

        return k

    return scale


def test_lazy_compiles_once_per_arguments(compiled: list[StubKernel]) -> None:
    scale = make_scale()
    kernel = scale(4096)
    assert scale.style == "lazy"
    assert scale(N=4096) is kernel and scale(4096, "float32", (1, 2)) is kernel
    assert scale(4096, "float16") is not kernel and len(compiled) == 2
    assert kernel.options["out_idx"] == [-1] and kernel.options["target"] == "sim"
    assert kernel.options["pass_configs"] == {"a": 1}
    assert scale.out_idx == [-1] and scale.get_kernel_source(4096) == "source of k"


def test_lazy_keys_tell_types_apart() -> None:
    scale = make_scale()
    assert scale.parse_cache_key(1) != scale.parse_cache_key(True) != scale.parse_cache_key(1.0)
    assert scale.parse_cache_key(1, sizes=[1, 2]) == scale.parse_cache_key(1, sizes=[1, 2])
    assert hash(scale.parse_cache_key(1, sizes={"a": [1]})) is not None
    with pytest.raises(ArgumentError, match="not hashable"):
        scale.parse_cache_key(1, sizes=bytearray(b"x"))
    with pytest.raises(ArgumentError, match="missing a required argument"):
        scale.parse_cache_key()


def test_lazy_that_returns_no_prim_func() -> None:
    @tilelang.jit
    def broken(n):
        return n

    with pytest.raises(TileTypeError, match="must return a prim_func, got int"):
        broken(3)


def test_lazy_helper_returning_a_prim_func(compiled: list[StubKernel]) -> None:
    func = make_scale().get_tir(512)

    @tilelang.jit
    def outer(n):
        return func

    assert outer(3).prim_func is func


def test_eager_specialises_for_shapes(compiled: list[StubKernel]) -> None:
    add = make_add()
    a, b = np.zeros(1000, np.float32), np.zeros(1000, np.float32)
    result, kernel = add(a, b)
    assert add.style == "eager" and result == "ran" and kernel.calls[0][0] is a and len(kernel.calls[0]) == 2
    add(a, b, blk=256)
    assert len(compiled) == 1
    add(np.zeros(64, np.float32), np.zeros(64, np.float32))
    add(a, b, 128)
    assert len(compiled) == 3
    text = str(checked(kernel.prim_func).module)
    assert "memref<1000xf32" in text and "tl.out_idx = array<i64: 2>" in text
    assert add.compile(N=1000) is kernel
    assert add.compile(T.Tensor((1000,), "float32"), T.Tensor((1000,), "float32")) is kernel
    assert kernel.prim_func.attrs["tilelang_out_idx"] == [-1]


def test_repeated_calls_reach_the_same_kernels(compiled: list[StubKernel]) -> None:
    add = make_add()
    small, large = np.zeros(64, np.float32), np.zeros(96, np.float32)
    first = add(small, small)[1]
    for _ in range(2):
        assert add(small, small)[1] is first
        assert add(A=small, B=small)[1] is first and add(B=small, A=small, blk=256)[1] is first
        assert add(large, large)[1] is add(large, B=large)[1] is not first
        assert add(small, small, 128)[1] is add(small, small, blk=128)[1] is not first
    assert len(compiled) == 3
    with pytest.raises(ArgumentError):
        add(3, small)
    with pytest.raises(ArgumentError, match="not hashable"):
        add(small, small, bytearray(b"x"))
    marked = add(B=large, A=small)[1]
    assert marked is first and marked.calls[-1][0] is small and marked.calls[-1][1] is large


def test_eager_outputs_in_the_order_they_are_returned() -> None:
    @tilelang.jit
    def split(A):
        N = T.const("N")
        A: T.Tensor[[N], T.float32]
        first = T.empty(N, dtype="int8")
        second = T.empty((N, 2), "float16")
        with T.Kernel(N, threads=32) as i:
            first[i] = A[i]
            second[i, 0] = A[i]
        return second, first

    func = checked(split.get_tir(N=8))
    assert [param.dtype for param in func.params] == ["float32", "float16", "int8"]
    assert "tl.out_idx = array<i64: 1, 2>" in str(func.module)


def test_eager_scalars_dtypes_and_dynamic_sizes(compiled: list[StubKernel]) -> None:
    m = T.dynamic("m")

    @tilelang.jit
    def fill(x: T.float32, A, n: T.int32 = 3, dt: T.dtype = "float16"):
        K = T.const("K")
        A: T.Tensor[[m, K], dt]
        with T.Kernel(T.ceildiv(m, 4), threads=32) as b:
            if b < n:
                A[b, K - 1] = x

    a = np.zeros((7, 5), np.float16)
    _, kernel = fill(2.0, a)
    assert kernel.calls == [(2.0, a, 3)]
    fill(3.0, np.zeros((9, 5), np.float16), n=8)
    fill(3.0, np.zeros((9, 5), np.float16), dt=np.float16)
    assert len(compiled) == 1
    assert [param.kind for param in kernel.prim_func.params] == ["scalar", "tensor", "scalar"]
    assert 'kind = "symbol", name = "m"' in str(checked(kernel.prim_func).module)


def test_eager_stride_supplies_a_size() -> None:
    @tilelang.jit
    def first(A):
        N, S = T.const("N, S")
        A: T.StridedTensor[[N, 4], [S, 1], T.float32]
        with T.Kernel(N, threads=32) as b:
            A[b, 0] = 1.0

    big = np.zeros((6, 10), np.float32)[:, :4]
    assert "strides = array<i64: 10, 1>" in str(first.get_tir(big).module)


def test_annotations_in_signature_and_body(compiled: list[StubKernel]) -> None:
    """The body says the sizes of what the signature only calls a tensor; assertions about sizes run with numbers."""

    @tilelang.jit
    def double(A: T.Tensor, B: T.Tensor):
        N = T.const("N")
        A: T.Tensor[[N], T.float32]
        B: T.Tensor[[N], T.float32]
        assert N % 4 == 0, "N is a multiple of 4"
        with T.Kernel(T.ceildiv(N, 64), threads=64) as b:
            for i in T.Parallel(64):
                B[b * 64 + i] = A[b * 64 + i] * 2

    double(np.zeros(8, np.float32), np.zeros(8, np.float32))
    assert "shape = array<i64: 8>" in str(compiled[0].prim_func.module)
    with pytest.raises(AssertionError, match="multiple of 4"):
        double(np.zeros(9, np.float32), np.zeros(9, np.float32))


def test_eager_errors() -> None:
    @tilelang.jit
    def product(A):
        N = T.const("N")
        A: T.Tensor[[N * 2], T.float32]
        with T.Kernel(N, threads=32) as b:
            A[b] = 1.0

    with pytest.raises(TileTypeError, match="is no dimension or stride of any argument"):
        product(np.zeros(8, np.float32))
    assert "memref<8xf32" in str(product.get_tir(N=4).module)
    add = make_add()
    with pytest.raises(ArgumentError, match="no parameter wrong"):
        add(np.zeros(4), np.zeros(4), wrong=3)
    with pytest.raises(ArgumentError, match="must be a tensor"):
        add(3, 4)
    with pytest.raises(ArgumentError, match="size 'N' needs argument 'A'"):
        add.compile()

    @tilelang.jit
    def forgets(A):
        N = T.const("N")
        A: T.Tensor[[N], T.float32]
        C = T.empty((N,), "float32")
        with T.Kernel(N, threads=32) as b:
            C[b] = A[b]

    with pytest.raises(TileTypeError, match="makes 1 tensors with T.empty but returns 0"):
        forgets.get_tir(N=4)

    @tilelang.jit
    def returns_argument(A):
        A: T.Tensor[[4], T.float32]
        with T.Kernel(4, threads=32) as b:
            A[b] = 1.0
        return A

    with pytest.raises(TileTypeError, match="can only return tensors made by T.empty"):
        returns_argument.get_tir()


def test_out_idx_with_empty_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # compiling itself says so
    @tilelang.jit(out_idx=[-1])
    def both(A):
        A: T.Tensor[[4], T.float32]
        C = T.empty((4,), "float32")
        with T.Kernel(4, threads=32) as b:
            C[b] = A[b]
        return C

    with pytest.raises(TileValueError, match="out_idx is given"):
        compiling.compile_options(both.get_tir(), out_idx=both.out_idx)


def submit_stub(batch: Batch, prim_func: Any, **options: Any) -> Future[Any]:
    done: Future[Any] = Future()
    done.set_result(StubKernel(prim_func, options))
    return done


def test_par_compile_keeps_order_and_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Batch, "submit", submit_stub)
    scale = make_scale()
    kernels = scale.par_compile([{"N": 64}, (128,), {"N": -1}], num_workers=2, ignore_error=True)
    assert [k and k.prim_func.params[0].shape for k in kernels] == [(64,), (128,), None]
    assert scale(64) is kernels[0] and scale.par_compile([(64,)])[0] is kernels[0]
    assert kernels[0].options["pass_configs"] == {"a": 1} and kernels[0].options["out_idx"] == [-1]
    with pytest.raises(TileError):
        scale.par_compile([{"N": -1}])


def test_threads_compile_once(compiled: list[StubKernel]) -> None:
    add = make_add()
    a = np.zeros(64, np.float32)
    threads = [threading.Thread(target=add, args=(a, a)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(compiled) == 1 and len(compiled[0].calls) == 8


def test_function_attributes(compiled: list[StubKernel]) -> None:
    @tilelang.jit
    def noted(A):
        T.annotate_pass_configs({"tl.enable_fast_math": True})
        T.annotate_compile_flags("-O3 -v")
        A: T.Tensor[[4], T.float32]
        with T.Kernel(4, threads=32) as b:
            A[b] = 1.0

    func = noted.get_tir()
    assert func.pass_configs == {"tl.enable_fast_math": True} and func.compile_flags == ["-O3", "-v"]


def test_jit_is_a_module_and_a_decorator() -> None:
    assert callable(tilelang.jit) and tilelang.jit.JITKernel is tilelang.JITKernel
    with pytest.raises(TileTypeError, match="decorates functions"):
        tilelang.jit(3)
