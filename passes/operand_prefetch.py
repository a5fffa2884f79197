"""Pipelined loops around one product of `mma.sync`: operands are in registers one k step before they are multiplied.

    for k: wait_group s - 2; barrier; copy async the tile s - 1 ahead; commit; C += A[k] B[k]
    =>
    wait_group s - 2; barrier; load step 0 of tile 0
    for k: for each k step i of the tile:
             last step: commit; wait_group s - 2; barrier      (tile k + 1 is there, tile k has been read)
             load step i + 1 (of tile k + 1 after the last) into the other fragments
             a part of the copies for the tile s - 1 ahead
             C += A B of step i

The loads of a step run under the products of the step before, over the end of an iteration too, and the copies are
spread so that they never fill the queue of the memory pipeline. Copies past the end read nothing and write zeros
instead of being branched around: the body stays one basic block, which the assembler can schedule. Those zeros have
landed (wait_group 0) before what follows the loop may use the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target

from ..dialect.layout import Fragment
from ..dialect.layout.attrs import to_attr
from ..dialect.products import extents, packed_operands, transposes
from ..dialect.tl import FRAGMENT, buffer_type
from . import build, facts
from .nvidia.mma_layout import MmaShape, mma_shape, operand_fragments, partition
from .versions import Versions
from .walk import threads_of
from .warp_grid import WarpGrid

_REGISTERS = 200  # 32-bit registers for sums and two steps of operands: the rest of a thread's 255 holds addresses
_PURE = ("arith.", "tl.slice", "tl.tensor", "scf.yield")


@dataclass(frozen=True)
class Product:
    """The product of a loop: its operation and how its warps split it."""

    op: ir.Operation
    shape: MmaShape
    grid: WarpGrid
    steps: int

    @property
    def transposed(self) -> tuple[bool, bool]:
        return transposes(self.op)

    @property
    def k_dims(self) -> tuple[int, int]:
        """The dimension of A and of B that runs along K."""
        a, b = self.transposed
        return 0 if a else 1, 1 if b else 0


def only_product(loop: ir.Operation, copies: Sequence[ir.Operation], target: Target) -> Product | None:
    """The product of a loop that does nothing else with the copied tiles; None when the loop is not of that kind."""
    body = [op.operation for op in loop.regions[0].blocks[0].operations]
    products = [op for op in body if op.name == "tl.gemm"]
    others = [op for op in body if op not in products and op not in copies]
    if len(products) != 1 or not all(op.name.startswith(_PURE) for op in others):
        return None
    op = products[0]
    a, b, c = list(op.operands)[:3]
    tiles = {copy.operands[1] for copy in copies}
    clears = len(op.operands) > 3 or "clear" in op.attributes and ir.BoolAttr(op.attributes["clear"]).value
    if "instr" in op.attributes or any(packed_operands(op)) or clears or a not in tiles or b not in tiles or a == b:
        return None
    bits = ir.MemRefType(a.type).element_type.width
    shape = mma_shape(bits)
    m, n, k = extents(op)
    threads = threads_of(op)
    grid = partition(m, n, threads // target.warp_size, ir.StringAttr(op.attributes["policy"]).value, shape, op)
    operands = 2 * shape.k * (grid.rows + grid.columns) * bits // 32 // target.warp_size
    sums = grid.rows * grid.columns // target.warp_size * max(ir.MemRefType(c.type).element_type.width, 32) // 32
    limit = min(_REGISTERS, _REGISTERS * 256 // threads)
    if k % (2 * shape.k) or sums + operands > limit:
        return None
    return Product(op, shape, grid, k // shape.k)


def expand(versions: Versions, product: Product) -> None:
    """Rewrite the loop as the text at the top of this file says."""
    stages, loop = versions.stages, versions.loop
    with ir.InsertionPoint(loop):
        for ahead in range(stages - 1):
            offset = build.binary("muli", versions.step, build.constant(ahead))
            variable = build.binary("addi", versions.lower, offset)
            when = build.compare(2, variable, versions.upper)
            for part in _parts(versions, 1, threads_of(product.op))[0]:
                _copy(versions, part, variable, build.constant(ahead), when)
            ir.Operation.create("tl.commit_group")
        steps = _Steps(versions, product)
        _wait(stages)
        with product.op.location:
            steps.load(0, build.constant(0))
    with ir.InsertionPoint(list(versions.body.operations)[-1].operation), product.op.location:
        _body(versions, product, steps)
    with ir.InsertionPoint.after(loop), loop.location:
        ir.Operation.create("tl.wait_group", attributes={"pending": ir.IntegerAttr.get(build.i32(), 0)})
    product.op.erase()
    versions.finish(versions.lower)  # no use of a tile is left


def _body(versions: Versions, product: Product, steps: _Steps) -> None:
    stages, variable = versions.stages, versions.body.arguments[0]
    trip = versions.trip(variable, [versions.lower, versions.upper, versions.step])
    ahead = build.binary("addi", variable, build.binary("muli", versions.step, build.constant(stages - 1)))
    target = versions.slot(build.binary("addi", trip, build.constant(stages - 1)))
    when = build.compare(2, ahead, versions.upper)
    parts = _parts(versions, product.steps - 1, threads_of(product.op))
    cloned: dict[ir.Value, ir.Value] = {variable: _capped(versions, ahead)}
    slot = versions.slot(trip)
    for step in range(product.steps):
        if step == product.steps - 1:
            ir.Operation.create("tl.commit_group")
            _wait(stages)
            slot = versions.slot(build.binary("addi", trip, build.constant(1)))
        steps.load((step + 1) % product.steps, slot)
        for part in parts[step] if step < len(parts) else []:
            _copy(versions, part, ahead, target, when, cloned)
        steps.multiply(step)


def _capped(versions: Versions, ahead: ir.Value) -> ir.Value:
    """The iteration ahead, or the last one where that is past the end and nothing is read: so its bounds are known,
    and copies that the loop keeps inside of their tensor need no checks of their own."""
    start, end = (build.known_constant(bound) for bound in (versions.lower, versions.upper))
    if start is None or end is None:
        return ahead
    capped = build.binary("minsi", ahead, build.constant(end - 1))
    facts.state(capped, facts.Facts(lo=start, hi=end - 1))
    return capped


def _wait(stages: int) -> None:
    ir.Operation.create("tl.wait_group", attributes={"pending": ir.IntegerAttr.get(build.i32(), stages - 2)})
    build.sync_threads()


@dataclass(frozen=True)
class _Part:
    """Rows [start, start + rows) of what a copy moves."""

    copy: ir.Operation
    start: int
    rows: int


def _parts(versions: Versions, count: int, threads: int) -> list[list[_Part]]:
    """The copies of one iteration in `count` portions of about equal size, each of whole rounds of the threads."""
    rounds: list[_Part] = []
    for copy in versions.copies:
        kind = ir.MemRefType(copy.operands[1].type)
        rows, columns = kind.shape[0], kind.shape[-1]
        per_row = max(1, columns * kind.element_type.width // 128)
        size = threads // per_row if threads % per_row == 0 else rows
        size = size if 0 < size <= rows and rows % size == 0 and len(kind.shape) == 2 else rows
        rounds += [_Part(copy, start, size) for start in range(0, rows, size)]
    each = -(-len(rounds) // count)
    return [_merged(rounds[i : i + each]) for i in range(0, len(rounds), each)]


def _merged(rounds: Sequence[_Part]) -> list[_Part]:
    out: list[_Part] = []
    for part in rounds:
        if out and out[-1].copy == part.copy:
            out[-1] = _Part(part.copy, out[-1].start, out[-1].rows + part.rows)
        else:
            out.append(part)
    return out


def _copy(
    versions: Versions,
    part: _Part,
    variable: ir.Value,
    slot: ir.Value,
    when: ir.Value,
    cloned: dict[ir.Value, ir.Value] | None = None,
) -> None:
    """Start copying a part of the tile of the iteration with loop variable `variable`.

    Inside the loop (`cloned` given) the loop's barrier orders the copy; before it other tiles may still be in use that
    share the memory.
    """
    known = cloned if cloned is not None else {versions.body.arguments[0]: variable}
    with part.copy.location:
        source = versions.clone(part.copy.operands[0], known)
        target = versions.version(part.copy.operands[1], slot)
        if part.rows != ir.MemRefType(part.copy.operands[1].type).shape[0]:
            source, target = (_rows(tile, part) for tile in (source, target))
        attributes = {**build.attributes_of(part.copy), "async": build.unit()}
        if cloned is not None:
            attributes["ordered"] = build.unit()
        ir.Operation.create("tl.copy", [], [source, target, when], attributes)


def _rows(tile: ir.Value, part: _Part) -> ir.Value:
    """The part's rows of a tile of rows and columns with leading unit dimensions."""
    sizes = list(ir.MemRefType(tile.type).shape)
    zero = build.constant(0)
    offsets = [zero] * (len(sizes) - 2) + [build.constant(part.start), zero]
    return build.slice_of(tile, offsets, [*sizes[:-2], part.rows, sizes[-1]])


