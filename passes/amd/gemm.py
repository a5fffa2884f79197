"""`tl.gemm` on MFMA and WMMA. See `product.py` for how lanes and registers share the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.amd import lds, mfma, schedule, wmma
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

from ...dialect.layout import REPLICATE
from ...dialect.layout.lookup import register_shares
from ...dialect.location import python_location
from ..lowering.buffers import FragmentBuffer, SharedBuffer, Tile, element_bits
from ..lowering.context import Context
from ..lowering.fragments import write_registers
from ..lowering.index import Index
from ..lowering.memory import in_one_piece, load_lanes, shared_pointer
from ..lowering.parallel import thread_coordinates, thread_digits
from ..lowering.views import tile_of
from .product import Operand, Product, operand, plan_product, uses_transposed_reads

# Threads with which two waves share a SIMD: the one that multiplies goes first, so that the other one's accesses to
# memory fall into its products and the two keep changing places.
_ALTERNATING = 512
_COLUMNS = 2  # of instruction tiles read together where nothing asks for more
_SUMS = {"f32": ("f32", "f16", "bf16"), "i32": ("i32",), "f64": ("f64",)}


def lower_gemm(ctx: Context, op: ir.Operation) -> None:
    a, b, c = list(op.operands)[:3]
    product = plan_product(op, ctx.num_threads, ctx.target)
    sums = Sums(ctx, op, product, c, ctx.ssa(op.operands[3]) if len(op.operands) == 4 else None)
    left = Fetch(ctx, tile_of(ctx, a), product, product.a)
    right = Fetch(ctx, tile_of(ctx, b), product, product.b)
    multiply = _Multiply(ctx, op, product)
    run_steps(ctx, product, left, right, sums, multiply)
    sums.write()


Place = tuple[int, int, int]
"""Step along K, instruction tile along M, and along N."""
Multiply = Callable[[ir.Value, ir.Value, ir.Value, Place], ir.Value]
"""An instruction on tiles of A, B and C at a place."""
Loaded = list[list[tuple[ir.Value, int]]]
"""By tile, elements along K as (vector, position)."""


def run_steps(ctx: Context, product: Product, left: Fetch, right: Fetch, sums: Sums, multiply: Multiply) -> None:
    """All instructions of a product, step by step along K."""
    if isinstance(product.core.form, wmma.Form):
        _run_by_columns(product, left, right, sums, multiply)
        return
    alternates = ctx.num_threads >= _ALTERNATING
    if alternates:
        schedule.set_priority(1)
    loaded = left.load(0), right.load(0)
    for step in range(product.steps):
        a_step, b_step = left.packed(loaded[0]), right.packed(loaded[1])
        if step + 1 < product.steps:  # there are registers for two steps: LDS answers while these multiply
            loaded = left.load(step + 1), right.load(step + 1)
            schedule.fence()
        for part in range(len(a_step[0])):
            for row, a_tile in enumerate(a_step):
                for column, b_tile in enumerate(b_step):
                    sums.add(multiply, a_tile[part], b_tile[part], (step, row, column))
    if alternates:
        schedule.set_priority(0)


def _run_by_columns(product: Product, left: Fetch, right: Fetch, sums: Sums, multiply: Multiply) -> None:
    """Some columns of a step at a time, as many as one read serves, so that few registers hold B at once.

    Fences keep LLVM from reading B for all columns in front of the first product. Where lanes do not hold operands
    twice, there are registers to read the next columns while these multiply.
    """
    columns = range(product.tiles(1))
    together = len(columns) if right.held else _COLUMNS if product.b.free else product.b.interleave
    places = [(step, columns[at : at + together])
              for step in range(product.steps) for at in range(0, len(columns), together)]  # fmt: skip

    def read(step: int, tiles: Sequence[int]) -> tuple[Loaded, Loaded]:
        return left.load(step) if tiles[0] == 0 else [], right.load(step, tiles)

    ahead = product.core.repeats == 1
    loaded = read(*places[0])
    a_step: list[list[ir.Value]] = []
    for number, (step, tiles) in enumerate(places, 1):
        a_step = left.packed(loaded[0]) or a_step
        b_step = right.packed(loaded[1])
        more = number < len(places)
        if more and ahead:
            loaded = read(*places[number])
            schedule.fence()
        for column, b_tile in zip(tiles, b_step, strict=True):
            for part, b in enumerate(b_tile):
                for row, a_tile in enumerate(a_step):
                    sums.add(multiply, a_tile[part], b, (step, row, column))
        if more and not ahead:
            schedule.fence()
            loaded = read(*places[number])


class Sums:
    """The accumulators by instruction tile, as vectors."""

    def __init__(
        self, ctx: Context, op: ir.Operation, product: Product, buffer: ir.Value, clear: ir.Value | None = None
    ) -> None:
        target = ctx.buffers[buffer]
        assert isinstance(target, FragmentBuffer)
        self.ctx, self.target, self.per = ctx, target, product.core.sums
        form = product.core.form
        wide = form.sum
        if str(target.element) not in _SUMS[wide]:
            hint = f"accumulate in {wide}"
            raise UnsupportedError(f"no accumulation in {target.element}", python_location(op.location), hint=hint)
        self.element = ir.Type.parse(wide)
        self.columns = product.tiles(1)
        self.values = self._initial(op, product.tiles(0) * self.columns, clear)

    def add(self, multiply: Multiply, a: ir.Value, b: ir.Value, place: Place) -> None:
        """Add the product of two instruction tiles."""
        tile = place[1] * self.columns + place[2]
        self.values[tile] = multiply(a, b, self.values[tile], place)

    def _initial(self, op: ir.Operation, tiles: int, clear: ir.Value | None) -> list[ir.Value]:
        """Zero, or what C holds; `clear` decides at run time."""
        e = self.ctx.e
        vector = e.vector_type(self.per, self.element) if self.per > 1 else self.element
        zero = e.splat(vector, 0 if isinstance(self.element, ir.IntegerType) else 0.0)
        if "clear" in op.attributes and ir.BoolAttr(op.attributes["clear"]).value:
            return [zero] * tiles
        file, chunk = self.ctx.registers[self.target], self.target.chunk
        ranges = [range(t * self.per, (t + 1) * self.per) for t in range(tiles)]
        values = [e.gather([(file[r // chunk], r % chunk) for r in registers]) for registers in ranges]
        if self.target.element != self.element:
            values = [e.pure("arith.extf", vector, [v]) for v in values]
        if clear is not None:
            values = [e.pure("arith.select", vector, [clear, zero, v]) for v in values]
        return values

    def write(self) -> None:
        e, chunk = self.ctx.e, self.target.chunk
        values = self.values
        if self.target.element != self.element:
            narrow = e.vector_type(self.per, self.target.element)  # sums of one element, float64, are never wider
            values = [e.pure("arith.truncf", narrow, [v]) for v in values]
        elements = [(v, i) for v in values for i in range(self.per)]
        for start in range(0, len(elements), chunk):
            value = e.gather(elements[start : start + chunk])
            write_registers(self.ctx, self.target, range(start, start + chunk), value)


class _Multiply:
    """One instruction on operands in the order of A and B."""

    def __init__(self, ctx: Context, op: ir.Operation, product: Product) -> None:
        self.core = product.core
        self.share = (product.a, product.b)[product.core.first].share
        self.signs = "a_unsigned" not in op.attributes, "b_unsigned" not in op.attributes
        self.fnuz = ctx.target.supports(Feature.FP8_FNUZ) and product.core.form.a in ("fp8", "bf8")
        if self.core.swap and product.core.form.a != product.core.form.b:
            self.form = _exchanged(self.core.form)
        else:
            self.form = self.core.form

    def __call__(self, a: ir.Value, b: ir.Value, c: ir.Value, place: Place) -> ir.Value:
        first, second, signs = (b, a, (self.signs[1], self.signs[0])) if self.core.swap else (a, b, self.signs)
        if isinstance(self.form, wmma.Form):
            return wmma.emit(self.form, first, second, c, signs)
        if self.core.shares_rows:
            modifiers = mfma.Modifiers(self.core.blocks.bit_length() - 1, place[0] % self.share)
            return mfma.emit(self.form, first, second, c, modifiers=modifiers)
        return mfma.emit(self.form, first, second, c, self.fnuz)


def _exchanged(form: mfma.Form | wmma.Form) -> mfma.Form | wmma.Form:
    """The instruction of the same sizes that takes A's kind for B and B's for A."""
    kinds = form.b, form.a
    if isinstance(form, wmma.Form):  # all of one size
        return next(f for f in wmma.FORMS if (f.a, f.b) == kinds)
    forms = (*mfma.FORMS, *mfma.SCALED_FORMS)
    return next(f for f in forms if (f.a, f.b) == kinds and (f.m, f.k) == (form.m, form.k))


class Fetch:
    """The registers of one operand, one step along K at a time: read from memory, then packed for instructions."""

    def __init__(self, ctx: Context, tile: Tile, product: Product, which: Operand) -> None:
        self.ctx, self.tile, self.product, self.which = ctx, tile, product.stored(which), which
        self.layout = operand(product, which)
        self.count = product.tiles(which.side)
        self.element = tile.buffer.element
        self.held = isinstance(tile.buffer, FragmentBuffer)  # in registers
        bits = element_bits(self.element)
        self.transposes = uses_transposed_reads(self.product, which, bits, ctx.target) and self._whole_rows(64 // bits)
        self.shared: tuple[int, Loaded] | None = None  # what blocks hold for several steps, and the number of these
        form = product.core.form
        repeated = product.core.repeats > 1
        wave = isinstance(form, wmma.Form)
        self.kind = wmma.operand_type(form, repeated) if wave else mfma.operand_type(form, which.side)

    def packed(self, loaded: Loaded) -> list[list[ir.Value]]:
        """By instruction tile, the operands of the instructions of one step."""
        width, per = self.product.width, self.product.core.per
        return [[self._packed(elements[s : s + per]) for s in range(0, width, per)] for elements in loaded]

    def _register(self, tile: int, step: int) -> int:
        """The number of the first element of a tile and step in the operand's fragment."""
        steps, share = self.product.steps, self.which.share
        return (tile * (steps // share) + step // share) * self.product.width

    def load(self, step: int, tiles: Sequence[int] = ()) -> Loaded:
        """Elements of some tiles, or of all. What blocks share is loaded at the first of the steps that it serves."""
        if self.which.share == 1:
            return self._load_tiles(step, tiles)
        number = step // self.which.share
        if self.shared is None or self.shared[0] != number:
            self.shared = number, self._load_tiles(step, tiles)
        return self.shared[1]

    def _load_tiles(self, step: int, tiles: Sequence[int]) -> Loaded:
        buffer = self.tile.buffer
        starts = [self._register(tile, step) for tile in tiles or range(self.count)]
        width = self.product.width
        if isinstance(buffer, FragmentBuffer):
            file = self.ctx.registers[buffer]
            return [[(file[r // buffer.chunk], r % buffer.chunk) for r in range(s, s + width)] for s in starts]
        if self.transposes:
            return [self._transposed(start) for start in starts]
        if self.which.along_k or self.which.interleave == 1:
            return [self._runs(start) for start in starts]
        return self._across(starts)

    def _runs(self, start: int) -> list[tuple[ir.Value, int]]:
        """Neighbours along K together."""
        run = self.product.run
        out: list[tuple[ir.Value, int]] = []
        for first in range(start, start + self.product.width, run):
            value = self._load(range(first, first + run))
            out += [(value, i) for i in range(run)]
        return out

    def _across(self, starts: Sequence[int]) -> Loaded:
        """Neighbours across K together: one read per element along K serves `interleave` tiles."""
        group, width = self.which.interleave, self.product.width
        out: Loaded = []
        for first in range(0, len(starts), group):
            tiles = starts[first : first + group]
            rows = [self._load([start + i for start in tiles]) for i in range(width)]
            out += [[(row, t) for row in rows] for t in range(group)]
        return out

    def _whole_rows(self, together: int) -> bool:
        """Whether so many neighbours of a row, from where a lane points on, are aligned 8 bytes of shared memory.

        A tile may begin anywhere in its buffer, and rows may have any size: such tiles are read element by element.
        """
        buffer = self.tile.buffer
        if not isinstance(buffer, SharedBuffer):
            return False
        parts = self._pointed(together)
        parts[-1] = self.ctx.ix.add(parts[-1], Index.lanes(range(together)))
        return in_one_piece(self.ctx, buffer, [i.spread(together) for i in self._place(parts)])

    def _pointed(self, together: int) -> list[Index]:
        """Where a lane points in the first of a thread's tiles, with so many elements in 8 bytes. Those are one run
        along K or several, which lie as far apart as the runs of all lanes."""
        ix, kd, product = self.ctx.ix, self.which.k_dim, self.product
        lane, lanes = ix.remainder(self.ctx.thread, 16), 16 // together  # of a row
        parts = self._group_start()
        row, run = ix.divide(lane, lanes), min(product.run, together)
        parts[kd] = ix.add(parts[kd], ix.remainder(row, run))
        if run < together:
            parts[kd] = ix.add(parts[kd], ix.scale(ix.divide(row, run), run * product.core.groups))
        parts[1 - kd] = ix.add(parts[1 - kd], ix.scale(ix.remainder(lane, lanes), together))
        return parts

    def _transposed(self, start: int) -> list[tuple[ir.Value, int]]:
        """8 bytes along K by one transposing read; see `isa/amd/lds.py` for where lanes point."""
        ctx, e, buffer = self.ctx, self.ctx.e, self.tile.buffer
        assert isinstance(buffer, SharedBuffer)
        together = 64 // element_bits(buffer.element)
        base = self._pointed(together)
        out: list[tuple[ir.Value, int]] = []
        for first in range(start, start + self.product.width, together):
            shares = [share[first] for share in register_shares(self.layout)]
            parts = [ctx.ix.add(p, Index.of(c)) for p, c in zip(base, shares, strict=True)]
            place = shared_pointer(ctx, buffer, self._place(parts))
            value = lds.read_transposed(place, "i8" if together == 8 else str(buffer.element))
            if together == 8:
                value = e.pure("vector.bitcast", e.vector_type(8, e.i8), [value])
            out += [(value, i) for i in range(together)]
        return out

    def _group_start(self) -> list[Index]:
        """The operand's coordinates of a lane with every 16 lanes at their first column."""
        ix = self.ctx.ix
        parts = [Index.of(0) for _ in self.layout.shape]
        for position, (digit, value) in enumerate(thread_digits(self.ctx, self.layout)):
            if position == 0:  # the lanes of an instruction's columns
                value = ix.scale(ix.divide(value, 16), 16)
            if digit.dim != REPLICATE:
                parts[digit.dim] = ix.add(parts[digit.dim], ix.scale(value, digit.stride))
        return parts

    def _place(self, parts: Sequence[Index]) -> list[Index]:
        offsets = list(self.tile.offsets)
        return [*offsets[:-2], *(self.ctx.ix.add(o, p) for o, p in zip(offsets[-2:], parts, strict=True))]

    def _load(self, registers: Sequence[int]) -> ir.Value:
        """Elements of the operand's fragment from memory, as one value."""
        ctx, width = self.ctx, len(registers)
        with ctx.lanes(width):
            parts = [
                ctx.ix.add(p.spread(width), Index.lanes(share[r] for r in registers))
                for p, share in zip(thread_coordinates(ctx, self.layout), register_shares(self.layout), strict=True)
            ]
            offsets = [o.spread(width) for o in self.tile.offsets]
            place = [*offsets[:-2], *(ctx.ix.add(o, p) for o, p in zip(offsets[-2:], parts, strict=True))]
            return load_lanes(ctx, self.tile.memory, place)

    def _packed(self, elements: Sequence[tuple[ir.Value, int]]) -> ir.Value:
        """Elements in the type that the instruction takes."""
        e = self.ctx.e
        value = e.gather(elements)
        if value.type == self.kind:
            return value
        if isinstance(self.kind, ir.VectorType):
            return e.pure("vector.bitcast", self.kind, [value])
        return e.extract(e.pure("vector.bitcast", e.vector_type(1, self.kind), [value]), 0)
