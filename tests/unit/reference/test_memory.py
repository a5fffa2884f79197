"""Bounds, initialisation, views and private buffers."""

from __future__ import annotations

import numpy as np
import pytest
from level1 import expand, kernel, run, tensor

from tilelang_mlir.errors import ArgumentError, OutOfBoundsError, UninitializedReadError, UnsupportedError

ARG = "%a: !llvm.ptr<1>"
SLICE = "memref<4x4xf32, strided<[5, 1], offset: ?>, @G>"


def _copy_tile(row: int, column: int, safe: str = "") -> str:
    """Copies a 4x4 tile of a 3x5 tensor to the first half of a 2x4x4 output."""
    body = f"""
    %r = arith.constant {row} : i32
    %c = arith.constant {column} : i32
    %t = "tl.slice"(%A, %r, %c) {{sizes = array<i64: 4, 4>}} : (memref<3x5xf32, @G>, i32, i32) -> {SLICE}
    %s = "tl.alloc"() {safe} : () -> memref<4x4xf32, @S>
    "tl.copy"(%t, %s) : ({SLICE}, memref<4x4xf32, @S>) -> ()
    "tl.copy"(%s, %B) : (memref<4x4xf32, @S>, memref<4x4xf32, @G>) -> ()"""
    host = tensor("%A", "%a", (3, 5), "f32") + "\n" + tensor("%B", "%b", (4, 4), "f32")
    return kernel(body, f"{ARG}, %b: !llvm.ptr<1>", host)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 3), (-1, -2), (7, 0), (0, -9)])
def test_slices_read_zero_outside(row: int, column: int) -> None:
    a = np.arange(1, 16, dtype=np.float32).reshape(3, 5)
    b = np.full((4, 4), np.nan, np.float32)
    run(_copy_tile(row, column), [a, b])
    padded = np.zeros((40, 40), np.float32)
    padded[10:13, 10:15] = a
    np.testing.assert_array_equal(b, padded[10 + row : 14 + row, 10 + column : 14 + column])


def test_slices_drop_writes_outside() -> None:
    text = _copy_tile(1, 3).replace('"tl.copy"(%t, %s)', '%x = arith.constant 9.0 : f32\n"tl.fill"(%t, %x)')
    text = text.replace(
        f'(%t, %x) : ({expand(SLICE)}, memref<4x4xf32, #tl.scope<"shared">>)', f"(%t, %x) : ({expand(SLICE)}, f32)"
    )
    text = text.replace(
        '"tl.copy"(%s, %B) : (memref<4x4xf32, #tl.scope<"shared">>, memref<4x4xf32, #tl.scope<"global">>) -> ()', ""
    )
    a = np.zeros((3, 5), np.float32)
    run(text, [a, np.zeros((4, 4), np.float32)])
    want = np.zeros((3, 5), np.float32)
    want[1:, 3:] = 9
    np.testing.assert_array_equal(a, want)


def _element(body: str, scope: str, size: int = 4) -> str:
    text = f"""
    %s = "tl.alloc"() : () -> memref<{size}xf32, @{scope}>
    %i = arith.constant 5 : index
    {body}"""
    return kernel(text, ARG, tensor("%A", "%a", (4,), "f32"))


def test_element_outside_of_a_shared_buffer() -> None:
    body = "%x = arith.constant 1.0 : f32\nmemref.store %x, %s[%i] : memref<4xf32, @S>"
    with pytest.raises(OutOfBoundsError, match=r"element \[5\] of shared buffer") as caught:
        run(_element(body, "S"), [np.zeros(4, np.float32)])
    assert caught.value.location is not None and caught.value.location.line > 0


def test_element_outside_of_a_tensor() -> None:
    """Global accesses are guarded: outside reads zero and writes nothing."""
    body = """%x = memref.load %A[%i] : memref<4xf32, @G>
    memref.store %x, %A[%i] : memref<4xf32, @G>
    %c0 = arith.constant 0 : index
    memref.store %x, %A[%c0] : memref<4xf32, @G>"""
    a = np.arange(1, 9, dtype=np.float32)
    run(_element(body, "S"), [a])
    np.testing.assert_array_equal(a, [0, 2, 3, 4, 5, 6, 7, 8])


