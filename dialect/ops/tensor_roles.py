"""Warp roles around tensor memory."""

from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import TL
from ..verify import fail, structure

ext = dialect("ext")


class TensorRolesOp(TL.Operation, name="tensor_roles", traits=[ir.NoTerminatorTrait]):
    """Splits the CTA: the first `consumers` threads run the last region, one thread each of the two warps behind them
    the first (loads) and the second (products), and a third warp the third region (factors) where it has a block.

    Inside the last region the CTA has `consumers` threads: barriers, layouts and thread indices count those only.
    `repeated` (optional): the regions go through several output tiles, each at its own pace.
    """

    consumers: Any
    loads: ext.Region
    products: ext.Region
    factors: ext.Region
    rest: ext.Region

    @structure(0, regions=4, attributes={"consumers": "an integer", "?repeated": "a unit attribute"})
    def verify_invariants(self) -> bool:
        count = ir.IntegerAttr(self.operation.attributes["consumers"]).value
        if count > 0 and count % 128 == 0:
            return True
        return fail(self, f"attribute 'consumers' is {count}, expected whole warpgroups of 128 threads")
