"""The entry point: run a host function of a level-1 module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tilelang_mlir.errors import ArgumentError, DeadlockError
from tilelang_mlir.mlir import ir
from tilelang_mlir.reference.machine import Frame, Machine, run
from tilelang_mlir.reference.memory import Pointer
from tilelang_mlir.reference.program import Compiler
from tilelang_mlir.reference.table import TABLE
from tilelang_mlir.reference.types import dtype_of


def evaluate(module: ir.Module, func: str, args: Sequence[np.ndarray | int | float]) -> list[str]:
    """Run a host function of a level-1 module on numpy arrays, writing results into them.

    `args` has one entry per function argument, symbolic dims (solved by the caller) included: an array for a tensor or
    pointer, whose memory is used in place; a number for a scalar. Arrays of bfloat16 and narrower floats have the
    dtypes of `ml_dtypes`, or any dtype of the same size. Returns the lines the kernels printed.

    Raises:
        ArgumentError: the module has no such function, or the number or kind of the arguments differs.
        OutOfBoundsError: an access outside of an on-chip buffer, or a tensor that does not fit into its array.
        UninitializedReadError: a read of on-chip memory that nothing has written.
        DeviceAssertError: a device assertion failed.
        DeadlockError: threads wait for what never happens.
        UnsupportedError: the program uses what has no meaning without a layout or is not implemented here.
    """
    function = _find(module, func)
    block = function.regions[0].blocks[0]
    if len(args) != len(block.arguments):
        raise ArgumentError(f"{func} takes {len(block.arguments)} arguments, got {len(args)}")
    compiler = Compiler(TABLE)
    code = compiler.block(block)
    env: list[Any] = [None] * len(compiler.slots)
    for slot, argument, value in zip(code.arguments, block.arguments, args, strict=True):
        env[slot] = _argument(argument, value)
    machine = Machine()
    with np.errstate(all="ignore"):
        for reason in run(code, Frame(env, machine)):
            raise DeadlockError(f"the host function waits for {reason}")
    return machine.printed


def _find(module: ir.Module, name: str) -> ir.Operation:
    for op in module.body.operations:
        if op.operation.name == "func.func" and ir.StringAttr(op.operation.attributes["sym_name"]).value == name:
            return op.operation
    raise ArgumentError(f"the module has no function {name!r}")


def _argument(argument: ir.Value, value: np.ndarray | int | float) -> object:
    """An argument as the value its type asks for."""
    if str(argument.type).startswith("!llvm.ptr"):
        if isinstance(value, int):
            return Pointer(value)
        if not isinstance(value, np.ndarray):
            raise ArgumentError(f"a tensor argument must be a numpy array, got {type(value).__name__}")
        return Pointer(value.ctypes.data, value)
    return np.asarray(value).astype(dtype_of(argument.type))[()]
