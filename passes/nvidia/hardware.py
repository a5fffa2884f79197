"""The `Hardware` of NVIDIA targets: instructions come from the tables in `isa/nvidia`."""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.errors import Location, UnsupportedError
from tilelang_mlir.isa.nvidia import atomic, barrier, cp_async, grid, thread, warp
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target, targets_with

from ...dialect.location import python_location
from ...dialect.ops.intrinsic import intrinsic_name
from ...dialect.products import packed_operands
from ..fragment_demand import most_at_once
from ..lowering.context import Context
from ..lowering.hardware import GuardedAccess
from ..lowering.index import Index
from ..walk import nested
from .async_copy import lower_async_copy
from .effort import effort, interleaves, only_multiplies
from .gemm_mma import lower_gemm
from .gemm_scaled import lower_scaled
from .gemm_wgmma import lower_gemm_wgmma
from .intrinsics import publish_product
from .narrow import converts, narrow_float_cast, rounds_by_chance, stochastic_cast
from .rounding import rounded_math
from .spread_loads import OPERAND_STEPS, spread_loads
from .tensor_memory import lower_tensor_copy

_AXES = "xyz"
_LARGE_BLOCK = 512  # threads


class Nvidia:
    """Emission for one NVIDIA target."""

    def __init__(self, target: Target) -> None:
        self.target = target

    def kernel_attributes(self, threads: tuple[int, int, int], launch: ir.Operation) -> dict[str, ir.Attribute]:
        attributes: dict[str, ir.Attribute] = {
            "nvvm.kernel": ir.UnitAttr.get(),
            "nvvm.reqntid": ir.DenseI32ArrayAttr.get(list(threads)),
        }
        blocks = ir.IntegerAttr(launch.attributes["min_blocks"]).value if "min_blocks" in launch.attributes else 0
        inside, most = list(nested(launch)), self.target.thread_registers
        if threads[0] * threads[1] * threads[2] > _LARGE_BLOCK or most_at_once(inside, most) > most:
            blocks = max(blocks, 1)  # else ptxas aims at two large blocks, or at 32 registers and spills the rest
        if any(op.name == "tl.tmem_arena" for op in inside):
            blocks = max(blocks, 1)  # else it spills to fit more blocks than tensor memory has room for
        if blocks:
            attributes["nvvm.minctasm"] = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), blocks)
        if "cluster" in launch.attributes:
            self.require(Feature.CLUSTER, "a kernel of clusters", python_location(launch.location))
            attributes["nvvm.cluster_dim"] = launch.attributes["cluster"]
        if any(op.name == "tl.intrinsic" and intrinsic_name(op) == "wait_dependencies" for op in inside):
            attributes["tl.programmatic"] = ir.UnitAttr.get()
        if (level := effort(inside)) is not None:
            attributes["tl.effort"] = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), level)
        if only_multiplies(inside):
            attributes["tl.effort_unspilled"] = ir.UnitAttr.get()
        if interleaves(inside):
            attributes["tl.interleaved"] = ir.UnitAttr.get()
        return attributes

    def require(self, feature: Feature, what: str, location: Location | None = None) -> None:
        if not self.target.supports(feature):
            raise UnsupportedError(
                f"{what} needs {feature.value}, which {self.target} lacks", location,
                hint=f"targets that have it: {', '.join(targets_with(feature))}",
            )

    def thread_index(self, ctx: Context) -> Index:
        """Linear index of the thread in its CTA."""
        linear = ctx.ix.uniform(thread.tid("x"), lo=0, hi=ctx.threads[0] - 1)
        weight = ctx.threads[0]
        for dim in (1, 2):
            if ctx.threads[dim] > 1:
                part = ctx.ix.uniform(thread.tid(_AXES[dim]), lo=0, hi=ctx.threads[dim] - 1)
                linear = ctx.ix.add(linear, ctx.ix.scale(part, weight))
            weight *= ctx.threads[dim]
        return linear

    def thread_id(self, ctx: Context, dim: int) -> ir.Value:
        return thread.tid(_AXES[dim])

    def block_id(self, ctx: Context, dim: int) -> ir.Value:
        return thread.ctaid(_AXES[dim])

    def barrier(self, ctx: Context, number: int | ir.Value = 0, count: int | None = None) -> None:
        own = ctx.barrier_id if isinstance(ctx.barrier_id, ir.Value) or ctx.barrier_id else None
        if isinstance(number, ir.Value):
            barrier.emit(number, count)
        elif number == 0 and count is None and own is None:
            barrier.emit()
        elif number == 0 and count is None:
            barrier.emit(own, ctx.num_threads)
        else:
            barrier.emit(number, count)

    def grid_barrier(self) -> None:
        grid.emit()

    def declare_grid_barrier(self) -> None:
        grid.declare()

    def warp_barrier(self, ctx: Context, mask: ir.Value | None) -> None:
        if mask is None:
            warp.sync()
        else:
            warp.sync(mask)

    def shuffle(
        self, ctx: Context, kind: str, value: ir.Value, lane: int | ir.Value, width: int, members: ir.Value | None
    ) -> ir.Value:
        named = () if members is None else (members,)
        return warp.shuffle("bfly" if kind == "xor" else kind, value, lane, min(width, 32), *named)

    def vote(self, ctx: Context, kind: str, args: Sequence[ir.Value], result: ir.Type) -> ir.Value:
        return _vote(ctx, kind, args, result)

    def adds_together(self, element: ir.Type) -> int:
        if str(element) == "f32":
            return 4 if self.target.supports(Feature.MBARRIER) else 1  # sm_90
        return 2 if str(element) == "f16" or str(element) == "bf16" and self.target.supports(Feature.BF16_MATH) else 1

    def add_together(self, ctx: Context, pointer: ir.Value, values: Sequence[ir.Value]) -> None:
        """Add two or four neighbours in device memory, two of 16 bits."""
        if str(values[0].type) == "f32":
            atomic.add_floats(pointer, list(values))
        else:
            atomic.add_pair(pointer, ctx.e.pack(values))

    def atomic_attributes(self, ctx: Context, element: ir.Type) -> dict[str, ir.Attribute]:
        return {"syncscope": ir.StringAttr.get("device")}

    def gemm(self, ctx: Context, op: ir.Operation) -> None:
        if "instr" in op.attributes:
            lower_on_warpgroups(ctx, op)
        elif any(packed_operands(op)):
            lower_scaled(ctx, op)
        else:
            lower_gemm(ctx, op)

    def scaled_gemm(self, ctx: Context, op: ir.Operation) -> None:
        lower_scaled(ctx, op)

    def async_copy(self, ctx: Context, op: ir.Operation) -> None:
        self.require(Feature.CP_ASYNC, "an asynchronous copy")
        lower_async_copy(ctx, op)

    def arrange_loop(self, loop: ir.Operation, block: ir.Block) -> None:
        if OPERAND_STEPS not in loop.attributes:
            return
        kernel = block.owner.operation
        while kernel.name != "llvm.func":
            kernel = kernel.parent.operation
        light = "tl.effort_unspilled" in kernel.attributes
        if ir.IntegerAttr(loop.attributes[OPERAND_STEPS]).value > 2 and not light:
            return  # `-O3` orders loops of more steps better
        if not spread_loads(block) and light:
            del kernel.attributes["tl.effort"], kernel.attributes["tl.effort_unspilled"]

    def tensor_copy(self, ctx: Context, op: ir.Operation) -> None:
        lower_tensor_copy(ctx, op)

    def commit_group(self, ctx: Context) -> None:
        if self.target.supports(Feature.CP_ASYNC):
            cp_async.commit()

    def wait_group(self, ctx: Context, pending: int) -> None:
        if self.target.supports(Feature.CP_ASYNC):
            cp_async.wait(pending)

    def guarded_load(self, ctx: Context, access: GuardedAccess, kind: ir.Type) -> ir.Value | None:
        """A branch, or a predicate of the instruction, as the assembler decides."""
        return None

    def guarded_store(self, ctx: Context, access: GuardedAccess, value: ir.Value) -> bool:
        return False

    def converts(self, ctx: Context, source: str, result: str) -> bool:
        return converts(ctx, source, result)

    def narrow_float_cast(self, ctx: Context, value: ir.Value, source: str, result: str) -> ir.Value:
        return narrow_float_cast(ctx, value, source, result)

    def rounds_by_chance(self, ctx: Context, value: ir.Value, result: str, bits: ir.Value) -> ir.Value | None:
        return stochastic_cast(ctx, value, bits) if rounds_by_chance(ctx, result) else None

    def math(self, ctx: Context, function: str, args: Sequence[ir.Value]) -> ir.Value:
        return rounded_math(ctx, function, args)


