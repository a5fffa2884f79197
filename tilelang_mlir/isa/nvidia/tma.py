"""Tensor memory accelerator: copies of boxes of tensors, bulk groups, and what goes with them.

PTX ISA 8.7, sections 9.7.9.25.5 (cp.async.bulk.tensor), 9.7.9.25.4 (bulk groups), 9.7.13.4 (fence), 9.7.19.5
(setmaxnreg).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tilelang_mlir.errors import SimulationError
from tilelang_mlir.isa.instruction import (
    GLOBAL,
    SHARED,
    WARP,
    Access,
    Effect,
    Instruction,
    Machine,
    Run,
    constant,
    create,
    flags,
    inline_ptx,
    integer,
)
from tilelang_mlir.isa.nvidia.reductions import combination
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

_LOAD, _STORE = "mbarrier", "cp.async.bulk"


# L2 cache policies (64 bits, as `createpolicy` makes them for the whole access).
POLICIES = {
    "evict_normal": 0x1000000000000000, "evict_first": 0x12F0000000000000, "evict_last": 0x14F0000000000000,
}  # fmt: skip


def load(
    destination: ir.Value,
    tensor_map: ir.Value,
    barrier: ir.Value,
    coordinates: Sequence[ir.Value | int],
    *,
    hint: str = "",
    ranks: ir.Value | None = None,
    taps: Sequence[ir.Value] = (),
) -> None:
    """`cp.async.bulk.tensor.Nd.shared::cta.global.tile.mbarrier::complete_tx::bytes`: a box into shared memory.

    Args:
        destination: `!llvm.ptr<3>`, 128-byte aligned (1024 for swizzled boxes).
        tensor_map: generic pointer to the 128-byte descriptor.
        barrier: `!llvm.ptr<3>` of the mbarrier whose transaction count the box's bytes complete.
        coordinates: start of the box, innermost dimension first, i32.
        hint: evict_normal, evict_first or evict_last: how long the L2 cache keeps what is read.
        ranks: i16, `.shared::cluster` with `.multicast::cluster`: a bit per CTA of the cluster that gets the box, at
            the same place, and its bytes on the barrier at the same place.
        taps: i16, `.im2col` instead of `.tile`: how far from the pixels of the box, which `coordinates` start, what is
            read lies, innermost direction first.
    """
    places = [constant(c) if isinstance(c, int) else c for c in coordinates]
    segments = ir.DenseI32ArrayAttr.get([1, 1, len(places), 1, len(taps), int(ranks is not None), int(bool(hint)), 0])
    policy = [constant(POLICIES[hint], 64)] if hint else []
    mask = [] if ranks is None else [ranks]
    if ranks is not None:
        destination = create("llvm.addrspacecast", [destination], [ir.Type.parse("!llvm.ptr<7>")])
    create(
        "nvvm.cp.async.bulk.tensor.shared.cluster.global",
        [destination, tensor_map, *places, barrier, *taps, *mask, *policy],
        operandSegmentSizes=segments,
        mode=f"#nvvm.tma_load_mode<{'im2col' if taps else 'tile'}>",
        isCTAOnly=ir.BoolAttr.get(ranks is None),
    )


def load_pair(
    destination: ir.Value,
    tensor_map: ir.Value,
    barrier: ir.Value,
    rank: ir.Value,
    coordinates: Sequence[ir.Value | int],
    *,
    hint: str = "",
) -> None:
    """`load` of a pair of CTAs (`.cta_group::2`): the bytes complete at the barrier of the CTA with an i32 rank.

    That is one of the two of this CTA's pair; the box goes to this CTA's own shared memory.
    """
    places = [constant(c) if isinstance(c, int) else c for c in coordinates]
    slots = ", ".join(f"{{$r{4 + i}}}" for i in range(len(places)))
    policy = [constant(POLICIES[hint], 64)] if hint else []
    cache, word = (".L2::cache_hint", f", {{$r{4 + len(places)}}}") if hint else ("", "")
    text = (
        f"{{ .reg .b32 b; mapa.shared::cluster.u32 b, {{$r2}}, {{$r3}}; "
        f"cp.async.bulk.tensor.{len(places)}d.cta_group::2.shared::cluster.global.tile.mbarrier::complete_tx::bytes{cache}"
        f" [{{$r0}}], [{{$r1}}, {{{slots}}}], [b]{word}; }}"
    )
    addresses = [create("llvm.ptrtoint", [p], [ir.IntegerType.get_signless(32)]) for p in (destination, barrier)]
    facts = {"tl.coordinates": ir.IntegerAttr.get(ir.IntegerType.get_signless(32), len(places))}
    reads = [addresses[0], tensor_map, addresses[1], rank, *places, *policy]
    inline_ptx("cp.async.bulk.tensor.pair", text, reads, attributes=facts)


def store(
    tensor_map: ir.Value, source: ir.Value, coordinates: Sequence[ir.Value | int], *, hint: str = ""
) -> None:
    """`cp.async.bulk.tensor.Nd.global.shared::cta.tile.bulk_group`: a box from shared memory; clipped at the edges."""
    places = [constant(c) if isinstance(c, int) else c for c in coordinates]
    segments = ir.DenseI32ArrayAttr.get([1, 1, len(places), int(bool(hint)), 0])
    policy = [constant(POLICIES[hint], 64)] if hint else []
    create(
        "nvvm.cp.async.bulk.tensor.global.shared.cta",
        [tensor_map, source, *places, *policy],
        operandSegmentSizes=segments,
    )


def reduce(
    tensor_map: ir.Value, source: ir.Value, coordinates: Sequence[ir.Value | int], kind: str, element: str
) -> None:
    """`cp.reduce.async.bulk.tensor.Nd.global.shared::cta.{add,min,max,and,or,xor}.tile.bulk_group`.

    The descriptor says what the elements are; `element` (f16, bf16, f32, s32, u32, s64, u64) says so to the simulator.
    Each element is combined by itself, atomically at device scope. PTX ISA 8.7, section 9.7.9.25.5.
    """
    places = [constant(c) if isinstance(c, int) else c for c in coordinates]
    slots = ", ".join(f"{{$r{2 + i}}}" for i in range(len(places)))
    text = (
        f"cp.reduce.async.bulk.tensor.{len(places)}d.global.shared::cta.{kind}.tile.bulk_group "
        f"[{{$r0}}, {{{slots}}}], [{{$r1}}];"
    )
    facts = {"tl.element": ir.StringAttr.get(element)}
    inline_ptx(f"cp.reduce.async.bulk.tensor.{kind}", text, [tensor_map, source, *places], attributes=facts)


def commit() -> None:
    """`cp.async.bulk.commit_group`."""
    create("nvvm.cp.async.bulk.commit.group")


def wait(pending: int, *, read: bool = True) -> None:
    """`cp.async.bulk.wait_group[.read]`: until at most `pending` groups are incomplete (have not read their source)."""
    attributes: dict[str, Any] = {"group": ir.IntegerAttr.get(ir.IntegerType.get_signless(32), pending)}
    if read:
        attributes["read"] = ir.UnitAttr.get()
    create("nvvm.cp.async.bulk.wait_group", **attributes)


def gather4(
    destination: ir.Value, tensor_map: ir.Value, barrier: ir.Value, places: Sequence[ir.Value | int], *, hint: str = ""
) -> None:
    """`cp.async.bulk.tensor.2d.shared::cta.global.tile::gather4.mbarrier::complete_tx::bytes`: four rows (sm_100).

    Operands as in `load`; `places` are the column and four rows. The box of the descriptor is one row.
    """
    slots = ", ".join(f"{{$r{3 + i}}}" for i in range(len(places)))
    policy = [constant(POLICIES[hint], 64)] if hint else []
    cached, extra = (".L2::cache_hint", f", {{$r{3 + len(places)}}}") if hint else ("", "")
    text = (
        f"cp.async.bulk.tensor.2d.shared::cta.global.tile::gather4.mbarrier::complete_tx::bytes{cached} "
        f"[{{$r0}}], [{{$r1}}, {{{slots}}}], [{{$r2}}]{extra};"
    )
    values = [constant(c) if isinstance(c, int) else c for c in places]
    inline_ptx("cp.async.bulk.tensor.gather4", text, [destination, tensor_map, barrier, *values, *policy])


def scatter4(tensor_map: ir.Value, source: ir.Value, places: Sequence[ir.Value | int], *, hint: str = "") -> None:
    """`cp.async.bulk.tensor.2d.global.shared::cta.tile::scatter4.bulk_group`: four rows back; as `gather4`."""
    slots = ", ".join(f"{{$r{2 + i}}}" for i in range(len(places)))
    policy = [constant(POLICIES[hint], 64)] if hint else []
    cached, extra = (".L2::cache_hint", f", {{$r{2 + len(places)}}}") if hint else ("", "")
    text = (
        f"cp.async.bulk.tensor.2d.global.shared::cta.tile::scatter4.bulk_group{cached} "
        f"[{{$r0}}, {{{slots}}}], [{{$r1}}]{extra};"
    )
    values = [constant(c) if isinstance(c, int) else c for c in places]
    inline_ptx("cp.async.bulk.tensor.scatter4", text, [tensor_map, source, *values, *policy])


def prefetch(tensor_map: ir.Value, coordinates: Sequence[ir.Value | int]) -> None:
    """`cp.async.bulk.prefetch.tensor.Nd.L2.global.tile`: a box into the L2 cache; coordinates as in `load`."""
    places = [constant(c) if isinstance(c, int) else c for c in coordinates]
    segments = ir.DenseI32ArrayAttr.get([1, len(places), 0, 0])
    create("nvvm.cp.async.bulk.tensor.prefetch", [tensor_map, *places], operandSegmentSizes=segments)


def fence_shared() -> None:
    """`fence.proxy.async.shared::cta`: ordinary writes to shared memory before later asynchronous accesses."""
    create("nvvm.fence.proxy", kind="#nvvm.proxy_kind<async.shared>", space="#nvvm.shared_space<cta>")


def fence_all() -> None:
    """`fence.proxy.async`: ordinary accesses to all memory before later asynchronous ones."""
    create("nvvm.fence.proxy", kind="#nvvm.proxy_kind<async>")


def set_registers(count: int, *, increase: bool) -> None:
    """`setmaxnreg.{inc,dec}.sync.aligned.u32`: registers per thread of the warpgroup (9.7.19.5)."""
    action = "increase" if increase else "decrease"
    create(
        "nvvm.setmaxregister",
        regCount=ir.IntegerAttr.get(ir.IntegerType.get_signless(32), count),
        action=f"#nvvm<action {action}>",
    )


def _boxed(op: ir.Operation) -> int:
    """How many coordinates an op has."""
    return list(ir.DenseI32ArrayAttr(op.attributes["operandSegmentSizes"]))[2]


def _load(op: ir.Operation) -> Run:
    count = _boxed(op)
    taps, multicast = list(ir.DenseI32ArrayAttr(op.attributes["operandSegmentSizes"]))[4:6]

    def run(machine: Machine, shared: Any, tensor_map: Any, *rest: Any) -> None:
        ranks = rest[count + 1 + taps] if multicast else None
        places = [*rest[:count], *rest[count + 1 : count + 1 + taps]]
        machine.engine.tensor_load(shared, tensor_map, places, rest[count], ranks=ranks)

    return run


def _gather4(machine: Machine, shared: Any, tensor_map: Any, barrier: Any, *places: Any) -> None:
    machine.engine.tensor_gather(shared, tensor_map, list(places[:5]), barrier)


def _scatter4(machine: Machine, tensor_map: Any, shared: Any, *places: Any) -> None:
    machine.engine.tensor_scatter(tensor_map, shared, list(places[:5]))


def _prefetch(op: ir.Operation) -> Run:
    count = list(ir.DenseI32ArrayAttr(op.attributes["operandSegmentSizes"]))[1]

    def run(machine: Machine, tensor_map: Any, *rest: Any) -> None:
        machine.engine.tensor_prefetch(tensor_map, list(rest[:count]))

    return run


def _load_pair(op: ir.Operation) -> Run:
    count = integer(op, "tl.coordinates")

    def run(machine: Machine, shared: Any, tensor_map: Any, barrier: Any, rank: Any, *rest: Any) -> None:
        machine.engine.tensor_load(shared, tensor_map, list(rest[:count]), barrier, at=rank)

    return run


def _store(op: ir.Operation) -> Run:
    count = _boxed(op)

    def run(machine: Machine, tensor_map: Any, shared: Any, *coordinates: Any) -> None:
        machine.engine.tensor_store(tensor_map, shared, list(coordinates[:count]))

    return run


def _reduce(kind: str) -> Callable[[ir.Operation], Run]:
    def semantics(op: ir.Operation) -> Run:
        combine, stored = combination(kind, ir.StringAttr(op.attributes["tl.element"]).value)

        def run(machine: Machine, tensor_map: Any, shared: Any, *coordinates: Any) -> None:
            machine.engine.tensor_reduce(tensor_map, shared, list(coordinates), combine, stored)

        return run

    return semantics


def _wait(op: ir.Operation) -> Run:
    pending, read = integer(op, "group"), "read" in op.attributes
    return lambda machine: machine.engine.wait_stores(pending, read)


def _proxy(op: ir.Operation) -> Run:
    kind = flags(op, "kind").partition("<")[2].rstrip(">")
    scope = f"proxy.{kind}" if kind in ("async", "async.shared", "async.global") else "proxy"
    return lambda machine: machine.fence(scope)


def _set_registers(op: ir.Operation) -> Run:
    count = integer(op, "regCount")

    def run(machine: Machine) -> None:
        if count % 8 or not 24 <= count <= 256:
            raise SimulationError(f"setmaxnreg {count}: the count is a multiple of 8 from 24 to 256")
        machine.require_whole_warps("setmaxnreg")
        warps = machine.warps(machine.threads[None, :])[0, :, 0] // 32
        reached = np.asarray(machine.active().any(axis=2))
        for group in np.unique(warps // 4):
            together = reached[:, warps // 4 == group].sum(1)
            if ((together != 0) & (together != 4)).any():
                raise SimulationError(
                    f"setmaxnreg is reached by a part of warpgroup {int(group)}",
                    hint="all 128 threads must execute it together",
                )

    return run


TILE_REDUCTIONS = ("add", "min", "max", "and", "or", "xor")
_TENSOR, _GROUPS = "9.7.9.25.5 cp.async.bulk.tensor", "9.7.9.25.4 cp.async.bulk"
INSTRUCTIONS = (
    Instruction(
        "nvvm.cp.async.bulk.tensor.shared.cluster.global",
        "cp.async.bulk.tensor.Nd.shared::{cta,cluster}.global{.tile, .im2col}.mbarrier::complete_tx::bytes"
        "{.multicast::cluster}{.L2::cache_hint} [d], [m, {c}], [b]{, {taps}}{, ranks}{, policy}",
        _TENSOR,
        _load,
        emit=load,
        feature=Feature.TMA,
        effects=(Effect(Access.READ, GLOBAL, 1, group=_LOAD), Effect(Access.WRITE, SHARED, 0, group=_LOAD)),
    ),
    Instruction(
        "cp.async.bulk.tensor.pair",
        "cp.async.bulk.tensor.Nd.cta_group::2.shared::cluster.global.mbarrier::complete_tx::bytes [d], [m, {c}], [b]",
        _TENSOR,
        _load_pair,
        emit=load_pair,
        feature=Feature.TCGEN05,
        effects=(Effect(Access.READ, GLOBAL, 1, group=_LOAD), Effect(Access.WRITE, SHARED, 0, group=_LOAD)),
    ),
    Instruction(
        "nvvm.cp.async.bulk.tensor.global.shared.cta",
        "cp.async.bulk.tensor.Nd.global.shared::cta.tile.bulk_group [m, {c}], [s]",
        _TENSOR,
        _store,
        emit=store,
        feature=Feature.TMA,
        effects=(Effect(Access.READ, SHARED, 1, group=_STORE), Effect(Access.WRITE, GLOBAL, 0, group=_STORE)),
    ),
    Instruction(
        "cp.async.bulk.tensor.gather4",
        "cp.async.bulk.tensor.2d.shared::cta.global.tile::gather4.mbarrier::complete_tx::bytes "
        "[d], [m, {c, r, r, r, r}], [b]",
        _TENSOR,
        lambda op: _gather4,
        emit=gather4,
        feature=Feature.TMA_GATHER,
        effects=(Effect(Access.READ, GLOBAL, 1, group=_LOAD), Effect(Access.WRITE, SHARED, 0, group=_LOAD)),
    ),
    Instruction(
        "cp.async.bulk.tensor.scatter4",
        "cp.async.bulk.tensor.2d.global.shared::cta.tile::scatter4.bulk_group [m, {c, r, r, r, r}], [s]",
        _TENSOR,
        lambda op: _scatter4,
        emit=scatter4,
        feature=Feature.TMA_GATHER,
        effects=(Effect(Access.READ, SHARED, 1, group=_STORE), Effect(Access.WRITE, GLOBAL, 0, group=_STORE)),
    ),
    Instruction(
        "nvvm.cp.async.bulk.tensor.prefetch",
        "cp.async.bulk.prefetch.tensor.Nd.L2.global.tile [m, {c}]",
        "9.7.9.25.5 cp.async.bulk.prefetch.tensor",
        _prefetch,
        emit=prefetch,
        feature=Feature.TMA,
    ),
    *(
        Instruction(
            f"cp.reduce.async.bulk.tensor.{kind}",
            f"cp.reduce.async.bulk.tensor.Nd.global.shared::cta.{kind}.tile.bulk_group [m, {{c}}], [s]",
            "9.7.9.25.5 cp.reduce.async.bulk.tensor",
            _reduce(kind),
            emit=reduce,
            feature=Feature.TMA,
            effects=(Effect(Access.READ, SHARED, 1, group=_STORE), Effect(Access.ATOMIC, GLOBAL, 0, group=_STORE)),
        )
        for kind in TILE_REDUCTIONS
    ),
    Instruction(
        "nvvm.cp.async.bulk.commit.group",
        "cp.async.bulk.commit_group",
        _GROUPS,
        lambda op: lambda machine: machine.engine.commit_stores(),
        emit=commit,
        feature=Feature.TMA,
        effects=(Effect(Access.COMMIT, group=_STORE),),
    ),
    Instruction(
        "nvvm.cp.async.bulk.wait_group",
        "cp.async.bulk.wait_group{.read} n",
        _GROUPS,
        _wait,
        emit=wait,
        feature=Feature.TMA,
        effects=(Effect(Access.WAIT, group=_STORE),),
    ),
    Instruction(
        "nvvm.fence.proxy",
        "fence.proxy.async",
        "9.7.13.4 fence",
        _proxy,
        emit=fence_shared,
        feature=Feature.TMA,
        effects=(Effect(Access.FENCE),),
    ),
    Instruction(
        "nvvm.setmaxregister",
        "setmaxnreg.inc.sync.aligned.u32 n",
        "9.7.19.5 setmaxnreg",
        _set_registers,
        emit=set_registers,
        feature=Feature.SETMAXNREG,
        together=WARP,
    ),
)
