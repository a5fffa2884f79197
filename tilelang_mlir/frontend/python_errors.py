"""Errors that Python raises in the user's own lines while they are traced, told like those of the language."""

from __future__ import annotations

import difflib
import inspect
import re
from types import FrameType
from typing import Any

from tilelang_mlir.errors import Location, TileAttributeError, TileError, TileNameError, TileTypeError, TileValueError
from tilelang_mlir.frontend import where

PYTHON_ERRORS = (NameError, TypeError, AttributeError, IndexError, ValueError)
# The language's look-up of names, and what `marks.takes_name` wraps operations in: what they raise is the line's fault.
_FORWARDING = ("__getattr__", "named")

_UNPACKED = "a kernel has as many block indices as grid dimensions, a T.Parallel loop as many variables as extents"

# What kernels of CUDA and Triton call it, and what does it here.
_ELSEWHERE = {
    "arange": "T.Parallel loops over the elements of a tile",
    "blockIdx": "block indices come with the kernel: `with T.Kernel(grid_x, grid_y) as (bx, by):`",
    "dot": "T.gemm(A_shared, B_shared, C_local) multiplies tiles",
    "full": "T.alloc_fragment(shape, dtype) makes a tile, T.fill(tile, value) fills it",
    "load": "T.copy(A[i, j], tile) moves a tile, A[i, j] reads an element",
    "num_programs": "the grid is what T.Kernel was given",
    "program_id": "block indices come with the kernel: `with T.Kernel(grid_x, grid_y) as (bx, by):`",
    "store": "T.copy(tile, A[i, j]) moves a tile, A[i, j] = x writes an element",
    "sum": "T.reduce_sum(tile, result, dim=1)",
    "syncthreads": "T.sync_threads()",
    "threadIdx": "T.get_thread_binding() is the thread's index in its block",
    "trans": "T.gemm takes transpose_A and transpose_B, T.transpose(source, target) moves a tile",
    "where": "T.if_then_else(condition, a, b)",
    "zeros": "T.alloc_fragment(shape, dtype) makes a tile, T.clear(tile) clears it",
}


def retold(error: Exception) -> TileError | None:
    """The error with its place; None when it was raised elsewhere than in a traced line."""
    frame = _user_frame(error)
    if frame is None:
        return None
    place = where.from_traceback(error.__traceback__)[0]
    if isinstance(error, NameError):
        unbound = isinstance(error, UnboundLocalError)
        hint = "" if unbound else "imports and globals must exist when the kernel is traced"
        return TileNameError(f"{error.name or 'a name'!r} is not defined", place, hint=hint)
    if isinstance(error, AttributeError):
        return TileAttributeError(_without_path(str(error)), place, hint=_attribute_hint(error))
    if isinstance(error, IndexError):
        return TileValueError(f"{place.expression()}: {error}", place, hint="a buffer has as many sizes as dimensions")
    if isinstance(error, ValueError):
        return TileTypeError(str(error), place, hint=_UNPACKED) if "to unpack" in str(error) else None
    return TileTypeError(_without_path(str(error)), place, hint=_type_hint(str(error), place, frame))


def _user_frame(error: BaseException) -> FrameType | None:
    """The frame of the traced line that raised."""
    frame: FrameType | None = None
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if where.is_traced(code):
            frame = traceback.tb_frame
        elif code.co_name not in _FORWARDING:
            frame = None
        traceback = traceback.tb_next
    return frame


def _without_path(message: str) -> str:
    """The message with `T` for the language's module, as users write it."""
    return message.replace("module 'tilelang_mlir.language'", "T").replace(".__init__()", "()")


def _attribute_hint(error: AttributeError) -> str:
    name = error.name or ""
    if name in _ELSEWHERE and inspect.ismodule(error.obj):
        return _ELSEWHERE[name]
    close = difflib.get_close_matches(name, [n for n in dir(error.obj) if not n.startswith("_")], 3)
    return f"did you mean {' or '.join(close)}?" if close else ""


def _type_hint(message: str, place: Location, frame: FrameType) -> str:
    if message.startswith("loop of ufunc"):
        return "NumPy computes while the kernel is traced; the language has functions of its own, such as T.exp"
    if "must be Tensor, not" in message:
        return "torch computes while the kernel is traced; the language has functions of its own, such as T.exp"
    if re.search(r"\(\) .*argument", message):
        return _signature_hint(place, frame)
    missing = re.search(r"doesn't define __(\w+)__ method", message)
    return f"T.{missing[1]} does it for values of the running kernel" if missing else ""


def _signature_hint(place: Location, frame: FrameType) -> str:
    """The parameters of the function that the line calls, where it is one of the language's."""
    path = re.search(r"(?:[A-Za-z_]\w*\.)+[A-Za-z_]\w*(?=\()", place.expression())
    if path is None:
        return ""
    first, *rest = path[0].split(".")
    value: Any = {**frame.f_globals, **frame.f_locals}.get(first)
    for name in rest:
        value = getattr(value, name, None)
    if not callable(value):
        return ""
    parameters = [p.replace(annotation=p.empty) for p in inspect.signature(value).parameters.values()]
    return f"its parameters are {inspect.Signature(parameters)}"
