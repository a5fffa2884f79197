"""Tensor memory: allocation, loads and stores of warps, copies from shared memory, completion and order.

PTX ISA 8.7, sections 9.7.16.7 (alloc, dealloc, relinquish_alloc_permit), 9.7.16.8 (ld, st, wait), 9.7.16.9 (cp),
9.7.16.11 (fence), 9.7.16.12 (commit). An address is lane << 16 | column (9.7.16.1.1). Lane t of warp w may access the
lanes 32 * (w % 4) to 32 * (w % 4) + 31 only (9.7.16.2.3).

`pair` makes an instruction one of a pair of CTAs (.cta_group::2, 9.7.16.1.2): the two of a cluster whose ranks differ
in the last bit. All instructions of a kernel that have the qualifier must agree on it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilelang_mlir.isa.instruction import (
    SHARED,
    TENSOR,
    WARP,
    Access,
    Effect,
    Instruction,
    Machine,
    Run,
    create,
    flags,
    unpack,
)
from tilelang_mlir.isa.nvidia import tcgen05_descriptors as descriptors
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

LANES, COLUMNS = 128, 512
MIN_COLUMNS = 32
GROUP = "tcgen05"
ROW = 1 << 16  # one lane further, in an address

UPPER = np.uint32(0xFFFF0000)  # what the upper half of a column with 16 bits holds is not said
_REGISTERS = {"32x32b": 1, "16x128b": 2, "16x256b": 4}
_CP_SHAPES = {"32x128b": (32, 1), "128x256b": (128, 2)}  # rows, units of 16 bytes
_LANES = {"32x32b": 32, "16x128b": 16, "16x256b": 16}
_COLUMNS = {"32x32b": 1, "16x128b": 4, "16x256b": 8}


@dataclass(frozen=True)
class Piece:
    """One load or store: `repeat` times the columns of its shape, `offset` past the base address.

    `packed` makes two neighbouring columns, the low half of each, one register (.pack::16b, .unpack::16b).
    """

    shape: str
    repeat: int
    offset: int
    packed: bool = False

    @property
    def registers(self) -> int:
        return _REGISTERS[self.shape] * self.repeat

    @property
    def columns(self) -> int:
        return _COLUMNS[self.shape] * self.repeat * (2 if self.packed else 1)


_GROUPS = ("#nvvm.cta_group<cta_1>", "#nvvm.cta_group<cta_2>")


def pointer(address: ir.Value) -> ir.Value:
    """An i32 address as the pointer that instructions take."""
    return create("llvm.inttoptr", [address], [ir.Type.parse("!llvm.ptr<6>")])


def alloc(slot: ir.Value, columns: ir.Value, *, pair: bool = False) -> None:
    """`tcgen05.alloc`: a warp allocates columns, a power of two from 32 to 512; the address goes to shared memory.

    For a pair one warp of each CTA executes it.
    """
    create("nvvm.tcgen05.alloc", [slot, columns], group=_GROUPS[pair])


def relinquish(*, pair: bool = False) -> None:
    """`tcgen05.relinquish_alloc_permit`: this CTA allocates no more."""
    create("nvvm.tcgen05.relinquish_alloc_permit", group=_GROUPS[pair])


def dealloc(address: ir.Value, columns: ir.Value, *, pair: bool = False) -> None:
    """`tcgen05.dealloc`: a warp frees what one `alloc` returned; all of it before the kernel ends."""
    create("nvvm.tcgen05.dealloc", [pointer(address), columns], group=_GROUPS[pair])


def commit(barrier: ir.Value) -> None:
    """`tcgen05.commit.mbarrier::arrive::one`: one arrival when all products and copies of this thread are complete."""
    create("nvvm.tcgen05.commit", [barrier], group=_GROUPS[0])


def commit_pair(barrier: ir.Value, ranks: ir.Value) -> None:
    """`.cta_group::2.multicast::cluster` of it: one arrival at the barrier of each CTA in a mask of ranks (i16)."""
    create("nvvm.tcgen05.commit", [barrier, ranks], group=_GROUPS[1])


def copy_scales(address: ir.Value, descriptor: ir.Value, *, pair: bool = False) -> None:
    """`tcgen05.cp.32x128b.warpx4`: 32 rows of 16 bytes into four columns, the same in each quarter of the lanes.

    For a pair each CTA's tensor memory gets what lies at the descriptor's place in its own shared memory.
    """
    create(
        "nvvm.tcgen05.cp",
        [pointer(address), descriptor],
        shape="#nvvm.tcgen05_cp_shape<shape_32x128b>",
        multicast="#nvvm.tcgen05_cp_multicast<warpx4>",
        group=_GROUPS[pair],
    )


def copy_rows(address: ir.Value, descriptor: ir.Value) -> None:
    """`tcgen05.cp.128x256b`: 32 bytes of 128 rows of a K-major tile into eight columns, row r to lane r."""
    create(
        "nvvm.tcgen05.cp",
        [pointer(address), descriptor],
        shape="#nvvm.tcgen05_cp_shape<shape_128x256b>",
        group=_GROUPS[0],
    )


def fence(kind: str) -> None:
    """`tcgen05.fence::{before,after}_thread_sync`: orders tcgen05 operations around a synchronisation of threads."""
    create("nvvm.tcgen05.fence", kind=f"#nvvm.tcgen05_fence<{kind}>")


def load(address: ir.Value, pieces: Sequence[Piece], kind: ir.Type) -> list[ir.Value]:
    """`tcgen05.ld` of all pieces and `tcgen05.wait::ld`: 32-bit values of type `kind`.

    One piece of assembly, so that no use of a result moves above the wait.
    """
    count = sum(piece.registers for piece in pieces)
    lines, first = [], 0
    for piece in pieces:
        text = _list(range(first, first + piece.registers))
        form = f"{piece.shape}.x{piece.repeat}{'.pack::16b' if piece.packed else ''}"
        lines.append(f"tcgen05.ld.sync.aligned.{form}.b32 {text}, [${count} + {piece.offset}];")
        first += piece.registers
    lines.append("tcgen05.wait::ld.sync.aligned;")
    letter = "f" if str(kind) == "f32" else "r"
    result = ir.Type.parse(f"!llvm.struct<({', '.join([str(kind)] * count)})>") if count > 1 else kind
    # Early-clobbered: an earlier piece must not overwrite the address.
    op = _assembly(lines, [f"=&{letter}"] * count + ["r"], [address], [result], "tcgen05.ld", pieces)
    return unpack(op.results[0], count, kind) if count > 1 else [op.results[0]]


def store(address: ir.Value, pieces: Sequence[Piece], values: Sequence[ir.Value]) -> None:
    """`tcgen05.st` of all pieces and `tcgen05.wait::st`; the values are of 32 bits."""
    lines, first = [], 1
    for piece in pieces:
        text = _list(range(first, first + piece.registers))
        form = f"{piece.shape}.x{piece.repeat}{'.unpack::16b' if piece.packed else ''}"
        lines.append(f"tcgen05.st.sync.aligned.{form}.b32 [$0 + {piece.offset}], {text};")
        first += piece.registers
    lines.append("tcgen05.wait::st.sync.aligned;")
    letters = ["f" if str(v.type) == "f32" else "r" for v in values]
    _assembly(lines, ["r", *letters], [address, *values], [], "tcgen05.st", pieces)


def _list(numbers: range) -> str:
    return "{" + ", ".join(f"${i}" for i in numbers) + "}"


def _assembly(
    lines: Sequence[str],
    constraints: Sequence[str],
    operands: Sequence[ir.Value],
    results: Sequence[ir.Type],
    name: str,
    pieces: Sequence[Piece],
) -> ir.Operation:
    return ir.Operation.create(
        "llvm.inline_asm",
        results=list(results),
        operands=list(operands),
        attributes={
            "asm_string": ir.StringAttr.get(" ".join(lines)),
            "constraints": ir.StringAttr.get(",".join([*constraints, "~{memory}"])),
            "has_side_effects": ir.UnitAttr.get(),
            "asm_dialect": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 0),
            "tl.instr": ir.StringAttr.get(name),
            "tl.pieces": ir.StringAttr.get(json.dumps([[p.shape, p.repeat, p.offset, p.packed] for p in pieces])),
        },
    )


# -- semantics ---------------------------------------------------------------------------------------------------------
def places(shape: str, repeat: int) -> tuple[np.ndarray, np.ndarray]:
    """Lane and column that register r of lane t accesses, (32, registers) each, relative to the address.

    9.7.16.2.3.1: .32x32b: lane t, column r. .16x128b: registers 2 i and 2 i + 1 of lane t are lanes t / 4 and
    t / 4 + 8, column 4 i + t % 4. .16x256b: of every four registers the pair r / 2 % 2 is in lane t / 4 + 8 * pair,
    columns 8 (r / 4) + 2 (t % 4) + r % 2.
    """
    t, r = np.arange(WARP)[:, None], np.arange(_REGISTERS[shape] * repeat)[None, :]
    if shape == "32x32b":
        return t + 0 * r, r + 0 * t
    if shape == "16x128b":
        return t // 4 + 8 * (r % 2), 4 * (r // 2) + t % 4
    return t // 4 + 8 * (r // 2 % 2), 8 * (r // 4) + 2 * (t % 4) + r % 2


def packed_places(shape: str, repeat: int) -> tuple[np.ndarray, np.ndarray]:
    """The same with .pack::16b: the two columns of a register follow one another, (32, 2 registers).

    9.7.16.8.2, 9.7.16.8.3: the 16-bit elements of adjacent columns are one 32-bit element of the access, the first in
    its low half; the elements lie in the low halves of the columns (9.7.16.10.4.1).
    """
    lane, column = places(shape, repeat)
    return np.repeat(lane, 2, axis=1), (2 * column[..., None] + np.arange(2)).reshape(len(column), -1)


def _pieces(op: ir.Operation) -> tuple[np.ndarray, np.ndarray, bool]:
    """Lane and column offsets of all registers (32, R), or (32, 2 R) where registers are packed."""
    lanes: list[np.ndarray] = []
    columns: list[np.ndarray] = []
    packs = False
    for shape, repeat, offset, packed in json.loads(ir.StringAttr(op.attributes["tl.pieces"]).value):
        lane, column = packed_places(shape, repeat) if packed else places(shape, repeat)
        lanes.append(lane + (offset >> 16))
        columns.append(column + (offset & 0xFFFF))
        packs = packed
    return np.concatenate(lanes, axis=1), np.concatenate(columns, axis=1), packs


def _load(op: ir.Operation) -> Run:
    lane, column, packs = _pieces(op)
    is_float = "f32" in str(op.results[0].type)
    single = not str(op.results[0].type).startswith("!llvm.struct")

    def run(machine: Machine, address: Any) -> Any:
        machine.require_whole_warps("tcgen05.ld")
        words = machine.engine.tensor.load(address, lane, column)
        if packs:
            words = words[..., ::2] & 0xFFFF | words[..., 1::2] << 16
        words = words.view(np.float32 if is_float else np.int32)
        values = tuple(machine.unwarp(words[..., r]) for r in range(words.shape[-1]))
        return values[0] if single else values

    return run


def _store(op: ir.Operation) -> Run:
    lane, column, packs = _pieces(op)

    def run(machine: Machine, address: Any, *values: Any) -> None:
        machine.require_whole_warps("tcgen05.st")
        words = [np.ascontiguousarray(machine.warps(v)).view(np.uint32) for v in values]
        if packs:
            words = [half | UPPER for word in words for half in (word & 0xFFFF, word >> 16)]
        machine.engine.tensor.store(address, lane, column, words)

    return run


def is_pair(op: ir.Operation, name: str = "group") -> bool:
    """Whether an instruction is one of a pair of CTAs."""
    return "cta_2" in flags(op, name)


def _alloc(op: ir.Operation) -> Run:
    pair = is_pair(op)

    def run(machine: Machine, slot: Any, columns: Any) -> None:
        machine.require_whole_warps("tcgen05.alloc")
        machine.engine.tensor.allocate(slot, columns, pair)

    return run


def _relinquish(op: ir.Operation) -> Run:
    pair = is_pair(op)

    def run(machine: Machine) -> None:
        machine.require_warps("tcgen05.relinquish_alloc_permit")
        machine.engine.tensor.relinquish(pair)

    return run


def _dealloc(op: ir.Operation) -> Run:
    pair = is_pair(op)

    def run(machine: Machine, address: Any, columns: Any) -> None:
        machine.require_whole_warps("tcgen05.dealloc")
        machine.engine.tensor.release(address, columns, pair)

    return run


def _commit(op: ir.Operation) -> Run:
    """Without a mask the barrier is this CTA's; with one, that at the same place in each CTA of the mask."""
    pair = is_pair(op)

    def run(machine: Machine, barrier: Any, ranks: Any = None) -> None:
        machine.engine.tensor.commit(barrier, pair, ranks)

    return run


