"""NVIDIA instructions, by family. Sections refer to the PTX ISA document, version 8.7."""

from __future__ import annotations

from tilelang_mlir.isa.instruction import Instruction
from tilelang_mlir.isa.nvidia import (
    atomic,
    barrier,
    bits,
    bulk,
    cluster,
    convert,
    cp_async,
    grid,
    launch_control,
    ldmatrix,
    math,
    mbarrier,
    memory,
    mma,
    mma_quad,
    mma_scaled,
    mma_sparse,
    rounding,
    tcgen05,
    tcgen05_mma,
    tensormap,
    thread,
    tma,
    warp,
    wgmma,
    wgmma_product,
    wgmma_single,
)

_FAMILIES = (
    *(thread, barrier, grid, warp, ldmatrix, mma, mma_quad, mma_scaled, mma_sparse, cp_async, atomic, convert, memory),
    *(math, bits, rounding, mbarrier, bulk, tma, wgmma, wgmma_product, wgmma_single, cluster, tcgen05, tcgen05_mma),
    *(launch_control, tensormap),
)
INSTRUCTIONS: tuple[Instruction, ...] = tuple(entry for family in _FAMILIES for entry in family.INSTRUCTIONS)

__all__ = [
    "INSTRUCTIONS",
    "atomic",
    "barrier",
    "bits",
    "bulk",
    "cluster",
    "convert",
    "cp_async",
    "grid",
    "launch_control",
    "ldmatrix",
    "math",
    "mbarrier",
    "memory",
    "mma",
    "mma_quad",
    "mma_scaled",
    "mma_sparse",
    "rounding",
    "tcgen05",
    "tcgen05_mma",
    "tensormap",
    "thread",
    "tma",
    "warp",
    "wgmma",
    "wgmma_product",
    "wgmma_single",
]
