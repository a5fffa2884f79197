"""`tilelang.carver`: tile sizes worth trying for a shape, from the limits of the machine."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from tilelang_mlir.compat.modules import arch
from tilelang_mlir.compat.modules.arch import CDNA, CUDA, TileDevice
from tilelang_mlir.dtypes import DType

__all__ = ["CDNA", "CUDA", "Hint", "MatmulTemplate", "NoRasterization", "arch"]


class NoRasterization:
    """Blocks in their natural order."""


class Rasterization2DColumn:
    """Blocks in panels of columns."""

    def __init__(self, panel_width: int = 8) -> None:
        self.panel_width = panel_width


@dataclass
class Hint:
    """Tile sizes of one candidate: of a block, of a warp, along the reduction, and pipeline stages."""

    block: list[int]
    warp: list[int]
    rstep: list[int]
    pipeline_stage: int
    rasterization_plan: Any = field(default_factory=NoRasterization)
    use_tc: bool = True


@dataclass
class MatmulTemplate:
    """Candidates for `C[M, N] = A[M, K] @ B[K, N]`."""

    M: int
    N: int
    K: int
    in_dtype: Any = "float16"
    out_dtype: Any = "float16"
    accum_dtype: Any = "float32"
    trans_A: bool = False
    trans_B: bool = True
    device: TileDevice | None = None

    def with_arch(self, device: TileDevice) -> MatmulTemplate:
        """Choose for a machine; returns itself."""
        self.device = device
        return self

    def equivalent_function(self) -> MatmulTemplate:
        return self

    def recommend_hints(self, topk: int = 10) -> list[Hint]:
        """The best `topk` candidates: those that read least from memory per product and fill the machine."""
        device = self.device or CUDA()
        size = DType(self.in_dtype).bytes
        found: list[tuple[float, Hint]] = []
        for rows, cols, depth, stages in itertools.product((32, 64, 128, 256), (32, 64, 128, 256), (32, 64), (2, 3)):
            if (rows + cols) * depth * size * stages > device.smem_cap or rows * cols > 128 * 256:
                continue
            blocks = -(-self.M // rows) * -(-self.N // cols)
            waves = -(-blocks // device.compute_max_core)
            idle = waves * device.compute_max_core / blocks
            waste = (-(-self.M // rows) * rows * -(-self.N // cols) * cols) / (self.M * self.N)
            traffic = 1 / rows + 1 / cols
            warp = [max(rows // 2, 16), max(cols // 2, 8)]
            found.append((traffic * idle * waste, Hint([rows, cols], warp, [depth], stages)))
        found.sort(key=lambda entry: entry[0])
        return [hint for _, hint in found[:topk]]
