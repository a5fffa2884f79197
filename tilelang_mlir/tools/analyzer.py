"""What a kernel has to do, counted on its program: operations of products, bytes to and from device memory.

    result = Analyzer.analysis(kernel.get_tir(...), CUDA("cuda"))
    print(result.total_flops, result.total_global_bytes, result.estimated_time)

Counted are products of tiles, two operations per multiplication and addition, and accesses of tensors: copies of tiles
by the tile's size, single elements by the loops around them. Branches count as taken, and caches are not modelled, so
what two blocks read counts twice. Sizes must be known: a function with symbolic sizes is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tilelang_mlir.compiler.failures import find_location
from tilelang_mlir.dialect.effects import root
from tilelang_mlir.dialect.tl import GLOBAL, scope_of
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.mlir import ir

# Peak of dense float16 products in operations per second and bandwidth of device memory in bytes per second of the
# data centre part of an architecture, from the vendors' data sheets (A100 80 GB, L40, H200 SXM, B200, MI250X, MI300X).
_PEAKS: dict[str, tuple[float, float]] = {
    "80": (312e12, 2.04e12), "89": (181e12, 0.864e12), "90": (989e12, 4.8e12), "100": (2250e12, 8.0e12),
    "90a": (383e12, 3.28e12), "942": (1307e12, 5.3e12),
}  # fmt: skip


@dataclass(frozen=True)
class AnalysisResult:
    """The counts, and what they take at the peaks of the machine.

    `estimated_time` is in seconds, the longer of both; the expected rates follow from it. Without figures for the
    machine these three are None.
    """

    total_flops: int
    total_global_bytes: int
    estimated_time: float | None = None
    expected_tflops: float | None = None
    expected_bandwidth_GBps: float | None = None


class Analyzer:
    """Counts for one function. `device` has the `target`, or a `compute_capability` such as "80"."""

    def __init__(self, fn: Any, device: Any = None) -> None:
        if not hasattr(fn, "module"):
            raise TileTypeError(f"Analyzer needs a prim_func, got {type(fn).__name__}",
                                hint="pass kernel.get_tir(...), or what T.prim_func returned")
        self.function, self.device = fn, device
        self.total_flops = self.total_global_bytes = 0
        self.block_counts: dict[str, int] = {}

    @classmethod
    def analysis(cls, fn: Any, device: Any = None) -> AnalysisResult:
        """Count a function made by `T.prim_func` or `get_tir`.

        Raises:
            TileValueError: a grid, a loop or a tile whose size is not known.
        """
        return cls(fn, device).ir_pass().calculate()

    def ir_pass(self) -> Analyzer:
        """Walk the program; what an earlier walk found is forgotten."""
        self.total_flops = self.total_global_bytes = 0
        self.block_counts = {}
        for op in self.function.module.body.operations:
            self._visit_block(op.operation.regions[0].blocks[0].operations, 1)
        return self

    def calculate(self) -> AnalysisResult:
        """The counts as a result."""
        peaks = _PEAKS.get(self._machine())
        flops, moved = self.total_flops, self.total_global_bytes
        if peaks is None or not (flops or moved):
            return AnalysisResult(flops, moved)
        seconds = max(flops / peaks[0], moved / peaks[1])
        return AnalysisResult(flops, moved, seconds, flops / seconds / 1e12, moved / seconds / 1e9)

    def _machine(self) -> str:
        target = getattr(self.device, "target", None)
        if target is not None:
            arch = str(target.arch).removeprefix("gfx").removeprefix("sm_")
            return arch if target.vendor == "hip" else arch.rstrip("a")
        return str(getattr(self.device, "compute_capability", ""))

    def _visit_block(self, operations: Iterable[Any], times: int) -> None:
        for op in operations:
            self._visit(op.operation, times)

    def _visit(self, op: ir.Operation, times: int) -> None:
        if op.name == "tl.gemm":
            m, n = list(ir.MemRefType(op.operands[2].type).shape)[-2:]
            a = list(ir.MemRefType(op.operands[0].type).shape)[-2:]
            self.total_flops += 2 * times * m * n * (a[0] if op.attributes["transpose_a"].value else a[1])
        elif op.name in ("memref.load", "tl.atomic"):
            self._element(op.operands[0], times)
        elif op.name == "memref.store":
            self._element(op.operands[1], times)
        elif op.name == "tl.copy":
            for tile in list(op.operands)[:2]:
                self._tile(op, tile, times)
        times *= self._repeats(op)
        for region in op.regions:
            for block in region.blocks:
                self._visit_block(block.operations, times)

    def _element(self, buffer: ir.Value, times: int) -> None:
        if scope_of(root(buffer)) == GLOBAL:
            self.total_global_bytes += times * _bits(buffer) // 8

    def _tile(self, op: ir.Operation, tile: ir.Value, times: int) -> None:
        if scope_of(root(tile)) != GLOBAL:
            return
        kind = ir.MemRefType(tile.type)
        if not kind.has_static_shape:
            raise _unknown("a tile", op)
        self.total_global_bytes += times * math.prod(kind.shape) * _bits(tile) // 8

    def _repeats(self, op: ir.Operation) -> int:
        """How often the regions of an op run."""
        if op.name == "tl.launch":
            sizes = [_number(value, "the grid", op) for value in op.operands]
            self.block_counts = {f"blockIdx.{axis}": size for axis, size in zip("xyz", sizes, strict=False)}
            return math.prod(sizes)
        if op.name == "scf.for":
            start, stop, step = (_number(value, "a loop", op) for value in list(op.operands)[:3])
            return max(0, -(-(stop - start) // step))
        if op.name == "tl.parallel":
            sizes = [int(size) for size in op.attributes["extents"]]
            if -1 in sizes:
                raise _unknown("a loop", op)
            return math.prod(sizes)
        if op.name == "scf.while":
            raise _unknown("a loop", op)
        return 1


def _bits(buffer: ir.Value) -> int:
    element = ir.MemRefType(buffer.type).element_type
    return max(8, element.width) if str(element) == "i1" else element.width


def _number(value: ir.Value, what: str, op: ir.Operation) -> int:
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.operation.name != "arith.constant":
        raise _unknown(what, op)
    return int(ir.IntegerAttr(owner.operation.attributes["value"]).value)


def _unknown(what: str, op: ir.Operation) -> TileValueError:
    return TileValueError(f"the size of {what} is not known", find_location(str(op.location)),
                          hint="analyse the function for given sizes")
