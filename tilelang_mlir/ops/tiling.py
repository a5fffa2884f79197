"""Which tiles a matrix product is cut into: a model of the time that depends on nothing but the sizes.

What bounds a product are its instructions, the way of the tiles to the multiprocessors, and device memory; where two of
them take about as long, the product takes longer than either (`_together`).

* Instructions: a wave is one tile per multiprocessor, and the last one counts in full: how well the number of tiles
  fits the machine decides most of all. The time of a tile is its area times K, divided by how busy the tensor cores are
  with instructions of that width, and a constant for the part of the store that nothing hides.
* Tiles: of A, most loads hit the L2 cache at once; a tile of B comes from memory for the first of the CTAs that use it
  at the same time, and rows behind the end of A take more time than others. So few rows are better made columns of the
  instructions (`Tiling.swapped`), of which there may be as few as 8.
* Memory: A and B once, and a part of B again where several rows of tiles use it.

The rates are those of an H200; their ratios are what matters. Machines without warpgroup products take square tiles
of a few warps, whose sums stay in registers.

Where a product has fewer tiles than half of the machine takes, K is split: several CTAs sum parts of a tile. Either a
second kernel adds the parts in a fixed order, which costs its launch and the way of the parts through the L2 cache; or
one of the CTAs adds those of the others, one after the other: better for few parts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tilelang_mlir.target import Feature, Target, parse_target

HOPPER = parse_target("cuda")  # the default architecture
_SPAN = 128  # bytes of a row of a stage: one swizzle span
_STORE_ROOM = 33 * 1024  # bytes of shared memory beside the stages: the buffers of the store, barriers
_MAX_STAGES = 8
_WARP_STAGES = 4  # of machines without warpgroup products: more only cost shared memory
# Busy share of the tensor cores by columns of an instruction. "turns": one warpgroup computes a tile of 128 rows while
# the other one stores; "together": two warpgroups share a tile of 128 rows; "warps": every warp has its own part.
_BUSY = {
    "turns": {32: 0.36, 64: 0.66, 96: 0.84, 128: 0.925, 160: 0.965, 176: 0.985, 192: 1.0, 208: 0.995},
    "together": {32: 0.36, 64: 0.70, 96: 0.88, 128: 0.98, 192: 0.987, 224: 0.995, 256: 1.0},
    "tall": {64: 0.80, 96: 0.95, 128: 0.99},
    "warps": {64: 0.75, 128: 1.0},
}
_LOW = 0.894  # the same for tiles of 64 rows beside those of 128
# Steps of K that take as long as what shows of the store.
_STORE = {"turns": 0, "together": 40, "tall": 40, "warps": 40}
_START = 172  # the same for filling the pipeline, once
_FLOPS_PER_CYCLE = 4096.0  # of 16-bit elements per multiprocessor
# Bytes per cycle and multiprocessor, and what else loading depends on.
_MEMORY = 17.3
_CACHE = 90.0  # tiles that others use at the same time
_FRESH = 68.0  # tiles that come from memory
_OTHERS = 0.22  # share of such a tile that another CTA at work at the same time cannot save
_EMPTY = 2.5  # rows behind the end of A, in those of fresh tiles
_AGAIN = 0.17  # share of B that comes from memory again for further rows of tiles
_ASKEW = 3.5  # tiles of A across K, in rows that do not start at lines of the cache, in other tiles of A
_LINE = 128
_STEP = 30.0  # cycles of a step of K beside those of its bytes
_NEIGHBOURS = 16  # rows of tiles that are worked on at the same time
_SMOOTH = 3.0  # of the norm that joins what bounds a product
_PARTS = (1, 2, 3, 4, 6, 8)
_LEAST_STEPS = 8  # of a part's loop: shorter ones do not fill their pipeline
_SECOND_LAUNCH = 2850.0  # cycles until the kernel that adds the parts is under way
_FIRST_LAUNCH = 4400.0  # the same for a kernel that clears flags, and for waiting for them
_BYTES_HANDED_OVER = 48.0  # per cycle, of a CTA that stores its sums for another one, or adds those of others
_BYTES_ADDED = 18.6  # the same of the second kernel, per multiprocessor


@dataclass(frozen=True)
class Tiling:
    """Sizes of a tile, versions of its operands in shared memory, threads that compute a tile, and parts of K.

    `fused`: the CTAs of a tile add their parts themselves (`stream_k`), else a second kernel does.
    `swapped`: B gives the rows of the instructions and A the columns: the transpose of the tile is computed.
    """

    block_M: int
    block_N: int
    block_K: int
    stages: int
    threads: int
    parts: int = 1
    fused: bool = False
    swapped: bool = False

    @property
    def sums(self) -> tuple[int, int]:
        """The shape of the tile as the instructions compute it."""
        return (self.block_N, self.block_M) if self.swapped else (self.block_M, self.block_N)

    def __str__(self) -> str:
        sizes = f"{self.block_M}x{self.block_N}x{self.block_K}x{self.stages}x{self.threads}{' swapped' * self.swapped}"
        return sizes if self.parts == 1 else f"{sizes}, {self.parts} {'fused ' * self.fused}parts"


def choose(
    M: int,
    N: int,
    K: int,
    bits: int = 16,
    *,
    trans_A: bool = False,
    trans_B: bool = True,
    machine: Target = HOPPER,
    split: bool = True,
) -> Tiling:
    """The tiling of C[M, N] = A[M, K] B[K, N] that the model finds fastest; the first of equals.

    Args:
        M, N, K: sizes in elements.
        bits: of an element of A and B.
        trans_A, trans_B: whether A is stored as [K, M], and B as [N, K].
        machine: whose shared memory, multiprocessors and products count.
        split: whether K may be split.
    """
    candidates = _of_warpgroups if has_wide_products(machine) else _of_warps
    return min(
        (
            replace(tiling, parts=parts, fused=fused)
            for tiling in candidates(machine, bits, trans_A=trans_A, trans_B=trans_B)
            for parts in (_PARTS if split else _PARTS[:1])
            for fused in (False, True)
            if (parts == 1 and not fused) or (parts > 1 and _may_split(tiling, parts, M, N, K, machine, fused=fused))
        ),
        key=lambda tiling: _cost(tiling, M, N, K, bits, machine, trans_A=trans_A),
    )


def _may_split(tiling: Tiling, parts: int, M: int, N: int, K: int, machine: Target, *, fused: bool) -> bool:
    """Whether all parts of all tiles run at once, and each has work enough."""
    if fused and not machine.supports(Feature.WGMMA):
        return False
    fits = _tiles(tiling, M, N) * parts <= machine.multiprocessors
    return fits and K >= parts * _LEAST_STEPS * tiling.block_K


def _tiles(tiling: Tiling, M: int, N: int) -> int:
    return math.ceil(M / tiling.block_M) * math.ceil(N / tiling.block_N)


def warp_threads(machine: Target) -> int:
    """Threads for a tile of 128 x 128 without warpgroup products: four warps, or eight of wide operands."""
    return (8 if machine.supports(Feature.WMMA) else 4) * machine.warp_size


def has_wide_products(machine: Target) -> bool:
    """Whether products are those of warpgroups or of tensor memory, whose sums leave registers for others."""
    return machine.supports(Feature.WGMMA) or machine.supports(Feature.TCGEN05)


def _of_warpgroups(machine: Target, bits: int, *, trans_A: bool, trans_B: bool) -> Iterator[Tiling]:
    """Of either operand the rows of the instructions; the other one's columns, and how many depends on how it lies."""
    for swapped in (False, True) if machine.supports(Feature.WGMMA) else (False,):
        # Across K a tile comes in whole swizzle spans.
        step = (16 if trans_B else 64) if not swapped else (64 if trans_A else 16)
        for rows, threads, most in ((128, 256, 256), (256, 256, 128), (128, 128, 208), (64, 128, 256)):
            for columns in range(most // step * step, 15 if swapped else 31, -step):
                yield _tiling(rows, columns, bits, threads, machine, swapped=swapped)
        if swapped and step == 16:
            for rows, threads in ((128, 256), (64, 128)):
                yield _tiling(rows, 8, bits, threads, machine, swapped=True)


def _of_warps(machine: Target, bits: int, *, trans_A: bool, trans_B: bool) -> Iterator[Tiling]:
    depth = _SPAN // 2 * 8 // bits
    for rows in (128, 64):
        for columns in (128, 64):
            stages = min(_WARP_STAGES, machine.max_shared_bytes // ((rows + columns) * _SPAN // 2))
            yield Tiling(rows, columns, depth, stages, warp_threads(machine))


def _tiling(rows: int, columns: int, bits: int, threads: int, machine: Target, *, swapped: bool) -> Tiling:
    """Of warpgroups; `rows` and `columns` as the instructions count them."""
    depth = _SPAN * 8 // bits
    stages = min(_MAX_STAGES, (machine.max_shared_bytes - _STORE_ROOM) // ((rows + columns) * _SPAN))
    block_M, block_N = (columns, rows) if swapped else (rows, columns)
    return Tiling(block_M, block_N, depth, stages, threads, swapped=swapped)


def _cost(tiling: Tiling, M: int, N: int, K: int, bits: int, machine: Target, *, trans_A: bool = False) -> float:
    """Cycles of one multiprocessor."""
    tiles = _tiles(tiling, M, N) * tiling.parts
    depth = math.ceil(K / tiling.block_K / tiling.parts) * tiling.block_K if tiling.parts > 1 else K
    most = machine.multiprocessors
    rows, columns = tiling.sums
    area = rows * columns
    mode = _mode(tiling, machine)
    products = math.ceil(tiles / most) * 2 * area * (depth + _STORE[mode]) / _rate(tiling, mode, tiles, bits, machine)
    neighbours = min(math.ceil(M / tiling.block_M), _NEIGHBOURS)
    shared = min(tiling.block_M, M) * (_ASKEW if trans_A and M * bits // 8 % _LINE else 1.0)
    fresh = tiling.block_N * (_OTHERS + (1 - _OTHERS) / neighbours) + max(tiling.block_M - M, 0) * _EMPTY
    step = tiling.block_K * bits / 8 * (shared / _CACHE + fresh / _FRESH) + _STEP
    loads = max(tiles / most, 1.0) * math.ceil(depth / tiling.block_K) * step
    again = 1 + _AGAIN * (neighbours - 1) / neighbours
    traffic = (M + N * again) * K * bits / 8 / (most * _MEMORY)
    start = 2 * area * _START / _FLOPS_PER_CYCLE
    return _together(products, loads, traffic) + start + _adding(tiling, M, N, most)


def _rate(tiling: Tiling, mode: str, tiles: int, bits: int, machine: Target) -> float:
    """Operations per cycle."""
    rows, columns = tiling.sums
    rate = _FLOPS_PER_CYCLE * 16 / bits * _interpolate(_BUSY[mode], columns)
    if rows == 64:
        rate *= 0.75 if mode == "warps" else _LOW
    elif mode == "turns" and tiles <= machine.multiprocessors:
        rate *= 0.85  # no second warpgroup fills the gaps between products
    return rate


def _together(*times: float) -> float:
    """Time of what goes on side by side: the longest, and more where others are about as long."""
    return sum(time**_SMOOTH for time in times) ** (1 / _SMOOTH)


def _adding(tiling: Tiling, M: int, N: int, multiprocessors: int) -> float:
    """Time until the parts are added."""
    if tiling.parts == 1:
        return 0.0
    if tiling.fused:
        return _FIRST_LAUNCH + 2 * 4 * (tiling.parts - 1) * math.prod(tiling.sums) / _BYTES_HANDED_OVER
    return _SECOND_LAUNCH + 2 * 4 * tiling.parts * M * N / (multiprocessors * _BYTES_ADDED)


def _mode(tiling: Tiling, machine: Target) -> str:
    """How the threads share a tile, see `_BUSY`."""
    if not has_wide_products(machine):
        return "warps"
    if tiling.threads != 256:
        return "turns"
    return "tall" if tiling.sums[0] == 256 else "together"


def _interpolate(points: dict[int, float], x: int) -> float:
    """Piecewise linear; constant beyond the ends."""
    places = sorted(points)
    if x <= places[0]:
        return points[places[0]] * x / places[0]
    if x >= places[-1]:
        return points[places[-1]]
    right = next(i for i, place in enumerate(places) if place >= x)
    low, high = places[right - 1], places[right]
    return points[low] + (points[high] - points[low]) * (x - low) / (high - low)
