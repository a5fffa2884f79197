"""Warpgroup products. PTX ISA 8.7, section 9.7.15 (wgmma).

The product runs asynchronously: it reads shared memory and has a value only when its group has been waited for.
Descriptor (9.7.15.5.1.2): bits 0-13 start address / 16, 16-29 leading byte offset / 16, 32-45 stride byte offset / 16,
62-63 swizzle (0 none, 1 128 bytes, 2 64 bytes, 3 32 bytes). Accumulator fragment (9.7.15.5.1.1): register i of lane l
of warp w holds row 16 w + l / 4 + 8 * (i / 2 % 2), column 8 * (i / 4) + 2 * (l % 4) + i % 2.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilelang_mlir.errors import SimulationError, UnsupportedError
from tilelang_mlir.isa.instruction import (
    SHARED,
    WARPGROUP,
    Access,
    Effect,
    Instruction,
    Run,
    create,
    flags,
    integer,
    type_of,
    unpack,
)
from tilelang_mlir.isa.nvidia.wgmma_operands import (
    BYTES,
    INTEGERS,
    Accumulator,
    Register,
    addresses,
    fragment_a,
    matrix,
    multiply,
    start_matrix,
)
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

_GROUP = "wgmma"


def depth(kind: str) -> int:
    """k of one instruction: 32 bytes of elements."""
    return 32 // BYTES[kind]


def allows(kind: str, n: int) -> bool:
    """Whether an instruction has n columns: multiples of 8 up to 256; of 16 from 32 on for integers (9.7.15.5.2)."""
    return 0 < n <= 256 and n % (16 if kind in INTEGERS and n > 24 else 8) == 0


def emit(
    accumulator: ir.Value,
    a: ir.Value,
    b: ir.Value,
    n: int,
    kind: str = "f16",
    b_kind: str = "",
    *,
    accumulate: bool = True,
    transpose_a: bool = False,
    transpose_b: bool = False,
    negate_a: bool = False,
    negate_b: bool = False,
) -> ir.Value:
    """`wgmma.mma_async.sync.aligned.m64nNkK.f32` (or `.s32`), both operands in shared memory.

    Args:
        accumulator: `!llvm.struct` of n / 2 values f32 (i32 for integers); see `pack`.
        a, b: i64 descriptors.
        n: see `allows`.
        kind, b_kind: f16, bf16, tf32, e4m3 or e5m2, s8 or u8; the two fp8 kinds mix, and the two integer kinds.
        accumulate: add to the accumulator (False: start from zero).
        transpose_a, transpose_b: the operand is MN-major (16-bit kinds only).
        negate_a, negate_b: the operand's elements change sign (floats only).

    Returns:
        The new accumulator; it has no value before `wait`.
    """
    scale = "one" if accumulate else "zero"
    layout_a, layout_b = ("col" if transpose_a else "row"), ("row" if transpose_b else "col")
    return create(
        "nvvm.wgmma.mma_async",
        [accumulator, a, b],
        [accumulator.type],
        shape=f"#nvvm.shape<m = 64, n = {n}, k = {depth(kind)}>",
        typeA=f"#nvvm.wgmma_type<{kind}>",
        typeB=f"#nvvm.wgmma_type<{b_kind or kind}>",
        typeD=f"#nvvm.wgmma_type<{sum_kind(kind)}>",
        scaleD=f"#nvvm.wgmma_scale_out<{scale}>",
        scaleA=f"#nvvm.wgmma_scale_in<{'neg' if negate_a else 'one'}>",
        scaleB=f"#nvvm.wgmma_scale_in<{'neg' if negate_b else 'one'}>",
        layoutA=f"#nvvm.mma_layout<{layout_a}>",
        layoutB=f"#nvvm.mma_layout<{layout_b}>",
    )


def sum_kind(kind: str) -> str:
    """How the accumulators of products of a kind are called."""
    return "s32" if kind in INTEGERS else "f32"


def struct_of(element: ir.Type, count: int) -> ir.Type:
    """Accumulators as assembly returns them. Named, for every read of a field spells the type out in LLVM IR."""
    return type_of(f"!llvm.struct<\"{element}x{count}\", ({', '.join([str(element)] * count)})>")


def _constraint(element: ir.Type) -> str:
    """The register class of accumulators in inline assembly."""
    return "f" if str(element) == "f32" else "r"


def pack(values: Sequence[ir.Value]) -> ir.Value:
    """f32 or i32 values as the struct `emit` takes."""
    kind = struct_of(values[0].type, len(values))
    struct = create("llvm.mlir.undef", [], [kind])
    for index, value in enumerate(values):
        struct = create("llvm.insertvalue", [struct, value], [kind], position=ir.DenseI64ArrayAttr.get([index]))
    return struct


def fence() -> None:
    """`wgmma.fence.sync.aligned`: before the first product, and after other accesses to its registers."""
    create("nvvm.wgmma.fence.aligned")


def commit() -> None:
    """`wgmma.commit_group.sync.aligned`."""
    create("nvvm.wgmma.commit.group.sync.aligned")


def wait(pending: int, accumulator: ir.Value, count: int) -> list[ir.Value]:
    """`wgmma.wait_group.sync.aligned`, tied to an accumulator so that no use moves above it; returns its values."""
    element = ir.F32Type.get() if "f32" in str(accumulator.type) else ir.IntegerType.get_signless(32)
    return _tied_wait(unpack(accumulator, count, element), pending)


def _tied_wait(values: list[ir.Value], pending: int) -> list[ir.Value]:
    element, count = values[0].type, len(values)
    constraints = ",".join([f"={_constraint(element)}"] * count + [str(k) for k in range(count)])
    i64 = ir.IntegerType.get_signless(64)
    op = ir.Operation.create(
        "llvm.inline_asm",
        results=[struct_of(element, count)],
        operands=values,
        attributes={
            "asm_string": ir.StringAttr.get(f"wgmma.wait_group.sync.aligned {pending};"),
            "constraints": ir.StringAttr.get(constraints),
            "has_side_effects": ir.UnitAttr.get(),
            "asm_dialect": ir.IntegerAttr.get(i64, 0),
            "tl.instr": ir.StringAttr.get("wgmma.wait_group"),
            "tl.pending": ir.IntegerAttr.get(i64, pending),
        },
    )
    return unpack(op.result, count, element)


def _product(op: ir.Operation) -> Run:
    sizes = flags(op, "shape").replace(",", " ").replace(">", " ").split("<")[1].split()
    n, kinds = int(sizes[5]), [flags(op, name).partition("<")[2].rstrip(">").split()[-1] for name in ("typeA", "typeB")]
    if any(kind not in BYTES for kind in kinds) or sum_kind(kinds[0]) not in flags(op, "typeD"):
        raise UnsupportedError(f"the simulator has no wgmma of {kinds[0]} into {flags(op, 'typeD')}")
    transposes = "col" in flags(op, "layoutA"), "row" in flags(op, "layoutB")
    fresh = "zero" in flags(op, "scaleD")
    negate = ("neg" in flags(op, "scaleA")) != ("neg" in flags(op, "scaleB"))

    def run(machine: Any, start: Any, a: Any, b: Any) -> Accumulator:
        require_warpgroups(machine)
        places = [
            addresses(machine, d, rows, BYTES[kind], trans)
            for d, rows, kind, trans in zip((a, b), (64, n), kinds, transposes, strict=True)
        ]
        result = Accumulator(n, machine.site)

        def finish() -> None:
            left, right = (matrix(machine, p, kind, t) for p, kind, t in zip(places, kinds, transposes, strict=True))
            product = multiply(left, right, kinds[0])
            product = -product if negate else product
            result.matrix = product if fresh else start_matrix(machine, start, n, kinds[0]) + product

        machine.engine.issue_product(finish, [p.reshape(p.shape[0], -1) for p in places])
        return result

    return run


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


def product(
    sums: Sequence[ir.Value],
    left: Descriptor | Sequence[Sequence[ir.Value]],
    right: Descriptor,
    n: int,
    kinds: tuple[str, str],
    *,
    k: int,
    clear: bool = False,
    blocks: int = 1,
    wait: int | None = 0,
) -> list[ir.Value]:
    """A whole product of a warpgroup: fence, all k steps, commit and, unless it is left to `wait_for`, a wait.

    Args:
        sums: `blocks * n / 2` accumulators f32 (i32 for integers), block by block; empty with `clear`.
        left: A in shared memory, or four i32 registers per block and k step, block by block.
        right: B in shared memory.
        n: columns, see `allows`. kinds: of A and B, see `emit`. k: of one step, `depth(kind)`.
        clear: start from zero.
        blocks: blocks of 64 rows.
        wait: how many groups may be incomplete when it ends (None: it does not wait). Unless that is 0 the results have
            no value before `wait_for`; they may be the sums of a further product.

    Returns:
        `blocks * n / 2` values f32 (i32 for integers).
    """
    shared = isinstance(left, Descriptor)
    steps = len(right.moves)
    count = blocks * n // 2
    reads = [left.low] if shared else [word for words in left for word in words]
    inputs = [*([] if clear else sums), *reads, right.low]
    text = _assembly(left if shared else None, right, n, kinds, k, steps, blocks, clear, wait)
    kept = [] if clear else [str(i) for i in range(count)]
    element = ir.IntegerType.get_signless(32) if kinds[0] in INTEGERS else ir.F32Type.get()
    register = _constraint(element)
    constraints = [f"=&{register}" if clear else f"={register}"] * count + kept + ["r"] * (len(reads) + 1)
    facts = _facts(left if shared else None, right, n, kinds, blocks, clear, wait)
    op = ir.Operation.create(
        "llvm.inline_asm",
        results=[struct_of(element, count)],
        operands=inputs,
        attributes={
            "asm_string": ir.StringAttr.get(text),
            "constraints": ir.StringAttr.get(",".join(constraints)),
            "has_side_effects": ir.UnitAttr.get(),
            "asm_dialect": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 0),
            "tl.instr": ir.StringAttr.get("wgmma.product"),
            "tl.product": ir.StringAttr.get(facts),
        },
    )
    return unpack(op.result, count, element)


def _assembly(
    left: Descriptor | None,
    right: Descriptor,
    n: int,
    kinds: tuple[str, str],
    k: int,
    steps: int,
    blocks: int,
    clear: bool,
    wait: int | None,
) -> str:
    """PTX text; operands: accumulators, then (tied inputs,) the words of A or its low word, then B's low word."""
    half, first = n // 2, blocks * n // 2 * (1 if clear else 2)
    words = 1 if left is not None else 4 * blocks * steps
    transposes = (
        f", {int(left.transposed)}, {int(right.transposed)}" if left is not None else f", {int(right.transposed)}"
    )
    majors = transposes if kinds[0] in ("f16", "bf16") else ""
    signs = "" if kinds[0] in INTEGERS else ", 1, 1"
    lines = ["{", ".reg .pred p;", ".reg .b32 t;", ".reg .b64 a, b;", "wgmma.fence.sync.aligned;"]
    for block in range(blocks):
        sums = ", ".join(f"${block * half + i}" for i in range(half))
        for step in range(steps):
            lines.append(f"setp.ne.b32 p, {int(not (clear and step == 0))}, 0;")
            if left is not None:
                lines.append(f"add.s32 t, ${first}, {left.moves[step] + left.ahead[block]};")
                lines.append(f"mov.b64 a, {{t, {left.high}}};")
                operand = "a"
            else:
                start = first + 4 * (block * steps + step)
                operand = "{" + ", ".join(f"${start + i}" for i in range(4)) + "}"
            lines.append(f"add.s32 t, ${first + words}, {right.moves[step]};")
            lines.append(f"mov.b64 b, {{t, {right.high}}};")
            shape = f"wgmma.mma_async.sync.aligned.m64n{n}k{k}.{sum_kind(kinds[0])}.{kinds[0]}.{kinds[1]}"
            lines.append(f"{shape} {{{sums}}}, {operand}, b, p{signs}{majors};")
    end = [f"wgmma.wait_group.sync.aligned {wait};"] if wait is not None else []
    return " ".join([*lines, "wgmma.commit_group.sync.aligned;", *end, "}"])


