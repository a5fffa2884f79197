"""`use-tensor-memory`: matrix products on tcgen05.

Input: the tile program as traced, for a target with tensor memory. Output: no `tl.gemm` whose accumulator is in tensor
memory. Two rewritings:

GIVEN    A `tl.gemm` into tensor memory is synchronous: the product, its completion at an mbarrier of its own, a wait.

             tl.gemm A, B, C   =>   tcgen05_mma A, B, C; tcgen05_commit bar; mbarrier_wait bar, phase; phase ^= 1

CHOSEN   A fragment that only products touch in a loop (and that is cleared before it) moves to tensor memory; after the
         loop it is copied back. A fragment that other operations touch in the loop stays: moving it back and forth
         costs more than mma.sync does.

             fill C, 0; for k: tl.gemm A, B, C; use C
             =>
             for k: tl.gemm A, B, T (clear where k is the first); copy T -> C; use C

         Where the loop may not run at all, the copy is in a branch, whose other side clears C.

EMULATED A product of 8-bit floats that starts from zero, and whose sum others then use, is computed in tensor memory
         and copied to its fragment. Where all products of fragments can go there, `stage-tensor-products` takes them.

SCALED   `tl.mma_scaled`, whose sums are in fragments, is CHOSEN where that fits. Elsewhere its accumulator goes to
         tensor memory and back around it, as there is no other instruction for it on these targets.

COPIED   A `tl.copy` of 128 rows from a shared tile that products could read is `tl.tcgen05_cp`, with its completion and
         a wait; others pass through fragments (`expand-tensor-copies`).

SPARSE   The metadata of a `tl.tcgen05_sparse_mma` go to tensor memory (`nvidia/tensor_metadata.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target, targets_with

from ..dialect.effects import Effect, region_effects, root
from ..dialect.location import python_location
from ..dialect.products import TENSOR_PRODUCTS, packed_operands
from ..dialect.tl import FRAGMENT, SHARED, TMEM, VAR, buffer_type, scope_of
from . import build
from .base import Pass
from .nvidia import tensor_pairs
from .nvidia.tensor_metadata import bring_metadata
from .nvidia.tensor_products import tensor_products
from .nvidia.tensor_rules import WARPGROUP, accumulator_layout, meeting_fragment, product_obstacle, rows_obstacle
from .nvidia.tensor_scales import start_scaled, with_gaps
from .walk import launches, nested, num_threads

_EQ, _NE, _SLT = 0, 1, 2  # arith.cmpi
SYNCHRONOUS = "tl.synchronous"
"""Marks the operations that make a product synchronous, for passes that order it otherwise."""
_SUMMING = ("tl.gemm", "tl.mma_scaled")
_TENSOR_OPS = (*TENSOR_PRODUCTS, "tl.tcgen05_commit", "tl.tcgen05_cp", "tl.tcgen05_fence", "tl.dealloc_tmem")


@dataclass(frozen=True)
class UseTensorMemory(Pass):
    """Put accumulators into tensor memory and products on tcgen05."""

    name: ClassVar[str] = "use-tensor-memory"

    automatic: bool = True

    def run(self, module: ir.Module, target: Target) -> None:
        for launch in launches(module):
            with module.context:
                if not target.supports(Feature.TCGEN05):
                    _refuse(launch, target)
                    continue
                _require_whole_tiles(launch)
                paired = tensor_pairs.arrange(launch)
                if self.automatic and not paired:
                    for alloc in [op for op in nested(launch) if _is_fragment(op)]:
                        _move(launch, alloc.results[0], target)
                for op in [op for op in nested(launch) if op.name == "tl.gemm" and scope_of(op.operands[2]) == TMEM]:
                    _make_asynchronous(launch, op, target)
                if self.automatic and not paired:
                    for op in [op for op in nested(launch) if _copies_rows(op)]:
                        _complete(launch, op, functools.partial(_start_copy, op))
                for op in list(nested(launch)):
                    bring_metadata(launch, op, target)
                ops = list(nested(launch))
                here = self.automatic and not paired and not tensor_products(ops, target)
                for op in [op for op in ops if _is_narrow(op) or here and _is_emulated(launch, op, target)]:
                    _narrow_alone(launch, op, target, paired)


def _copies_rows(op: ir.Operation) -> bool:
    scopes = [scope_of(v) for v in list(op.operands)[:2]] if op.name == "tl.copy" else []
    return scopes == [SHARED, TMEM] and not rows_obstacle(op)


def _start_copy(op: ir.Operation) -> None:
    ir.Operation.create("tl.tcgen05_cp", [], list(op.operands), {"by_rows": build.unit()})


def _is_narrow(op: ir.Operation) -> bool:
    """A product into fragments for which there is no other instruction."""
    return op.name == "tl.mma_scaled" or op.name == "tl.gemm" and any(packed_operands(op))


def _is_emulated(launch: ir.Operation, op: ir.Operation, target: Target) -> bool:
    """A product of 8-bit floats that starts from zero: mma.sync multiplies these as float16 here, after conversions."""
    if op.name != "tl.gemm" or len(op.operands) != 3 or "wgmma" in op.attributes or product_obstacle(op, target):
        return False
    a, b, c = op.operands
    clears = "clear" in op.attributes and ir.BoolAttr(op.attributes["clear"]).value
    scopes = [scope_of(v) for v in (a, b, c)]
    if not clears or scopes != [SHARED, SHARED, FRAGMENT] or root(c) != c:
        return False
    kind, threads = ir.MemRefType(c.type), num_threads(launch)
    users = [use.owner.operation for use in c.uses]
    others = any(u != op and u.name in (*_SUMMING, "tl.gemm_sp") for u in users)
    narrow = ir.MemRefType(a.type).element_type.width == 8 and not isinstance(kind.element_type, ir.IntegerType)
    return narrow and not others and meeting_fragment(accumulator_layout(c), kind.shape[-1], threads) is not None


def _refuse(launch: ir.Operation, target: Target) -> None:
    """Tensor memory on a target without it is an error at the line that asks for it."""
    for op in nested(launch):
        if op.name in _TENSOR_OPS or op.name == "tl.alloc" and scope_of(op.results[0]) == TMEM:
            what = "T.alloc_tmem" if op.name == "tl.alloc" else op.name.replace("tl.", "T.")
            raise UnsupportedError(
                f"{what} needs {Feature.TCGEN05.value}, which {target} lacks",
                python_location(op.location),
                hint=f"targets that have it: {', '.join(targets_with(Feature.TCGEN05))}",
            )


_WHOLE = ("tl.copy", "tl.fill", "tl.gemm", "tl.slice", "tl.reshape", *_TENSOR_OPS)


def _require_whole_tiles(launch: ir.Operation) -> None:
    """Elements of tensor memory have no addresses: only copies, fills and products touch it."""
    for op in nested(launch):
        if op.name in _WHOLE or not any(isinstance(v.type, ir.MemRefType) and scope_of(v) == TMEM for v in op.operands):
            continue
        raise UnsupportedError(
            "elements of tensor memory cannot be accessed one by one",
            python_location(op.location),
            hint="copy the tile to a fragment: T.copy(tmem, fragment)",
        )


def _is_fragment(op: ir.Operation) -> bool:
    return op.name == "tl.alloc" and scope_of(op.results[0]) == FRAGMENT and "layout" not in op.attributes


# -- given -------------------------------------------------------------------------------------------------------------
def _make_asynchronous(launch: ir.Operation, op: ir.Operation, target: Target) -> None:
    obstacle = product_obstacle(op, target)
    if obstacle:
        raise UnsupportedError(
            f"T.gemm into tensor memory has no product with {obstacle}", python_location(op.location)
        )
    with op.location, ir.InsertionPoint(op):
        keep = keep_of(op)
    _complete(launch, op, lambda: start_product(launch, op, op.operands[2], keep))


def _complete(launch: ir.Operation, op: ir.Operation, start: Callable[[], None]) -> None:
    """Replace a product by one that `start` starts, its completion at an mbarrier of its own, and a wait."""
    with op.location:
        with ir.InsertionPoint.at_block_begin(launch.regions[0].blocks[0]):
            barrier = barriers([1])
            phase = variable(0)
        with ir.InsertionPoint(op):
            zero = build.constant(0)
            start()
            commit = ir.Operation.create("tl.tcgen05_commit", [], [barrier, zero])
            parity = build.load(phase, [zero])
            ir.Operation.create("tl.mbarrier_wait", [], [barrier, zero, parity])
            build.store(build.binary("xori", parity, build.constant(1)), phase, [zero])
    block = [view.operation for view in op.block.operations]
    for made in block[block.index(commit) : block.index(op)]:
        made.attributes[SYNCHRONOUS] = build.unit()
    op.erase()


def _narrow_alone(launch: ir.Operation, op: ir.Operation, target: Target, paired: bool) -> None:
    """A block-scaled product, or one of packed operands, whose accumulator other operations touch between products."""
    obstacle = "products of pairs of blocks beside it" if paired else product_obstacle(op, target)
    fragment = op.operands[2]
    kind = ir.MemRefType(fragment.type)
    if not obstacle and meeting_fragment(accumulator_layout(fragment), kind.shape[-1], num_threads(launch)) is None:
        obstacle = f"an accumulator of {kind.shape[-1]} columns for {num_threads(launch)} threads"
    if obstacle:
        raise UnsupportedError(
            f"tcgen05.mma has no {'product' if op.name == 'tl.gemm' else 'block-scaled product'} with {obstacle}",
            python_location(op.location),
        )
    with op.location:
        with ir.InsertionPoint.at_block_begin(launch.regions[0].blocks[0]):
            tensor = ir.Operation.create("tl.alloc", [buffer_type(list(kind.shape), kind.element_type, TMEM)]).result
        with ir.InsertionPoint(op):
            keep = keep_of(op)
            if "clear" not in op.attributes or not ir.BoolAttr(op.attributes["clear"]).value:
                ir.Operation.create("tl.copy", [], [fragment, tensor])
        with ir.InsertionPoint.after(op):
            ir.Operation.create("tl.copy", [], [tensor, fragment])
    start = start_product if op.name == "tl.gemm" else start_scaled
    _complete(launch, op, lambda: start(launch, op, tensor, keep))


def barriers(counts: list[int]) -> ir.Value:
    """An array of mbarriers."""
    kind = ir.Type.parse(f"!tl.barrier<{len(counts)} : i64>")
    attributes = {"counts": ir.DenseI64ArrayAttr.get(counts)}
    return ir.Operation.create("tl.alloc_barrier", [kind], attributes=attributes).result


def variable(initial: int) -> ir.Value:
    """A mutable i32 of each thread."""
    attributes = {"init": ir.IntegerAttr.get(build.i32(), initial)}
    return ir.Operation.create("tl.alloc", [buffer_type([1], build.i32(), VAR)], attributes=attributes).result


def keep_of(op: ir.Operation) -> ir.Value:
    """Whether a product adds to its accumulator, as i1."""
    one = build.truth(True)
    if op.name == "tl.gemm" and len(op.operands) > 3:
        return build.binary("xori", op.operands[3], one)
    if "clear" in op.attributes and ir.BoolAttr(op.attributes["clear"]).value:
        return build.truth(False)
    return one


def start_product(launch: ir.Operation, op: ir.Operation, tensor: ir.Value, keep: ir.Value) -> None:
    """The `tl.tcgen05_mma` of a `tl.gemm` into a buffer of tensor memory."""
    names = ("transpose_a", "transpose_b", "a_unsigned", "b_unsigned")
    attributes = {name: op.attributes[name] for name in names if name in op.attributes}
    sides = with_gaps(launch, op, attributes)
    ir.Operation.create("tl.tcgen05_mma", [], [*sides, tensor, keep], attributes)


# -- chosen ------------------------------------------------------------------------------------------------------------
def _move(launch: ir.Operation, fragment: ir.Value, target: Target) -> None:
    """Move a fragment to tensor memory where it is the sum of one loop's products."""
    found = _accumulation(launch, fragment, target)
    if found is None:
        return
    loop, products, clear = found
    kind = ir.MemRefType(fragment.type)
    with fragment.owner.operation.location:
        with ir.InsertionPoint(fragment.owner.operation):
            tensor = ir.Operation.create("tl.alloc", [buffer_type(list(kind.shape), kind.element_type, TMEM)]).result
        with ir.InsertionPoint.after(loop):
            _give_back(loop, tensor, fragment)
    for position, op in enumerate(products):
        if op.name == "tl.mma_scaled":
            with op.location, ir.InsertionPoint(op):
                keep = _later(loop) if position == 0 else keep_of(op)
            _complete(launch, op, functools.partial(start_scaled, launch, op, tensor, keep))
            continue
        with ir.InsertionPoint(op), op.location:
            operands = [op.operands[0], op.operands[1], tensor]
            attributes = build.attributes_of(op)
            if position == 0:
                attributes["clear"] = ir.BoolAttr.get(False)
                operands.append(_first(loop))
            ir.Operation.create("tl.gemm", [], operands, attributes)
        op.erase()
    clear.erase()


