"""Block indices, remapped so that CTAs running together share tiles in the L2 cache (`T.use_swizzle`).

With a panel of p rows (order "row") consecutive CTAs walk columns inside groups of p block rows; "column" exchanges the
roles. The last group is as tall as what is left. Clusters move as wholes: their CTAs stay neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    tall = 1 if row else 0
    if "cluster" not in launch.attributes:
        return [*_grouped(ctx, plain[:2], extents[:2], panel, tall), *plain[2:]]
    cluster = int_array(launch.attributes["cluster"])
    return [*_grouped_clusters(ctx, plain[:2], extents[:2], cluster, panel, tall), *plain[2:]]


def _grouped_clusters(
    ctx: Context, plain: list[ir.Value], extents: list[int | ir.Value], sizes: Sequence[int], panel: int, tall: int
) -> list[ir.Value]:
    """The same of clusters, whose CTAs have the places in them that they have in the grid."""
    e, parts = ctx.e, list(zip(plain, extents, sizes, strict=False))
    clusters = [e.value(_divided(ctx, index, size)) for index, _, size in parts]
    counts = [extent // size if isinstance(extent, int) else _divided(ctx, extent, size) for _, extent, size in parts]
    places = _grouped(ctx, clusters, counts, panel, tall)
    inside = [e.binary("remui", index, e.value(size)) if size > 1 else 0 for index, _, size in parts]
    return [e.value(e.add(e.mul(at, size), i)) for at, i, (_, _, size) in zip(places, inside, parts, strict=True)]


def _divided(ctx: Context, value: ir.Value, size: int) -> ir.Value:
    return ctx.e.binary("divui", value, ctx.e.value(size)) if size > 1 else value


def _grouped(
    ctx: Context, plain: list[ir.Value], extents: list[int | ir.Value], panel: int, tall: int
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