def wait_for(values: Sequence[ir.Value], pending: int) -> list[ir.Value]:
    """`wgmma.wait_group`, tied to the accumulators of a finished product so that no use moves above it."""
    return _tied_wait(list(values), pending)


def _facts(
    left: Descriptor | None,
    right: Descriptor,
    n: int,
    kinds: tuple[str, str],
    blocks: int,
    clear: bool,
    wait: int | None,
) -> str:
    """What the assembly computes, for its semantics."""

    def side(d: Descriptor | None) -> object:
        return None if d is None else [d.high, list(d.moves), list(d.ahead), d.transposed]

    return json.dumps(
        {"a": side(left), "b": side(right), "n": n, "kinds": kinds, "blocks": blocks, "clear": clear, "wait": wait}
    )


def _whole_product(op: ir.Operation) -> Run:
    facts = json.loads(ir.StringAttr(op.attributes["tl.product"]).value)
    n, kinds, blocks, clear = facts["n"], facts["kinds"], facts["blocks"], facts["clear"]
    high_b, moves_b, _, trans_b = facts["b"]
    steps, half = len(moves_b), n // 2

    def place(machine: Any, low: Any, high: int, move: int, rows: int, kind: str, transposed: bool) -> np.ndarray:
        signed = high - (1 << 32 if high >> 31 else 0)
        word = (np.asarray(low).astype(np.int64) & 0xFFFFFFFF) + move | np.int64(signed << 32)
        return addresses(machine, word, rows, BYTES[kind], transposed)

    def run(machine: Any, *values: Any) -> tuple[Any, ...]:
        require_warpgroups(machine)
        sums = () if clear else values[: blocks * half]
        operands, low_b = values[len(sums) : -1], values[-1]
        results: list[Accumulator] = []
        for block in range(blocks):
            result = Accumulator(n, machine.site)
            lefts: list[Any] = []
            if facts["a"] is not None:
                high_a, moves_a, ahead, trans_a = facts["a"]
                lefts = [place(machine, operands[0], high_a, m + ahead[block], 64, kinds[0], trans_a) for m in moves_a]
            rights = [place(machine, low_b, high_b, m, n, kinds[1], trans_b) for m in moves_b]

            def finish(
                block: int = block, result: Accumulator = result, lefts: list[Any] = lefts, rights: list[Any] = rights
            ) -> None:
                total = None if clear else start_matrix(machine, sums[block * half : (block + 1) * half], n, kinds[0])
                for step in range(steps):
                    if lefts:
                        a = matrix(machine, lefts[step], kinds[0], facts["a"][3])
                    else:
                        first = 4 * (block * steps + step)
                        a = fragment_a(machine, list(operands[first : first + 4]), kinds[0])
                    b = matrix(machine, rights[step], kinds[1], trans_b)
                    part = multiply(a, b, kinds[0])
                    total = part if total is None else total + part
                result.matrix = total

            reads = [p.reshape(p.shape[0], -1) for p in (*lefts, *rights)]
            machine.engine.issue_product(finish, reads)
            results.append(result)
        machine.engine.commit_products()
        if facts["wait"] is not None:
            machine.engine.wait_products(facts["wait"])
        return tuple(result[i] for result in results for i in range(half))

    return run


