"""Tensor memory: products that run on their own, scale factors, and what orders them (Blackwell)."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import buffer_of, extents_of, tile_of
from tilelang_mlir.frontend.builder import Builder, require
from tilelang_mlir.frontend.expr import BOOL, Expr, as_expr, describe, value_of
from tilelang_mlir.language.copy import describe_shape
from tilelang_mlir.language.gemm import (
    GemmWarpPolicy,
    check_dtypes,
    check_memories,
    check_shapes,
    policy_attribute,
)
from tilelang_mlir.language.marks import takes_name
from tilelang_mlir.language.scale_places import ROWS, Side, by_rows, first_factors
from tilelang_mlir.language.sync import barrier_operands
from tilelang_mlir.mlir import ir

_ROWS = 128
_SCALE_BYTES = 4  # factors of one row in a 32-bit column


@takes_name
def tcgen05_gemm(
    A: Any,
    B: Any,
    C: Any,
    transpose_A: bool = False,
    transpose_B: bool = False,
    policy: GemmWarpPolicy = GemmWarpPolicy.Square,
    clear_accum: Any = False,
    *,
    mbar: Any = None,
    use_2cta: bool = False,
    annotations: dict[str, Any] | None = None,
) -> None:
    """Start `C += op(A) @ op(B)` with C in tensor memory; the program waits for it.

    One thread of those that reach it issues the product. It is complete when a phase of `mbar` is (one arrival), or of
    a later `T.tcgen05_mma_arrive`; until then A and B may not be written, nor C touched.

        T.tcgen05_gemm(A_shared, B_shared, C_tmem, transpose_B=True, mbar=mbar, clear_accum=k == 0)
        T.mbarrier_wait_parity(mbar, k % 2)

    Args:
        A: [M, K] (or [K, M]) in shared memory, or [M, K] in tensor memory (M = 128).
        B: [K, N] (or [N, K]) in shared memory.
        C: [M, N] in tensor memory, float32, int32, or float16 for operands of float16 and 8 bits or fewer; M is 64 or
            128, N a multiple of 16 (of 8 when M = 64) up to 256.
        clear_accum: set C instead of adding to it.
        mbar: the barrier that gets an arrival when the product is complete; with `use_2cta`, that of both blocks.
        use_2cta: a pair of blocks of a cluster computes [2 M, N]: each has its M = 64 or 128 rows of A and C, and N / 2
            columns of B; those of even rank come first, and issue it unless the program branches on the rank. In such a
            kernel every product has `use_2cta`, and `T.tma_copy` to a barrier of `T.alloc_cluster_barrier` completes at
            the even block's.

    Raises:
        TileTypeError: C is not in tensor memory, or the dtypes have no product. TileValueError: the shapes disagree.
        UnsupportedError: on compilation, for a target without tensor memory, a shape without instruction, or a pair
            without a cluster.
    """
    del policy, annotations  # one thread issues the product
    builder = _in_kernel("T.tcgen05_gemm")
    _check(A, B, C, bool(transpose_A), bool(transpose_B), pair=use_2cta)
    start_product(builder, A, B, C, bool(transpose_A), bool(transpose_B), clear_accum, attributes=_pair(use_2cta))
    if mbar is not None:
        tcgen05_mma_arrive(mbar, use_2cta)


tcgen05_mma = tcgen05_gemm


def _in_kernel(what: str) -> Builder:
    builder = require(what)
    builder.require_launch(what)
    return builder


def _pair(asked: bool) -> dict[str, ir.Attribute]:
    return {"pair": ir.UnitAttr.get()} if asked else {}


def _check(A: Any, B: Any, C: Any, transpose_a: bool, transpose_b: bool, *, pair: bool) -> None:
    memory = buffer_of(C, "operand C of T.tcgen05_gemm").memory
    if memory != "tmem":
        raise TileTypeError(
            f"operand C of T.tcgen05_gemm is in {memory} memory, expected tmem", hint="allocate it with T.alloc_tmem"
        )
    if buffer_of(A, "operand A of T.tcgen05_gemm").memory == "fragment":
        raise TileTypeError(
            "operand A of T.tcgen05_gemm is in fragment memory, expected shared or tmem",
            hint="copy it to T.alloc_shared, or to T.alloc_tmem with 128 rows",
        )
    check_memories(A, B, C)
    check_shapes(A, B, C, transpose_a, transpose_b, parts=2 if pair else 1)
    check_dtypes(*(buffer_of(x, "an operand of T.tcgen05_gemm").dtype for x in (A, B, C)))


def start_product(
    builder: Builder,
    A: Any,
    B: Any,
    C: Any,
    transpose_a: bool,
    transpose_b: bool,
    clear: Any,
    *,
    scales: tuple[Any, Any] | None = None,
    attributes: dict[str, ir.Attribute] | None = None,
) -> None:
    """Emit `tl.tcgen05_mma`, or its form with block scales."""
    operands = [tile_of(value, f"operand {name} of the product") for name, value in zip("ABC", (A, B, C), strict=True)]
    keep = arith.logical_not(clear) if isinstance(clear, Expr) else not clear
    operands.append(value_of(builder, as_expr(keep, BOOL)))
    for name, value in zip(("A", "B"), scales or (), strict=False):
        operands.append(tile_of(value, f"the scale factors of {name}"))
    given: dict[str, ir.Attribute] = {
        "transpose_a": ir.BoolAttr.get(transpose_a),
        "transpose_b": ir.BoolAttr.get(transpose_b),
        **(attributes or {}),
    }
    for name, value in (("a_unsigned", A), ("b_unsigned", B)):
        if buffer_of(value, "an operand of the product").dtype.kind == "uint":
            given[name] = ir.UnitAttr.get()
    builder.emit("tl.tcgen05_scaled_mma" if scales else "tl.tcgen05_mma", operands, [], given)


def tcgen05_mma_arrive(mbar: Any, arrive_2cta: bool = False) -> None:
    """Arrive once at a barrier when the products and scale copies that were started are complete.

        T.tcgen05_mma_arrive(mbar)

    Args:
        mbar: a barrier of `T.alloc_barrier`, or of `T.alloc_cluster_barrier`.
        arrive_2cta: arrive in both blocks of a pair (see `T.tcgen05_gemm`).
    """
    builder, operands = barrier_operands("T.tcgen05_mma_arrive", mbar)
    builder.emit("tl.tcgen05_commit", operands, [], _pair(arrive_2cta))


def _fence(kind: str) -> None:
    builder = _in_kernel(f"T.tcgen05_{kind}_thread_sync")
    builder.emit("tl.tcgen05_fence", [], [], {"kind": ir.StringAttr.get(kind)})


def tcgen05_before_thread_sync() -> None:
    """Order this thread's accesses to tensor memory before the synchronisation of threads that follows.

    The compiler puts these fences around every barrier, arrival and wait of a kernel; calling it is harmless.
    """
    _fence("before")


def tcgen05_after_thread_sync() -> None:
    """Order this thread's later accesses to tensor memory after the synchronisation of threads ahead."""
    _fence("after")


