"""`specialize-warps`: a producer warp loads tiles, consumer warpgroups compute.

Input: laid-out program for a target with the tensor memory accelerator and warpgroup products; a kernel with one
pipelined loop at its top level whose tiles can be loaded by bulk copies and feed a warpgroup product. Output:
`tl.specialize` with a ring of s versions per tile and two barriers per version (tiles used by the same operations share
them):

    for k: copy A[k] -> S; use S
    =>
    producer:  for k: wait empty[k % s] (parity of the round before); arrive full[k % s] expecting the bytes;
                      load A[k] -> S[k % s]
    consumers: ...before...
               for k: wait full[k % s] (parity of this round); use S[k % s]; arrive empty[k % s]
               ...after...

Every warp of the consumers arrives once per round on `empty`. Copies of fragments to device memory after the loop go
through a swizzled shared tile and one bulk store. Kernels that name threads or barriers themselves keep their form, as
do those that write what they load and those whose copies do not qualify; the rules of the bulk copy are in
`nvidia/tma_rules`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature, Target

from ..base import Pass
from ..walk import launches
from .candidate import candidate
from .split import Split


@dataclass(frozen=True)
class SpecializeWarps(Pass):
    """Split pipelined kernels into a loading warp and computing warpgroups."""

    name: ClassVar[str] = "specialize-warps"

    enabled: bool = True

    def run(self, module: ir.Module, target: Target) -> None:
        if not self.enabled or not all(target.supports(f) for f in (Feature.TMA, Feature.WGMMA, Feature.SETMAXNREG)):
            return
        for launch in launches(module):
            found = candidate(launch)
            if found is not None:
                with module.context, launch.location:
                    Split(launch, found, target).run()
