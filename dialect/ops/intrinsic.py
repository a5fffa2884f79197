"""Single instructions that a program asks for by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tilelang_mlir.mlir import dialect, ir

from ..tl import TL
from ..verify import fail, structure

ext = dialect("ext")


@dataclass(frozen=True)
class Signature:
    """What an intrinsic takes: its operands (least and most, of one type), results, and integer attributes.

    `accesses` says per operand how a buffer is accessed, as in `effects`.
    """

    operands: tuple[int, int] = (0, 0)
    results: int = 0
    attributes: tuple[str, ...] = ()
    accesses: tuple[str, ...] = ()
    meaning: str = ""


INTRINSICS: dict[str, Signature] = {
    "set_registers": Signature(attributes=("count", "increase"), meaning="registers per thread of the warpgroup"),
    "wgmma_fence": Signature(meaning="registers and shared memory before later warpgroup products"),
    "wgmma_commit": Signature(meaning="close the group of warpgroup products"),
    "barrier_init_fence": Signature(meaning="barriers that were initialised are visible to the cluster and to copies"),
    "bulk_commit": Signature(meaning="close the group of bulk stores of this thread"),
    "named_arrive": Signature(attributes=("id", "count"), meaning="arrive at a named barrier without waiting"),
    "find_nth_set": Signature(operands=(3, 3), results=1, meaning="place of the n-th bit that is set from a place on"),
    "elect": Signature(results=1, meaning="true in one thread of each warp that runs it"),
    "launch_dependents": Signature(meaning="the kernels that depend on this one may start"),
    "wait_dependencies": Signature(meaning="wait until the kernels this one depends on have ended"),
    "nanosleep": Signature(operands=(1, 1), meaning="the thread rests for about as many nanoseconds"),
    "cluster_arrive": Signature(attributes=("relaxed",), meaning="arrive at the barrier of the cluster"),
    "cluster_wait": Signature(meaning="wait at the barrier of the cluster"),
    "cluster_rank": Signature(results=1, meaning="index of the CTA in its cluster"),
}


class IntrinsicOp(TL.Operation, name="intrinsic"):
    """One instruction of the machine by name: `"tl.intrinsic"() {name = "cluster_wait"}`.

    The names, their operands and integer attributes are the table `INTRINSICS`; a target that lacks the instruction
    refuses it when the program is lowered.
    """

    args: Sequence[ext.Operand[Any]]
    results_: Sequence[ext.Result[Any]]

    @structure((0, None), results=(0, 1), attributes={"name": "a string"})
    def verify_invariants(self) -> bool:
        op = self.operation
        name = ir.StringAttr(op.attributes["name"]).value
        found = INTRINSICS.get(name)
        if found is None:
            return fail(self, f"attribute 'name' is \"{name}\", expected one of {', '.join(sorted(INTRINSICS))}")
        least, most = found.operands
        if not least <= len(op.operands) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            return fail(self, f'"{name}" takes {wanted} operands, got {len(op.operands)}')
        if len(op.results) != found.results:
            return fail(self, f'"{name}" has {found.results} results, got {len(op.results)}')
        for key in found.attributes:
            if key not in op.attributes or not isinstance(op.attributes[key], ir.IntegerAttr):
                return fail(self, f"\"{name}\" requires the integer attribute '{key}'")
        return True


def intrinsic_name(op: ir.Operation) -> str:
    """The name of a `tl.intrinsic`."""
    return ir.StringAttr(op.attributes["name"]).value
