"""Atomic additions LLVM has no single instruction for. PTX ISA 8.7, sections 9.7.13.5 (atom) and 9.7.13.6 (red).

Scalar atomics are `llvm.atomicrmw`; these are packed halves and float vectors, through inline PTX.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.isa import numeric
from tilelang_mlir.isa.instruction import GLOBAL, Access, Effect, Instruction, Machine, Run, inline_ptx
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

_PAIR = {"f16": "vector<2xf16>", "bf16": "vector<2xbf16>"}


def add_pair(pointer: ir.Value, value: ir.Value) -> None:
    """`red.global.add.noftz.{f16x2,bf16x2}`: add a 2-vector of f16 or bf16 to global memory, 4-byte aligned."""
    kind = "bf16" if "bf16" in str(value.type) else "f16"
    inline_ptx(f"red.{kind}x2", f"red.global.add.noftz.{kind}x2 [{{$r0}}], {{$r1}};", [pointer, value])


def fetch_add_pair(pointer: ir.Value, value: ir.Value) -> ir.Value:
    """`atom.global.add.noftz.{f16x2,bf16x2}`: as `add_pair`, and return the old values."""
    kind = "bf16" if "bf16" in str(value.type) else "f16"
    return inline_ptx(
        f"atom.{kind}x2", f"atom.global.add.noftz.{kind}x2 {{$w0}}, [{{$r0}}], {{$r1}};", [pointer, value], [value.type]
    )


def add_floats(pointer: ir.Value, values: list[ir.Value]) -> None:
    """`red.global.add.v{2,4}.f32`: add 2 or 4 consecutive f32, aligned to all of them (sm_90)."""
    count = len(values)
    regs = ", ".join(f"{{$r{k + 1}}}" for k in range(count))
    inline_ptx(f"red.v{count}.f32", f"red.global.add.v{count}.f32 [{{$r0}}], {{{regs}}};", [pointer, *values])


def _pair(kind: str, fetch: bool) -> Instruction:
    name = f"{'atom' if fetch else 'red'}.{kind}x2"

    def semantics(op: ir.Operation) -> Run:
        def run(machine: Machine, address: Any, value: Any) -> Any:
            old = [_add_half(machine, address + 2 * k, value[..., k], kind) for k in range(2)]
            return np.stack(np.broadcast_arrays(*old), axis=2) if fetch else None

        return run

    return Instruction(
        name,
        f"{name.partition('.')[0]}.global.add.noftz.{kind}x2 [a], b",
        "9.7.13.5 atom, 9.7.13.6 red",
        semantics,
        emit=fetch_add_pair if fetch else add_pair,
        effects=(Effect(Access.ATOMIC, GLOBAL, 0, 4),),
    )


def _add_half(machine: Machine, address: Any, value: np.ndarray, kind: str) -> np.ndarray:
    """One element of a pair: the pair is not atomic as a whole (9.7.13.5: each element separately)."""
    if kind == "f16":
        return machine.atomic(GLOBAL, address, np.dtype(np.float16), np.add, value)

    def update(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        return numeric.float_to_bf16_bits(numeric.bf16_bits_to_float(old) + new)

    return numeric.bf16_bits_to_float(machine.atomic(GLOBAL, address, np.dtype(np.uint16), update, value))


def _floats(count: int) -> Instruction:
    def semantics(op: ir.Operation) -> Run:
        def run(machine: Machine, address: Any, *values: Any) -> None:
            for k, value in enumerate(values):
                machine.atomic(GLOBAL, address + 4 * k, np.dtype(np.float32), np.add, value)

        return run

    return Instruction(
        f"red.v{count}.f32",
        f"red.global.add.v{count}.f32 [a], b",
        "9.7.13.6 red",
        semantics,
        emit=add_floats,
        feature=Feature.MBARRIER,
        effects=(Effect(Access.ATOMIC, GLOBAL, 0, 4 * count),),
    )


INSTRUCTIONS = (*(_pair(kind, fetch) for kind in _PAIR for fetch in (False, True)), _floats(2), _floats(4))
