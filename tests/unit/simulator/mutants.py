"""Defects put mechanically into lowered kernels: one synchronising op at a time dropped, moved or made wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from tilelang_mlir.dialect import context
from tilelang_mlir.isa import key_of
from tilelang_mlir.mlir import ir

_COPY_IN = "nvvm.cp.async.bulk.tensor.shared.cluster.global"
_COPY_OUT = "nvvm.cp.async.bulk.tensor.global.shared.cta"
_EXPECT = "nvvm.mbarrier.arrive.expect_tx"
_DROPPED = (
    *("nvvm.barrier", "nvvm.cp.async.commit.group", "nvvm.cp.async.wait.group", "nvvm.fence.mbarrier.init"),
    *("nvvm.fence.proxy", "nvvm.mbarrier.init", "nvvm.mbarrier.arrive", _EXPECT, _COPY_IN, "scf.while"),
    *("nvvm.cp.async.bulk.commit.group", "nvvm.cp.async.bulk.wait_group"),
    *("tensormap.cp_fenceproxy", "fence.proxy.tensormap.acquire"),
    *("nvvm.tcgen05.commit", "nvvm.tcgen05.fence", "nvvm.tcgen05.dealloc", "nvvm.tcgen05.alloc", "nvvm.tcgen05.cp"),
    *("nvvm.cluster.arrive", "nvvm.cluster.wait", "mbarrier.arrive.cluster", "mbarrier.expect_tx.cluster"),
    *("cp.async.bulk.tensor.pair", "nvvm.mbarrier.expect_tx", "nvvm.clusterlaunchcontrol.try.cancel"),
    *("nvvm.cp.async.mbarrier.arrive", "nvvm.cp.async.shared.global"),
    *("amdgpu.lds_barrier", "rocdl.barrier", "rocdl.s.waitcnt", "rocdl.raw.ptr.buffer.load.lds", "grid.meet"),
)
_AMD_BARRIERS = ("amdgpu.lds_barrier", "rocdl.barrier")
# Bytes that a barrier is told to expect, by the operand that says how many.
_EXPECTS = {_EXPECT: 1, "nvvm.mbarrier.expect_tx": 1, "mbarrier.expect_tx.cluster": 2}
_REGROUPED = {
    "nvvm.cp.async.wait.group": "n",
    "nvvm.cp.async.bulk.wait_group": "group",
    "wgmma.wait_group": "tl.pending",
}
Edit = Callable[[ir.Operation], None]


@dataclass(frozen=True)
class Mutant:
    """A defect: `edit` is applied to the `index`-th op (in program order) of a name."""

    defect: str
    op: str
    index: int
    edit: Edit

    @property
    def name(self) -> str:
        return f"{self.defect}: {self.op.removeprefix('nvvm.')} {self.index}"

    def apply(self, lowered: bytes) -> bytes:
        """The changed module."""
        ctx = context()
        ctx.allow_unregistered_dialects = True
        with ctx, ir.Location.unknown():
            module = ir.Module.parse(lowered)
            op = [x for x in walk(module.operation) if key_of(x) == self.op][self.index]
            with ir.InsertionPoint(op):
                self.edit(op)
            out = BytesIO()
            module.operation.write_bytecode(out)
            return out.getvalue()


def walk(op: ir.Operation) -> Iterator[ir.Operation]:
    """All nested ops in program order."""
    for region in op.regions:
        for block in region:
            for view in block.operations:
                yield view.operation
                yield from walk(view.operation)


def by_key(module: ir.Module) -> dict[str, list[ir.Operation]]:
    """All ops of a module in program order, by the name that mutants have for them."""
    found: dict[str, list[ir.Operation]] = {}
    for op in walk(module.operation):
        found.setdefault(key_of(op), []).append(op)
    return found


def mutants(lowered: bytes, stage_bytes: int) -> list[Mutant]:
    """All defects of a kernel; `stage_bytes` lie between the versions of a pipelined buffer."""
    ctx = context()
    ctx.allow_unregistered_dialects = True
    found: list[Mutant] = []
    with ctx:
        seen: dict[str, int] = {}
        for op in walk(ir.Module.parse(lowered).operation):
            key = key_of(op)
            index = seen[key] = seen.get(key, -1) + 1
            found += [Mutant(defect, key, index, edit) for defect, edit in _edits(key, op, stage_bytes)]
    return found


def _edits(key: str, op: ir.Operation, stage: int) -> Iterator[tuple[str, Edit]]:
    if key in _DROPPED and (key != "scf.while" or _waits(op)):
        yield "drop", lambda op: op.erase()
    if key in _REGROUPED:
        yield "wait for one group less", lambda op: _add_to_attribute(op, _REGROUPED[key])
    if key == "nvvm.mbarrier.try_wait":
        yield "wrong parity", lambda op: _change(op, 1, "arith.xori", 1)
    if key in _EXPECTS:
        yield "16 bytes less", lambda op: _change(op, _EXPECTS[key], "arith.subi", 16)
        yield "16 bytes more", lambda op: _change(op, _EXPECTS[key], "arith.addi", 16)
    if key == "nvvm.mbarrier.init":
        yield "one arrival more", lambda op: _change(op, 1, "arith.addi", 1)
    if key in ("nvvm.mbarrier.try_wait", "nvvm.mbarrier.arrive", _EXPECT):
        yield "next barrier", lambda op: _shift(op, 0, 8)
    if key == "nvvm.mbarrier.arrive":
        yield "arrive twice", lambda op: op.clone() and None
        if _has_previous(_arrival(op), "scf.while") or _has_previous(_arrival(op), "scf.for"):
            yield "too early", _arrive_early
    if key == _COPY_IN:
        yield "next stage", lambda op: _shift(op, 0, stage)
        yield "next barrier", lambda op: _shift(op, _shared_operands(op)[1], 8)
        if _has_previous(op, "scf.while"):
            yield "before the wait", _before_wait
    if key == "nvvm.ldmatrix":
        yield "next stage", lambda op: _shift(op, 0, stage)
    if key == "wgmma.product":
        yield "next stage", lambda op: _change(op, len(op.operands) - 1, "arith.addi", stage >> 4)
        if json.loads(ir.StringAttr(op.attributes["tl.product"]).value)["wait"] == 0:
            yield "no wait", _without_wait
    if key == "nvvm.barrier":
        yield "late", _to_end
    if key == "nvvm.fence.proxy":
        yield "late", _to_end
    if key == _COPY_OUT:
        yield "early", _before_barrier
    if key == "nvvm.cp.async.bulk.wait_group" and _has_previous(op, "nvvm.cp.async.bulk.commit.group"):
        yield "early", lambda op: op.move_before(_previous(op, "nvvm.cp.async.bulk.commit.group"))
    yield from _tensor_edits(key, op, stage)
    yield from _amd_edits(key, op, stage)


def _tensor_edits(key: str, op: ir.Operation, stage: int) -> Iterator[tuple[str, Edit]]:
    """Of tensor memory, and of pairs of CTAs."""
    if key in ("nvvm.tcgen05.mma", "nvvm.tcgen05.mma.block_scale", "nvvm.tcgen05.cp"):
        first = next(i for i, v in enumerate(op.operands) if str(v.type) == "i64")  # A may lie in tensor memory
        yield "next stage", lambda op: _advance_descriptor(op, first, stage >> 4)
    if key == "nvvm.tcgen05.mma" and not _is_constant(op.operands[4]):
        yield "never clears", _never_clear
    if key == "nvvm.tcgen05.commit":
        yield "next barrier", lambda op: _shift(op, 0, 8)
        if len(op.operands) > 1:
            yield "tells one CTA only", lambda op: _change(op, 1, "arith.andi", 1)
        if _products_before(op):
            yield "early", lambda op: _move_up(op, _products_before(op)[0])
    if key == "nvvm.tcgen05.fence":
        yield "late", _to_end
    if key == "nvvm.tcgen05.relinquish_alloc_permit":
        yield "early", lambda op: op.move_before(_previous(op, "nvvm.tcgen05.alloc"))
    if key == "nvvm.tcgen05.dealloc":
        yield "half of the columns", lambda op: _change(op, 1, "arith.shrui", 1)
        if _has_previous(op, "nvvm.barrier"):
            yield "early", _before_barrier


def _amd_edits(key: str, op: ir.Operation, stage: int) -> Iterator[tuple[str, Edit]]:
    """Of barriers and counters of waves, and of loads straight into LDS."""
    if key in _AMD_BARRIERS and any(_touches_shared(x) for x in _split(op)[0]):
        yield "early", lambda op: op.move_before([x for x in _split(op)[0] if _touches_shared(x)][-1])
    if key in _AMD_BARRIERS and any(_touches_shared(x) for x in _split(op)[1]):
        yield "late", lambda op: op.move_after([x for x in _split(op)[1] if _touches_shared(x)][0])
    if key == "rocdl.barrier":
        yield "wait for LDS only", _wait_for_lds
    if key == "rocdl.s.waitcnt":
        yield "wait for one load less", lambda op: _add_to_attribute(op, "bitfield")
        yield "late", _to_end
    if key == "rocdl.raw.ptr.buffer.load.lds":
        yield "next stage", lambda op: _shift(op, 1, stage)
        if _has_previous(op, "amdgpu.lds_barrier"):
            yield "before the barrier", lambda op: _move_around_up(op, _previous(op, "amdgpu.lds_barrier"))
    if key.startswith("rocdl.ds.read.tr"):
        yield "next stage", lambda op: _shift(op, 0, stage)


def _waits(op: ir.Operation) -> bool:
    return any(x.name == "nvvm.mbarrier.try_wait" for x in walk(op))


def _constant(value: int, kind: ir.Type | None = None) -> ir.Value:
    kind = kind or ir.IntegerType.get_signless(32)
    attributes = {"value": ir.IntegerAttr.get(kind, value)}
    return ir.Operation.create("arith.constant", results=[kind], attributes=attributes).result


def _change(op: ir.Operation, operand: int, operation: str, value: int) -> None:
    old = op.operands[operand]
    change = _constant(value, old.type)
    op.operands[operand] = ir.Operation.create(operation, results=[old.type], operands=[old, change]).result


def _advance_descriptor(op: ir.Operation, operand: int, units: int) -> None:
    """Move a 64-bit shared memory descriptor."""
    kind = op.operands[operand].type
    step = ir.Operation.create("arith.constant", [kind], attributes={"value": ir.IntegerAttr.get(kind, units)}).result
    op.operands[operand] = ir.Operation.create("arith.addi", [kind], [op.operands[operand], step]).result


def _never_clear(op: ir.Operation) -> None:
    kind = op.operands[4].type
    op.operands[4] = ir.Operation.create(
        "arith.constant", [kind], attributes={"value": ir.IntegerAttr.get(kind, -1)}
    ).result


def _shift(op: ir.Operation, operand: int, nbytes: int) -> None:
    """Move a pointer operand."""
    old = op.operands[operand]
    attributes: dict[str, Any] = {
        "elem_type": ir.TypeAttr.get(ir.IntegerType.get_signless(8)),
        "rawConstantIndices": ir.DenseI32ArrayAttr.get([nbytes]),
    }
    moved = ir.Operation.create("llvm.getelementptr", results=[old.type], operands=[old], attributes=attributes)
    op.operands[operand] = moved.result


def _shared_operands(op: ir.Operation) -> list[int]:
    return [i for i, v in enumerate(op.operands) if str(v.type) == "!llvm.ptr<3>"]


def _add_to_attribute(op: ir.Operation, name: str) -> None:
    old = ir.IntegerAttr(op.attributes[name])
    op.attributes[name] = ir.IntegerAttr.get(old.type, old.value + 1)


def _without_wait(op: ir.Operation) -> None:
    facts = json.loads(ir.StringAttr(op.attributes["tl.product"]).value)
    op.attributes["tl.product"] = ir.StringAttr.get(json.dumps({**facts, "wait": None}))


def _ancestors(op: ir.Operation) -> Iterator[ir.Operation]:
    """The op, then those around it inside the kernel."""
    while op.name != "llvm.func":
        yield op
        op = op.parent.operation


def _previous(op: ir.Operation, *keys: str) -> ir.Operation:
    """The closest op of a name (or holding a wait, for scf.while) before an op in its block or in those around it."""
    for around in _ancestors(op):
        before = [x.operation for x in around.block.operations]
        for candidate in reversed(before[: before.index(around)]):
            if key_of(candidate) in keys:
                return candidate
    raise LookupError(f"no {keys} before {op.name}")


def _has_previous(op: ir.Operation, key: str) -> bool:
    try:
        return bool(_previous(op, key))
    except LookupError:
        return False


def _products_before(op: ir.Operation) -> list[ir.Operation]:
    """The products on tensor memory before an op in its block."""
    return [x for x in _split(op)[0] if key_of(x).startswith("nvvm.tcgen05.mma")]


def _split(op: ir.Operation) -> tuple[list[ir.Operation], list[ir.Operation]]:
    """What comes before an op in its block, and what comes after it."""
    block = [x.operation for x in op.block.operations]
    return block[: block.index(op)], block[block.index(op) + 1 :]


def _touches_shared(op: ir.Operation) -> bool:
    """Whether an op, or one in it, accesses shared memory."""
    return any(
        x.name in ("llvm.load", "llvm.store") or x.name.startswith(("rocdl.ds.read", "rocdl.raw.ptr.buffer.load.lds"))
        for x in (op, *walk(op))
        if any(str(v.type) == "!llvm.ptr<3>" for v in x.operands)
    )


def _is_constant(value: ir.Value) -> bool:
    return not isinstance(value.owner, ir.Block) and value.owner.operation.name == "arith.constant"


def _to_end(op: ir.Operation) -> None:
    """After everything else in its block."""
    last = list(op.block.operations)[-1].operation
    op.move_before(last)


def _arrival(op: ir.Operation) -> ir.Operation:
    """An arrival with the branch of a lane around it."""
    return op if op.parent.operation.name == "scf.while" else op.parent.operation


def _arrive_early(op: ir.Operation) -> None:
    """The arrival, with the branches around it, right after the last wait before it, or the loop that has the waits."""
    branch = _arrival(op)
    try:
        wait = _previous(branch, "scf.while")
    except LookupError:
        wait = _previous(branch, "scf.for")
    while branch.parent.operation.name == "scf.if" and branch.block != wait.block:
        branch = branch.parent.operation
    _move_up(branch, wait)
    branch.move_after(wait)


def _move_up(op: ir.Operation, place: ir.Operation) -> None:
    """Move an op and what it depends on in its block before a place."""
    inside = [x.operation for x in place.block.operations]
    if op not in inside or inside.index(op) < inside.index(place):
        return
    for used in (op, *walk(op)):
        for value in used.operands:
            if not isinstance(value.owner, ir.Block):
                _move_up(value.owner.operation, place)
    op.move_before(place)


def _wait_for_lds(op: ir.Operation) -> None:
    """The barrier that leaves accesses to device memory open, in the place of the one that does not."""
    ir.Operation.create("amdgpu.lds_barrier")
    op.erase()


def _move_around_up(op: ir.Operation, place: ir.Operation) -> None:
    """The same with the branches around the op."""
    while op.block != place.block:
        op = op.parent.operation
    _move_up(op, place)


def _before_wait(op: ir.Operation) -> None:
    """A copy before the wait for its stage."""
    _move_around_up(op, _previous(op, "scf.while"))


def _before_barrier(op: ir.Operation) -> None:
    """A store by one thread, with the branch around it, before the barrier after the data was written."""
    branch = op.parent.operation
    branch.move_before(_previous(branch, "nvvm.barrier", "nvvm.cluster.arrive"))
