"""`tl.scan`: within a thread's registers, then across the lanes of a warp, then across warps through shared memory.

The digits of the scanned dimension are taken from the fastest to the slowest. At each, neighbouring groups of elements
make one group of the next: a group's offset is what comes before it in the larger one, its total is known to all of its
threads. Groups that a thread holds side by side are added up in its registers, those of lanes by shuffles, those of
warps through a scratch area (`tl.scratch` on the op, bytes from the start of the arena). At last every element is
combined with the offsets of its groups, the largest first. Sums of 16-bit floats are kept in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilelang_mlir.errors import PassError
from tilelang_mlir.mlir import ir

from ...dialect.layout import Digit, Fragment
from ...dialect.location import python_location
from .buffers import FragmentBuffer
from .context import Context, rule
from .fragments import write_registers
from .index import Index
from .parallel import thread_digits
from .reduce import combine, in_element, neutral, partials, split_digits, store_partials, summand
from .sync import shuffle

Groups = dict[int, ir.Value]  # by the number of their first register


@dataclass(frozen=True)
class Level:
    """A digit of the scanned dimension: in registers, `weight` registers apart, or in threads, at position `place`."""

    digit: Digit
    weight: int
    place: int = -1

    def is_far(self, warp: int) -> bool:
        """Whether groups lie where shuffles do not reach."""
        power = self.digit.size & (self.digit.size - 1) == 0 and self.weight & (self.weight - 1) == 0
        return self.place >= 0 and not (power and self.weight * self.digit.size <= warp)


def levels(layout: Fragment, dim: int) -> list[Level]:
    """The digits of a dimension, the fastest first."""
    found: list[Level] = []
    for digits, in_threads in ((layout.value, False), (layout.thread, True)):
        weight = 1
        for place, digit in enumerate(digits):
            if digit.dim == dim:
                found.append(Level(digit, weight, place if in_threads else -1))
            weight *= digit.size
    return sorted(found, key=lambda level: level.digit.stride)


def scan_bytes(layout: Fragment, dim: int, bits: int, warp: int) -> int:
    """Shared memory that a scan of this fragment needs: the totals of all threads at a digit between warps."""
    layout = split_digits(layout, warp)
    most, groups, slots = 0, layout.num_values, layout.num_threads
    for level in levels(layout, dim):
        if level.place < 0:
            groups //= level.digit.size
            continue
        if level.is_far(warp):
            most = max(most, groups * slots)
        slots //= level.digit.size
    return most * max(bits, 32) // 8


@rule("tl.scan")
def lower_scan(ctx: Context, op: ir.Operation) -> None:
    source, target = (ctx.buffers[v] for v in op.operands)
    if source is not target or not isinstance(source, FragmentBuffer):
        raise PassError("a scan of anything but a fragment in place reached lowering", python_location(op.location))
    _Scan(ctx, op, source).run()


class _Scan:
    def __init__(self, ctx: Context, op: ir.Operation, buffer: FragmentBuffer) -> None:
        self.ctx, self.op, self.buffer = ctx, op, buffer
        self.kind = ir.StringAttr(op.attributes["kind"]).value
        self.reverse = ir.BoolAttr(op.attributes["reverse"]).value
        self.layout = split_digits(buffer.layout, ctx.target.warp_size)
        self.levels = levels(self.layout, ir.IntegerAttr(op.attributes["dim"]).value)
        self.digits = thread_digits(ctx, self.layout)

    def run(self) -> None:
        chunk = self.buffer.chunk
        totals: Groups = {}
        for slot, value in enumerate(self.ctx.registers[self.buffer]):
            value = summand(self.ctx, self.buffer, slot, value, self.kind)
            totals |= {slot * chunk + lane: self.ctx.e.extract(value, lane) for lane in range(chunk)}
        elements, steps = dict(totals), list[tuple[Level, Groups]]()
        for number, level in enumerate(self.levels):
            offsets, totals = self._step(level, totals, number == len(self.levels) - 1)
            if number == 0 and level.place < 0:  # these sums are there already
                elements = {r: self._join(offsets.get(r), value) for r, value in elements.items()}
                offsets = {}
            steps.append((level, offsets))
        results = self._combined(elements, steps)
        element = self.ctx.registers[self.buffer][0].type
        element = element.element_type if isinstance(element, ir.VectorType) else element
        value = self.ctx.e.pack(in_element(self.ctx, [results[r] for r in sorted(results)], element))
        write_registers(self.ctx, self.buffer, sorted(results), value)

    def _step(self, level: Level, totals: Groups, last: bool) -> tuple[Groups, Groups]:
        """The offset of each group within the larger one of a level, and the totals of those unless it is the last."""
        if level.place < 0:
            return self._registers(level, totals)
        if level.is_far(self.ctx.target.warp_size):
            return self._far(level, totals, last)
        return self._lanes(level, totals, last)

    def _join(self, a: ir.Value | None, b: ir.Value) -> ir.Value:
        return b if a is None else combine(self.ctx, self.kind, a, b)

    def _combined(self, elements: Groups, steps: Sequence[tuple[Level, Groups]]) -> Groups:
        """Every element with the offsets of all groups that it is in."""
        above: Groups = {}  # what comes before each group, from the largest groups down
        for level, offsets in reversed(steps):
            below: Groups = {}
            for first in self._firsts(level):
                around, own = above.get(self._larger(level, first)), offsets.get(first)
                if own is not None:
                    below[first] = self._join(around, own)
                elif around is not None:
                    below[first] = around
            above = below
        return {r: self._join(above.get(r), value) for r, value in elements.items()}

    def _firsts(self, level: Level) -> list[int]:
        """The first registers of the groups that go into a level."""
        smaller = [lower for lower in self.levels if lower.place < 0 and lower.digit.stride < level.digit.stride]
        inside = lambda r: any(r // lower.weight % lower.digit.size for lower in smaller)
        return [r for r in range(self.layout.num_values) if not inside(r)]

    def _larger(self, level: Level, first: int) -> int:
        if level.place >= 0:
            return first
        return first - first // level.weight % level.digit.size * level.weight

    def _registers(self, level: Level, totals: Groups) -> tuple[Groups, Groups]:
        """Groups side by side in the registers of a thread."""
        offsets: Groups = {}
        sums: Groups = {}
        for first in sorted(totals, reverse=self.reverse):
            larger = self._larger(level, first)
            if larger in sums:
                offsets[first] = sums[larger]
            sums[larger] = self._join(sums.get(larger), totals[first])
        return offsets, sums

    def _lanes(self, level: Level, totals: Groups, last: bool) -> tuple[Groups, Groups]:
        """Groups in neighbouring lanes: sums of two, four and so on; the offset is the sum of the lane before."""
        ctx, size = self.ctx, level.digit.size
        warp = ctx.target.warp_size
        behind = self._groups_before(level)
        towards = "down" if self.reverse else "up"
        offsets: Groups = {}
        sums: Groups = {}
        for first, value in totals.items():
            distance = 1
            while distance < size:
                moved = shuffle(ctx, towards, value, distance * level.weight, warp)
                value = self._where(behind, distance, self._join(moved, value), value)
                distance *= 2
            before = shuffle(ctx, towards, value, level.weight, warp)
            offsets[first] = self._where(behind, 1, before, ctx.e.splat(value.type, neutral(value.type, self.kind)))
            if not last:
                sums[first] = shuffle(ctx, "idx", value, self._last_lane(level), warp)
        return offsets, sums

    def _last_lane(self, level: Level) -> ir.Value:
        """The lane that holds the total of this one's larger group."""
        ctx, mask = self.ctx, (level.digit.size - 1) * level.weight
        lane = ctx.e.value(ctx.ix.scalar(ctx.ix.remainder(ctx.thread, ctx.target.warp_size)))
        if self.reverse:
            return ctx.e.binary("andi", lane, (ctx.target.warp_size - 1) & ~mask)
        return ctx.e.binary("ori", lane, mask)

    def _groups_before(self, level: Level) -> ir.Value:
        place = self.ctx.e.value(self.ctx.ix.scalar(self.digits[level.place][1]))
        return self.ctx.e.binary("subi", level.digit.size - 1, place) if self.reverse else place

    def _where(self, behind: ir.Value, least: int, then: ir.Value, otherwise: ir.Value) -> ir.Value:
        """`then` in lanes that have at least so many groups before them."""
        condition = self.ctx.e.compare("uge", behind, least)
        return self.ctx.e.pure("arith.select", then.type, [condition, then, otherwise])

    def _far(self, level: Level, totals: Groups, last: bool) -> tuple[Groups, Groups]:
        """Groups in other warps: each leaves its total in scratch and reads those of all that share the larger one."""
        ctx, size = self.ctx, level.digit.size
        scratch = self._scratch(level, next(iter(totals.values())).type)
        numbers = {first: number for number, first in enumerate(totals)}
        pairs = [(value, scratch.own(numbers[first])) for first, value in totals.items()]
        store_partials(ctx, scratch.guard, pairs, scratch.size)
        ctx.hardware.barrier(ctx)
        behind = self._groups_before(level)
        offsets: Groups = {}
        sums: Groups = {}
        for first, value in totals.items():
            offset, total = ctx.e.splat(value.type, neutral(value.type, self.kind)), None
            slots = [place * scratch.apart for place in range(size)]
            parts = partials(ctx, slots, lambda slot, n=numbers[first]: scratch.of(n, slot), value.type)
            for number, part in enumerate(parts[:: -1 if self.reverse else 1][: size - last]):
                total = self._join(total, part)
                if number < size - 1:
                    offset = self._where(behind, number + 1, total, offset)
            offsets[first] = offset
            if not last and total is not None:
                sums[first] = total
        ctx.hardware.barrier(ctx)
        return offsets, sums

    def _scratch(self, level: Level, kind: ir.Type) -> _Scratch:
        """A slot per thread and group; threads that know the same total share one."""
        ctx = self.ctx
        known = [lower.place for lower in self.levels if 0 <= lower.place and lower.digit.stride < level.digit.stride]
        own, home, guard, weight, apart = Index.of(0), Index.of(0), None, 1, 0
        for place, (digit, value) in enumerate(self.digits):
            if place in known:
                guard = ctx.e.both(guard, ctx.e.compare("eq", ctx.ix.scalar(value), 0))
                continue
            moved = ctx.ix.scale(value, weight)
            own = ctx.ix.add(own, moved)
            if place == level.place:
                apart = weight
            else:
                home = ctx.ix.add(home, moved)
            weight *= digit.size
        start = ctx.e.gep(ctx.hardware_arena(), ir.IntegerAttr(self.op.attributes["tl.scratch"]).value, ctx.e.i8)
        return _Scratch(ctx, start, kind, guard, own, home, apart, weight)


@dataclass(frozen=True)
class _Scratch:
    """Where totals lie: `own` slot and that of the first group, `apart` slots between groups, of `slots` per register.

    `guard` holds in one of the threads that know the same total.
    """

    ctx: Context
    start: ir.Value
    kind: ir.Type
    guard: ir.Value | None
    own_slot: Index
    first_slot: Index
    apart: int
    slots: int

    @property
    def size(self) -> int:
        return self.kind.width // 8

    def own(self, number: int) -> ir.Value:
        return self._address(self.own_slot, number * self.slots)

    def of(self, number: int, slot: int) -> ir.Value:
        """So many slots behind that of the first group."""
        return self._address(self.first_slot, number * self.slots + slot)

    def _address(self, slot: Index, offset: int) -> ir.Value:
        e = self.ctx.e
        return e.gep(e.gep(self.start, self.ctx.ix.scalar(slot), self.kind), offset, self.kind)
