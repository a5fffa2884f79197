"""`lower-to-threads`: from the scheduled tile program to the program of one thread.

Input: host functions with `tl.launch` regions whose fragments, shared tiles and parallel loops have layouts and whose
shared tiles have offsets. Output: one `gpu.module @kernels` with an `llvm.func` per launch, and nothing else.

    tl.parallel {...} -> vector arithmetic on the thread's registers
    tl.gemm           -> ldmatrix and mma.sync
    scf.for           -> scf.for carrying registers
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.errors import PassError
from tilelang_mlir.mlir import int_array, ir
from tilelang_mlir.target import Feature, Target

from ...dialect.layout import SharedLayout
from ...dialect.layout.attrs import from_attr
from ...dialect.location import python_location
from ...dialect.tl import SHARED, scope_of
from .. import raster
from ..base import Pass
from ..facts import facts_of
from ..hardware import hardware_for
from ..nvidia import (
    box_copies,
    bulk_copy,
    cluster_copy,
    copy_words,
    descriptors,
    gather4,
    gemm_sparse,
    gemm_tcgen05,
    im2col,
    intrinsics,
    launch_control,
    matrix_rules,
    roles,
    staged_store,
    tensor_roles,
    warpgroups,
)
from ..walk import nested
from . import atomics, debug, extern, lagging, raw, reduce, reducer, scalar, scan, structure, sync, tiles
from .buffers import GlobalBuffer, SharedBuffer
from .context import Context, rule
from .emitter import Emitter
from .index import Index
from .rasterize import block_indices

# Importing these registered their rules.
RULE_MODULES = (
    atomics,
    box_copies,
    bulk_copy,
    cluster_copy,
    copy_words,
    debug,
    descriptors,
    extern,
    gather4,
    gemm_sparse,
    gemm_tcgen05,
    im2col,
    intrinsics,
    lagging,
    launch_control,
    matrix_rules,
    raw,
    reduce,
    reducer,
    roles,
    scalar,
    scan,
    staged_store,
    structure,
    sync,
    tensor_roles,
    tiles,
    warpgroups,
)


@dataclass(frozen=True)
class LowerToThreads(Pass):
    """Lower every kernel to the program of one thread."""

    name: ClassVar[str] = "lower-to-threads"

    fast_math: bool = False
    guards: bool = True  # what lies outside of a tensor reads as zero and is not written
    wide_accesses: bool = True

    def run(self, module: ir.Module, target: Target) -> None:
        functions = [op for op in module.body.operations if op.operation.name == "func.func"]
        with module.context, ir.Location.unknown():
            kernels = ir.Operation.create(
                "gpu.module", attributes={"sym_name": ir.StringAttr.get("kernels")}, regions=1
            )
            body = kernels.regions[0].blocks.append()
            module.body.append(kernels)
            shared = 0
            for function in functions:
                for position, launch in enumerate(_launches(function.operation)):
                    shared = max(shared, _lower_kernel(function.operation, launch, position, body, target, self))
            if shared:
                _declare_arena(body)
            if any("tl.cooperative" in kernel.attributes for kernel in body.operations):
                with ir.InsertionPoint(body):
                    hardware_for(target).declare_grid_barrier()
        for function in functions:
            function.operation.erase()


def _launches(function: ir.Operation) -> list[ir.Operation]:
    block = function.regions[0].blocks[0]
    return [op.operation for op in block.operations if op.operation.name == "tl.launch"]


def kernel_name(function: ir.Operation, position: int) -> str:
    """The symbol of the i-th launch of a host function."""
    base = ir.StringAttr(function.attributes["sym_name"]).value
    return f"{base}_kernel" + (f"_{position}" if position else "")


def _lower_kernel(
    function: ir.Operation, launch: ir.Operation, position: int, body: ir.Block, target: Target, options: LowerToThreads
) -> int:
    host = function.regions[0].blocks[0]
    workspaces = [o.operation for o in host.operations if o.operation.name == "tl.alloc"]
    pointer = ir.Type.parse("!llvm.ptr<1>")
    every = {number: bulk_copy.kernel_maps(other) for number, other in enumerate(_launches(function))}
    maps, made = ([key for key in every[position] if key.made == kind] for kind in (False, True))
    own_memory = any(key.made for keys in every.values() for key in keys)
    generic = ir.Type.parse("!llvm.ptr")
    kinds = [a.type for a in host.arguments] + [pointer] * (len(workspaces) + own_memory) + [generic] * len(maps)
    signature = ir.Type.parse(f"!llvm.func<void ({', '.join(str(k) for k in kinds)})>")
    x, y, z = int_array(launch.attributes["threads"])
    threads = x, y, z
    hardware = hardware_for(target)
    shared = ir.IntegerAttr(launch.attributes["tl.shared_bytes"]).value if "tl.shared_bytes" in launch.attributes else 0
    i64 = ir.IntegerType.get_signless(64)
    cooperative = any(op.name == "tl.sync_grid" for op in nested(launch))
    attributes = {
        "sym_name": ir.StringAttr.get(kernel_name(function, position)),
        "function_type": ir.TypeAttr.get(signature),
        "linkage": ir.Attribute.parse("#llvm.linkage<external>"),
        "CConv": ir.Attribute.parse("#llvm.cconv<ccc>"),
        "gpu.kernel": ir.UnitAttr.get(),
        "tl.shared_bytes": ir.IntegerAttr.get(i64, shared),
        "arg_attrs": _argument_attributes(host, kinds, shared_by_ctas=cooperative),
        "tl.tensor_maps": bulk_copy.map_attribute(maps),
        **hardware.kernel_attributes(threads, launch),
    }
    if made:
        attributes["tl.made_maps"] = ir.IntegerAttr.get(i64, descriptors.lines_per_block(launch, made))
    if "entry" in launch.attributes:
        attributes["tl.entry"] = launch.attributes["entry"]
    if cooperative:
        attributes["tl.cooperative"] = ir.UnitAttr.get()
    if "persistent" in launch.attributes:
        blocks = ir.IntegerAttr(launch.attributes["persistent"]).value
        attributes["tl.persistent_blocks"] = ir.IntegerAttr.get(i64, blocks)
    with ir.InsertionPoint(body), launch.location:
        kernel = ir.Operation.create("llvm.func", attributes=attributes, regions=1)
    entry = kernel.regions[0].blocks.append(*kinds)
    with ir.InsertionPoint(entry), launch.location:
        emitter = Emitter(entry)
        ctx = Context(emitter, target, hardware, threads)
        ctx.fast_math, ctx.guards, ctx.wide_accesses = options.fast_math, options.guards, options.wide_accesses
        ctx.wide_indices = "tl.wide_indices" in function.attributes
        ctx.small_tensors = target.supports(Feature.BUFFERS) and not ctx.wide_indices
        _bind_arguments(ctx, host, entry, workspaces)
        ctx.tensor_maps = dict(zip(maps, list(entry.arguments)[len(kinds) - len(maps) :], strict=True))
        ctx.made_maps = made
        ctx.map_memory = entry.arguments[len(host.arguments) + len(workspaces)] if own_memory else None
        _bind_grid(ctx, launch)
        _bind_shared(ctx, launch)
        ctx.lower_block(launch.regions[0].blocks[0])
        if wide := sorted(n for n in ctx.wide_arguments if n < len(host.arguments)):
            kernel.attributes["tl.wide_arguments"] = ir.DenseI64ArrayAttr.get(wide)
        if ctx.small_arguments:
            kernel.attributes["tl.small_arguments"] = ir.DenseI64ArrayAttr.get(sorted(ctx.small_arguments))
        ir.Operation.create("llvm.return")
    return shared


def _argument_attributes(host: ir.Block, kinds: list[ir.Type], *, shared_by_ctas: bool) -> ir.Attribute:
    """Tensor arguments do not alias and are aligned to 16 bytes (the launch checks it), arrays of addresses to the 8 of
    one. Tensor maps go by value.

    Where other CTAs change tensors during the kernel (`shared_by_ctas`), nothing may be known of what they hold.
    """
    i64 = ir.IntegerType.get_signless(64)
    aligned: dict[str, ir.Attribute] = {"llvm.align": ir.IntegerAttr.get(i64, 16)}
    pointer = ir.DictAttr.get(aligned if shared_by_ctas else {"llvm.noalias": ir.UnitAttr.get(), **aligned})
    descriptor = ir.DictAttr.get({
        "llvm.byval": ir.TypeAttr.get(ir.Type.parse("!llvm.array<128 x i8>")),
        "llvm.align": ir.IntegerAttr.get(i64, 64),
        "nvvm.grid_constant": ir.UnitAttr.get(),
    })  # fmt: skip
    by_type = {"!llvm.ptr<1>": pointer, "!llvm.ptr": descriptor}
    given = [by_type.get(str(k), ir.DictAttr.get({})) for k in kinds]
    for argument in host.arguments:
        if _holds_addresses(argument):
            named = {item.name: item.attr for item in pointer}
            given[argument.arg_number] = ir.DictAttr.get({**named, "llvm.align": ir.IntegerAttr.get(i64, 8)})
    return ir.ArrayAttr.get(given)


def _holds_addresses(value: ir.Value) -> bool:
    """Whether an argument is an array of addresses: programs pass parts of larger ones, which start anywhere."""
    if not isinstance(value.owner, ir.Block) or "tl.params" not in value.owner.owner.attributes:
        return False
    entry = ir.DictAttr(ir.ArrayAttr(value.owner.owner.attributes["tl.params"])[ir.BlockArgument(value).arg_number])
    return [ir.StringAttr(entry[key]).value for key in ("kind", "dtype")] == ["tensor", "handle"]


def _bind_arguments(ctx: Context, host: ir.Block, entry: ir.Block, workspaces: list[ir.Operation]) -> None:
    for source, argument in zip(host.arguments, list(entry.arguments), strict=False):
        if argument.type == ctx.e.i32:
            facts = facts_of(source)
            ctx.values[source] = ctx.ix.uniform(argument, lo=facts.lo, hi=facts.hi, divisor=facts.divisor)
        else:
            ctx.values[source] = argument
    first = len(host.arguments)
    for position, workspace in enumerate(workspaces):
        result = workspace.results[0]
        kind = ir.MemRefType(result.type)
        dynamic = iter(list(workspace.operands))
        shape = tuple(ctx.ssa(next(dynamic)) if kind.is_dynamic_dim(d) else n for d, n in enumerate(kind.shape))
        ctx.buffers[result] = GlobalBuffer(
            entry.arguments[first + position], kind.element_type, shape, _row_major(ctx, shape)
        )
    for op in host.operations:
        if op.operation.name == "tl.tensor":
            ctx.lower(op.operation)


def _row_major(ctx: Context, shape: tuple[int | ir.Value, ...]) -> tuple[int | ir.Value, ...]:
    strides: list[int | ir.Value] = [1]
    for size in reversed(shape[1:]):
        known = isinstance(size, int) and isinstance(strides[-1], int)
        strides.append(size * strides[-1] if known else ctx.e.binary("muli", *map(ctx.e.value, (size, strides[-1]))))
    return tuple(reversed(strides)) if shape else ()


@rule("tl.tensor")
def lower_tensor(ctx: Context, op: ir.Operation) -> None:
    result = op.results[0]
    if result in ctx.buffers:
        return
    dynamic = iter(list(op.operands)[1:])
    shape, strides = (
        [next(dynamic) if n == -1 else n for n in int_array(op.attributes[name])]
        for name in ("shape", "strides")
    )
    element = ir.MemRefType(result.type).element_type
    safe = op.attributes["safe_value"].value if "safe_value" in op.attributes else 0
    row = _divisor(shape[-1]) if shape and not _holds_addresses(op.operands[0]) else 1
    sizes, steps = (tuple(n if isinstance(n, int) else ctx.ssa(n) for n in ns) for ns in (shape, strides))
    divisors = tuple(_divisor(s) for s in strides)
    pointer = ctx.ssa(op.operands[0])
    buffer = GlobalBuffer(pointer, element, sizes, steps, safe, row, divisors, ctx.small_tensors)
    ctx.buffers[result] = buffer
    if ctx.small_tensors and buffer.reach is None and isinstance(pointer.owner, ir.Block):
        ctx.small_arguments.add(ir.BlockArgument(pointer).arg_number)


def _divisor(number: int | ir.Value) -> int:
    return number if isinstance(number, int) else raster.divisor(number)


def _bind_grid(ctx: Context, launch: ir.Operation) -> None:
    """Block indices with the bounds that the grid gives them."""
    arguments = list(launch.regions[0].blocks[0].arguments)
    extents = [_extent(ctx, v) for v in launch.operands]
    blocks = block_indices(ctx, launch, extents)
    for argument, value, extent in zip(arguments, blocks, extents, strict=True):
        hi = extent - 1 if isinstance(extent, int) else None
        ctx.values[argument] = ctx.ix.uniform(value, lo=0, hi=hi)


def _extent(ctx: Context, value: ir.Value) -> int | ir.Value:
    found = ctx.get(value)
    return ctx.ix.scalar(found) if isinstance(found, Index) else found


def _bind_shared(ctx: Context, launch: ir.Operation) -> None:
    for op in nested(launch):
        if op.name != "tl.alloc" or scope_of(op.results[0]) != SHARED:
            continue
        result = op.results[0]
        if "layout" not in op.attributes or "tl.offset" not in op.attributes:
            raise PassError("a shared tile without layout or offset reached lowering", python_location(op.location))
        layout = from_attr(op.attributes["layout"])
        assert isinstance(layout, SharedLayout)
        kind = ir.MemRefType(result.type)
        offset = ir.IntegerAttr(op.attributes["tl.offset"]).value
        ctx.buffers[result] = SharedBuffer(offset, kind.element_type, tuple(kind.shape), layout)


def _declare_arena(body: ir.Block) -> None:
    """The dynamic shared memory of the module's kernels; 1024-byte alignment suits every swizzle."""
    text = "!llvm.array<0 x i8>"
    attributes = {
        "sym_name": ir.StringAttr.get("smem"),
        "global_type": ir.TypeAttr.get(ir.Type.parse(text)),
        "linkage": ir.Attribute.parse("#llvm.linkage<external>"),
        "addr_space": ir.IntegerAttr.get(ir.IntegerType.get_signless(32), 3),
        "alignment": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 1024),
    }
    with ir.InsertionPoint.at_block_begin(body):
        ir.Operation.create("llvm.mlir.global", attributes=attributes, regions=1)
