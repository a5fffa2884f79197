"""How the waves of a block share a matrix product, and the fragments that follow.

An instruction (MFMA, WMMA) multiplies an m x k tile of A by a k x m tile of B. Its lanes hold runs of neighbours along
K, so the order of K is free as long as A and B agree. Choices made here:

* The instruction gets B's columns as its rows (`swap`): the lanes then hold neighbouring columns of C, which are stored
  together, and a product's result has the layout that the next product wants for its A.
* A lane reads 16 bytes along K at once where both operands lie that way in shared memory, and runs several
  instructions on them.
* An operand that lies across K is read several neighbours at a time, which then belong to as many instructions: tile t
  of a group of v covers every v-th row or column (`Operand.interleave`).
* Tiles of fewer rows (or columns) than an instruction has take the forms that multiply blocks of 4 x 4: 4 rows, which
  all blocks share (`Core.blocks`), by up to 64 columns, one per lane.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tilelang_mlir.errors import LayoutError, UnsupportedError
from tilelang_mlir.isa.amd import formats, mfma, wmma
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target, targets_with

from ...dialect.effects import root
from ...dialect.layout import REPLICATE, Digit, Fragment
from ...dialect.location import python_location
from ...dialect.products import elements_of, extents, factors, packed_operands, transposes
from ...dialect.tl import FRAGMENT, scope_of
from ..small_float_products import targets_hint
from ..warp_grid import WarpGrid, split_tile

_READ = 16  # bytes of the widest read of shared memory
_PACKED_KINDS = {"e2m1": "fp4", "e2m3": "fp6", "e3m2": "bf6"}
_FEW = 4  # rows and columns of a block of the forms with several of them
_ACROSS = 8  # bytes read at once of an operand that lies across K


@dataclass(frozen=True)
class Core:
    """One matrix instruction: `size` rows and columns, `depth` along K, `per` elements of A and of B per lane.

    Lanes that differ in `lane // size` hold `groups` parts of K, or the same (`repeats`). Rows of the result go by
    `row_lanes` (count, step) over those lanes and by `row_values` over the registers.

    With `blocks` of 4 x 4, all of them get the same 4 rows, and the columns lie in `size` lanes; where that is less
    than all blocks have, the others repeat them. Each block holds the rows of another step along K, and an instruction
    says which block's all of them take (`shares_rows`); where it cannot, all blocks hold the same.
    """

    form: mfma.Form | wmma.Form
    size: int
    depth: int
    per: int
    groups: int
    row_lanes: tuple[int, int]
    row_values: tuple[tuple[int, int], ...]
    swap: bool = True
    repeats: int = 1
    blocks: int = 1

    @property
    def first(self) -> int:
        """The side, A's (0) or B's (1), that the instruction gets as its first operand."""
        return int(self.swap)

    @property
    def spare(self) -> int:
        """How often lanes hold the same columns."""
        return _FEW * self.blocks // self.size if self.blocks > 1 else 1

    @property
    def shares_rows(self) -> bool:
        return self.blocks > 1 and self.form.a != "f64"

    def extent(self, side: int) -> int:
        """Rows (side 0) or columns (1) of C that it computes."""
        return _FEW if self.blocks > 1 and side == self.first else self.size

    @property
    def sums(self) -> int:
        """Elements of the result per lane."""
        total = 1
        for count, _ in self.row_values:
            total *= count
        return total

    @property
    def run(self) -> int:
        """Neighbouring rows of the result in a lane's registers: the run along K of the next product's A."""
        return self.row_values[0][0] if self.row_values[0][1] == 1 else 1


def _mfma_core(form: mfma.Form) -> Core:
    single = form.a == "f64"
    lanes = (mfma.WAVE // form.m, 1 if single else 4)
    values = ((4, 4),) if single else ((4, 1),) if form.m == 16 else ((4, 1), (4, 8))
    return Core(form, form.m, form.k, form.elements, mfma.WAVE // form.m, lanes, values)


def blocks_core(form: mfma.Form, size: int, side: int) -> Core:
    """A form of several blocks for C of few rows (side 0) or columns (1), with `size` of the others in the lanes."""
    groups = mfma.WAVE // (_FEW * form.blocks)
    values = ((1, _FEW),) if form.a == "f64" else ((_FEW, 1),)
    lanes, swap = (groups, 1), side == 1
    return Core(form, size, form.k, form.elements, groups, lanes, values, swap=swap, blocks=form.blocks)


def _wmma_core(form: wmma.Form, repeated: bool) -> Core:
    if repeated:
        return Core(form, 16, 16, 16, 1, (2, 1), ((8, 2),), swap=False, repeats=2)
    return Core(form, 16, 16, 8, 2, (2, 8), ((8, 1),))


def cores(target: Target, kinds: tuple[str, str]) -> list[Core]:
    """The target's instructions for operands of these kinds, the deepest first, large ones before small ones."""
    forms = (*mfma.FORMS, *mfma.SCALED_FORMS)
    found = [_mfma_core(f) for f in forms if (f.a, f.b) == kinds and f.blocks == 1 and target.supports(f.feature)]
    repeated = target.supports(Feature.WMMA_REPEATED)
    found += [_wmma_core(f, repeated) for f in wmma.FORMS if (f.a, f.b) == kinds and target.supports(f.feature)]
    return sorted(found, key=lambda c: (-c.size, -c.depth))