def _give_back(loop: ir.Operation, tensor: ir.Value, fragment: ir.Value) -> None:
    """The sum as a fragment; zero where the loop may not have run, as nothing has written the tensor then."""
    if _runs(loop):
        ir.Operation.create("tl.copy", [], [tensor, fragment])
        return
    ran = build.compare(_SLT, *list(loop.operands)[:2])
    branch = ir.Operation.create("scf.if", [], [ran], regions=2)
    with ir.InsertionPoint(branch.regions[0].blocks.append()):
        ir.Operation.create("tl.copy", [], [tensor, fragment])
        ir.Operation.create("scf.yield")
    with ir.InsertionPoint(branch.regions[1].blocks.append()):
        kind = ir.MemRefType(fragment.type).element_type
        zero = ir.IntegerAttr.get(kind, 0) if isinstance(kind, ir.IntegerType) else ir.FloatAttr.get(kind, 0.0)
        nothing = ir.Operation.create("arith.constant", [kind], attributes={"value": zero}).result
        ir.Operation.create("tl.fill", [], [fragment, nothing])
        ir.Operation.create("scf.yield")


def _first(loop: ir.Operation) -> ir.Value:
    return build.compare(_EQ, loop.regions[0].blocks[0].arguments[0], loop.operands[0])


def _later(loop: ir.Operation) -> ir.Value:
    return build.compare(_NE, loop.regions[0].blocks[0].arguments[0], loop.operands[0])


