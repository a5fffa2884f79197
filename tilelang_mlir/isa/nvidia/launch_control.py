"""Cluster launch control: a running CTA takes over the work of one that has not started.

PTX ISA 8.7, section 9.7.13.17 (clusterlaunchcontrol). A request cancels a cluster that has not started, if there is
one, and answers with its first CTA; it may always fail. The answer's 16 bytes are opaque: in the simulator words of 32
bits, one when a cluster was cancelled, then the coordinates x, y and z.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.isa.instruction import SHARED, Access, Effect, Instruction, Machine, Run, create
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

RESPONSE_BYTES = 16


def try_cancel(response: ir.Value, barrier: ir.Value, *, multicast: bool = False) -> None:
    """`clusterlaunchcontrol.try_cancel.async`: 16 bytes of answer complete on the mbarrier; one thread asks.

    With `multicast` (.multicast::cluster::all) every CTA of the cluster gets the answer, at the same places.
    """
    more = {"multicast": ir.UnitAttr.get()} if multicast else {}
    create("nvvm.clusterlaunchcontrol.try.cancel", [response, barrier], **more)


def query(response: ir.Value, field: str) -> ir.Value:
    """`clusterlaunchcontrol.query_cancel` of an answer in shared memory, as i32.

    Args:
        response: `!llvm.ptr<3>`, 16-byte aligned.
        field: is_canceled (1 or 0), or x, y, z of the cancelled CTA; these have no value when there is none.
    """
    if field == "is_canceled":
        lines = ["clusterlaunchcontrol.query_cancel.is_canceled.pred.b128 p, h;", "selp.u32 $0, 1, 0, p;"]
    else:
        lines = [f"clusterlaunchcontrol.query_cancel.get_first_ctaid::{field}.b32.b128 $0, h;"]
    text = ["{", ".reg .pred p;", ".reg .b128 h;", "ld.shared.b128 h, [$1];", *lines, "}"]
    op = ir.Operation.create(
        "llvm.inline_asm",
        results=[ir.IntegerType.get_signless(32)],
        operands=[response],
        attributes={
            "asm_string": ir.StringAttr.get(" ".join(text)),
            "constraints": ir.StringAttr.get("=r,r,~{memory}"),
            "has_side_effects": ir.UnitAttr.get(),
            "asm_dialect": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 0),
            "tl.instr": ir.StringAttr.get("clusterlaunchcontrol.query_cancel"),
            "tl.field": ir.StringAttr.get(field),
        },
    )
    return op.result


def _try_cancel(op: ir.Operation) -> Run:
    everywhere = "multicast" in op.attributes
    return lambda machine, response, barrier: machine.engine.try_cancel(response, barrier, everywhere)


_FIELDS = ("is_canceled", "x", "y", "z")


def _query(op: ir.Operation) -> Run:
    """The coordinates of an answer without a CTA have no value: they are zero here."""
    word = _FIELDS.index(ir.StringAttr(op.attributes["tl.field"]).value)

    def run(machine: Machine, response: Any) -> np.ndarray:
        raw = np.ascontiguousarray(machine.load(SHARED, response, RESPONSE_BYTES))
        return raw.view(np.int32).reshape(*raw.shape, 4)[..., word]

    return run


_SECTION = "9.7.13.17 clusterlaunchcontrol"
INSTRUCTIONS = (
    Instruction(
        "nvvm.clusterlaunchcontrol.try.cancel",
        "clusterlaunchcontrol.try_cancel.async.mbarrier::complete_tx::bytes{.multicast::cluster::all}.b128 [r], [b]",
        _SECTION,
        _try_cancel,
        emit=try_cancel,
        feature=Feature.TCGEN05,
        effects=(Effect(Access.WRITE, SHARED, 0, RESPONSE_BYTES, "mbarrier"), Effect(Access.TAKE_OVER)),
    ),
    Instruction(
        "clusterlaunchcontrol.query_cancel",
        "clusterlaunchcontrol.query_cancel.is_canceled.pred.b128 p, r",
        _SECTION,
        _query,
        emit=query,
        feature=Feature.TCGEN05,
        effects=(Effect(Access.READ, SHARED, 0, RESPONSE_BYTES),),
    ),
)
