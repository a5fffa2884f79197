"""Searching for bits. PTX ISA 8.7, section 9.7.1.19 (fns)."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.isa.instruction import Instruction, Machine, Run, inline_ptx
from tilelang_mlir.mlir import ir

NAME = "fns.b32"


def find_nth_set(mask: ir.Value, base: ir.Value, offset: ir.Value) -> ir.Value:
    """`fns.b32`: the place of the `offset`-th set bit from `base` on (i32 each), all ones where there is none."""
    i32 = ir.IntegerType.get_signless(32)
    return inline_ptx(NAME, "fns.b32 {$w0}, {$r0}, {$r1}, {$r2};", [mask, base, offset], [i32])


def _semantics(op: ir.Operation) -> Run:
    def run(machine: Machine, mask: Any, base: Any, offset: Any) -> np.ndarray:
        words, places, counts = (np.broadcast_to(np.asarray(v, np.int64), machine.shape) for v in (mask, base, offset))
        bits = words[..., None] >> np.arange(32) & 1 == 1
        index = np.arange(32)
        after, before = bits & (index >= places[..., None]), bits & (index <= places[..., None])
        forward = after & (after.cumsum(-1) == counts[..., None])
        back = before & (before[..., ::-1].cumsum(-1)[..., ::-1] == -counts[..., None])
        itself = bits & (index == places[..., None])
        chosen = np.where(counts[..., None] > 0, forward, np.where(counts[..., None] < 0, back, itself))
        return np.where(chosen.any(-1), chosen.argmax(-1), -1).astype(np.int32)

    return run


INSTRUCTIONS = (Instruction(NAME, "fns.b32 d, mask, base, offset", "9.7.1.19 fns", _semantics, emit=find_nth_set),)
