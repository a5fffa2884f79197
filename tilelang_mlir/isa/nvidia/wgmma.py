"""Warpgroup products. PTX ISA 8.7, section 9.7.15 (wgmma).

The product runs asynchronously: it reads shared memory and has a value only when its group has been waited for.
Descriptor (9.7.15.5.1.2): bits 0-13 start address / 16, 16-29 leading byte offset / 16, 32-45 stride byte offset / 16,
62-63 swizzle (0 none, 1 128 bytes, 2 64 bytes, 3 32 bytes). Accumulator fragment (9.7.15.5.1.1): register i of lane l
of warp w holds row 16 w + l / 4 + 8 * (i / 2 % 2), column 8 * (i / 4) + 2 * (l % 4) + i % 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


def constraint(element: ir.Type) -> str:
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
    constraints = ",".join([f"={constraint(element)}"] * count + [str(k) for k in range(count)])
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


def wait_for(values: Sequence[ir.Value], pending: int) -> list[ir.Value]:
    """`wgmma.wait_group`, tied to the accumulators of a finished product so that no use moves above it."""
    return _tied_wait(list(values), pending)


def require_warpgroups(machine: Any) -> None:
    """An error unless whole warpgroups run together."""
    threads = machine.threads
    aligned = len(threads) % 128 == 0 and (threads.reshape(-1, 128)[:, 0] % 128 == 0).all()
    if machine.mask is not None and not machine.mask.all() or not aligned:
        raise SimulationError(
            "wgmma is reached by a part of a warpgroup", hint="all 128 threads must execute it together"
        )


def _fence(machine: Any) -> None:
    machine.require_warps("wgmma.fence")


def _commit(machine: Any) -> None:
    machine.require_warps("wgmma.commit_group")
    machine.engine.commit_products()


def _wait(pending: int) -> Run:
    def run(machine: Any) -> None:
        machine.require_warps("wgmma.wait_group")
        machine.engine.wait_products(pending)

    return run


def _wait_op(op: ir.Operation) -> Run:
    return _wait(integer(op, "group"))


def _wait_tied(op: ir.Operation) -> Run:
    wait_for_groups = _wait(integer(op, "tl.pending"))

    def run(machine: Any, *values: Any) -> tuple[Any, ...]:
        wait_for_groups(machine)
        return tuple(v.get() if isinstance(v, Register) and v.is_complete else v for v in values)

    return run


_SECTION = "9.7.15 wgmma"
INSTRUCTIONS = (
    Instruction(
        "nvvm.wgmma.fence.aligned",
        "wgmma.fence.sync.aligned",
        _SECTION,
        lambda op: _fence,
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
        lambda op: _commit,
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
)
