"""`tl.gemm` on mma.sync: operands by ldmatrix where rows of 16 bytes allow it, element by element otherwise.

Each warp walks its part of C in instruction tiles. Per k step the registers of A for all rows and of B for all columns
are fetched once. ldmatrix needs 16-byte chunks along the contiguous dimension: the operand's K (plain) or, for 16-bit
elements, its M or N (transposed on the way).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.nvidia import ldmatrix, mma
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, targets_with

from ...dialect.layout import Fragment
from ...dialect.location import python_location
from ...dialect.ops.gemm import tile_shape_2d
from ..lowering.buffers import FragmentBuffer, SharedBuffer, Tile
from ..lowering.context import Context
from ..lowering.fragments import write_registers
from ..lowering.index import Index
from ..lowering.memory import load_lanes, shared_pointer
from ..lowering.parallel import thread_coordinates
from ..lowering.views import tile_of
from .mma_layout import MmaShape, WarpGrid, mma_shape, operand_a, operand_b, partition

_KINDS = {"f16": "f16", "bf16": "bf16", "f32": "tf32", "f64": "f64", "f8E4M3FN": "e4m3", "f8E5M2": "e5m2", "i8": "s8"}
_SUMS = {"f32": "f32", "f16": "f16", "i32": "s32", "f64": "f64"}
_FEATURES = {
    "bf16": Feature.MMA_BF16, "tf32": Feature.MMA_BF16, "e4m3": Feature.MMA_FP8, "e5m2": Feature.MMA_FP8,
    "f64": Feature.MMA_F64, "s8": Feature.MMA_INT8, "u8": Feature.MMA_INT8, "f16": Feature.MMA_F16,
}  # fmt: skip


@dataclass(frozen=True)
class _Operand:
    """One operand of the product: where it lies and which way it is stored.

    `k_dim` is the dimension of the tile that runs along K; `bits` the element width; `layout` its register fragment.
    """

    tile: Tile
    k_dim: int
    bits: int
    layout: Fragment
    is_b: bool


def lower_gemm(ctx: Context, op: ir.Operation) -> None:
    a, b, c = list(op.operands)[:3]
    m, n = tile_shape_2d(c)  # type: ignore[misc]
    flags = {x: ir.BoolAttr(op.attributes[f"transpose_{x}"]).value for x in "ab"}
    kinds = [_kind(ctx, op, v, side) for v, side in ((a, "a"), (b, "b"))]
    bits = ir.MemRefType(a.type).element_type.width
    k = tile_shape_2d(a)[0 if flags["a"] else 1]  # type: ignore[index]
    shape = mma_shape(bits)
    if k % shape.k:
        raise UnsupportedError(
            f"K = {k} is no multiple of {shape.k}", python_location(op.location), hint="use a larger block_K"
        )
    warps = ctx.num_threads // ctx.target.warp_size
    grid = partition(m, n, warps, ir.StringAttr(op.attributes["policy"]).value, shape, op)
    left = _Operand(tile_of(ctx, a), 0 if flags["a"] else 1, bits, operand_a(grid, shape, k, bits), False)
    if flags["a"]:
        left = _Operand(left.tile, 0, bits, left.layout.with_dims((k, m), [1, 0]), False)
    right = _Operand(
        tile_of(ctx, b), 1 if flags["b"] else 0, bits, operand_b(grid, shape, k, bits, transposed=flags["b"]), True
    )
    target = ctx.buffers[c]
    assert isinstance(target, FragmentBuffer)
    _multiply(ctx, op, left, right, target, grid, shape, k, kinds)


def _kind(ctx: Context, op: ir.Operation, value: ir.Value, side: str) -> str:
    element = str(ir.MemRefType(value.type).element_type)
    kind = _KINDS.get(element)
    if kind is None:
        raise UnsupportedError(f"no matrix product of {element}", python_location(op.location))
    if kind == "s8" and f"{side}_unsigned" in op.attributes:
        kind = "u8"
    if not ctx.target.supports(_FEATURES[kind]):
        raise UnsupportedError(
            f"a matrix product of {element} needs {_FEATURES[kind].value}, which {ctx.target} lacks",
            python_location(op.location),
            hint=f"targets that have it: {', '.join(targets_with(_FEATURES[kind]))}",
        )
    return kind


def _multiply(
    ctx: Context,
    op: ir.Operation,
    left: _Operand,
    right: _Operand,
    target: FragmentBuffer,
    grid: WarpGrid,
    shape: MmaShape,
    k: int,
    kinds: Sequence[str],
) -> None:
    rows, columns = grid.rows // shape.m, grid.columns // shape.n
    per_tile = 2 * shape.m // 8
    element = target.element
    sum_type = _SUMS.get(str(element))
    if sum_type is None:
        raise UnsupportedError(f"no accumulation in {element}", python_location(op.location))
    sums = _initial(ctx, op, target, rows * columns, per_tile)
    fetch_a, fetch_b = _Fetch(ctx, left, grid, shape), _Fetch(ctx, right, grid, shape)
    for step in range(k // shape.k):
        b_registers = fetch_b.registers(step, columns)
        a_registers = fetch_a.registers(step, rows)
        for row in range(rows):
            for column in range(columns):
                tile = row * columns + column
                sums[tile] = _mma(ctx, a_registers[row], b_registers[column], sums[tile], shape, kinds, sum_type)
    flat = [v for tile in sums for v in tile]
    for start in range(0, len(flat), target.chunk):
        write_registers(ctx, target, range(start, start + target.chunk), ctx.e.pack(flat[start : start + target.chunk]))


def _mma(
    ctx: Context,
    a: Sequence[ir.Value],
    b: Sequence[ir.Value],
    c: Sequence[ir.Value],
    shape: MmaShape,
    kinds: Sequence[str],
    sum_type: str,
) -> list[ir.Value]:
    """One instruction; float16 sums travel as pairs."""
    sizes = (shape.m, shape.n, shape.k)
    if sum_type != "f16":
        return mma.emit(a, b, c, sizes, kinds[0], kinds[1], sum_type)
    pairs = [ctx.e.pack(c[i : i + 2]) for i in range(0, len(c), 2)]
    result = mma.emit(a, b, pairs, sizes, kinds[0], kinds[1], sum_type)
    return [ctx.e.extract(v, i) for v in result for i in (0, 1)]


def _initial(ctx: Context, op: ir.Operation, target: FragmentBuffer, tiles: int, per_tile: int) -> list[list[ir.Value]]:
    """Accumulators per instruction tile: zero, or what C holds."""
    zero = ctx.e.splat(target.element, 0 if isinstance(target.element, ir.IntegerType) else 0.0)
    if "clear" in op.attributes and ir.BoolAttr(op.attributes["clear"]).value:
        return [[zero] * per_tile for _ in range(tiles)]
    file = ctx.registers[target]
    sums = [
        [ctx.e.extract(file[r // target.chunk], r % target.chunk) for r in range(t * per_tile, (t + 1) * per_tile)]
        for t in range(tiles)
    ]
    if len(op.operands) == 4:
        condition = ctx.ssa(op.operands[3])
        sums = [[ctx.e.pure("arith.select", v.type, [condition, zero, v]) for v in tile] for tile in sums]
    return sums


class _Fetch:
    """The registers of one operand, one k step at a time."""

    def __init__(self, ctx: Context, operand: _Operand, grid: WarpGrid, shape: MmaShape) -> None:
        self.ctx = ctx
        self.operand = operand
        self.shape = shape
        self.pack = max(1, 32 // operand.bits)
        digits = 1 if operand.is_b else shape.m // 8
        self.words = digits * max(1, shape.k // (4 * self.pack))  # registers per instruction tile
        size = shape.n if operand.is_b else shape.m
        self.tiles = (grid.columns if operand.is_b else grid.rows) // size
        self.steps = operand.layout.shape[operand.k_dim] // shape.k
        self.chunk_elements = 128 // operand.bits
        self.lane = None
        if isinstance(operand.tile.buffer, SharedBuffer) and self._matrix_loads():
            self.lane = self._lane_base(grid)

    def _matrix_loads(self) -> bool:
        """Whether 16-byte chunks along the contiguous dimension are whole in memory, and ldmatrix can deliver them."""
        buffer = self.operand.tile.buffer
        assert isinstance(buffer, SharedBuffer)
        along_k = self.operand.k_dim == 1
        if self.operand.bits == 64 or (self.operand.bits != 16 and not along_k):
            return False
        inner = [s for s in buffer.layout.steps if s.dim == len(buffer.layout.shape) - 1 and s.stride == 1]
        others = [s.offset for s in buffer.layout.steps if s not in inner]
        last = self.operand.tile.offsets[-1]
        whole = bool(inner) and inner[0].offset == 1 and inner[0].size % self.chunk_elements == 0
        return (
            whole
            and all(o % self.chunk_elements == 0 for o in others)
            and last.multiple_of() % self.chunk_elements == 0
        )

    # -- by ldmatrix ---------------------------------------------------------------------------------------------------
    def _lane_base(self, grid: WarpGrid) -> tuple[Index, Index]:
        """Row and column in the tile of the 8x8 matrix row whose address a lane gives, for the first tile and step."""
        ix = self.ctx.ix
        lane, low, high = self._lane_digits()
        warp = self._warp_offset(grid)
        eight = lambda x: ix.scale(x, 8)  # noqa: E731
        chunk = lambda x: ix.scale(x, self.chunk_elements)  # noqa: E731
        # A's four matrices: rows, rows + 8, then k + half; B's: k, k + half, then the next eight columns.
        first, second = (high, low) if self.operand.is_b else (low, high)
        if self.operand.k_dim == 1:  # rows of the stored tile run along M or N
            row, column = ix.add(lane, eight(first)), chunk(second)
        else:  # stored rows run along K, the matrices are transposed on the way
            row, column = ix.add(lane, eight(second)), eight(first)
        if self.operand.k_dim == 1:
            return ix.add(row, warp), column
        return row, ix.add(column, warp)

    def _lane_digits(self) -> tuple[Index, Index, Index]:
        """lane % 8, lane / 8 % 2, lane / 16."""
        ix, thread = self.ctx.ix, self.ctx.thread
        parts = []
        for weight, size in ((1, 8), (8, 2), (16, 2)):
            quotient = ix.divide(thread, weight)
            digit = ix.remainder(quotient, size) if quotient is not None else None
            assert digit is not None
            parts.append(digit)
        return parts[0], parts[1], parts[2]

    def _warp_offset(self, grid: WarpGrid) -> Index:
        ix = self.ctx.ix
        warp = ix.divide(self.ctx.thread, 32)
        assert warp is not None
        if self.operand.is_b:
            number = ix.divide(warp, grid.m)
            assert number is not None
            return ix.scale(number, grid.columns)
        number = ix.remainder(warp, grid.m)
        assert number is not None
        return ix.scale(number, grid.rows)

    def registers(self, step: int, count: int) -> list[list[ir.Value]]:
        """32-bit registers (64-bit for float64) per instruction tile."""
        if self.lane is None:
            return [self._elementwise(tile, step) for tile in range(count)]
        if not self.operand.is_b:
            return [self._load_matrices(tile, step, 4) for tile in range(count)]
        out: list[list[ir.Value]] = []
        for tile in range(0, count - 1, 2):
            loaded = self._load_matrices(tile, step, 4)
            out += [loaded[:2], loaded[2:]]
        if count % 2:
            out.append(self._load_matrices(count - 1, step, 2))
        return out

    def _load_matrices(self, tile: int, step: int, count: int) -> list[ir.Value]:
        ctx, ix, operand = self.ctx, self.ctx.ix, self.operand
        assert self.lane is not None and isinstance(operand.tile.buffer, SharedBuffer)
        size = self.shape.n if operand.is_b else self.shape.m
        along, across = Index.of(step * self.shape.k), Index.of(tile * size)
        row, column = self.lane
        if operand.k_dim == 1:
            row, column = ix.add(row, across), ix.add(column, along)
        else:
            row, column = ix.add(row, along), ix.add(column, across)
        offsets = list(operand.tile.offsets)
        place = [*offsets[:-2], ix.add(offsets[-2], row), ix.add(offsets[-1], column)]
        address = shared_pointer(ctx, operand.tile.buffer, place)
        return ldmatrix.emit(address, count, operand.k_dim != 1)

    # -- element by element --------------------------------------------------------------------------------------------
    def _elementwise(self, tile: int, step: int) -> list[ir.Value]:
        """The operand's registers in the order of its fragment: tile, k step, word, element."""
        start = ((tile * self.steps) + step) * self.words
        return [self._word(start + i) for i in range(self.words)]

    def _word(self, word: int) -> ir.Value:
        ctx, operand = self.ctx, self.operand
        elements = range(word * self.pack, (word + 1) * self.pack)
        buffer = operand.tile.buffer
        if isinstance(buffer, FragmentBuffer):
            file = ctx.registers[buffer]
            value = ctx.e.gather([(file[e // buffer.chunk], e % buffer.chunk) for e in elements])
        else:
            constants = operand.layout.value_part(np.asarray(elements, np.int64))
            parts = thread_coordinates(ctx, operand.layout)
            with ctx.lanes(self.pack):
                inner = [
                    ctx.ix.add(p.spread(self.pack), Index(None, tuple(int(c) for c in cs), 0, 0, 0, 0))
                    for p, cs in zip(parts, constants, strict=True)
                ]
                offsets = [o.spread(self.pack) for o in operand.tile.offsets]
                place = [*offsets[:-2], *(ctx.ix.add(o, i) for o, i in zip(offsets[-2:], inner, strict=True))]
                value = load_lanes(ctx, buffer, place)  # type: ignore[arg-type]
        if operand.bits == 64:
            return value
        return self._as_word(value)

    def _as_word(self, value: ir.Value) -> ir.Value:
        e = self.ctx.e
        if not isinstance(value.type, ir.VectorType):
            return value if value.type == e.i32 else e.pure("arith.bitcast", e.i32, [value])
        return e.extract(e.pure("vector.bitcast", e.vector_type(1, e.i32), [value]), 0)
