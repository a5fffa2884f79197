"""`tl.staged_store`: registers to device memory through small shared buffers, overlapped with what follows.

Per piece, the threads of a warpgroup together: the first one waits until the buffer's last store has read it; a
barrier; `stmatrix` (16-bit elements, transposed where the tile is) or plain stores; a fence; a barrier; the first one
starts the bulk store.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from tilelang_mlir import dtypes
from tilelang_mlir.isa.nvidia import barrier, ldmatrix, tma
from tilelang_mlir.mlir import ir

from ..lowering.buffers import FragmentBuffer, SharedBuffer, storage_type
from ..lowering.context import Context, rule
from ..lowering.index import Index
from ..lowering.memory import shared_offset
from ..lowering.scalar import cast
from ..lowering.views import tile_of
from .bulk_copy import staged_key
from .roles import in_warpgroup, warpgroup, warpgroup_barrier
from .store_plan import BUFFER_BYTES, Piece, StorePlan, row_dim, staged_plan
from .wgmma_layout import ROWS, WARPGROUP


@rule("tl.staged_store")
def lower_staged_store(ctx: Context, op: ir.Operation) -> None:
    _Store(ctx, op).run()


class _Store:
    """The lowering of one store."""

    def __init__(self, ctx: Context, op: ir.Operation) -> None:
        self.ctx = ctx
        source, staging, self.target = op.operands
        self.plan: StorePlan = staged_plan(op)
        # Those through the same buffers.
        self.stores = [u.owner.operation for u in staging.uses if u.owner.name == "tl.staged_store"]
        fragment, buffer = ctx.buffers[source], ctx.buffers[staging]
        assert isinstance(fragment, FragmentBuffer) and isinstance(buffer, SharedBuffer)
        self.fragment, self.staging = fragment, buffer
        # Buffers of each warpgroup: `staging` has those of all that run this code.
        self.buffers = buffer.shape[0] // (ctx.consumers // WARPGROUP)
        self.fresh = "fresh" in op.attributes
        self.reduction = ir.StringAttr(op.attributes["reduce"]).value if "reduce" in op.attributes else ""
        self.first = ctx.e.compare("eq", ctx.ix.scalar(in_warpgroup(ctx)), 0)
        own = ctx.ix.scalar(ctx.ix.scale(warpgroup(ctx), self.buffers * BUFFER_BYTES))
        self.start = ctx.e.gep(ctx.e.gep(ctx.hardware_arena(), buffer.offset, ctx.e.i8), own, ctx.e.i8)

    def run(self) -> None:
        pieces = [(block, piece) for block in range(self.plan.blocks) for piece in self.plan.pieces]
        # A store gives one buffer after the other to the engine; a reduction, which other work of an iteration waits
        # for, fills all buffers between two barriers.
        step = self.buffers if self.reduction else 1
        aligned = all(_count(staged_plan(op)) % self.buffers == 0 for op in self.stores)
        for number in range(0, len(pieces), step):
            # Of the pieces before, only those of other buffers may still be reading. Where some store does not end at
            # the last buffer, the one before this may have used any.
            pending = self.buffers - 1 if aligned else min(number, self.buffers - 1)
            if number >= self.buffers or not self.fresh:
                with self._first_thread():
                    tma.wait(0 if self.reduction else pending)
                self._sync()
            some = [(n, *pieces[n]) for n in range(number, min(number + step, len(pieces)))]
            for n, block, piece in some:
                self._write(self._buffer(n), block, piece)
            tma.fence_shared()
            self._sync()
            with self._first_thread():
                for n, block, piece in some:
                    self._start(self._buffer(n), block, piece)
                tma.commit()

    def _buffer(self, number: int) -> ir.Value:
        return self.ctx.e.gep(self.start, number % self.buffers * BUFFER_BYTES, self.ctx.e.i8)

    def _start(self, buffer: ir.Value, block: int, piece: Piece) -> None:
        descriptor = self.ctx.tensor_maps[staged_key(self.target, self.plan, piece)]
        place = self._coordinates(block, piece)
        if self.reduction:
            tma.reduce(descriptor, buffer, place, self.reduction, "f32")
        else:
            tma.store(descriptor, buffer, place)

    @contextlib.contextmanager
    def _first_thread(self) -> Generator[None]:
        branch = self.ctx.e.op("scf.if", [], [self.first], regions=2)
        with self.ctx.e.scope(branch.regions[0].blocks.append()):
            yield
            self.ctx.e.end_region()

    def _sync(self) -> None:
        barrier.emit(warpgroup_barrier(self.ctx), WARPGROUP)

    def _coordinates(self, block: int, piece: Piece) -> list[int | ir.Value]:
        """Where the piece lies in the tensor, innermost dimension first."""
        ctx, grid = self.ctx, self.plan.grid
        group = ctx.ix.divide(ctx.thread, WARPGROUP)
        along_m, along_n = ctx.ix.remainder(group, grid.m), ctx.ix.divide(group, grid.m)
        place = list(tile_of(ctx, self.target).offsets)
        down = ctx.ix.add(ctx.ix.scale(along_m, grid.rows), Index.of(block * ROWS))
        across = ctx.ix.add(ctx.ix.scale(along_n, grid.columns), Index.of(piece.start))
        dims = (row_dim(self.target), len(place) - 1)
        moves = dict(zip(dims, (across, down) if piece.transposed else (down, across), strict=True))
        for dim, move in moves.items():
            place[dim] = ctx.ix.add(place[dim], move)
        return [ctx.ix.scalar(i) for i in reversed(place)]

    def _write(self, buffer: ir.Value, block: int, piece: Piece) -> None:
        first = block * self.plan.grid.columns // 2 + piece.start // 2  # register of the piece's first column
        if piece.transposed:
            self._write_transposed(buffer, piece, first)
        elif piece.bits == 16:
            self._write_matrices(buffer, piece, first)
        else:
            self._write_pairs(buffer, piece, first)

    def _write_matrices(self, buffer: ir.Value, piece: Piece, first: int) -> None:
        """Lane l points at row l % 16 and, of two neighbouring 8-column matrices, at number l / 16."""
        ctx = self.ctx
        warp, lane = _digit(ctx, 32, 4), _digit(ctx, 1, 32)
        row = ctx.ix.add(_digit(ctx, 1, 16), ctx.ix.scale(warp, 16))
        half = ctx.ix.divide(lane, 16)
        for column in range(0, piece.width, 16):
            count = min(4, (piece.width - column) // 4)
            along = ctx.ix.add(ctx.ix.scale(half, 8), Index.of(column)) if count == 4 else Index.of(column)
            address = self._address(buffer, piece, row, along)
            ldmatrix.store(address, [self._pair(first + column // 2 + 2 * q) for q in range(count)])

    def _write_transposed(self, buffer: ir.Value, piece: Piece, first: int) -> None:
        """Lane l points at row l % 8 of matrix l / 8: of its warp's 16 columns the first or last 8, then 8 rows on."""
        ctx = self.ctx
        along = ctx.ix.add(ctx.ix.scale(_digit(ctx, 8, 2), 8), ctx.ix.scale(_digit(ctx, 32, 4), 16))
        below = ctx.ix.add(_digit(ctx, 1, 8), ctx.ix.scale(_digit(ctx, 16, 2), 8))
        for start in range(0, piece.width, 16):
            count = min(4, (piece.width - start) // 4)
            row = ctx.ix.add(below if count == 4 else _digit(ctx, 1, 8), Index.of(start))
            values = [self._pair(first + start // 2 + 2 * q) for q in range(count)]
            ldmatrix.store(self._address(buffer, piece, row, along), values, transpose=True)

    def _write_pairs(self, buffer: ir.Value, piece: Piece, first: int) -> None:
        """Two neighbouring elements per store, at the places the accumulator gives each lane.

        Sixteen lanes store at a time, four rows of eight words. The swizzle moves pairs of rows apart, but not the rows
        of a pair: in rows of 128 bytes odd ones store their column 16 further on in the place of this one.
        """
        ctx = self.ctx
        row = ctx.ix.add(_digit(ctx, 4, 8), ctx.ix.scale(_digit(ctx, 32, 4), 16))
        odd = _digit(ctx, 4, 2)
        apart = 16 if piece.span == 128 else 0
        is_odd = ctx.e.compare("eq", ctx.ix.scalar(odd), 1)
        moved = ctx.ix.add(ctx.ix.scale(_digit(ctx, 1, 4), 2), ctx.ix.scale(odd, apart))
        element = storage_type(ctx.e, self.staging.element)
        start = shared_offset(ctx, piece.layout, [row, moved])
        for column in range(0, piece.width, 8):
            place = ctx.e.gep(buffer, ctx.e.binary("xori", start, column) if column else start, element)
            for half in range(2):
                registers = [first + c // 2 + 2 * half for c in (column, column ^ apart)]
                values = [self._values(register) for register in dict.fromkeys(registers)]
                stored = values[0]
                if apart:
                    stored = ctx.e.pure("arith.select", stored.type, [is_odd, values[1], values[0]])
                ctx.e.store(stored, ctx.e.gep(place, 8 * half * piece.width, element), 8)

    def _address(self, buffer: ir.Value, piece: Piece, row: Index, column: Index) -> ir.Value:
        element = storage_type(self.ctx.e, self.staging.element)
        return self.ctx.e.gep(buffer, shared_offset(self.ctx, piece.layout, [row, column]), element)

    def _values(self, register: int) -> ir.Value:
        """Two accumulators in the element type of device memory."""
        file, chunk = self.ctx.registers[self.fragment], self.fragment.chunk
        pair = self.ctx.e.gather([(file[r // chunk], r % chunk) for r in (register, register + 1)])
        names = [dtypes.from_mlir(str(e)) for e in (self.fragment.element, self.staging.element)]
        return cast(self.ctx, pair, *(dtypes.DType(name) for name in names))

    def _pair(self, register: int) -> ir.Value:
        word = self.ctx.e.pure("vector.bitcast", self.ctx.e.vector_type(1, self.ctx.e.i32), [self._values(register)])
        return self.ctx.e.extract(word, 0)


def _count(plan: StorePlan) -> int:
    return plan.blocks * len(plan.pieces)


def _digit(ctx: Context, weight: int, size: int) -> Index:
    """A digit of the thread index."""
    return ctx.ix.digit(ctx.thread, weight, size)