def require_warpgroups(machine: Any) -> None:
    """An error unless whole warpgroups run together."""
    threads = machine.threads
    aligned = len(threads) % 128 == 0 and (threads.reshape(-1, 128)[:, 0] % 128 == 0).all()
    if machine.mask is not None and not machine.mask.all() or not aligned:
        raise SimulationError(
            "wgmma is reached by a part of a warpgroup", hint="all 128 threads must execute it together"
        )


def _wait_op(op: ir.Operation) -> Run:
    pending = integer(op, "group")
    return lambda machine: machine.engine.wait_products(pending)


def _wait_tied(op: ir.Operation) -> Run:
    pending = integer(op, "tl.pending")

    def run(machine: Any, *values: Any) -> tuple[Any, ...]:
        machine.engine.wait_products(pending)
        return tuple(v.get() if isinstance(v, Register) and v.is_complete else v for v in values)

    return run


_SECTION = "9.7.15 wgmma"
INSTRUCTIONS = (
    Instruction(
        "nvvm.wgmma.fence.aligned",
        "wgmma.fence.sync.aligned",
        _SECTION,
        lambda op: lambda machine: None,
        emit=fence,
        feature=Feature.WGMMA,
        together=WARPGROUP,
        effects=(Effect(Access.FENCE),),
    ),
    Instruction(
        "nvvm.wgmma.mma_async",
        "wgmma.mma_async.sync.aligned.m64nNkK.f32.a.b d, a, b, p, 1, 1, ta, tb",
        _SECTION,
        _product,
        emit=emit,
        feature=Feature.WGMMA,
        together=WARPGROUP,
        effects=(Effect(Access.READ, SHARED, group=_GROUP),),
    ),
    Instruction(
        "nvvm.wgmma.commit.group.sync.aligned",
        "wgmma.commit_group.sync.aligned",
        _SECTION,
        lambda op: lambda machine: machine.engine.commit_products(),
        emit=commit,
        feature=Feature.WGMMA,
        together=WARPGROUP,
        effects=(Effect(Access.COMMIT, group=_GROUP),),
    ),
    Instruction(
        "nvvm.wgmma.wait.group.sync.aligned",
        "wgmma.wait_group.sync.aligned n",
        _SECTION,
        _wait_op,
        feature=Feature.WGMMA,
        together=WARPGROUP,
        effects=(Effect(Access.WAIT, group=_GROUP),),
    ),
    Instruction(
        "wgmma.wait_group",
        "wgmma.wait_group.sync.aligned n, tied to registers",
        _SECTION,
        _wait_tied,
        emit=wait,
        feature=Feature.WGMMA,
        together=WARPGROUP,
        effects=(Effect(Access.WAIT, group=_GROUP),),
    ),
    Instruction(
        "wgmma.product",
        "wgmma.fence; wgmma.mma_async ...; wgmma.commit_group; wgmma.wait_group n",
        _SECTION,
        _whole_product,
        emit=product,
        feature=Feature.WGMMA,
        together=WARPGROUP,
        effects=(Effect(Access.READ, SHARED),),
    ),
)
