"""Products of 8-bit floats with a scale per 128 columns of A and one per 128 x 128 of B.

The product of each 128 columns is scaled and added up in float32, which also makes up for the few bits that the tensor
cores keep of their sums. That costs one multiplication and addition per 128 products, in the threads, and what matters
is that the tensor cores do not wait for it. What was measured on an H200:

* Scales of A come with the tiles, through shared memory. Loaded by the threads into registers they cost 8 to 23 %, a
  step ahead still 5 to 10 %: a load behind a busy L2 cache takes longer than a product.
* Scales of B come the same way where rows of them are multiples of 16 bytes, as rows of tiles have to be. Loaded by the
  threads when they are needed they cost 3 to 4 % more, a step ahead 1 to 2 %. A row of them in shared memory needs
  barriers of all warpgroups for every tile: 3 % at K = 1536.
* With one product per step a warpgroup waits for it, scales, and starts the next one; two products into sums of their
  own leave one under way meanwhile: 15 to 20 % for tiles of 128 x 128. Three warpgroups have no registers for that, but
  wait less, since two others keep the tensor cores busy: without turns, if the assembler interleaves.
* Tiles of 128 x 160 or 176, which fit some sizes better, lose more by factors per 32 or 16 columns. 128 x 192 with one
  product (0.85 of the speed at 8192 cubed) and 128 x 256 as two products of 128 columns in turn (0.75) are
  slower, with turns passed at the start, in the middle or at the end of a product.
* A step of two products takes 1180 cycles, of which the tensor cores need 1024: 320 to start both, 125 until the first
  one ends, 240 for its 64 additions per thread, under which the second one ends, 240 for those of that, 100 to the next
  start. Additions take 3.5 cycles each while products run. Without them in groups that yield (ptxas before 12.9) they
  take 2.9, and products start later for it. Version and parity computed a step ahead gain nothing, and cost three
  warpgroups 3 %.
* Additions under the next product leave a multiplication between two products, and need registers for a product, a
  scaled one and the sum: the fastest form at none of four sizes.
* The store of a tile is what keeps sizes of small K back: it adds 1050 cycles to a tile. Without it K = 2048 reaches
  0.99 of one scale per tensor, K = 1536 0.96; with conversion and stmatrix only 0.94 and 0.89, since shared memory is
  busy with operands (530 cycles); fence, barriers and the bulk store are the rest. Not faster by more than 1 %: a
  second buffer per warpgroup, for which a version of the scales has to go (K = 7168 loses 1 %), both halves between the
  same barriers, stores of single warps, a fence and a bulk store behind the additions that follow.
* Nor do stores straight from registers: with 16 bytes per thread, for which a box of five dimensions permutes the rows
  of a tile of B so that a thread holds eight neighbouring columns, they gain 0.5 % at K = 2048 and 0.6 at K = 1536,
  nothing with one scale per tensor (0.99); with words exchanged in quads instead they lose 0.5 %, with 4 bytes per
  thread 20 to 25 %. So what holds registers up is how fast a multiprocessor gets rid of a tile, not shared memory. A
  tile kept as bfloat16 and stored whole in the second step gains no more.
* Against one scale per tensor, at best tiles for each, 0.945 is left at 8192 cubed, 0.935 at K = 7168, 0.89 at K = 2048
  and 0.85 at K = 1536.
"""

# Annotations of a kernel are calls in the language of `T`.
# pyright: reportInvalidTypeForm=false

from __future__ import annotations

import functools
import math
from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.jit.decorator import jit
from tilelang_mlir.jit.target import resolve_target
from tilelang_mlir.ops.tiling import Tiling
from tilelang_mlir.target import Feature, Target

E4M3 = "float8_e4m3"
BLOCK = 128  # columns, and rows of B, that share a scale
BLOCKS = Tiling(192, 128, BLOCK, 4, 384)
PAIRS = Tiling(128, 128, BLOCK, 3, 256)  # of products
_BLOCKS_OF_WARPS = Tiling(128, 128, BLOCK, 2, 256)
_GROUP = 16  # rows of tiles that are walked column by column
_CHUNK = 8, 4  # factors of `scales_b` that are copied together: rows of 16 bytes, at multiples of 16, 128 in all
# Tiles for warpgroups, their products per step, and how fast they are per element against the first.
_FORMS = (
    (PAIRS, 2, 1.0),
    (BLOCKS, 1, 1.025),
    (Tiling(128, 96, BLOCK, 3, 256), 2, 0.79),
    (Tiling(128, 64, BLOCK, 4, 256), 2, 0.65),
)


