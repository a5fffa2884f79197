"""How the thread program becomes LLVM IR for one vendor: what the upstream conversions cannot know by themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tilelang_mlir.compiler.find import Census
from tilelang_mlir.mlir import ir

Prepare = Callable[[ir.Operation, Census], None]


@dataclass(frozen=True)
class MathCalls:
    """LLVM intrinsics by `math` op, each of one f32: for ops marked `fastmath<afn>`, and for unmarked ones."""

    approximate: Mapping[str, str]
    accurate: Mapping[str, str]


@dataclass(frozen=True)
class Conversion:
    """One vendor's part of the conversion.

    `passes` run after the upstream conversions to the llvm dialect, `dialects` are the prefixes of ops that translation
    understands, `prepare` changes the gpu.module before all passes.
    """

    triple: str
    data_layout: str
    dialects: tuple[str, ...]
    math: MathCalls
    passes: str = ""
    prepare: tuple[Prepare, ...] = ()