def lower_on_warpgroups(ctx: Context, op: ir.Operation) -> None:
    """A product, dense or sparse, that the program waits for by itself or not."""
    lower_gemm_wgmma(ctx, op)
    if "wgmma" in op.attributes:
        publish_product(ctx, op)


def _vote(ctx: Context, kind: str, args: Sequence[ir.Value], result: ir.Type) -> ir.Value:
    if kind == "activemask":
        value = warp.active()
    elif kind.startswith("block_"):
        plain = isinstance(ctx.barrier_id, int) and ctx.barrier_id == 0
        place = () if plain else (ctx.barrier_id, ctx.num_threads)
        value = barrier.reduce({"block_count": "popc"}.get(kind, kind.removeprefix("block_")), args[0], *place)
    elif kind.startswith("match_"):
        found = warp.match(kind.removeprefix("match_"), _bits(ctx, args[0]), *args[1:])
        value = found[0] if kind == "match_all" else found
    else:
        test = args[0] if args[0].type == ctx.e.i1 else ctx.e.compare("ne", args[0], 0)
        value = warp.vote(kind, test, *args[1:])
    if value.type == result:
        return value
    return ctx.e.pure("arith.extui", result, [value])


def _bits(ctx: Context, value: ir.Value) -> ir.Value:
    """A scalar as an integer of 32 or 64 bits that is equal where the bits are."""
    width = value.type.width
    raw = (
        value
        if isinstance(value.type, ir.IntegerType)
        else ctx.e.pure("arith.bitcast", ir.IntegerType.get_signless(width), [value])
    )
    return raw if width >= 32 else ctx.e.pure("arith.extui", ctx.e.i32, [raw])
