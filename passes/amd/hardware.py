"""The `Hardware` of AMD targets: instructions come from the tables in `isa/amd`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.amd import barrier, grid, lds_dma, thread
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target, targets_with

from ...dialect.effects import region_effects, root
from ...dialect.products import PRODUCTS
from ...dialect.tl import GLOBAL, scope_of
from ..lowering.context import Context
from ..lowering.hardware import GuardedAccess
from ..lowering.index import Index
from ..walk import nested
from .exchange import shuffle, vote
from .gemm import lower_gemm
from .gemm_scaled import lower_scaled
from .guarded import Guarded
from .lds_copy import lower_async_copy
from .narrow import converts, narrow_float_cast

_AXES = "xyz"
_FADD, _MONOTONIC = 11, 2  # LLVM::AtomicBinOp, LLVM::AtomicOrdering
_ROUNDED = {
    "add_rn": "arith.addf", "sub_rn": "arith.subf", "mul_rn": "arith.mulf", "div_rn": "arith.divf",
    "fma_rn": "math.fma", "sqrt_rn": "math.sqrt",
}  # fmt: skip


class Amd:
    """Emission for one AMD target, for one kernel."""


    def __init__(self, target: Target) -> None:
        self.target = target
        self.exchanges_globally = False
        self._threads = 0
        self._guarded = Guarded()
        self._loads_branch = False

    def kernel_attributes(self, threads: tuple[int, int, int], launch: ir.Operation) -> dict[str, ir.Attribute]:
        total = threads[0] * threads[1] * threads[2]
        self.exchanges_globally, self._threads = _exchanges_globally(launch), total
        if not self.target.supports(Feature.MFMA) and any(op.name in PRODUCTS for op in nested(launch)):
            self._loads_branch = True  # LLVM starts loads early, and no registers are left beside WMMA's operands
        i32 = ir.IntegerType.get_signless(32)
        attributes: dict[str, ir.Attribute] = {
            "rocdl.kernel": ir.UnitAttr.get(),
            "rocdl.reqd_work_group_size": ir.DenseI32ArrayAttr.get(list(threads)),
            "rocdl.flat_work_group_size": ir.StringAttr.get(f"{total},{total}"),
            "tl.warp_size": ir.IntegerAttr.get(i32, self.target.warp_size),
        }
        if "min_blocks" in launch.attributes:
            blocks = ir.IntegerAttr(launch.attributes["min_blocks"]).value
            waves = -(-blocks * total // (4 * self.target.warp_size))  # a compute unit has four SIMDs
            attributes["rocdl.waves_per_eu"] = ir.IntegerAttr.get(i32, max(1, waves))
        return attributes

    def thread_index(self, ctx: Context) -> Index:
        """Linear index of the thread in its block."""
        linear = ctx.ix.uniform(self.thread_id(ctx, 0), lo=0, hi=ctx.threads[0] - 1)
        weight = ctx.threads[0]
        for dim in (1, 2):
            if ctx.threads[dim] > 1:
                part = ctx.ix.uniform(self.thread_id(ctx, dim), lo=0, hi=ctx.threads[dim] - 1)
                linear = ctx.ix.add(linear, ctx.ix.scale(part, weight))
            weight *= ctx.threads[dim]
        return linear

    def thread_id(self, ctx: Context, dim: int) -> ir.Value:
        return thread.workitem(_AXES[dim], ctx.threads[dim])

    def block_id(self, ctx: Context, dim: int) -> ir.Value:
        return thread.workgroup(_AXES[dim])

    def barrier(self, ctx: Context, number: int | ir.Value = 0, count: int | None = None) -> None:
        region = ctx.barrier_id != 0  # of some of the threads
        if region and number == 0 and count is None and ctx.num_threads <= self.target.warp_size:
            barrier.wave()
            return
        whole = isinstance(number, int) and number == 0 and count == self._threads  # wherever they stand
        if not whole and (region or number != 0 or count is not None):
            raise UnsupportedError(
                f"a barrier of some of the threads, which {self.target} lacks",
                hint=f"threads of one wave ({self.target.warp_size}) need none; for others put what comes before and "
                f"behind it into branches of their own, with T.sync_threads() of all threads between them"
                if region
                else "use T.sync_threads() for the block; NVIDIA targets have them",
            )
        if self.exchanges_globally:
            barrier.full()
        else:
            barrier.lds()

    def grid_barrier(self) -> None:
        grid.emit()

    def declare_grid_barrier(self) -> None:
        grid.declare()

    def warp_barrier(self, ctx: Context, mask: ir.Value | None) -> None:
        barrier.wave()

    def shuffle(
        self, ctx: Context, kind: str, value: ir.Value, lane: int | ir.Value, width: int, members: ir.Value | None
    ) -> ir.Value:
        return shuffle(ctx, kind, value, lane, width)  # lanes that do not take part are not read

    def vote(self, ctx: Context, kind: str, args: Sequence[ir.Value], result: ir.Type) -> ir.Value:
        return vote(ctx, kind, args, result)

    def adds_together(self, element: ir.Type) -> int:
        packed = {"f16": Feature.PACKED_ATOMICS, "bf16": Feature.PACKED_BF16_ATOMICS}.get(str(element))
        return 2 if packed is not None and self.target.supports(packed) else 1

    def add_together(self, ctx: Context, pointer: ir.Value, values: Sequence[ir.Value]) -> None:
        """Add a pair of 16-bit floats in device memory: `global_atomic_pk_add_f16` and its kin."""
        pair = ctx.e.pack(values)
        attributes = {
            "bin_op": ir.IntegerAttr.get(ctx.e.i64, _FADD),
            "ordering": ir.IntegerAttr.get(ctx.e.i64, _MONOTONIC),
            "alignment": ir.IntegerAttr.get(ctx.e.i64, 4),
            **self.atomic_attributes(ctx, values[0].type),
        }
        ctx.e.op("llvm.atomicrmw", [pair.type], [pointer, pair], attributes)

    def atomic_attributes(self, ctx: Context, element: ir.Type) -> dict[str, ir.Attribute]:
        """Device memory is neither fine-grained nor remote: additions of floats and extremes of integers are then one
        instruction, not a loop."""
        attributes: dict[str, ir.Attribute] = {"syncscope": ir.StringAttr.get("agent")}
        floats = () if isinstance(element, ir.IntegerType) else ("ignore_denormal_mode",)
        for name in ("no_fine_grained_memory", "no_remote_memory", *floats):
            attributes[f"rocdl.{name}"] = ir.UnitAttr.get()
        return attributes

    def gemm(self, ctx: Context, op: ir.Operation) -> None:
        lower_gemm(ctx, op)

    def scaled_gemm(self, ctx: Context, op: ir.Operation) -> None:
        lower_scaled(ctx, op)

    def async_copy(self, ctx: Context, op: ir.Operation) -> None:
        if not self.target.supports(Feature.LDS_DMA):
            having = [*targets_with(Feature.CP_ASYNC), *targets_with(Feature.LDS_DMA)]
            raise UnsupportedError(
                f"asynchronous copies to shared memory need cp.async or {Feature.LDS_DMA.value}, which {self.target} "
                "lacks",
                hint=f"T.copy works everywhere; targets that have them: {', '.join(having)}",
            )
        lower_async_copy(ctx, op)

    def arrange_loop(self, loop: ir.Operation, block: ir.Block) -> None:
        """LLVM schedules."""

    def tensor_copy(self, ctx: Context, op: ir.Operation) -> None:
        raise UnsupportedError(f"tensor memory, which {self.target} lacks")

    def commit_group(self, ctx: Context) -> None:
        """There are no groups: a counter says how many loads are under way."""

    def wait_group(self, ctx: Context, pending: int) -> None:
        """Loops have one group under way at most, so nothing is."""
        if self.target.supports(Feature.LDS_DMA):
            lds_dma.wait(0)

    def guarded_load(self, ctx: Context, access: GuardedAccess, kind: ir.Type) -> ir.Value | None:
        return None if self._loads_branch else self._guarded.load(ctx, access, kind)

    def guarded_store(self, ctx: Context, access: GuardedAccess, value: ir.Value) -> bool:
        return self._guarded.store(ctx, access, value)

    def converts(self, ctx: Context, source: str, result: str) -> bool:
        return converts(ctx, source, result)

    def rounds_by_chance(self, ctx: Context, value: ir.Value, result: str, bits: ir.Value) -> ir.Value | None:
        return None

    def narrow_float_cast(self, ctx: Context, value: ir.Value, source: str, result: str) -> ir.Value:
        return narrow_float_cast(ctx, value, source, result)

    def math(self, ctx: Context, function: str, args: Sequence[ir.Value]) -> ir.Value:
        """Arithmetic that names the default rounding; LLVM has no other for this target."""
        kind = args[0].type
        if function in _ROUNDED:
            return ctx.e.pure(_ROUNDED[function], kind, args)
        if function == "rcp_rn":
            return ctx.e.pure("arith.divf", kind, [ctx.e.splat(kind, 1.0), args[0]])
        raise UnsupportedError(f"the function {function!r} has no lowering on {self.target}")


def _exchanges_globally(launch: ir.Operation) -> bool:
    """Whether a kernel reads device memory that it also writes, or writes it in two places: its barriers must then
    order that, too. Of the arms of a branch only one is run."""
    tiles = [e for e in region_effects(launch) if isinstance(e.tile.type, ir.MemRefType)]
    touched = [e for e in tiles if scope_of(e.tile) == GLOBAL]
    writers: dict[ir.Value, list[ir.Operation]] = {}
    for effect in touched:
        if effect.kind == "write":
            writers.setdefault(root(effect.tile), []).append(effect.op)
    if any(not _exclude_each_other(a, b) for ops in writers.values() for a, b in pairwise(ops) if a != b):
        return True
    return any(effect.kind == "read" and root(effect.tile) in writers for effect in touched)


def _exclude_each_other(a: ir.Operation, b: ir.Operation) -> bool:
    """Whether two operations are in different arms of a branch."""
    arms = dict(_arms_around(a))
    return any(branch in arms and arms[branch] != arm for branch, arm in _arms_around(b))


def _arms_around(op: ir.Operation) -> list[tuple[ir.Operation, int]]:
    found: list[tuple[ir.Operation, int]] = []
    while op.name != "tl.launch":
        around = op.parent.operation
        if around.name == "scf.if":
            regions = [[o.operation for block in region for o in block.operations] for region in around.regions]
            found.append((around, next(i for i, inside in enumerate(regions) if op in inside)))
        op = around
    return found
