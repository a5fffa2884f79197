"""`tilelang.carver.arch`: machines as the tile search sees them."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.compat.modules import driver
from tilelang_mlir.jit.target import resolve_target

__all__ = ["CDNA", "CUDA", "auto_infer_current_arch", "driver"]


class TileDevice:
    """Limits of a machine. Sizes are bytes, bandwidths bytes per second."""

    def __init__(self, target: Any = "auto") -> None:
        self.target = resolve_target(target)
        self.warp_size = self.target.warp_size
        self.smem_cap = self.max_smem_usage = self.target.max_shared_bytes
        self.reg_cap = self.target.registers
        self.compute_max_core = self.target.multiprocessors
        self.sm_version = int("".join(c for c in self.target.arch if c.isdigit()))
        self.platform = self.target.vendor.upper()


class CUDA(TileDevice):
    """An NVIDIA GPU."""

    def __init__(self, target: Any = "cuda") -> None:
        super().__init__(target)


class CDNA(TileDevice):
    """An AMD data centre GPU."""

    def __init__(self, target: Any = "hip") -> None:
        super().__init__(target)


def auto_infer_current_arch() -> TileDevice:
    """The machine that `auto` means."""
    found = resolve_target("auto")
    return (CDNA if found.vendor == "hip" else CUDA)(found)
