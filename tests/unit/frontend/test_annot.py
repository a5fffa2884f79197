"""Annotations: keys, arguments in the traced function, whole signatures; and kernels that are annotated in each way."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.errors import ArgumentError, TileError, TileTypeError, TileValueError, UnsupportedError
from tilelang_mlir.language import proxy
from tilelang_mlir.language.v2.annot import (
    Annot,
    ArgVarTable,
    Buffer,
    BufferAnnot,
    DTypeAnnot,
    DynAnnot,
    FragmentBufferAnnot,
    FuncAnnot,
    LocalBufferAnnot,
    SharedBufferAnnot,
    StridedTensorAnnot,
    TensorAnnot,
    TIRAnnot,
    Value,
)

M = TypeVar("M")
ROWS, COLUMNS = T.dyn["R"], T.dyn["K"]


def test_variables_unify_by_name() -> None:
    table = ArgVarTable()
    assert table.get_or_create_var("m", T.int64) is table.get_or_create_var("m")
    assert table.var_tab["m"].dtype == "int64"
    assert [table.create_tmp_name(), table.create_tmp_name()] == ["varg_0", "varg_1"] and table.tmp_name_idx == 2


@pytest.mark.parametrize(
    ("written", "kind", "name", "dtype"),
    [
        (4, "static", "x", "int32"),
        (2.5, "static", "x", "float32"),
        (T.float16, "dynamic", "x", "float16"),
        (M, "static", "M", None),
        (None, "static", "x", None),
        (Any, "static", "x", None),
        (T.dyn["K"], "dynamic", "K", "int32"),
        (T.dyn["int64", "K"], "dynamic", "K", "int64"),
        (T.dynamic("m"), "dynamic", "m", "int32"),
        (T.dynamic("m") * 2, "dynamic", "x", "int32"),
    ],
)
def test_values_of_what_users_write(written: Any, kind: str, name: str, dtype: str | None) -> None:
    value = Value.from_value(written, "x")
    assert (value.kind, value.name, value.dtype) == (kind, name, dtype)
    assert value.is_kernel_arg() is (kind == "dynamic")
    assert value.with_name("other").name == name and kind in repr(value)


def test_value_keys_and_arguments() -> None:
    table = ArgVarTable()
    four = Value.from_value(4)
    assert four.get_key_parser()(4) == Value.from_value(None).parse_key(4) and four.parse_key(4) is not None
    with pytest.raises(TileValueError, match="expected 4, got 5"):
        four.parse_key(5)
    assert four.create_prim_func_arg("x", None, table) == 4
    assert Value.from_value(None).create_prim_func_arg("x", 7, table) == 7
    with pytest.raises(ArgumentError, match="compile-time value is missing"):
        Value.from_value(None, "n").create_prim_func_arg("n", None, table)
    dynamic = T.dyn["K"]
    assert dynamic.parse_key(17) is None
    assert dynamic.create_prim_func_arg("", 17, table, create_arg=False) is table.var_tab["K"]
    nameless = Value("dynamic").create_prim_func_arg("", 17, table, create_arg=False)
    assert nameless is table.var_tab["varg_0"]
    made = Value.from_value(lambda: T.int8, "n")
    assert made.creator is not None and made.resolved().dtype == "int8"
    with pytest.raises(TileTypeError, match="describes no number"):
        Value.from_value([1], "n")


def test_dyn() -> None:
    assert isinstance(T.dyn, DynAnnot) and T.dyn("int64", "n").dtype == "int64" and repr(T.dyn("int64", "n")) == "n"
    with pytest.raises(TileTypeError, match="takes a name"):
        T.dyn[3]


@pytest.mark.parametrize("written", ["float16", T.float16, np.dtype("float16")])
def test_dtype_annotations_normalise(written: Any) -> None:
    annot = DTypeAnnot().with_name("dt")
    assert annot.get_key_parser()(written) == annot.create_prim_func_arg("dt", written, ArgVarTable()) == "float16"
    assert isinstance(annot.create_prim_func_arg("dt", written, ArgVarTable()), T.dtype)
    assert not annot.is_kernel_arg() and repr(annot) == "DTypeAnnot(dt)"


def test_buffer_keys_hold_what_is_static() -> None:
    array = np.zeros((4, 6), np.float16)
    annot = TensorAnnot()[[M, T.dyn["K"]], T.float16]
    assert annot.parse_key(array) == ((Value.from_value(4).parse_key(4), None), None, "float16")
    assert annot.parse_key(array) == annot.parse_key(np.ones((4, 9), np.float16))
    assert annot.parse_key(array) != annot.parse_key(np.ones((5, 6), np.float16))
    full = TensorAnnot()
    assert full.is_open and full.parse_key(array) == ((4, 6), None, "float16")
    strided = StridedTensorAnnot()[[4, None], [M, 1], "float16"]
    assert strided.parse_key(array[:, ::1]) != strided.parse_key(np.zeros((4, 12), np.float16)[:, :6])
    with pytest.raises(ArgumentError, match=r"A: expected dtype float16, got float32"):
        annot.with_name("A").parse_key(array.astype(np.float32))
    with pytest.raises(ArgumentError, match="expected 2 dimensions, got 1 with shape"):
        annot.parse_key(array[0])
    with pytest.raises(TileValueError, match="expected 4, got 5"):
        strided.parse_key(np.zeros((5, 6), np.float16))
    with pytest.raises(ArgumentError, match="must be a tensor, got int"):
        full.with_name("A").parse_key(3)


def test_buffers_match_shapes() -> None:
    table = ArgVarTable()
    annot = TensorAnnot()[[M, T.dyn["K"], 3], T.float16]
    shape = BufferAnnot.match_shape(annot.shape, (8, None, 3), table)
    assert shape == (8, table.var_tab["K"], 3)
    assert BufferAnnot.match_shape(None, (8, 2), table) == (8, 2)
    made = annot.create_prim_func_arg("A", annot.parse_key(np.zeros((8, 5, 3), np.float16)), table)
    assert made.shape == shape and made.dtype == "float16" and made.name == "A"
    with pytest.raises(ArgumentError, match="leaves shape or dtype to the argument"):
        TensorAnnot().create_prim_func_arg("A", None, table)


def test_complete_buffers_are_promoted() -> None:
    m = T.dynamic("m")
    complete = TensorAnnot()[[m, 8], "int8"].promote()
    assert isinstance(complete, TIRAnnot) and complete.data.shape == (m, 8) and complete.promote() is complete
    assert complete.is_kernel_arg() and complete.get_key_parser()(np.zeros(3)) is None
    for open_annot in (TensorAnnot(), TensorAnnot()[[M], "int8"], TensorAnnot()[[T.dyn["K"]], "int8"]):
        assert open_annot.promote() is None


@pytest.mark.parametrize(
    ("kind", "scope"),
    [(TensorAnnot, "global"), (StridedTensorAnnot, "global"), (FragmentBufferAnnot, "local.fragment"),
     (SharedBufferAnnot, "shared.dyn"), (LocalBufferAnnot, "local")],
)  # fmt: skip
def test_scopes(kind: Callable[[], Any], scope: str) -> None:
    assert kind().scope == scope and isinstance(kind(), Annot)
    described = kind()((4, 8), (8, 1), "int8") if kind is StridedTensorAnnot else kind()((4, 8), "int8")
    assert described.scope() == scope and described.shape == (4, 8) and described.dtype == "int8"


def test_buffer_class_of_the_annotations() -> None:
    assert isinstance(Buffer("int8"), TensorAnnot) and Buffer("int8").shape is None
    assert Buffer[[4, 8], "int8"].shape == (4, 8)
    assert isinstance(Buffer("int8", strides=[4, 1]), StridedTensorAnnot)


def signature(func: Any) -> FuncAnnot:
    annotations = inspect.get_annotations(func, eval_str=True)
    return FuncAnnot.from_sig_annots(inspect.signature(func), annotations)


def example(A: T.Tensor[[M, COLUMNS], T.float16], n: T.int32, dt: T.dtype = "int8", block=128): ...


def test_function_annotations() -> None:
    binder = signature(example)
    assert binder.arg_names == ["A", "n", "dt", "block"] and binder.ker_arg_names == ["A", "n"]
    assert set(binder.arg_parser) == set(binder.annots) == set(binder.arg_names)
    array = np.zeros((4, 6), np.float16)
    key = binder.parse_key(array, 3)
    assert key == binder.parse_key(n=9, A=np.ones((4, 7), np.float16), dt=np.int8, block=128)
    assert [name for name, _ in key] == ["A", "block", "dt", "n"] and hash(key) is not None
    assert key != binder.parse_key(array, 3, block=64) and key != binder.parse_key(array, 3, "int16")
    assert binder.convert_to_kernel_args(n=3, A=array) == [array, 3]
    assert not binder.is_all_static() and binder.get_compile_time_unknown_args() == ["A", "dt", "block"]
    assert list(binder.get_all_static_args()) == ["n"]
    made = binder.create_argument("A", dict(key)["A"], ArgVarTable())
    assert made.shape[0] == 4 and repr(made.shape[1]) == "K"
    with pytest.raises(ArgumentError, match="missing a required argument"):
        binder.parse_key()
    with pytest.raises(ArgumentError, match="not hashable"):
        binder.parse_key(array, 3, block=bytearray())


def test_static_functions() -> None:
    def func(A: T.Tensor((128,), "float32"), m: T.dynamic("m"), p: T.ptr): ...  # type: ignore[valid-type]

    annotations = {name: eval(text, {"T": T}) for name, text in func.__annotations__.items()}
    binder = FuncAnnot.from_sig_annots(inspect.signature(func), annotations)
    assert binder.is_all_static() and binder.get_compile_time_unknown_args() == []
    assert binder.get_all_static_args()["A"].shape == (128,) and binder.ker_arg_names == ["A", "m", "p"]


# Kernels annotated in each way, run in the simulator.


def run_double(kernel: Any) -> None:
    for rows, cols in ((5, 33), (1, 7)):
        x = np.random.default_rng(rows).standard_normal((rows, cols)).astype(np.float32)
        np.testing.assert_array_equal(kernel(x), 2 * x)


def test_bare_tensors_take_shape_and_dtype_of_the_argument() -> None:
    @tilelang.jit(target="sim")
    def double(A: T.Tensor):
        rows, cols = A.shape
        B = T.empty((rows, cols), A.dtype)
        with T.Kernel(rows, threads=32) as i:
            for j in T.Parallel(cols):
                B[i, j] = A[i, j] + A[i, j]
        return B

    run_double(double)
    x = np.arange(12, dtype=np.int32).reshape(3, 4)
    np.testing.assert_array_equal(double(x), 2 * x)
    np.testing.assert_array_equal(double(x), 2 * x)
    assert len(double._kernels) == 3
    with pytest.raises(ArgumentError, match="argument 'A' is missing; its annotation has no shape"):
        double.compile()
    assert double.compile(T.Tensor((3, 4), "int32")) is double.compile(A=T.Tensor((3, 4), "int32"))


def test_type_variables_and_dyn() -> None:
    N = TypeVar("N")

    @tilelang.jit(target="sim")
    def double(A: T.Tensor[[ROWS, N], T.float32]):
        rows, cols = A.shape
        B = T.empty((rows, cols), T.float32)
        with T.Kernel(rows, threads=32) as i:
            for j in T.Parallel(cols):
                B[i, j] = A[i, j] * 2
        return B

    run_double(double)
    x = np.ones((9, 33), np.float32)
    np.testing.assert_array_equal(double(x), 2 * x)
    assert len(double._kernels) == 2  # one per number of columns, for all numbers of rows


def test_dyn_sizes_of_a_prim_func_unify_by_name() -> None:
    @tilelang.jit(target="sim", out_idx=[-1])
    def factory():
        @T.prim_func
        def double(A: T.Tensor[[ROWS, 8], T.float32], B: T.Tensor[[ROWS, 8], T.float32]):
            with T.Kernel(A.shape[0], threads=32) as i:
                for j in T.Parallel(8):
                    B[i, j] = A[i, j] * 2

        return double

    kernel = factory()
    x = np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32)
    np.testing.assert_array_equal(kernel(x), 2 * x)
    assert [p.name for p in kernel.plan.params if p.kind == "symbol"] == ["R"]


def test_prim_funcs_need_complete_annotations() -> None:
    with pytest.raises(TileTypeError, match="the annotation of parameter 'A' leaves its shape or dtype open"):

        @T.prim_func
        def open_shape(A: T.Tensor):
            with T.Kernel(1) as _:
                A[0] = 1.0

    with pytest.raises(TileTypeError, match="parameter 'A' is a fragment buffer; kernels take tensors in global"):

        @T.prim_func
        def scoped(A: T.FragmentBuffer((4,), "float32")):
            with T.Kernel(1) as _:
                A[0] = 1.0


# Proxies.


def test_proxies_describe_buffers() -> None:
    for made in (
        T.Tensor((4, 8), "int8"), T.Tensor[[4, 8], "int8"], T.Buffer((4, 8), "int8"), proxy.BaseTensor((4, 8), "int8"),
        proxy.BaseTensor[[4, 8], "int8"], proxy.BaseTensorProxy()((4, 8), "int8"),
    ):  # fmt: skip
        assert made.shape == (4, 8) and made.dtype == "int8" and made.strides == (8, 1) and made.scope() == "global"
    assert T.FragmentBuffer((4,)).scope() == "local.fragment" and T.SharedBuffer((4,)).scope() == "shared.dyn"
    assert T.LocalBuffer((4,)).scope() == "local" and T.Buffer((4,), scope="shared").scope() == "shared.dyn"
    assert T.StridedTensor((4, 8), (16, 1), "int8").strides == (16, 1) == T.Buffer((4, 8), strides=(16, 1)).strides
    assert (proxy.FragmentBufferProxy.default_scope, proxy.BaseTensorProxy.default_align) == ("local.fragment", 0)
    assert T.ptr("float16").dtype == "float16" and T.Tensor((4,), T.ptr).dtype == "handle"
    assert isinstance(T.Tensor((None, 4)), TensorAnnot)
    assert isinstance(T.StridedTensor((4,), (None,)), StridedTensorAnnot)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: T.Tensor["float32"], TileTypeError, r"takes \[\[sizes\], dtype\] or several sizes, got 'float32'"),
        (lambda: T.Tensor[[4], "int8", 3], TileTypeError, "got 3 entries"),
        (lambda: T.StridedTensor[[4]], TileTypeError, r"takes \[\[sizes\], \[strides\], dtype\]"),
        (lambda: T.StridedTensor((4, 4), (1,)), TileValueError, "2 dimensions but 1 strides"),
        (lambda: T.Buffer((4,), scope="cache"), TileValueError, "unknown scope 'cache'"),
        (lambda: T.Buffer((4,), elem_offset=4), UnsupportedError, "element offset"),
        (lambda: T.Buffer((4,), axis_separators=[1]), UnsupportedError, "axis separators"),
        (lambda: T.ptr("int8", "cache"), TileValueError, "unknown scope 'cache'"),
        (lambda: T.Tensor((4,), "float17"), TileTypeError, "unknown dtype"),
        (lambda: T.Tensor((-4,)), TileValueError, "is -4"),
        (lambda: T.Tensor((4,))[0] + 1, TileError, "can only be used inside a kernel"),
    ],
)
def test_wrong_descriptions(make: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        make()


def test_buffers_over_pointers() -> None:
    @tilelang.jit(target="sim")
    def factory(n, way):
        @T.prim_func
        def double(p: T.ptr, q: T.ptr("float32")):
            with T.Kernel(1, threads=32) as _:
                A = way(p, (n,), "float32")
                B = way(q, (n,), "float32")
                for i in T.Parallel(n):
                    B[i] = A[i] * 2

        return double

    x = np.random.default_rng(1).standard_normal(33).astype(np.float32)
    ways = (T.make_tensor, T.Tensor.from_ptr, T.Buffer.from_ptr, proxy.BaseTensor.from_ptr,
            lambda p, shape, dtype: T.Tensor(shape, dtype, data=p))  # fmt: skip
    for way in ways:
        y = np.full(33, np.nan, np.float32)
        factory(33, way)(x, y)
        np.testing.assert_array_equal(y, 2 * x)


def test_documented_module_paths() -> None:
    from tilelang_mlir.language import allocate, builtin, copy_op
    from tilelang_mlir.language.v2 import dtypes

    assert allocate.alloc_shared is T.alloc_shared and builtin.sync_threads is T.sync_threads
    assert copy_op.copy is T.copy and dtypes.float16 == T.float16 and dtypes.dtype is T.dtype
    with pytest.raises(AttributeError, match="nonsense"):
        _ = copy_op.nonsense