def deallocate_tmem(tmem: Any) -> None:
    """Free a buffer of `T.alloc_tmem` before the kernel ends; all threads call it. Others are freed at the end."""
    builder = _in_kernel("T.deallocate_tmem")
    buffer = buffer_of(tmem, "the argument of T.deallocate_tmem")
    if buffer.memory != "tmem":
        raise TileTypeError(f"T.deallocate_tmem needs a buffer of T.alloc_tmem, got one in {buffer.memory} memory")
    builder.emit("tl.dealloc_tmem", [tile_of(tmem, "the argument of T.deallocate_tmem")])


# -- scale factors -----------------------------------------------------------------------------------------------------
def _blocks(what: str, A: Any, B: Any, granularity: tuple[Any, Any], *, mixed: bool = False) -> list[int]:
    """Elements along K of a factor of A and of B, checked; `mixed`: the widths of A and B may differ."""
    blocks = list(granularity)
    widths = {buffer_of(side, f"an operand of {what}").dtype.bits == 4 for side in (A, B)}
    if len(widths) == 2 and not mixed:
        raise TileTypeError(f"{what} multiplies 4-bit with 8-bit floats", hint="use one width for A and B")
    small = widths == {True}
    for block in blocks:
        known = isinstance(block, int) and not isinstance(block, bool) and block > 0
        if not known or block % 32 and not (small and block == 16):
            expected = "16 or 32 elements of 4 bits" if small else "a multiple of 32 elements"
            raise TileValueError(f"{what}: a factor covers {expected} along K, got {describe(block)}")
    return blocks


