"""Printing, assertions and facts."""

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.mlir import dialect

from ..tl import TL

ext = dialect("ext")


class PrintOp(TL.Operation, name="print"):
    """Prints `message` and the operands: scalars per thread, buffers element by element from one thread."""

    values: Sequence[ext.Operand[Any]]
    message: Any


class AssertOp(TL.Operation, name="assert"):
    """Stops the kernel with `message` in a thread whose condition is false."""

    condition: ext.Operand[Any]
    message: Any


class AssumeOp(TL.Operation, name="assume"):
    """A condition the compiler may take as true."""

    condition: ext.Operand[Any]