@pytest.mark.parametrize("scope", ["S", "F", "L"])
def test_reading_what_nothing_wrote(scope: str) -> None:
    body = f"""%c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %x = arith.constant 1.0 : f32
    memref.store %x, %s[%c0] : memref<4xf32, @{scope}>
    %y = memref.load %s[%c0] : memref<4xf32, @{scope}>
    %z = memref.load %s[%c1] : memref<4xf32, @{scope}>"""
    with pytest.raises(UninitializedReadError, match="that nothing has written"):
        run(_element(body, scope), [np.zeros(4, np.float32)])


def test_copying_what_nothing_wrote() -> None:
    body = '"tl.copy"(%s, %A) : (memref<4xf32, @S>, memref<4xf32, @G>) -> ()'
    with pytest.raises(UninitializedReadError, match="4 of 4 elements"):
        run(_element(body, "S"), [np.zeros(4, np.float32)])


def test_reshape_shares_memory_and_what_was_written() -> None:
    body = """%x = arith.constant 1.0 : f32
    "tl.fill"(%s, %x) : (memref<4xf32, @S>, f32) -> ()
    %v = "tl.reshape"(%s) : (memref<4xf32, @S>) -> memref<2x2xi32, @S>
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %n = memref.load %v[%c1, %c0] : memref<2x2xi32, @S>
    %m = arith.addi %n, %n : i32
    memref.store %zero, %v[%c0, %c1] : memref<2x2xi32, @S>
    %w = "tl.reshape"(%A) : (memref<4xf32, @G>) -> memref<4xi32, @G>
    "tl.copy"(%s, %A) : (memref<4xf32, @S>, memref<4xf32, @G>) -> ()
    memref.store %m, %w[%c0] : memref<4xi32, @G>"""
    a = np.full(4, np.nan, np.float32)
    run(_element(body, "S"), [a])
    assert a.view(np.int32)[0] == 2 * 0x3F800000
    np.testing.assert_array_equal(a[1:], [0, 1, 1])


def test_local_buffers_differ_by_thread() -> None:
    body = """%t = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    %ti = arith.index_cast %t : i32 to index
    %c1 = arith.constant 1 : index
    %f = "tl.cast"(%t) {from = "int32", to = "float32"} : (i32) -> f32
    memref.store %f, %s[%c1] : memref<4xf32, @L>
    %y = memref.load %s[%c1] : memref<4xf32, @L>
    memref.store %y, %A[%ti] : memref<4xf32, @G>"""
    a = np.full(4, np.nan, np.float32)
    run(_element(body, "L"), [a])
    np.testing.assert_array_equal(a, [0, 1, 2, 3])


def test_per_thread_values_in_a_parallel_loop_are_refused() -> None:
    body = """%t = "tl.thread_id"() {dim = 0 : i32} : () -> i32
    "tl.parallel"() ({
    ^bb0(%j: i32):
      %k = arith.addi %t, %j : i32
    }) {extents = array<i64: 32>} : () -> ()"""
    with pytest.raises(UnsupportedError, match="differs between threads"):
        run(_element(body, "S"), [np.zeros(4, np.float32)])


def test_tensor_larger_than_its_array() -> None:
    with pytest.raises(OutOfBoundsError, match="needs 16 bytes, the argument's memory has 12"):
        run(_element("", "S"), [np.zeros(3, np.float32)])


def test_wrong_number_of_arguments() -> None:
    with pytest.raises(ArgumentError, match="takes 1 arguments, got 2"):
        run(_element("", "S"), [np.zeros(4, np.float32), 3])


def test_strided_and_dynamic_tensors() -> None:
    text = expand("""
func.func @main(%a: !llvm.ptr<1>, %n: i32, %s: i32) {
  %A = "tl.tensor"(%a, %n, %s) {shape = array<i64: -1, 2>, strides = array<i64: -1, 1>} : (!llvm.ptr<1>, i32, i32) ->
  memref<?x2xf32, strided<[?, 1]>, @G> %x = arith.constant 3.0 : f32
  "tl.launch"(%n) ({
  ^bb0(%i: i32):
    %ii = arith.index_cast %i : i32 to index
    %c1 = arith.constant 1 : index
    memref.store %x, %A[%ii, %c1] : memref<?x2xf32, strided<[?, 1]>, @G>
  }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()
  return
}""")
    a = np.zeros((3, 7), np.float32)
    run(text, [a[:, :2], 3, 7])
    want = np.zeros((3, 7), np.float32)
    want[:, 1] = 3
    np.testing.assert_array_equal(a, want)