def _fence(op: ir.Operation) -> Run:
    kind = "before" if "before" in flags(op, "kind") else "after"
    return lambda machine: machine.engine.tensor.fence(kind)


def _copy(op: ir.Operation) -> Run:
    """Rows by lane; of scale factors 32 rows, the same in each quarter of the lanes (.warpx4)."""
    shape, pair = flags(op, "shape").partition("shape_")[2].rstrip(">"), is_pair(op)
    rows, units = _CP_SHAPES[shape]

    def run(machine: Machine, address: Any, descriptor: Any) -> None:
        tensor = machine.engine.tensor
        issue = tensor.issue("a tcgen05.cp", pair)
        start, leading, stride, mode = issue.descriptor(descriptor)
        span = next(span for span, code in descriptors.SWIZZLES.items() if code == mode)
        place = descriptors.addresses(start, leading, stride, span, rows, 0, False, 16 * units)
        words = 4 * units
        lane = np.arange(LANES)[:, None] + np.zeros((1, words), np.int64)
        column = issue.column(address)[:, None, None] + np.zeros((LANES, 1), np.int64) + np.arange(words)
        source, target = issue.shared(place), issue.target(lane, column)

        def finish() -> None:
            found = np.ascontiguousarray(source()).view(np.uint32).reshape(len(start), rows, words)
            target(np.tile(found, (1, LANES // rows, 1)))

        issue.start(finish)

    return run


_ALLOC, _MOVE, _CP = "9.7.16.7 tcgen05.alloc", "9.7.16.8 tcgen05.ld, tcgen05.st", "9.7.16.9 tcgen05.cp"
INSTRUCTIONS = (
    Instruction(
        "nvvm.tcgen05.alloc",
        "tcgen05.alloc.cta_group::N.sync.aligned.shared::cta.b32 [s], n",
        _ALLOC,
        _alloc,
        emit=alloc,
        feature=Feature.TCGEN05,
        together=WARP,
        effects=(Effect(Access.WRITE, SHARED, 0, 4),),
    ),
    Instruction(
        "nvvm.tcgen05.relinquish_alloc_permit",
        "tcgen05.relinquish_alloc_permit.cta_group::N.sync.aligned",
        _ALLOC,
        _relinquish,
        emit=relinquish,
        feature=Feature.TCGEN05,
        together=WARP,
    ),
    Instruction(
        "nvvm.tcgen05.dealloc",
        "tcgen05.dealloc.cta_group::N.sync.aligned.b32 t, n",
        _ALLOC,
        _dealloc,
        emit=dealloc,
        feature=Feature.TCGEN05,
        together=WARP,
    ),
    Instruction(
        "tcgen05.ld",
        "tcgen05.ld.sync.aligned.32x32b.xN.b32 {d}, [t]; tcgen05.wait::ld.sync.aligned",
        _MOVE,
        _load,
        emit=load,
        feature=Feature.TCGEN05,
        together=WARP,
        effects=(Effect(Access.READ, TENSOR, 0),),
    ),
    Instruction(
        "tcgen05.st",
        "tcgen05.st.sync.aligned.32x32b.xN.b32 [t], {s}; tcgen05.wait::st.sync.aligned",
        _MOVE,
        _store,
        emit=store,
        feature=Feature.TCGEN05,
        together=WARP,
        effects=(Effect(Access.WRITE, TENSOR, 0),),
    ),
    Instruction(
        "nvvm.tcgen05.cp",
        "tcgen05.cp.cta_group::N.{32x128b.warpx4,128x256b} [t], s",
        _CP,
        _copy,
        emit=copy_scales,
        feature=Feature.TCGEN05,
        effects=(Effect(Access.READ, SHARED, group=GROUP), Effect(Access.WRITE, TENSOR, 0, group=GROUP)),
    ),
    Instruction(
        "nvvm.tcgen05.commit",
        "tcgen05.commit.cta_group::N.mbarrier::arrive::one.shared::cluster{.multicast::cluster}.b64 [b]{, m}",
        "9.7.16.12 tcgen05.commit",
        _commit,
        emit=commit,
        feature=Feature.TCGEN05,
        effects=(Effect(Access.COMMIT, SHARED, group=GROUP),),
    ),
    Instruction(
        "nvvm.tcgen05.fence",
        "tcgen05.fence::after_thread_sync",
        "9.7.16.11 tcgen05.fence",
        _fence,
        emit=fence,
        feature=Feature.TCGEN05,
        effects=(Effect(Access.FENCE),),
    ),
)
