"""Whole products of warpgroups as one piece of assembly: fence, all k steps, commit and wait.

Dense: PTX ISA 8.7, section 9.7.15.5.2 (wgmma.mma_async); A 2:4 sparse: section 9.7.15.6 (wgmma.mma_async.sp). The
sparse instruction is twice as deep: A holds half of the elements and has the registers or the 32 bytes a row of a dense
A, B has 64 bytes a row. Each thread has a word of metadata; 9.7.15.6.1 assigns its bits as mma.sp does for the 16 rows
of each warp (see `mma_sparse`). See `wgmma` for descriptors and accumulators.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilelang_mlir.isa.instruction import SHARED, WARPGROUP, Access, Effect, Instruction, Run, type_of, unpack
from tilelang_mlir.isa.nvidia import mma_sparse
from tilelang_mlir.isa.nvidia.wgmma import constraint, depth, require_warpgroups, struct_of, sum_kind
from tilelang_mlir.isa.nvidia.wgmma_operands import (
    BYTES,
    INTEGERS,
    STEP_BYTES,
    Accumulator,
    HalfAccumulator,
    Register,
    addresses,
    fragment_a,
    matrix,
    multiply,
    of_warpgroups,
    start_matrix,
)
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

NAME = "wgmma.product"


@dataclass(frozen=True)
class Descriptor:
    """A shared operand of `product`: descriptors of its k steps and blocks of 64 rows.

    `low` is the i32 low word (start address / 16, leading offset / 16 in the upper half), `high` the constant high
    word; step s of block b starts `moves[s] + ahead[b]` units of 16 bytes further. `transposed`: MN-major.
    """

    low: ir.Value
    high: int
    moves: tuple[int, ...]
    ahead: tuple[int, ...] = (0,)
    transposed: bool = False


def high_word(stride: int, span: int) -> int:
    """The high word of a descriptor: bytes between groups of eight rows, swizzle span (16: none, 32, 64, 128)."""
    return stride >> 4 | {16: 0, 128: 1, 64: 2, 32: 3}[span] << 30


@dataclass(frozen=True)
class Form:
    """What a product is, apart from its operands: columns, element types of A and B, blocks of 64 rows, whether it
    starts from zero (None: an operand says), how many groups may be incomplete when it ends (None: it does not wait),
    whether A is sparse, and the type of the sums (f32, s32, or f16 in pairs)."""

    n: int
    kinds: tuple[str, str]
    blocks: int
    clear: bool | None
    wait: int | None
    sparse: bool
    total: str

    @property
    def per_block(self) -> int:
        """Registers of a thread for 64 rows."""
        return self.n // (4 if self.total == "f16" else 2)

    @property
    def count(self) -> int:
        """Registers of a thread."""
        return self.blocks * self.per_block

    @property
    def element(self) -> ir.Type:
        """What such a register holds."""
        return type_of({"f16": "vector<2xf16>", "f32": "f32", "s32": "i32"}[self.total])


def product(
    sums: Sequence[ir.Value],
    left: Descriptor | Sequence[Sequence[ir.Value]],
    right: Descriptor,
    n: int,
    kinds: tuple[str, str],
    *,
    clear: bool | ir.Value = False,
    blocks: int = 1,
    wait: int | None = 0,
    metadata: Sequence[ir.Value] = (),
    half: bool = False,
) -> list[ir.Value]:
    """A whole product of a warpgroup: fence, all k steps, commit and, unless it is left to `wait_for`, a wait.

    Args:
        sums: `blocks * n / 2` accumulators f32 (i32 for integers), block by block; empty where `clear` is true.
        left: A in shared memory, or four i32 registers per block and k step, block by block.
        right: B in shared memory.
        n: columns, see `allows`. kinds: of A and B, see `emit`.
        clear: start from zero; an i32 decides at run time, one for all lanes of a warpgroup (the predicate scale-d).
        blocks: blocks of 64 rows.
        wait: how many groups may be incomplete when it ends (None: it does not wait). Unless that is 0 the results have
            no value before `wait_for`; they may be the sums of a further product.
        metadata: of a 2:4 sparse A, an i32 per block and k step, block by block.
        half: sums of float16 (of f16 and fp8 operands): vectors of two neighbours of a row, `blocks * n / 4` of them.

    Returns:
        `blocks * n / 2` values f32 (i32 for integers), or `blocks * n / 4` vectors of two f16.
    """
    shared = isinstance(left, Descriptor)
    decided = isinstance(clear, bool)
    total = "f16" if half else sum_kind(kinds[0])
    form = Form(n, kinds, blocks, clear if decided else None, wait, bool(metadata), total)
    reads = [left.low] if shared else [word for words in left for word in words]
    inputs = [*([] if form.clear else sums), *reads, *metadata, right.low, *([] if decided else [clear])]
    kept = [] if form.clear else [str(i) for i in range(form.count)]
    element = form.element
    register = constraint(element)
    results = [f"=&{register}" if form.clear else f"={register}"] * form.count
    op = ir.Operation.create(
        "llvm.inline_asm",
        results=[struct_of(element, form.count)],
        operands=inputs,
        attributes={
            "asm_string": ir.StringAttr.get(_assembly(left if shared else None, right, form)),
            "constraints": ir.StringAttr.get(",".join(results + kept + ["r"] * (len(inputs) - len(kept)))),
            "has_side_effects": ir.UnitAttr.get(),
            "asm_dialect": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 0),
            "tl.instr": ir.StringAttr.get(NAME),
            "tl.product": ir.StringAttr.get(_facts(left if shared else None, right, form)),
        },
    )
    return unpack(op.result, form.count, element)


def _assembly(left: Descriptor | None, right: Descriptor, form: Form) -> str:
    """PTX text; operands: accumulators, (tied inputs,) A's words or low word, (metadata,) B's low word(, clear)."""
    kind, steps, half = form.kinds[0], len(right.moves), form.per_block
    first = form.count * (1 if form.clear else 2)
    words = 1 if left is not None else 4 * form.blocks * steps
    low_b = first + words + (form.blocks * steps if form.sparse else 0)
    majors = [left.transposed, right.transposed] if left is not None else [right.transposed]
    flags = "".join(f", {int(turned)}" for turned in majors) if kind in ("f16", "bf16") else ""
    signs = "" if kind in INTEGERS else ", 1, 1"
    name, k = ("mma_async.sp", 2 * depth(kind)) if form.sparse else ("mma_async", depth(kind))
    lines = ["{", ".reg .pred p;", ".reg .b32 t;", ".reg .b64 a, b;", "wgmma.fence.sync.aligned;"]
    for block in range(form.blocks):
        sums = ", ".join(f"${block * half + i}" for i in range(half))
        for step in range(steps):
            if form.clear is None and step == 0:
                lines.append(f"setp.eq.b32 p, ${low_b + 1}, 0;")
            else:
                lines.append(f"setp.ne.b32 p, {int(not (form.clear and step == 0))}, 0;")
            if left is not None:
                lines.append(f"add.s32 t, ${first}, {left.moves[step] + left.ahead[block]};")
                lines.append(f"mov.b64 a, {{t, {left.high}}};")
                operand = "a"
            else:
                start = first + 4 * (block * steps + step)
                operand = "{" + ", ".join(f"${start + i}" for i in range(4)) + "}"
            lines.append(f"add.s32 t, ${low_b}, {right.moves[step]};")
            lines.append(f"mov.b64 b, {{t, {right.high}}};")
            places = f", ${first + words + block * steps + step}, 0" if form.sparse else ""
            shape = f"wgmma.{name}.sync.aligned.m64n{form.n}k{k}.{form.total}.{kind}.{form.kinds[1]}"
            lines.append(f"{shape} {{{sums}}}, {operand}, b{places}, p{signs}{flags};")
    end = [f"wgmma.wait_group.sync.aligned {form.wait};"] if form.wait is not None else []
    return " ".join([*lines, "wgmma.commit_group.sync.aligned;", *end, "}"])


def _facts(left: Descriptor | None, right: Descriptor, form: Form) -> str:
    """What the assembly computes, for its semantics."""

    def side(d: Descriptor | None) -> object:
        return None if d is None else [d.high, list(d.moves), list(d.ahead), d.transposed]

    facts = {"a": side(left), "b": side(right), "n": form.n, "kinds": form.kinds, "blocks": form.blocks}
    return json.dumps({**facts, "clear": form.clear, "wait": form.wait, "sparse": form.sparse, "total": form.total})


def _place(
    machine: Any, low: Any, side: list[Any], step: int, block: int, rows: int, size: int, deep: int
) -> np.ndarray:
    """Addresses of one step of an operand whose elements have `size` bytes."""
    high, moves, ahead, transposed = side
    signed = high - (1 << 32 if high >> 31 else 0)
    word = (np.asarray(low).astype(np.int64) & 0xFFFFFFFF) + moves[step] + ahead[block] | np.int64(signed << 32)
    return addresses(machine, word, rows, size, transposed, deep)


def _semantics(op: ir.Operation) -> Run:
    facts = json.loads(ir.StringAttr(op.attributes["tl.product"]).value)
    n, kinds, blocks, clear, sparse = (facts[x] for x in ("n", "kinds", "blocks", "clear", "sparse"))
    side_a, side_b = facts["a"], facts["b"]
    steps, narrow = len(side_b[1]), facts["total"] == "f16"
    half = n // (4 if narrow else 2)
    deep = 2 * STEP_BYTES if sparse else STEP_BYTES

    def left(machine: Any, place: Any, words: Any, code: Any) -> np.ndarray:
        """A of one block and step (C, warpgroups, 64, k), read now."""
        a = matrix(machine, place, kinds[0], side_a[3]) if side_a else fragment_a(machine, list(words), kinds[0])
        return _dense(machine, a, code, kinds[0]) if sparse else a

    def run(machine: Any, *values: Any) -> tuple[Any, ...]:
        require_warpgroups(machine)
        sums = () if clear else values[: blocks * half]
        adds = of_warpgroups(machine, values[-1] == 0) if clear is None else not clear
        *operands, low_b = values[len(sums) : len(values) - (clear is None)]
        codes = operands[len(operands) - blocks * steps :] if sparse else [None] * (blocks * steps)
        results: list[Accumulator] = []
        for block in range(blocks):
            result = HalfAccumulator(n, machine.site) if narrow else Accumulator(n, machine.site)
            lefts: list[Any] = [None] * steps
            if side_a is not None:
                size = BYTES[kinds[0]]
                lefts = [_place(machine, operands[0], side_a, s, block, 64, size, STEP_BYTES) for s in range(steps)]
            rights = [_place(machine, low_b, side_b, s, 0, n, BYTES[kinds[1]], deep) for s in range(steps)]

            def finish(
                block: int = block, result: Accumulator = result, lefts: list[Any] = lefts, rights: list[Any] = rights
            ) -> None:
                start = sums[block * half : (block + 1) * half]
                start = _halves(start) if narrow else start
                total = None if clear else start_matrix(machine, start, n, kinds[0])
                total = np.where(adds, total, 0) if clear is None and total is not None else total
                for step in range(steps):
                    at = block * steps + step
                    a = left(machine, lefts[step], operands[4 * at : 4 * at + 4], codes[at])
                    part = multiply(a, matrix(machine, rights[step], kinds[1], side_b[3]), kinds[0])
                    total = part if total is None else total + part
                    if narrow:  # how an instruction rounds its sums is not specified; once is the best it can do
                        total = total.astype(np.float16).astype(np.float32)
                result.matrix = total

            reads = [p.reshape(p.shape[0], -1) for p in (*lefts, *rights) if p is not None]
            machine.engine.issue_product(finish, reads)
            results.append(result)
        machine.engine.commit_products()
        if facts["wait"] is not None:
            machine.engine.wait_products(facts["wait"])
        return tuple(result[i] for result in results for i in range(half))

    return run


def _halves(pairs: Sequence[Any]) -> list[Any]:
    """The sums in pairs of float16, one by one."""
    known = [pair.get() if isinstance(pair, Register) else pair for pair in pairs]
    return [pair[..., side] for pair in known for side in range(2)]


def _dense(machine: Any, stored: np.ndarray, words: Any, kind: str) -> np.ndarray:
    """A (C, warpgroups, 64, k) of what is stored of it (C|1, warpgroups, 64, k / 2) and the lanes' metadata."""
    lanes = np.ascontiguousarray(machine.warps(words)).view(np.uint32)
    ctas, groups = max(len(stored), len(lanes)), stored.shape[1]
    wide = np.broadcast_to(stored, (ctas, *stored.shape[1:])).reshape(ctas, groups, 4, 16, -1)
    codes = np.broadcast_to(lanes, (ctas, *lanes.shape[1:])).reshape(ctas, groups, 4, 32)
    return mma_sparse.dense(wide, codes, 8 * BYTES[kind], 0).reshape(ctas, groups, 64, -1)


INSTRUCTIONS = (
    Instruction(
        NAME,
        "wgmma.fence; wgmma.mma_async{.sp} ...; wgmma.commit_group; wgmma.wait_group n",
        "9.7.15.5.2 wgmma.mma_async, 9.7.15.6 wgmma.mma_async.sp",
        _semantics,
        emit=product,
        feature=Feature.WGMMA,
        together=WARPGROUP,
        effects=(Effect(Access.READ, SHARED),),
    ),
)
