"""Argument checks: each mismatch names the parameter, what was expected, and what came."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tilelang_mlir.errors import ArgumentError
from tilelang_mlir.launch_plan import LaunchPlan, ParamSpec, plan_solving
from tilelang_mlir.runtime.binding import Binder, accepts

PARAMS = (
    ParamSpec("A", "tensor", "float32", ("m", "k"), ("k", 1)),
    ParamSpec("B", "tensor", "float16", ("k", 64), (64, 1)),
    ParamSpec("alpha", "scalar", "float32"),
    ParamSpec("count", "scalar", "int8"),
    ParamSpec("C", "tensor", "float32", (("add", ("mul", "m", 2), "k"),), (1,), output=True),
    ParamSpec("m", "symbol", "int32"),
    ParamSpec("k", "symbol", "int32"),
)
PLAN = LaunchPlan("matmul", PARAMS, (), solve=plan_solving(PARAMS))
A, B = np.zeros((5, 7), np.float32), np.zeros((7, 64), np.float16)


def bind(*args: Any, plan: LaunchPlan = PLAN) -> dict[str, int]:
    return Binder(plan, "cpu").bind(args).dims


def test_dimensions_are_read_off_the_arguments() -> None:
    dims = bind(A, B, 0.5, 3)
    assert (dims["m"], dims["k"], dims["count"]) == (5, 7, 3)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((A, B, 0.5), r"matmul takes 4 arguments \(A, B, alpha, count\), got 3"),
        ((A.astype(np.float64), B, 0.5, 3), "A: expected dtype float32, got float64"),
        ((A[0], B, 0.5, 3), r"A: expected 2 dimensions \[m, k\], got 1 with shape \[7\]"),
        ((A, B[:, :63].copy(), 0.5, 3), r"B: expected shape \[k, 64\] = \[7, 64\], got \[7, 63\]: dimension 1 is 63"),
        ((A, np.zeros((8, 64), np.float16), 0.5, 3), r"B: expected shape \[k, 64\] = \[7, 64\], got \[8, 64\]"),
        ((A[:, ::2], B[:4], 0.5, 3), r"A: expected strides \[k, 1\] = \[4, 1\], got \[7, 2\]"),
        ((A, B, "x", 3), "alpha: expected a scalar of dtype float32, got str 'x'"),
        ((A, B, 0.5, 200), "count: 200 does not fit into int8"),
        ((A, B, 0.5, 1.5), "count: expected a scalar of dtype int8, got float 1.5"),
        ((A, [1, 2], 0.5, 3), "B: expected a tensor, got list"),
        ((A, None, 0.5, 3), "B: None is only taken for a parameter that no kernel uses"),
    ],
)
def test_mismatches(args: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        bind(*args)


def test_sizes_of_what_is_left_out() -> None:
    """None leaves a size to another argument, or says that no kernel needs it; a grid does."""
    from tilelang_mlir.launch_plan import KernelSpec

    left_out = [ParamSpec(name, "tensor", "float32", ("n",), (1,), used=False) for name in "XY"]
    params = (*left_out, ParamSpec("n", "symbol", "int32"))
    plan = LaunchPlan("f", params, (), solve=plan_solving(params))
    assert bind(None, None, plan=plan)["n"] == 0
    assert bind(None, np.zeros(9, np.float32), plan=plan)["n"] == 9
    needed = LaunchPlan("f", params, (KernelSpec("k", ("n", 1, 1), (32, 1, 1)),), solve=plan.solve)
    with pytest.raises(ArgumentError, match="X: None leaves the dimension n unknown"):
        bind(None, None, plan=needed)
    starts = ParamSpec("S", "tensor", "int32", (("add", "n", 1),), (1,))  # used: the better source, though n + 1
    params = (*left_out, starts, ParamSpec("n", "symbol", "int32"))
    plan = LaunchPlan("f", params, needed.kernels, solve=plan_solving(params))
    assert bind(None, None, np.zeros(4, np.int32), plan=plan)["n"] == 3


def test_wrong_device() -> None:
    with pytest.raises(ArgumentError, match="A: expected a tensor on cuda, got one on cpu"):
        Binder(PLAN, "cuda").bind((A, B, 0.5, 3))


def test_stride_of_a_single_element_does_not_matter() -> None:
    params = (ParamSpec("A", "tensor", "float32", (1, 4), (4, 1)),)
    bind(np.zeros((3, 4), np.float32)[::2][:1], plan=LaunchPlan("f", params, ()))


def test_linear_size_is_solved_and_checked() -> None:
    size = ("add", ("mul", "n", 4), 2)
    params = (ParamSpec("A", "tensor", "float32", (size,), (1,)), ParamSpec("n", "symbol", "int32"))
    plan = LaunchPlan("f", params, (), solve=plan_solving(params))
    assert bind(np.zeros(22, np.float32), plan=plan) == {"n": 5}
    with pytest.raises(ArgumentError, match=r"A: shape\[0\] is 23, but no n makes"):
        bind(np.zeros(23, np.float32), plan=plan)


def test_stride_gives_a_dimension() -> None:
    params = (ParamSpec("A", "tensor", "float32", (3, 4), ("s", 1)), ParamSpec("s", "symbol", "int32"))
    plan = LaunchPlan("f", params, (), solve=plan_solving(params))
    assert bind(np.zeros((3, 9), np.float32)[:, :4], plan=plan) == {"s": 9}


def test_packed_types_count_elements() -> None:
    params = (ParamSpec("W", "tensor", "int4", ("n", "k"), ("k", 1)), *(ParamSpec(x, "symbol", "int32") for x in "nk"))
    plan = LaunchPlan("f", params, (), solve=plan_solving(params))
    assert bind(np.zeros((3, 8), np.int8), plan=plan) == {"n": 3, "k": 16}


def test_host_assertion() -> None:
    plan = LaunchPlan("matmul", PARAMS, (), solve=PLAN.solve, asserts=((("eq", ("mod", "k", 8), 0), "k in eights"),))
    with pytest.raises(ArgumentError, match="matmul: k in eights"):
        bind(A, B, 0.5, 3, plan=plan)


@pytest.mark.parametrize(
    ("expected", "got", "taken"),
    [
        ("float8_e4m3fn", "float8_e4m3fnuz", True), ("float8_e5m2", "float8_e4m3fn", False), ("bool", "uint8", True),
        ("int8", "bool", True), ("float16", "bfloat16", False), ("tfloat32", "float32", True),
        ("int4", "int8", True), ("float4_e2m1fn", "uint8", True), ("int32", "int64", False),
        ("float8_e5m2", "uint8", True),
    ],
)  # fmt: skip
def test_dtype_tolerance(expected: str, got: str, taken: bool) -> None:
    assert accepts(expected, got) is taken