@dataclass(frozen=True)
class Operand:
    """A or B of a product: `along_k` says that neighbours in memory are neighbours along K, `packed` the kind of
    elements of fewer than eight bits, whose bytes are stored. A `free` one is read along K from memory, whatever rows
    or columns its tiles have. The blocks of an instruction hold it for `share` steps along K."""

    side: int  # the dimension of C that it shares: 0 for A, 1 for B
    k_dim: int
    along_k: bool
    interleave: int
    packed: str = ""
    free: bool = False
    share: int = 1


@dataclass(frozen=True)
class Product:
    """Everything about one `tl.gemm`: the instruction, the waves' parts, the order of K, the operands."""

    core: Core
    grid: WarpGrid
    k: int
    run: int
    a: Operand
    b: Operand

    @property
    def width(self) -> int:
        """Elements along K that a lane holds per step."""
        return max(self.run, self.core.per)

    @property
    def steps(self) -> int:
        return self.k // (self.width * self.core.groups)

    def stored(self, which: Operand) -> Product:
        """The product with the units along K that an operand is stored in: elements, or bytes. A lane's elements of an
        instruction are neighbours there."""
        if not which.packed:
            return self
        bits, core = formats.bits_of(which.packed), self.core
        depth, per = core.depth * bits // 8, core.per * bits // 8
        return replace(self, k=self.k * bits // 8, run=per, core=replace(core, depth=depth, per=per))

    def tiles(self, side: int) -> int:
        """Instruction tiles along M (0) or N (1) of one wave."""
        return (self.grid.columns if side else self.grid.rows) // self.core.extent(side)


def element_kind(element: ir.Type, unsigned: bool, target: Target, op: ir.Operation) -> str:
    """The instruction's name for an element type.

    Raises:
        UnsupportedError: there is none, or the target has another format of 8-bit floats.
    """
    text = str(element)
    fnuz = target.supports(Feature.FP8_FNUZ)
    floats = {"f8E4M3FNUZ": "fp8", "f8E5M2FNUZ": "bf8"} if fnuz else {"f8E4M3FN": "fp8", "f8E5M2": "bf8"}
    plain = {"f16": "f16", "bf16": "bf16", "f32": "f32", "f64": "f64", "i8": "i8"}
    kind = {**plain, **floats}.get(text)
    if kind is None or (unsigned and kind == "i8" and target.supports(Feature.MFMA)):
        name = "unsigned i8" if kind else text
        hint = f"targets that have it: {', '.join(_targets_of_unsigned())}; signed ones are there" if kind else ""
        if text.startswith("f8"):
            eight = target.supports(Feature.MFMA_FP8) or target.supports(Feature.WMMA_FP8)
            hint = f"its 8-bit floats are {', '.join(floats)}; {targets_hint(text)}" if eight else targets_hint(text)
        raise UnsupportedError(f"no matrix product of {name} on {target}", python_location(op.location), hint=hint)
    return kind


def _targets_of_unsigned() -> list[str]:
    return [*targets_with(Feature.WMMA), *targets_with(Feature.MMA_INT8)]


def plan_product(op: ir.Operation, threads: int, target: Target, *, together: bool = True) -> Product:
    """The plan of a `tl.gemm`; a function of its operands' types and scopes, so inference and lowering agree.

    Products into one accumulator take instructions of one size and interleave alike, as the least of them allows that
    is bound to its tiles.
    `together=False` gives the plan that a product would have without the others.

    Raises:
        UnsupportedError: the target has no instruction for the element types or the extent of K.
        LayoutError: C is no multiple of what an instruction computes, or the threads are no whole waves.
    """
    if any(packed_operands(op)):
        return plan_scaled(op, threads, target)
    a, b, _ = factors(op)
    m, n, k = extents(op)
    flags = transposes(op)
    elements = [ir.MemRefType(v.type).element_type for v in (a, b)]
    kinds = [element_kind(e, f"{x}_unsigned" in op.attributes, target, op) for e, x in zip(elements, "ab", strict=True)]
    if "tf32" in op.attributes and target.supports(Feature.MFMA_XF32) and m % 16 == n % 16 == k % 8 == 0:
        kinds = ["xf32", "xf32"]
    found = cores(target, (kinds[0], kinds[1]))
    if not found:
        raise _lacks(kinds, elements, target, op)
    found, grid = _shared(found, (m, n), threads, target, op)
    fits = [x for x in found if grid.rows % x.extent(0) == grid.columns % x.extent(1) == k % (x.per * x.groups) == 0]
    if not fits:
        depth = min(core.per * core.groups for core in found)
        hint = "use a larger block_K"
        raise UnsupportedError(f"K = {k} is no multiple of {depth}", python_location(op.location), hint=hint)
    core = fits[0]
    siblings = _siblings(op) if together else []
    if siblings:
        core = max(fits, key=lambda x: (x.size <= _smallest(siblings, threads, target), x.size, x.depth))
    registers = [scope_of(v) == FRAGMENT for v in (a, b)]
    left = Operand(0, 0 if flags[0] else 1, not flags[0], 1, free=not flags[0] and not registers[0])
    right = Operand(1, 1 if flags[1] else 0, flags[1], 1, free=flags[1] and not registers[1])
    run = _run(core, k, elements[0].width, any(registers), left.along_k and right.along_k)
    product = Product(core, grid, k, run, left, right)
    left, right = (
        o if register else _interleave(product, o, elements[0].width, target)
        for o, register in zip((left, right), registers, strict=True)
    )
    product = replace(product, a=_over_blocks(product, left), b=_over_blocks(product, right))
    plans = [product, *(plan_product(other, threads, target, together=False) for other in siblings)]
    return replace(product, a=_alike([p.a for p in plans]), b=_alike([p.b for p in plans]))


def _shared(
    found: list[Core], sizes: tuple[int, int], threads: int, target: Target, op: ir.Operation
) -> tuple[list[Core], WarpGrid]:
    """The instructions that C of these sizes can take, and how waves share it: those of 4 rows or columns where it is
    no multiple of what the others compute.

    Raises:
        LayoutError: C is no multiple of what an instruction computes, or the threads are no whole waves.
    """
    waves, smallest = _waves(threads, target, op), min(core.size for core in found)
    policy = ir.StringAttr(op.attributes["policy"]).value
    odd = [size % smallest != 0 for size in sizes]
    forms = [f for f in mfma.FORMS if (f.a, f.b) == (found[0].form.a, found[0].form.b) and f.blocks > 1]
    here = [f for f in forms if target.supports(f.feature)]
    if not any(odd) or not here:
        return found, split_tile(*sizes, waves, policy, (smallest, smallest), op, _who_takes_few(forms, target))
    side = 0 if not odd[1] or (odd[0] and sizes[0] <= sizes[1]) else 1
    widest = _FEW * here[0].blocks if sizes[side] % _FEW == 0 else _FEW
    lanes = [x for x in (64, 32, 16, 8, 4) if x <= widest and sizes[1 - side] % x == 0]
    units = [(_FEW, x) if side == 0 else (x, _FEW) for x in lanes or (_FEW,)]
    grids = [split_tile(*sizes, waves, policy, unit, op) for unit in units]
    grid, unit = min(zip(grids, units, strict=True), key=lambda pair: pair[0].replicas)
    return [blocks_core(here[0], unit[1 - side], side)], grid


def _who_takes_few(forms: list[mfma.Form], target: Target) -> str:
    """A hint for C of too few rows or columns: the targets or the element types with instructions for them."""
    having = ", ".join(dict.fromkeys(name for f in forms for name in targets_with(f.feature)))
    kinds = ", ".join(f.a for f in mfma.FORMS if f.blocks > 1 and target.supports(f.feature))
    few = f"{_FEW} rows or columns and multiples of them"
    more = f"; targets that take {few}: {having}" if having else f"; {few} are there for {kinds}" if kinds else ""
    return "choose other block sizes" + more


def _over_blocks(product: Product, operand: Operand) -> Operand:
    """The rows that all blocks share, for as many steps as there are blocks and steps divide by."""
    share = 1
    if product.core.shares_rows and operand.side == product.core.first:
        while share < product.core.blocks and product.steps % (2 * share) == 0:
            share *= 2
    return replace(operand, share=share)


def _alike(operands: list[Operand]) -> Operand:
    """The first of these with an interleave that serves all of them."""
    bound = [o.interleave for o in operands if not o.free]
    return replace(operands[0], interleave=min(bound, default=1))


def _siblings(op: ir.Operation) -> list[ir.Operation]:
    """The other products into the same registers, which must lie the same way for all of them."""
    sums = root(op.operands[2])
    if scope_of(sums) != FRAGMENT:
        return []
    users = [use.owner.operation for use in sums.uses]
    return [u for u in users if u.name == "tl.gemm" and u != op and root(u.operands[2]) == sums and not _is_packed(u)]


def _is_packed(op: ir.Operation) -> bool:
    return any(packed_operands(op))


def _smallest(products: list[ir.Operation], threads: int, target: Target) -> int:
    """The size of the smallest instruction that one of these takes by itself."""
    return min(plan_product(op, threads, target, together=False).core.size for op in products)


def plan_scaled(op: ir.Operation, threads: int, target: Target) -> Product:
    """The plan of a `tl.mma_scaled`, or a `tl.gemm` of packed operands. A lane's run along K is what the instruction's
    scales take together: all of a lane's elements of 6 and 4 bits, half of those of 8.

    Raises:
        UnsupportedError: the target has no such instruction, or none for these operands.
        LayoutError: C is no multiple of what an instruction computes, or the threads are no whole waves.
    """
    where = python_location(op.location)
    a, b, _ = factors(op)
    m, n, k = extents(op)
    packed = packed_operands(op)
    sides = [_scaled_operand(op, side, _PACKED_KINDS.get(packed[side], "")) for side in range(2)]
    if any(side.packed and not side.along_k for side in sides):
        hint = "A is [M, K] and B is [N, K] with transpose_B=True"
        what = f"{'4' if 'e2m1' in packed else '6'}-bit operands whose elements are not neighbours along K"
        raise UnsupportedError(what, where, hint=hint)
    k = elements_of(k, packed[1])
    elements = [ir.MemRefType(v.type).element_type for v in (a, b)]
    kinds = [o.packed or element_kind(e, False, target, op) for o, e in zip(sides, elements, strict=True)]
    found = [_mfma_core(f) for f in mfma.SCALED_FORMS if [f.a, f.b] == kinds]
    policy = ir.StringAttr(op.attributes["policy"]).value
    grid = split_tile(m, n, _waves(threads, target, op), policy, (16, 16), op)
    fits = [x for x in found if grid.rows % x.size == grid.columns % x.size == 0 and k % x.depth == 0]
    if not fits:
        least = min(core.depth for core in found)
        raise UnsupportedError(f"K = {k} is no multiple of {least}", where, hint="use a larger block_K")
    product = Product(fits[0], grid, k, _READ, *sides)
    left, right = (_interleave(product, o, 8, target) for o in sides)
    return replace(product, a=left, b=right)


def _waves(threads: int, target: Target, op: ir.Operation) -> int:
    """The waves of a block, which multiply with all of their lanes."""
    if threads % target.warp_size:
        raise LayoutError(
            f"a matrix product by {threads} threads: {target} multiplies with whole waves of {target.warp_size}",
            python_location(op.location), hint=f"a multiple of {target.warp_size} threads",
        )  # fmt: skip
    return threads // target.warp_size


def _scaled_operand(op: ir.Operation, side: int, packed: str) -> Operand:
    along_k = transposes(op)[side] == bool(side)
    return Operand(side, int(along_k), along_k, 1, packed)


def _lacks(kinds: list[str], elements: list[ir.Type], target: Target, op: ir.Operation) -> UnsupportedError:
    having = {f.feature for f in (*mfma.FORMS, *wmma.FORMS) if [f.a, f.b] == kinds}
    names = [name for name in dict.fromkeys(t for f in having for t in targets_with(f))]
    what = " and ".join(dict.fromkeys(str(e) for e in elements))
    needs = ", or ".join(sorted(f.value for f in having)) or "an instruction that no target here has"
    hint = f"targets that have it: {', '.join(sorted(names))}" if names else ""
    hint = targets_hint(str(elements[0])) if names and all(str(e).startswith("f8") for e in elements) else hint
    return UnsupportedError(
        f"a matrix product of {what} needs {needs}, which {target} lacks", python_location(op.location), hint=hint
    )


def _run(core: Core, k: int, bits: int, registers: bool, along_k: bool) -> int:
    """Neighbours along K in a lane: as a result's registers lie where an operand may be one, else a wide read's."""
    if registers and core.repeats == 1:
        run = core.run
        while k % (max(run, core.per) * core.groups):
            run //= 2
        return run
    run = core.per
    while along_k and not registers and run * 2 * bits <= 8 * _READ and k % (run * 2 * core.groups) == 0:
        run *= 2
    return run


def _interleave(product: Product, operand: Operand, bits: int, target: Target) -> Operand:
    """How many tiles one read across K serves; transposing reads of the hardware serve one."""
    if operand.along_k or uses_transposed_reads(product, operand, bits, target):
        return operand
    count = max(1, 8 * _ACROSS // bits)
    while product.tiles(operand.side) % count:
        count //= 2
    return replace(operand, interleave=count)


def uses_transposed_reads(product: Product, operand: Operand, bits: int, target: Target) -> bool:
    """Whether an operand across K is read by DS_READ_B64_TR_B16 or _B8: 8 bytes along K, for 16 columns."""
    fits = bits in (8, 16) and product.core.extent(operand.side) % 16 == 0 and product.width * bits % 64 == 0
    return not operand.along_k and fits and target.supports(Feature.LDS_TRANSPOSE)


# -- fragments ---------------------------------------------------------------------------------------------------------
def _tile_digits(dim: int, size: int, extent: int, interleave: int) -> list[Digit]:
    """The instruction tiles of one wave along a dimension, fastest first."""
    digits = [Digit(interleave, dim, 1)] if interleave > 1 else []
    return [*digits, Digit(extent // (size * interleave), dim, size * interleave)]


def _spare_digits(count: int) -> list[Digit]:
    return [Digit(count, REPLICATE, 1)] if count > 1 else []


def accumulator(p: Product) -> Fragment:
    """C: the result's rows are columns of C when operands are swapped."""
    rows, columns = (1, 0) if p.core.swap else (0, 1)
    step = {0: p.a.interleave, 1: p.b.interleave}
    count, stride = p.core.row_lanes
    thread = (
        Digit(p.core.size, columns, step[columns]), *_spare_digits(p.core.spare),
        Digit(count, rows, stride * step[rows]),
        Digit(p.grid.m, 0, p.grid.rows), Digit(p.grid.n, 1, p.grid.columns), Digit(p.grid.replicas, REPLICATE, 1),
    )  # fmt: skip
    value = [Digit(size, rows, s * step[rows]) for size, s in p.core.row_values]
    value += _tile_digits(1, p.core.extent(1), p.grid.columns, p.b.interleave)
    value += _tile_digits(0, p.core.extent(0), p.grid.rows, p.a.interleave)
    return Fragment((p.grid.rows * p.grid.m, p.grid.columns * p.grid.n), thread, tuple(value))


def operand(product: Product, which: Operand) -> Fragment:
    """A or B in registers, in the dimensions it is stored in, for every wave along the other side."""
    p = product.stored(which)
    kd, sd = which.k_dim, 1 - which.k_dim
    core, extent = p.core, p.grid.columns if which.side else p.grid.rows
    waves = [Digit(p.grid.m, REPLICATE, 1), Digit(p.grid.n, REPLICATE, 1)]
    waves[which.side] = Digit(p.grid.n if which.side else p.grid.m, sd, extent)
    waves.append(Digit(p.grid.replicas, REPLICATE, 1))
    size, step = core.extent(which.side), p.width * core.groups  # the step along K of an instruction's lanes
    lanes = [Digit(size, sd, which.interleave)]
    if core.blocks > 1 and which.side == core.first:
        lanes += [Digit(which.share, kd, step), *_spare_digits(core.blocks // which.share)]
    else:
        lanes += _spare_digits(core.spare)
    lanes.append(Digit(core.repeats, REPLICATE, 1) if core.repeats > 1 else Digit(core.groups, kd, p.run))
    value = [Digit(p.run, kd, 1)]
    if p.run < core.per:
        value.append(Digit(core.per // p.run, kd, p.run * core.groups))
    value.append(Digit(p.steps // which.share, kd, step * which.share))
    value += _tile_digits(sd, size, extent, which.interleave)
    shape = [0, 0]
    shape[kd], shape[sd] = p.k, extent * (p.grid.n if which.side else p.grid.m)
    return Fragment(tuple(shape), (*lanes, *waves), tuple(value))
