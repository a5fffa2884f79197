"""`specialize-tensor-warps`: a warp loads tiles, a warp issues products into tensor memory, warpgroups do the rest.

Input: laid-out program for a target with tensor memory; a kernel with one pipelined loop, at its top level or inside
loops over output tiles, whose body is loads that bulk copies can do and synchronous products into tensor memory.
Output: `tl.tensor_roles` over a ring of s versions of the loaded tiles and v versions of the accumulators (two where
they fit and there are several output tiles):

    for tile: for k: copy A[k] -> S; product S -> C;   use C
    =>
    loads:    for tile: for k: wait empty[k % s]; arrive full[k % s] expecting the bytes; load A[k] -> S[k % s]
    products: for tile: wait free[t % v]
                        for k: wait full[k % s]; product S[k % s] -> C[t % v]; commit empty[k % s]
                        commit done[t % v]
    rest:     for tile: wait done[t % v]; use C[t % v]; arrive free[t % v]

The factors of block-scaled products are copied by a warp of their own, word by word (`factors.py`), and moved to tensor
memory in front of their product. Rounds are counted across output tiles, so the loads of the next tile run while this
one is finished. Results go to device memory through small swizzled tiles and bulk stores, in parts; bulk copies also
make the gaps between packed elements (`loads.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from tilelang_mlir.errors import ResourceError
from tilelang_mlir.mlir import int_array, ir
from tilelang_mlir.target import Feature, Target

from ...dialect.effects import root
from ...dialect.layout.attrs import tensor_from_attr, tensor_to_attr
from ...dialect.layout.tensor import COLUMNS, arena_columns
from ...dialect.location import python_location
from ...dialect.tl import SHARED, TMEM, buffer_type, scope_of
from .. import build
from ..base import Pass
from ..nvidia import tensor_stores
from ..specialize_warps.candidate import WAIT_DEPENDENCIES, is_intrinsic
from ..use_tensor_memory import SYNCHRONOUS, barriers, variable
from ..walk import WARP, launches, nested, num_threads
from .candidate import Candidate, find_candidate
from .factors import start_copies


@dataclass(frozen=True)
class SpecializeTensorWarps(Pass):
    """Split pipelined kernels into a loading warp, a warp for products, and the rest."""

    name: ClassVar[str] = "specialize-tensor-warps"

    enabled: bool = True

    def run(self, module: ir.Module, target: Target) -> None:
        if not self.enabled or not all(target.supports(f) for f in (Feature.TMA, Feature.TCGEN05)):
            return
        for launch in launches(module):
            found = find_candidate(launch)
            if found is not None:
                with module.context, launch.location:
                    _Split(launch, found).run()


class _Role:
    """What one role computes: values of the kernel cloned into its region on demand."""

    def __init__(self, launch: ir.Operation, block: ir.Block) -> None:
        self.launch = launch
        self.block = block
        self.known: dict[ir.Value, ir.Value] = {}

    def clone(self, value: ir.Value) -> ir.Value:
        """The value in this role: what the kernel's top level computes is shared, the rest is computed again."""
        if value in self.known:
            return self.known[value]
        owner = value.owner
        if isinstance(owner, ir.Block) or owner.operation.parent.operation == self.launch or not self._inside(owner):
            return value
        op = owner.operation
        operands = [self.clone(v) for v in op.operands]
        with op.location:
            copy = ir.Operation.create(op.name, [r.type for r in op.results], operands, build.attributes_of(op))
        for old, new in zip(op.results, copy.results, strict=True):
            self.known[old] = new
        return self.known[value]

    def _inside(self, op: ir.OpView | ir.Operation) -> bool:
        parent = op.operation.parent
        while parent is not None:
            if parent.operation == self.launch:
                return True
            parent = parent.operation.parent
        return False

    def enter(self, op: ir.Operation) -> ir.Block:
        """An empty copy of a loop or branch; returns its block, without terminator."""
        with op.location:
            operands = [self.clone(v) for v in op.operands]
            copy = ir.Operation.create(op.name, [], operands, regions=len(op.regions))
        old = op.regions[0].blocks[0]
        block = copy.regions[0].blocks.append(*(a.type for a in old.arguments))
        self.known.update(zip(old.arguments, block.arguments, strict=True))
        return block


class _Counter:
    """Rounds of a ring, counted across loops in a variable of the role."""

    def __init__(self, versions: int) -> None:
        self.versions = versions
        self.variable = variable(0)

    def place(self) -> tuple[ir.Value, ir.Value]:
        """Version and parity of this round."""
        number = build.load(self.variable, [build.constant(0)])
        slot = build.binary("remui", number, build.constant(self.versions))
        parity = build.binary("andi", build.binary("divui", number, build.constant(self.versions)), build.constant(1))
        return slot, parity

    def advance(self) -> None:
        number = build.load(self.variable, [build.constant(0)])
        build.store(build.binary("addi", number, build.constant(1)), self.variable, [build.constant(0)])


