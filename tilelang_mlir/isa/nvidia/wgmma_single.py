"""One warpgroup product by itself: `wgmma.mma_async`, between a fence and a commit of the program's own.

PTX ISA 8.7, section 9.7.15.5.2; see `wgmma` for descriptors and accumulators.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilelang_mlir.isa.instruction import SHARED, WARPGROUP, Access, Effect, Instruction, Run, unpack
from tilelang_mlir.isa.nvidia.wgmma import depth, require_warpgroups, struct_of, sum_kind
from tilelang_mlir.isa.nvidia.wgmma_operands import (
    BYTES,
    INTEGERS,
    Accumulator,
    addresses,
    fragment_a,
    matrix,
    multiply,
    of_warpgroups,
    start_matrix,
)
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

NAME = "wgmma.mma_async"


@dataclass(frozen=True)
class Form:
    """What a product is: columns, element types, which operands are MN-major, which change sign."""

    n: int
    kinds: tuple[str, str]
    transposes: tuple[bool, bool] = (False, False)
    negates: tuple[bool, bool] = (False, False)


def emit(
    sums: Sequence[ir.Value], a: Sequence[ir.Value], b: Sequence[ir.Value], scale: ir.Value, form: Form
) -> list[ir.Value]:
    """`wgmma.mma_async.sync.aligned.m64nNkK`: D = A B + (scale ? D : 0).

    Args:
        sums: n / 2 values f32 (i32 for integers).
        a: lower and upper word of a descriptor (i32), or four registers of A.
        b: lower and upper word of a descriptor.
        scale: i32; zero starts from zero.

    Returns:
        The new sums; they have no value before their group has been waited for.
    """
    count, kind = len(sums), form.kinds[0]
    element = sums[0].type
    letter = "r" if kind in INTEGERS else "f"
    first = 2 * count  # the sums are inputs too
    b_first, last = first + len(a), first + len(a) + 2
    text = ["{", ".reg .pred p;", ".reg .b64 a, b;", f"setp.ne.b32 p, ${last}, 0;"]
    if len(a) == 2:
        text.append(f"mov.b64 a, {{${first}, ${first + 1}}};")
    text.append(f"mov.b64 b, {{${b_first}, ${b_first + 1}}};")
    left = "a" if len(a) == 2 else "{" + ", ".join(f"${first + i}" for i in range(4)) + "}"
    signs = "" if kind in INTEGERS else "".join(f", {-1 if n else 1}" for n in form.negates)
    turned = form.transposes if len(a) == 2 else form.transposes[1:]
    majors = "".join(f", {int(t)}" for t in turned) if kind in ("f16", "bf16") else ""
    shape = f"wgmma.mma_async.sync.aligned.m64n{form.n}k{depth(kind)}.{sum_kind(kind)}.{kind}.{form.kinds[1]}"
    text.append(f"{shape} {{{', '.join(f'${i}' for i in range(count))}}}, {left}, b, p{signs}{majors}; }}")
    constraints = [f"=&{letter}"] * count + [str(i) for i in range(count)] + ["r"] * (len(a) + 3)
    facts = {"n": form.n, "kinds": form.kinds, "turned": form.transposes, "negate": form.negates, "a": len(a)}
    op = ir.Operation.create(
        "llvm.inline_asm",
        results=[struct_of(element, count)],
        operands=[*sums, *a, *b, scale],
        attributes={
            "asm_string": ir.StringAttr.get(" ".join(text)),
            "constraints": ir.StringAttr.get(",".join(constraints)),
            "has_side_effects": ir.UnitAttr.get(),
            "asm_dialect": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 0),
            "tl.instr": ir.StringAttr.get(NAME),
            "tl.product": ir.StringAttr.get(json.dumps(facts)),
        },
    )
    return unpack(op.result, count, element)


def _word(low: Any, high: Any) -> np.ndarray:
    """A descriptor from its words."""
    return np.asarray(low, np.int64) & 0xFFFFFFFF | np.asarray(high, np.int64) << 32


def _semantics(op: ir.Operation) -> Run:
    facts = json.loads(ir.StringAttr(op.attributes["tl.product"]).value)
    n, kinds, turned, words = facts["n"], facts["kinds"], facts["turned"], facts["a"]
    negative = facts["negate"][0] != facts["negate"][1]
    half = n // 2

    def run(machine: Any, *values: Any) -> tuple[Any, ...]:
        require_warpgroups(machine)
        sums, a, b, scale = values[:half], values[half : half + words], values[half + words : -1], values[-1]
        adds = of_warpgroups(machine, scale)
        places = [addresses(machine, _word(*b), n, BYTES[kinds[1]], turned[1])]
        if words == 2:
            places.insert(0, addresses(machine, _word(*a), 64, BYTES[kinds[0]], turned[0]))
        result = Accumulator(n, machine.site)

        def finish() -> None:
            if words == 2:
                left = matrix(machine, places[0], kinds[0], turned[0])
            else:
                left = fragment_a(machine, list(a), kinds[0])
            product = multiply(left, matrix(machine, places[-1], kinds[1], turned[1]), kinds[0])
            product = -product if negative else product
            before = np.where(adds, start_matrix(machine, sums, n, kinds[0]), 0) if adds.any() else 0
            result.matrix = before + product

        machine.engine.issue_product(finish, [p.reshape(p.shape[0], -1) for p in places])
        return tuple(result[i] for i in range(half))

    return run


INSTRUCTIONS = (
    Instruction(
        NAME,
        "wgmma.mma_async.sync.aligned.m64nNkK.d.a.b d, a, b, p, sa, sb, ta, tb",
        "9.7.15.5.2 wgmma.mma_async",
        _semantics,
        emit=emit,
        feature=Feature.WGMMA,
        together=WARPGROUP,
        effects=(Effect(Access.READ, SHARED, group="wgmma"),),
    ),
)
