"""What ready kernels ask of the tensors they are called with: one dtype, and shapes that agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError

HALF = ("float16", "bfloat16")
EIGHT_BIT = ("float8_e4m3", "float8_e5m2")


def dtype_of(tensor: Any) -> str:
    """The name of the dtype of a numpy array or a torch tensor, in the spelling of `T`."""
    return str(DType(str(tensor.dtype).removeprefix("torch.").removesuffix("fn")))


def one_dtype(what: str, operands: Mapping[str, Any], allowed: tuple[str, ...]) -> str:
    """The dtype that all operands have.

    Raises:
        TileTypeError: they differ, or the dtype is not among those allowed.
    """
    found = {name: dtype_of(tensor) for name, tensor in operands.items()}
    if len(set(found.values())) > 1:
        listed = " and ".join(found.values())
        raise TileTypeError(f"{what} of {listed}, expected one dtype", hint=f"operands: {', '.join(found)}")
    dtype = next(iter(found.values()))
    if dtype not in allowed:
        raise TileTypeError(f"no ready {what} of {dtype}", hint=f"dtypes: {', '.join(allowed)}")
    return dtype


def has_dtype(name: str, tensor: Any, expected: str) -> None:
    """Check a dtype.

    Raises:
        TileTypeError: another dtype.
    """
    if dtype_of(tensor) != expected:
        raise TileTypeError(f"{name} is {dtype_of(tensor)}, expected {expected}")


def has_shape(name: str, tensor: Any, expected: tuple[int, ...], named: str) -> None:
    """Check a shape.

    Args:
        named: the expected shape in the names of its sizes, for the message.

    Raises:
        TileValueError: another shape.
    """
    if tuple(tensor.shape) != expected:
        raise TileValueError(f"{name} has the shape {list(tensor.shape)}, expected {named} = {list(expected)}")


def has_rank(name: str, tensor: Any, named: str) -> tuple[int, ...]:
    """The sizes of a tensor that has one per name in `named`, such as "(M, K)".

    Raises:
        TileValueError: another number of dimensions, or a size that is zero.
    """
    sizes = tuple(int(size) for size in tensor.shape)
    if len(sizes) != named.count(",") + 1:
        raise TileValueError(f"{name} has the shape {list(sizes)}, expected {named}")
    if min(sizes) < 1:
        raise TileValueError(f"{name} has the shape {list(sizes)}: sizes must be positive")
    return sizes


def stored(x: Any, name: str) -> tuple[Any, bool]:
    """The contiguous matrix behind an operand, and whether it is the operand's transpose.

    Raises:
        TileValueError: it is neither contiguous nor the transpose of a contiguous matrix.
    """
    for candidate, transposed in ((x, False), (x.T, True)):
        flags = getattr(candidate, "flags", None)
        if candidate.is_contiguous() if flags is None else flags.c_contiguous:
            return candidate, transposed
    raise TileValueError(
        f"{name} is neither contiguous nor the transpose of a contiguous matrix", hint=f"pass {name}.contiguous()"
    )