@jit(out_idx=[-1])
def gemm_fp8_blocks(M: int, N: int, K: int, dtype: str = E4M3, out: str = "bfloat16", tiling: Tiling = BLOCKS) -> Any:
    """C[M, N] of A[M, K] with a scale per 128 columns and B[N, K] with one per 128 x 128.

    `block_N` is a multiple of 8: a tile may begin and end within blocks of B, whose scales change every `band` columns
    at most.
    """
    block_M, block_N = tiling.block_M, tiling.block_N
    steps, band = -(-K // BLOCK), math.gcd(tiling.block_N, BLOCK)
    bands = block_N // band

    @T.prim_func
    def gemm_fp8_scaled_blocks(
        A: T.Tensor((M, K), dtype),
        scales_a: T.Tensor((steps, M), "float32"),
        B: T.Tensor((N, K), dtype),
        scales_b: T.Tensor((T.ceildiv(N, BLOCK), steps), "float32"),
        C: T.Tensor((M, N), out),
    ):
        with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=tiling.threads) as (bx, by):
            A_shared = T.alloc_shared((block_M, BLOCK), dtype)
            B_shared = T.alloc_shared((block_N, BLOCK), dtype)
            rows_shared = T.alloc_shared((1, block_M), "float32")
            part = T.alloc_fragment((block_M, block_N), "float32")
            acc = T.alloc_fragment((block_M, block_N), "float32")
            factors = T.alloc_fragment((block_M, bands), "float32")
            T.use_swizzle(16)
            T.clear(acc)
            for k in T.Pipelined(steps, num_stages=tiling.stages):
                T.copy(A[by * block_M, k * BLOCK], A_shared)
                T.copy(B[bx * block_N, k * BLOCK], B_shared)
                T.copy(scales_a[k, by * block_M], rows_shared)
                T.gemm(A_shared, B_shared, part, transpose_B=True, clear_accum=True)
                for i, g in T.Parallel(block_M, bands):
                    factors[i, g] = rows_shared[0, i] * scales_b[(bx * block_N + g * band) // BLOCK, k]
                for i, g, j in T.Parallel(block_M, bands, band):
                    acc[i, g * band + j] += part[i, g * band + j] * factors[i, g]
            T.copy(acc, C[by * block_M, bx * block_N])

    return gemm_fp8_scaled_blocks


@T.macro
def _place(tile: Any, rows: int, columns: int) -> Any:
    """Row and column of a tile, walked in groups of 16 rows, column by column."""
    first = tile // (_GROUP * columns) * _GROUP
    height = T.min(_GROUP, rows - first)
    inside = tile % (_GROUP * columns)
    return first + inside % height, inside // height


@T.macro
def _factors(
    factors: Any, by_row: Any, by_block: Any, scales_b: Any, p: int, step: Any, column: Any, band: int
) -> None:
    if by_block is None:
        for i, g in T.Parallel(*factors.shape):
            factors[i, g] = by_row[p, i] * scales_b[(column + g * band) // BLOCK, step]
    else:
        for i, g in T.Parallel(*factors.shape):
            factors[i, g] = by_row[p, i] * by_block[(column % BLOCK + g * band) // BLOCK, (step - p) % 4 + p]


@T.macro
def _scale(acc: Any, part: Any, factors: Any, height: int, bands: int, band: int) -> None:
    for i, g, j in T.Parallel(height, bands, band):
        acc[i, g * band + j] = part[i, g * band + j] * factors[i, g]


@T.macro
def _add(acc: Any, part: Any, factors: Any, height: int, bands: int, band: int) -> None:
    for i, g, j in T.Parallel(height, bands, band):
        acc[i, g * band + j] += part[i, g * band + j] * factors[i, g]


@jit(out_idx=[-1])
def gemm_fp8_blocks_persistent(
    M: int, N: int, K: int, dtype: str = E4M3, out: str = "bfloat16", tiling: Tiling = PAIRS, products: int = 2,
    ctas: int = 132,
) -> Any:  # fmt: skip
    """`gemm_fp8_blocks` for products of warpgroups, with `products` of 128 columns each under way at a time.

    One is scaled and added while the next one runs. `ctas` CTAs walk over the tiles; what is left of a tile, its store,
    runs under the first products of the next one, whose results lie in registers of their own. Where rows of `scales_b`
    are multiples of 16 bytes, its factors come with the tiles, too.
    """
    block_M, block_N = tiling.block_M, tiling.block_N
    steps, band = -(-K // BLOCK), math.gcd(tiling.block_N, BLOCK)
    bands, rows, columns = block_N // band, -(-M // tiling.block_M), -(-N // tiling.block_N)
    grid, each = min(ctas, rows * columns), range(products)
    beside = steps * 4 % 16 == 0  # strides of tensor maps

    @T.prim_func
    def gemm_fp8_scaled_blocks(
        A: T.Tensor((M, K), dtype),
        scales_a: T.Tensor((steps, M), "float32"),
        B: T.Tensor((N, K), dtype),
        scales_b: T.Tensor((T.ceildiv(N, BLOCK), steps), "float32"),
        C: T.Tensor((M, N), out),
    ):
        with T.Kernel(grid, threads=tiling.threads) as cta:
            A_shared = [T.alloc_shared((block_M, BLOCK), dtype) for _ in each]
            B_shared = [T.alloc_shared((block_N, BLOCK), dtype) for _ in each]
            by_row = T.alloc_shared((products, block_M), "float32")
            by_block = T.alloc_shared(_CHUNK, "float32") if beside else None
            parts = [T.alloc_fragment((block_M, block_N), "float32") for _ in each]
            factors = [T.alloc_fragment((block_M, bands), "float32") for _ in each]
            acc = T.alloc_fragment((block_M, block_N), "float32")
            y = T.alloc_var("int32", init=0)  # the tile that `acc` belongs to
            x = T.alloc_var("int32", init=0)
            for t in T.serial(T.ceildiv(rows * columns - cta, grid)):
                by, bx = _place(cta + t * grid, rows, columns)
                for k in T.Pipelined(T.ceildiv(steps, products), num_stages=tiling.stages):
                    first = k * products
                    [T.copy(A[by * block_M, (first + p) * BLOCK], A_shared[p]) for p in each]
                    [T.copy(B[bx * block_N, (first + p) * BLOCK], B_shared[p]) for p in each]
                    T.copy(scales_a[first, by * block_M], by_row)
                    if beside:
                        T.copy(scales_b[bx * block_N // BLOCK, first // 4 * 4], by_block)
                    [T.gemm(A_shared[p], B_shared[p], parts[p], transpose_B=True, clear_accum=True) for p in each]
                    [_factors(factors[p], by_row, by_block, scales_b, p, first + p, bx * block_N, band) for p in each]
                    if (k == 0) & (t > 0):
                        T.copy(acc, C[y * block_M, x * block_N])
                    if k == 0:
                        _scale(acc, parts[0], factors[0], block_M, bands, band)
                    else:
                        _add(acc, parts[0], factors[0], block_M, bands, band)
                    [_add(acc, parts[p], factors[p], block_M, bands, band) for p in each[1:]]
                y = by
                x = bx
            T.copy(acc, C[y * block_M, x * block_N])

    return gemm_fp8_scaled_blocks


@functools.cache
def blocks_form(M: int, N: int, target: str | Target = "auto") -> tuple[Any, ...]:
    """The kernel for C[M, N] on a target, and its arguments behind the dtypes.

    Among tiles for warpgroups those of the least time: tiles per multiprocessor x their size / their speed.
    """
    machine = resolve_target(target)
    if not machine.supports(Feature.WGMMA):
        return gemm_fp8_blocks, _BLOCKS_OF_WARPS

    def cost(form: tuple[Tiling, int, float]) -> float:
        tiling, _, speed = form
        tiles = math.ceil(M / tiling.block_M) * math.ceil(N / tiling.block_N)
        return math.ceil(tiles / machine.multiprocessors) * tiling.block_M * tiling.block_N / speed

    tiling, products, _ = min(_FORMS, key=cost)
    return gemm_fp8_blocks_persistent, tiling, products, machine.multiprocessors
