"""Layouts given by the user, from the annotation to the lowered kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.layout import make_mma_accumulator_fragment, make_swizzled_layout
from tilelang_mlir.passes import pipelines
from tilelang_mlir.simulator import Program
from tilelang_mlir.target import parse_target


def transposing(shared_layout: Any = None, fragment: Any = None, loop: Any = None) -> Any:
    """A kernel that transposes 32x64 through shared memory and adds one in registers."""

    @T.prim_func
    def main(A: T.Tensor((32, 64), "float32"), B: T.Tensor((64, 32), "float32")):
        with T.Kernel(1, threads=128) as bx:
            s = T.alloc_shared((32, 64), "float32")
            f = T.alloc_fragment((64, 32), "float32")
            if shared_layout is not None:
                T.annotate_layout({s: shared_layout(s)})
            if fragment is not None:
                T.annotate_layout({f: fragment})
            T.copy(A[bx * 32, 0], s)
            for i, j in T.Parallel(64, 32, loop_layout=loop):
                f[i, j] = s[j, i] + 1.0
            T.copy(f, B[bx * 64, 0])

    return main


ROWS = T.Fragment((64, 32), lambda i, j: (i * 2 + j // 16, j % 16))
COLUMNS = T.Fragment((64, 32), lambda i, j: (i % 4 * 32 + j, i // 4))


@pytest.mark.parametrize("shared_layout", [
    None, make_swizzled_layout,
    lambda s: T.Layout(s.shape, lambda i, j: i * 65 + j), lambda s: T.Layout(s.shape, lambda i, j: j * 32 + i),
])  # fmt: skip
@pytest.mark.parametrize("fragment", [None, ROWS, COLUMNS, make_mma_accumulator_fragment(64, 32, (2, 2))])
def test_results_do_not_depend_on_layouts(shared_layout: Any, fragment: Any) -> None:
    func = transposing(shared_layout, fragment)
    pipelines.lower(func.module, parse_target("sm_80"))
    a = np.random.default_rng(0).standard_normal((32, 64)).astype(np.float32)
    b = np.full((64, 32), np.nan, np.float32)
    program = Program(func.module)
    program.launch(program.kernels[0], (1, 1, 1), [a, b])
    np.testing.assert_array_equal(b, a.T + 1)


def test_a_layout_of_a_whole_tensor_is_not_tabulated() -> None:
    """Of 2**40 elements, as programs give the sums of gradients; tensors lie as their strides say."""
    size = 1 << 20

    @T.prim_func
    def main(A: T.Tensor((size, size), "float32")):
        with T.Kernel(1, threads=32) as bx:
            T.annotate_layout({A: T.Layout(A.shape, lambda i, j: [j // 8, i, j % 8])})
            A[bx, 0] = 1.0

    assert "tl.smem" not in str(main.module)


def test_annotations_reach_the_compiler() -> None:
    func = transposing(lambda s: T.Layout(s.shape, lambda i, j: i * 65 + j), ROWS)
    text = str(func.module)
    assert "#tl.smem<array<i64: 32, 64>, array<i64: 32, 0, 1, 65, 64, 1, 1, 1>, array<i64: 0, 0, 0>>" in text
    assert "#tl.fragment<array<i64: 64, 32>, array<i64: 2, 1, 16, 64, 0, 1>, array<i64: 16, 1, 1>>" in text


def test_loop_layouts() -> None:
    assert "extents = array<i64: 64, 32>, layout = #tl.fragment" in str(transposing(loop=ROWS).module)


def test_loop_and_fragment_that_disagree() -> None:
    """What the loop writes goes to its threads through shared memory."""
    func = transposing(fragment=ROWS, loop=COLUMNS)
    pipelines.lower(func.module, parse_target("sm_80"))
    a = np.random.default_rng(1).standard_normal((32, 64)).astype(np.float32)
    b = np.full((64, 32), np.nan, np.float32)
    program = Program(func.module)
    program.launch(program.kernels[0], (1, 1, 1), [a, b])
    np.testing.assert_array_equal(b, a.T + 1)


def test_a_fragment_is_no_shared_layout() -> None:
    with pytest.raises(TileTypeError, match="needs a shared-memory layout"):
        transposing(lambda s: T.Fragment(s.shape, lambda i, j: (i, j)))


def test_the_shape_must_be_the_buffer_s() -> None:
    with pytest.raises(TileValueError, match=r"is for shape \[32, 32\]"):
        transposing(lambda s: T.Layout((32, 32), lambda i, j: i * 32 + j))


def test_names() -> None:
    assert tilelang.layout.Layout is T.Layout
    assert tilelang.layout.Fragment is T.Fragment is tilelang.Fragment
