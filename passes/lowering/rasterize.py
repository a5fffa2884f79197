"""Block indices, remapped so that CTAs running together share tiles in the L2 cache (`T.use_swizzle`).

With a panel of p rows (order "row") consecutive CTAs walk columns inside groups of p block rows; "column" exchanges the
roles. The last group is as tall as what is left. CTAs of a cluster stay neighbours: clusters walk, and each CTA keeps
its place in its own.
"""

from __future__ import annotations

from tilelang_mlir.mlir import int_array, ir

from .context import Context


def block_indices(ctx: Context, launch: ir.Operation, extents: list[int | ir.Value]) -> list[ir.Value]:
    """One SSA value per grid dimension."""
    plain = [ctx.hardware.block_id(ctx, dim) for dim in range(len(extents))]
    if "swizzle" not in launch.attributes or len(extents) < 2:
        return plain
    swizzle = ir.DictAttr(launch.attributes["swizzle"])
    panel = ir.IntegerAttr(swizzle["panel"]).value
    if panel <= 1:
        return plain
    row = "order" not in swizzle or ir.StringAttr(swizzle["order"]).value == "row"
    cluster = list(int_array(launch.attributes["cluster"]))[:2] if "cluster" in launch.attributes else [1, 1]
    sizes = [*cluster, *[1] * (2 - len(cluster))]
    outer = [_divided(ctx, v, size) for v, size in zip(plain, sizes, strict=False)]
    clusters = [_divided(ctx, v, size) for v, size in zip(extents, sizes, strict=False)]
    moved = _grouped(ctx, outer, clusters, panel, tall=1 if row else 0)
    return [*(_inside(ctx, *each) for each in zip(moved, plain, sizes, strict=False)), *plain[2:]]


def _divided(ctx: Context, value: int | ir.Value, size: int) -> int | ir.Value:
    """Clusters of `size` CTAs in front of a CTA, or among so many."""
    if size == 1:
        return value
    return value // size if isinstance(value, int) else ctx.e.binary("divui", value, size)


def _inside(ctx: Context, cluster: ir.Value, index: ir.Value, size: int) -> ir.Value:
    """The CTA of a cluster that is where one was in its own."""
    e = ctx.e
    return cluster if size == 1 else e.value(e.add(e.mul(cluster, size), e.binary("remui", index, size)))


def _grouped(
    ctx: Context, plain: list[int | ir.Value], extents: list[int | ir.Value], panel: int, tall: int
) -> tuple[ir.Value, ir.Value]:
    """Walk groups of `panel` blocks along dimension `tall` across the other dimension."""
    e = ctx.e
    wide = 1 - tall
    linear = e.add(plain[0], e.mul(plain[1], extents[0]))
    per_group = e.mul(extents[wide], panel)
    group = e.binary("divui", e.value(linear), e.value(per_group))
    inside = e.binary("remui", e.value(linear), e.value(per_group))
    first = e.mul(group, panel)
    left = e.sub(e.value(extents[tall]), first)
    height = e.binary("minsi", e.value(left), e.value(panel))
    across = e.binary("divui", inside, height)
    along = e.add(first, e.binary("remui", inside, height))
    result = (across, along) if tall == 1 else (along, across)
    return e.value(result[0]), e.value(result[1])