class _Split:
    """The rewriting of one kernel."""

    def __init__(self, launch: ir.Operation, found: Candidate) -> None:
        self.launch, self.found = launch, found
        self.threads = num_threads(launch)
        self.block = launch.regions[0].blocks[0]
        self.tiles: dict[ir.Value, ir.Value] = {}
        self.sums: dict[ir.Value, ir.Value] = {}

    def run(self) -> None:
        found = self.found
        left_out = [factor.load.operands[1] for factor in found.factors]
        left_out += [load.left_out for load in found.loads if load.left_out is not None]
        self._erase_waits()
        repeated = any(op.name == "scf.for" for op in found.nest)
        tensor_stores.shorten(self.launch, self.threads, repeated)
        self.versions = self._accumulator_versions()
        for load in found.loads:
            self.tiles[load.tile] = self._multiply(load.tile, found.stages)
        for factor in found.factors:
            self.tiles[factor.ordered] = self._multiply(factor.ordered, found.stages)
        for buffer in dict.fromkeys(root(op.operands[2]) for op in found.products):
            self.sums[buffer] = self._multiply(buffer, self.versions)
        with ir.InsertionPoint.at_block_begin(self.block):
            self.full = barriers([1 + (WARP if found.factors else 0)] * found.stages)
            self.empty = barriers([1] * found.stages)
            self.done = barriers([1] * self.versions)
            self.free = barriers([self.threads // WARP] * self.versions)
        attributes: dict[str, ir.Attribute] = {"consumers": ir.IntegerAttr.get(build.i32(), self.threads)}
        if repeated:
            attributes["repeated"] = build.unit()
        with ir.InsertionPoint(self.block):
            split = ir.Operation.create("tl.tensor_roles", attributes=attributes, regions=4)
        loads, products, factors, rest = split.regions
        self._loads(loads.blocks.append())
        self._products(products.blocks.append())
        if found.factors:
            self._factors(factors.blocks.append())
        rest = rest.blocks.append()
        self._move(rest, split)
        self._rest(rest)
        for old in [*self.tiles, *self.sums, *left_out]:
            old.owner.operation.erase()
        self._stores(split)
        warps = 3 if found.factors else 2
        self.launch.attributes["threads"] = ir.DenseI32ArrayAttr.get([self.threads + warps * WARP, 1, 1])

    def _erase_waits(self) -> None:
        """The roles wait for each other: a product's own completion is nobody's business."""
        body = self.found.loop.regions[0].blocks[0]
        made: set[ir.Value] = set()
        for op in [view.operation for view in body.operations][::-1]:
            if SYNCHRONOUS in op.attributes:
                made.update(v for v in op.operands if _is_state(v))
                op.erase()
        for value in made:
            if not list(value.uses):
                value.owner.operation.erase()
        del self.found.loop.attributes["tl.pipeline"]

    def _accumulator_versions(self) -> int:
        """As many as the program asks for; else two when there are several output tiles and they fit."""
        asked = [op for op in nested(self.launch) if op.name == "tl.alloc" and "tl.versions" in op.attributes]
        if asked:
            return self._asked_versions(asked)
        if not any(op.name == "scf.for" for op in self.found.nest):
            return 1
        return 2 if self._columns(2) <= COLUMNS else 1

    def _columns(self, versions: int) -> int:
        """Columns of tensor memory of the kernel with so many versions of its sums."""
        sums = {root(op.operands[2]) for op in self.found.products}
        allocs = [op for op in nested(self.launch) if op.name == "tl.alloc" and scope_of(op.results[0]) == TMEM]
        columns = [(op.results[0] in sums, tensor_from_attr(op.attributes["layout"]).columns) for op in allocs]
        return arena_columns(sum(count * (versions if is_sum else 1) for is_sum, count in columns))

    def _asked_versions(self, allocs: list[ir.Operation]) -> int:
        versions = max(ir.IntegerAttr(op.attributes["tl.versions"]).value for op in allocs)
        if self._columns(versions) > COLUMNS:
            raise ResourceError(
                f"{versions} versions of the sums take {self._columns(versions)} columns of tensor memory, of "
                f"{COLUMNS}", python_location(allocs[0].location), hint="ask for fewer, or for smaller tiles",
            )  # fmt: skip
        return versions

    def _multiply(self, buffer: ir.Value, versions: int) -> ir.Value:
        """A buffer of several versions."""
        old = buffer.owner.operation
        kind = ir.MemRefType(buffer.type)
        attributes = build.attributes_of(old)
        if scope_of(buffer) == TMEM:
            layout = tensor_from_attr(attributes["layout"])
            attributes["layout"] = tensor_to_attr(replace(layout, shape=(versions, *layout.shape)))
        with ir.InsertionPoint.at_block_begin(self.block), old.location:
            result = buffer_type([versions, *kind.shape], kind.element_type, scope_of(buffer))
            return ir.Operation.create("tl.alloc", [result], attributes=attributes).result

    # -- the roles -----------------------------------------------------------------------------------------------------
    def _loads(self, block: ir.Block) -> None:
        role = _Role(self.launch, block)
        with ir.InsertionPoint(block):
            ring = _Counter(self.found.stages)
        blocks = self._enter(role, block)
        with ir.InsertionPoint(blocks[-1]):
            slot, parity = ring.place()
            _wait(self.empty, slot, build.binary("xori", parity, build.constant(1)))
            size = sum(load.bytes for load in self.found.loads)
            expect = {"expect": ir.IntegerAttr.get(build.i32(), size)}
            ir.Operation.create("tl.mbarrier_arrive", [], [self.full, slot], expect)
            for load in self.found.loads:
                with load.location:
                    source, target = role.clone(load.source), _version(self.tiles[load.tile], slot)
                    attributes = {"gaps": ir.StringAttr.get(load.gaps)} if load.gaps else {}
                    ir.Operation.create("tl.tma_load", [], [source, target, self.full, slot], attributes)
            ring.advance()
        _close(blocks)

    def _products(self, block: ir.Block) -> None:
        role = _Role(self.launch, block)
        with ir.InsertionPoint(block):
            ring, tiles = _Counter(self.found.stages), _Counter(self.versions)
        blocks = self._enter(role, block, before_loop=lambda: self._wait_free(tiles))
        with ir.InsertionPoint(blocks[-1]):
            slot, parity = ring.place()
            version, _ = tiles.place()
            _wait(self.full, slot, parity)
            if self.found.factors:
                ir.Operation.create("tl.fence_proxy")  # what threads have copied is read behind their backs
            for factor in self.found.factors:
                with factor.move.location:
                    source = _version(self.tiles[factor.ordered], slot)
                    ir.Operation.create("tl.tcgen05_cp", [], [source, factor.target])
            for op in self.found.products:
                with op.location:
                    a, b = (_version(self.tiles[v], slot) for v in list(op.operands)[:2])
                    c = self._sum(op.operands[2], version, role)
                    operands = [a, b, c, role.clone(op.operands[3]), *list(op.operands)[4:]]
                    ir.Operation.create(op.name, [], operands, build.attributes_of(op))
            ir.Operation.create("tl.tcgen05_commit", [], [self.empty, slot])
            ring.advance()
            ir.Operation.create("scf.yield")
        with ir.InsertionPoint(blocks[-2]):
            version, _ = tiles.place()
            ir.Operation.create("tl.tcgen05_commit", [], [self.done, version])
            tiles.advance()
        _close(blocks[:-1])

    def _factors(self, block: ir.Block) -> None:
        """Every lane of a warp copies its rows' factors, and arrives when they have landed."""
        role = _Role(self.launch, block)
        with ir.InsertionPoint(block):
            ring = _Counter(self.found.stages)
            number = {"dim": ir.IntegerAttr.get(build.i32(), 0)}
            thread = ir.Operation.create("tl.thread_id", [build.i32()], attributes=number).result
            lane = build.binary("andi", thread, build.constant(WARP - 1))
        blocks = self._enter(role, block)
        with ir.InsertionPoint(blocks[-1]):
            slot, parity = ring.place()
            _wait(self.empty, slot, build.binary("xori", parity, build.constant(1)))
            for factor in self.found.factors:
                with factor.load.location:
                    source = role.clone(factor.load.operands[0])
                    start_copies(factor, source, self.tiles[factor.ordered], slot, lane)
            ir.Operation.create("tl.mbarrier_arrive", [], [self.full, slot], {"copies": build.unit()})
            ring.advance()
        _close(blocks)

    def _wait_free(self, tiles: _Counter) -> None:
        version, parity = tiles.place()
        _wait(self.free, version, build.binary("xori", parity, build.constant(1)))

    def _enter(self, role: _Role, block: ir.Block, before_loop: object = None) -> list[ir.Block]:
        """Copies of the loops around the loads and products; returns the role's block and theirs, outermost first."""
        blocks = [block]
        for op in (*self.found.nest, self.found.loop):
            with ir.InsertionPoint(blocks[-1]):
                if op == self.found.loop and callable(before_loop):
                    before_loop()
                blocks.append(role.enter(op))
        return blocks

    def _sum(self, value: ir.Value, version: ir.Value, role: _Role) -> ir.Value:
        """A whole accumulator, or the same part of its version."""
        new = self.sums[root(value)]
        if root(value) == value:
            return _version(new, version)
        op = value.owner.operation
        offsets = [role.clone(v) for v in list(op.operands)[1:]]
        return build.slice_of(new, [version, *offsets], [1, *int_array(op.attributes["sizes"])])

    def _move(self, rest: ir.Block, split: ir.Operation) -> None:
        """Everything but what the roles share goes to the rest. Where the program waits in front of its loop for the
        kernels that it depends on, so do all roles."""
        moved: set[ir.Value] = set()
        around, over = (*self.found.nest, self.found.loop)[0], False
        for view in list(self.block.operations):
            op = view.operation
            over = over or op == around
            shared = op.name == "tl.alloc" and scope_of(op.results[0]) in (SHARED, TMEM)
            shared = shared or op.name.startswith("arith.") or op.name in ("tl.alloc_barrier", "tl.slice", "tl.cast")
            shared = shared or (is_intrinsic(op, WAIT_DEPENDENCIES) and not over)
            if op != split and not (shared and not any(v in moved for v in op.operands)):
                moved.update(op.results)
                rest.append(op)

    def _rest(self, rest: ir.Block) -> None:
        """The loop becomes a wait; after the last use of the accumulators of a tile they are given back."""
        with ir.InsertionPoint.at_block_begin(rest):
            tiles = _Counter(self.versions)
        loop = self.found.loop
        home = loop.block
        with ir.InsertionPoint(loop):
            version, parity = tiles.place()
            _wait(self.done, version, parity)
        after = False
        last = None
        for view in home.operations:
            after = after or view.operation == loop
            if after and view.operation != loop and self._uses_sums(view.operation):
                last = view.operation
        loop.erase()
        anchor = last
        with ir.InsertionPoint.after(anchor) if anchor is not None else _end_of(home):
            ir.Operation.create("tl.mbarrier_arrive", [], [self.free, version], {"per_warp": build.unit()})
            tiles.advance()
        for old, new in self.sums.items():
            for use in list(old.uses):
                self._redirect(use.owner.operation, use.operand_number, new, version)

    def _uses_sums(self, op: ir.Operation) -> bool:
        values = [v for inner in (op, *nested(op)) for v in inner.operands if isinstance(v.type, ir.MemRefType)]
        return any(root(v) in self.sums for v in values)

    def _redirect(self, op: ir.Operation, position: int, new: ir.Value, version: ir.Value) -> None:
        with ir.InsertionPoint(op), op.location:
            if op.name == "tl.slice":
                sizes = [1, *int_array(op.attributes["sizes"])]
                op.results[0].replace_all_uses_with(build.slice_of(new, [version, *list(op.operands)[1:]], sizes))
                op.erase()
            else:
                op.operands[position] = _version(new, version)

    def _stores(self, split: ir.Operation) -> None:
        """Results leave by bulk stores; a kernel that walks over output tiles waits for the last ones at its end."""
        stores = [op for op, _ in tensor_stores.stores_of(self.launch)]
        staged = [tensor_stores.store_by_tma(op, split) for op in stores]
        if any(staged) and "repeated" in split.attributes:
            with ir.InsertionPoint(split.regions[3].blocks[0]):
                tensor_stores.wait(0)


def _is_state(value: ir.Value) -> bool:
    """A barrier or a variable."""
    return not isinstance(value.owner, ir.Block) and value.owner.operation.name in ("tl.alloc_barrier", "tl.alloc")


def _wait(barrier: ir.Value, index: ir.Value, parity: ir.Value) -> None:
    ir.Operation.create("tl.mbarrier_wait", [], [barrier, index, parity])


def _version(buffer: ir.Value, slot: ir.Value) -> ir.Value:
    shape = list(ir.MemRefType(buffer.type).shape)
    return build.slice_of(buffer, [slot, *[build.constant(0)] * (len(shape) - 1)], [1, *shape[1:]])


def _close(blocks: list[ir.Block]) -> None:
    """Terminators for what was entered."""
    for block in blocks[1:]:
        with ir.InsertionPoint(block):
            ir.Operation.create("scf.yield")


def _end_of(block: ir.Block) -> ir.InsertionPoint:
    last = list(block.operations)[-1].operation
    return ir.InsertionPoint(last) if last.name == "scf.yield" else ir.InsertionPoint(block)