def _accumulation(
    launch: ir.Operation, fragment: ir.Value, target: Target
) -> tuple[ir.Operation, list[ir.Operation], ir.Operation] | None:
    """The loop whose products add up in a fragment, these, and what clears it before."""
    uses = [use.owner.operation for use in fragment.uses]
    products = [op for op in nested(launch) if op.name in _SUMMING and op.operands[2] == fragment]
    if not products:
        return None
    loop = products[0].parent.operation
    if loop.name != "scf.for" or not all(_fits(op, loop, target) for op in products):
        return None
    threads = num_threads(launch)
    layout = accumulator_layout(fragment)
    columns = ir.MemRefType(fragment.type).shape[-1]
    if threads % WARPGROUP or meeting_fragment(layout, columns, threads) is None:
        return None
    inside = set(nested(loop))
    if any(op in inside and op not in products for op in uses):
        return None
    before = _preceding_clear(loop, fragment)
    return None if before is None else (loop, products, before)


def _fits(op: ir.Operation, loop: ir.Operation, target: Target) -> bool:
    return (
        op.parent.operation == loop
        and (len(op.operands) == 3 or op.name == "tl.mma_scaled")
        and not (ir.BoolAttr(op.attributes["clear"]).value if "clear" in op.attributes else False)
        and all(scope_of(v) == SHARED for v in list(op.operands)[:2])
        and str(ir.MemRefType(op.operands[0].type).element_type) != "f32"  # rounding to tf32 is mma.sync's
        and "wgmma" not in op.attributes
        and not product_obstacle(op, target)
    )


def _runs(loop: ir.Operation) -> bool:
    """Whether the loop is known to run at least once."""
    bounds = [v.owner for v in list(loop.operands)[:2]]
    if any(isinstance(owner, ir.Block) or owner.operation.name != "arith.constant" for owner in bounds):
        return False
    lower, upper = (ir.IntegerAttr(owner.operation.attributes["value"]).value for owner in bounds)
    return lower < upper


def _preceding_clear(loop: ir.Operation, fragment: ir.Value) -> ir.Operation | None:
    """The fill with zero in front of the loop, when nothing between the two touches the fragment."""
    last: ir.Operation | None = None
    for view in loop.parent.operation.regions[0].blocks[0].operations:
        op = view.operation
        if op == loop:
            return last
        touched = [e for e in region_effects(op) if _is(e, fragment)]
        if touched:
            last = op if op.name == "tl.fill" and op.operands[0] == fragment and _is_zero(op.operands[1]) else None
    return None


def _is(effect: Effect, buffer: ir.Value) -> bool:
    return effect.value == root(buffer)


def _is_zero(value: ir.Value) -> bool:
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.operation.name != "arith.constant":
        return False
    constant = owner.operation.attributes["value"]
    return float(constant.value) == 0.0
