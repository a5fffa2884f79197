"""Errors of programs that Python raises, and places: macros, columns. Messages are in `tests/diagnostics`."""

from __future__ import annotations

import pytest

from tilelang_mlir.errors import TileTypeError

from .tracing import expect_error, kernel_text, run_text


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
