"""Block indices, remapped so that CTAs running together share tiles in the L2 cache (`T.use_swizzle`).

With a panel of p rows (order "row") consecutive CTAs walk columns inside groups of p block rows; "column" exchanges the
roles. The last group is as tall as what is left.
"""

from __future__ import annotations

from tilelang_mlir.mlir import ir

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
    x, y = _grouped(ctx, plain, extents, panel, tall=1 if row else 0)
    return [x, y, *plain[2:]]


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