@takes_name
def tcgen05_gemm_blockscaled(
    A: Any,
    B: Any,
    C: Any,
    SFA_tmem: Any,
    SFB_tmem: Any,
    transpose_A: bool = False,
    transpose_B: bool = False,
    clear_accum: Any = False,
    wg_wait: int = 0,
    mbar: Any = None,
    k_start: Any = 0,
    sf_a_granularity_k: Any = 32,
    sf_b_granularity_k: Any = 32,
    *,
    use_2cta: bool = False,
) -> None:
    """Start `C += (op(A) * SFA) @ (op(B) * SFB)`: every factor scales some elements of a row along K.

    The factors are bytes, four of a row in one 32-bit column: `T.tcgen05_cp_warpx4` brings them there. They are
    float8_e8m0 (powers of two); those of 16 elements, which float4_e2m1fn tiles may have, float8_e4m3. That is mxfp8,
    mxfp4 and nvfp4.

        T.tcgen05_cp_warpx4(SFA_shared, SFA_tmem)
        T.tcgen05_gemm_blockscaled(A, B, C, SFA_tmem, SFB_tmem, transpose_B=True, mbar=mbar, clear_accum=k == 0)

    Args:
        A, B: float8 tiles in shared memory, as for `T.tcgen05_gemm`, or float4_e2m1fn tiles, [M, K] and [N, K] with
            transpose_B. C: float32 in tensor memory, 128 rows.
        SFA_tmem, SFB_tmem: uint32 buffers of `T.alloc_tmem` with 128 rows and, for every four factors of a row, four
            columns per 128 rows of A (columns of B).
        k_start: where this tile starts along K; the columns have the factors around it. One that is known at run time
            only is a multiple of K.
        sf_a_granularity_k, sf_b_granularity_k: elements along K of one factor: a multiple of 32; of float4_e2m1fn 16
            or 32.
    """
    del wg_wait
    what = "T.tcgen05_gemm_blockscaled"
    builder = _in_kernel(what)
    _check(A, B, C, bool(transpose_A), bool(transpose_B), pair=use_2cta)
    blocks = _blocks(what, A, B, (sf_a_granularity_k, sf_b_granularity_k))
    words: list[int] = []
    rows = _ROWS, (extents_of(C) or (0,))[-1]
    for name, value, count in zip(("SFA_tmem", "SFB_tmem"), (SFA_tmem, SFB_tmem), rows, strict=True):
        buffer = buffer_of(value, f"{name} of {what}")
        if buffer.memory != "tmem" or buffer.dtype.bits != 32:
            raise TileTypeError(f"{name} of {what} must be uint32 in tensor memory, got {buffer.dtype} in "
                                f"{buffer.memory} memory")
        words.append(max(1, (extents_of(value) or (0,))[-1] // (-(-count // _ROWS) * _SCALE_BYTES)))
    for firsts in first_factors(builder, what, tuple(map(Side, blocks, words)), _depth(A, transpose_A), k_start):
        attributes: dict[str, ir.Attribute] = {
            "scale_bytes": ir.DenseI64ArrayAttr.get(firsts), "scale_blocks": ir.DenseI64ArrayAttr.get(blocks),
            **_pair(use_2cta),
        }  # fmt: skip
        start_product(
            builder, A, B, C, bool(transpose_A), bool(transpose_B), clear_accum,
            scales=(SFA_tmem, SFB_tmem), attributes=attributes,
        )  # fmt: skip
    if mbar is not None:
        tcgen05_mma_arrive(mbar, use_2cta)


tcgen05_mma_blockscaled = tcgen05_gemm_blockscaled


def mma_gemm_blockscaled(
    A: Any,
    B: Any,
    C: Any,
    SFA: Any,
    SFB: Any,
    transpose_A: bool = False,
    transpose_B: bool = False,
    policy: GemmWarpPolicy = GemmWarpPolicy.Square,
    clear_accum: bool = False,
    k_start: Any = 0,
    sf_a_granularity_k: Any = 32,
    sf_b_granularity_k: Any = 32,
    sf_layout: str | None = None,
) -> None:
    """`C += (op(A) * SFA) @ (op(B) * SFB)` with C in registers: a product of the warps with block scales.

        T.mma_gemm_blockscaled(A_shared, B_shared, C_local, SFA_shared, SFB_shared, transpose_B=True)

    Args:
        A, B: float8 or float4_e2m1fn tiles in shared memory (these as [M, K] and [N, K] with transpose_B); one of each
            where the target multiplies them (gfx950, sm_120a). On gfx950 also float6_e2m3fn and float6_e3m2fn.
        C: float32 fragment.
        SFA, SFB: uint32 in shared memory, [M, words] and [N, words]: a word has four factors of a row, as bytes.
            Factors are float8_e8m0; those of 16 elements float8_e4m3.
        clear_accum: set C instead of adding to it (a Python bool).
        k_start: where this tile starts along K; the words have the factors around it. One that is known at run time
            only is a multiple of K.
        sf_a_granularity_k, sf_b_granularity_k: elements along K of one factor: a multiple of 32; of float4_e2m1fn 16
            or 32.
        sf_layout: "blockscaled_chunk_kmajor" for factors of whole tiles in CUTLASS' order, in which word w of row r is
            number w * rows + r % 32 * (rows / 32) + r / 32 of the tile; k_start has no meaning then.

    Raises:
        TileValueError: the shapes disagree. TileTypeError: dtypes or memories without such a product.
        UnsupportedError: on compilation, for a target without block-scaled products of warps.
    """
    what = "T.mma_gemm_blockscaled"
    builder = _in_kernel(what)
    check_memories(A, B, C)
    check_shapes(A, B, C, bool(transpose_A), bool(transpose_B))
    check_dtypes(*(buffer_of(x, f"an operand of {what}").dtype for x in (A, B, C)))
    kinds = [buffer_of(side, f"an operand of {what}").dtype for side in (A, B)]
    for kind in kinds:
        if not kind.is_float or kind.bits > 8:
            raise TileTypeError(f"{what}: a block-scaled product of {kind}", hint="use float8_e4m3 or float4_e2m1fn")
    blocks = _blocks(what, A, B, (sf_a_granularity_k, sf_b_granularity_k), mixed=True)
    _check_shared(what, A=A, B=B, SFA=SFA, SFB=SFB)
    order = sf_layout or ROWS
    scales = [by_rows(what, value, order) for value in (SFA, SFB)]
    sides = [Side(block, (extents_of(value) or (1,))[-1]) for block, value in zip(blocks, scales, strict=True)]
    for firsts in first_factors(builder, what, sides, _depth(A, transpose_A), k_start if order == ROWS else 0):
        operands = [tile_of(value, f"an operand of {what}") for value in (A, B, C, *scales)]
        attributes: dict[str, ir.Attribute] = {
            "transpose_a": ir.BoolAttr.get(bool(transpose_A)), "transpose_b": ir.BoolAttr.get(bool(transpose_B)),
            "policy": policy_attribute(policy), "clear": ir.BoolAttr.get(bool(clear_accum)),
            "scale_bytes": ir.DenseI64ArrayAttr.get(firsts), "scale_blocks": ir.DenseI64ArrayAttr.get(blocks),
        }  # fmt: skip
        builder.emit("tl.mma_scaled", operands, [], attributes)


def _check_shared(what: str, **operands: Any) -> None:
    for name, value in operands.items():
        buffer = buffer_of(value, f"{name} of {what}")
        if buffer.memory != "shared" or (name.startswith("SF") and buffer.dtype.bits != 32):
            wanted = "uint32 in shared memory" if name.startswith("SF") else "in shared memory"
            raise TileTypeError(f"{name} of {what} must be {wanted}, got {buffer.dtype} in {buffer.memory} memory")


def _depth(A: Any, transposed: Any) -> Any:
    """Elements of A along k."""
    return (extents_of(A) or (None, None))[-2 if transposed else -1]


def tcgen05_cp_warpx4(smem_src: Any, tmem_dst: Any, tmem_col_offset: Any = 0, *, use_2cta: bool = False) -> None:
    """Start a copy of scale factors from shared to tensor memory; it is complete when a later product is.

    Every 128 words are four columns: word i of row r (0 to 31) is word 4 r + i of the source, and column i of lane r in
    each quarter of the lanes.

        T.tcgen05_sf_warp_transpose(SFA_shared)
        T.tcgen05_cp_warpx4(SFA_shared, SFA_tmem)

    Args:
        smem_src: a multiple of 128 uint32 in shared memory. tmem_dst: uint32 in tensor memory.
        tmem_col_offset: the first column of the destination.
        use_2cta: both blocks of a pair get theirs, each from its own shared memory (see `T.tcgen05_gemm`).
    """
    what = "T.tcgen05_cp_warpx4"
    builder = _in_kernel(what)
    shape = extents_of(smem_src)
    sizes = [s for s in shape or [] if isinstance(s, int)]
    words = 1
    for size in sizes:
        words *= size
    source, target = buffer_of(smem_src, f"the source of {what}"), buffer_of(tmem_dst, f"the target of {what}")
    if source.memory != "shared" or target.memory != "tmem":
        raise TileTypeError(f"{what} copies from shared to tensor memory, not from {source.memory} to {target.memory}")
    if shape is None or len(sizes) != len(shape) or words * source.dtype.bits % (128 * 32):
        text = "an address" if shape is None else f"shape {describe_shape(shape)}"
        raise TileValueError(f"{what} copies multiples of 128 words of 32 bits, got {text}")
    columns = words * source.dtype.bits // 1024
    where = tmem_dst
    rows, width = target.shape[-2:]
    known = tmem_col_offset if isinstance(tmem_col_offset, int) else 0  # a loop variable is checked by what it becomes
    if not isinstance(width, int) or not isinstance(rows, int) or known + columns > width:
        raise TileValueError(f"{what}: {columns} columns from {tmem_col_offset} do not fit {width} columns")
    if not isinstance(tmem_col_offset, int) or (tmem_col_offset, columns) != (0, width):
        lead = [0] * (len(target.shape) - 2)
        where = target[(*lead, slice(0, rows), slice(tmem_col_offset, tmem_col_offset + columns))]
    operands = [tile_of(smem_src, f"the source of {what}"), tile_of(where, f"the target of {what}")]
    builder.emit("tl.tcgen05_cp", operands, [], _pair(use_2cta))


def tcgen05_sf_warp_transpose(smem_src: Any) -> None:
    """Turn 128 words per row block around in place, as `T.tcgen05_cp_warpx4` reads them; one warp calls it.

    Of every 128 words, word 32 i + r becomes word 4 r + i: factors stored row after row come to lie by lane.

        T.tcgen05_sf_warp_transpose(SFA_shared)

    Raises:
        TileTypeError: not 32-bit words in shared memory. TileValueError: not a multiple of 128 words.
    """
    from tilelang_mlir.language.alloc import alloc_local
    from tilelang_mlir.language.sync import lane, sync_warp

    what = "T.tcgen05_sf_warp_transpose"
    _in_kernel(what)
    buffer, shape = buffer_of(smem_src, f"the argument of {what}"), extents_of(smem_src)
    if buffer.memory != "shared" or buffer.dtype.bits != 32:
        raise TileTypeError(f"{what} needs 32-bit words in shared memory, got {buffer.dtype} in {buffer.memory} memory")
    count = shape[-1] if shape is not None else None
    if not isinstance(count, int) or count % 128:
        raise TileValueError(f"{what} needs a multiple of 128 words, got {describe(count)}")
    offsets = list(getattr(smem_src, "offsets", [0] * len(buffer.shape)))
    held = alloc_local((4,), buffer.dtype)
    for block in range(count // 128):
        start = offsets[-1] + 128 * block
        for i in range(4):
            held[i] = buffer[(*offsets[:-1], start + 32 * i + lane())]
        sync_warp()
        for i in range(4):
            buffer[(*offsets[:-1], start + 4 * lane() + i)] = held[i]
        sync_warp()