class _Steps:
    """The operands of two k steps in registers: one is multiplied while the other is loaded."""

    def __init__(self, versions: Versions, product: Product) -> None:
        self.versions = versions
        self.product = product
        self.operands = list(product.op.operands)
        bits = ir.MemRefType(self.operands[0].type).element_type.width
        layouts = operand_fragments(product.grid, product.shape, product.shape.k, bits, product.transposed)
        tiles = list(zip(self.operands[:2], layouts, strict=True))
        self.fragments = [[self._fragment(tile, layout) for tile, layout in tiles] for _ in range(2)]

    @staticmethod
    def _fragment(operand: ir.Value, layout: Fragment) -> ir.Value:
        kind = buffer_type(list(layout.shape), ir.MemRefType(operand.type).element_type, FRAGMENT)
        owner = operand.owner.operation
        with owner.location:
            return ir.Operation.create("tl.alloc", [kind], attributes={"layout": to_attr(layout)}).result

    def load(self, step: int, slot: ir.Value) -> None:
        """Fetch a k step of the tile in version `slot`."""
        product = self.product
        warps = ir.DenseI32ArrayAttr.get([product.grid.m, product.grid.n])
        for side, operand, k_dim, fragment in zip(
            "ab", self.operands[:2], product.k_dims, self.fragments[step % 2], strict=True
        ):
            tile = self.versions.version(operand, slot)
            sizes = list(ir.MemRefType(tile.type).shape)
            offsets = [build.constant(0)] * len(sizes)
            position = len(sizes) - 2 + k_dim
            offsets[position], sizes[position] = build.constant(step * product.shape.k), product.shape.k
            attributes = {
                "side": ir.StringAttr.get(side), "k_dim": ir.IntegerAttr.get(build.i32(), k_dim), "warps": warps,
            }  # fmt: skip
            ir.Operation.create("tl.load_operand", [], [build.slice_of(tile, offsets, sizes), fragment], attributes)

    def multiply(self, step: int) -> None:
        """The product of a k step."""
        operands = [*self.fragments[step % 2], self.operands[2]]
        ir.Operation.create("tl.gemm", [], operands, build.attributes_of(self.product.op))
