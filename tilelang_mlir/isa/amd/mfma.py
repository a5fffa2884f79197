"""Matrix products of a wave of 64 lanes on the matrix cores. CDNA3 ISA, chapter 7, "Matrix Arithmetic Instructions".

For one block of M x N x K with e elements of A and B per lane (chapter 7.1.4, layouts; "lane" counts within the block):
 A element i: row lane % M, column e * (lane / M) + i
 B element i: row e * (lane / N) + i, column lane % N
 D element i: column lane % N; rows come in groups of four: row 4 * (lane / N) + i % 4 + (256 / M) * (i / 4)
              for float64, rows come one by one: row lane / N + 4 * i
Forms with blocks hold several independent products: block b has lanes M * b to M * b + M - 1 of every M * blocks
lanes, which are all 64, or in the form of float64 16, one such group for each element along K and each row of D. The
forms of CDNA4 have twice the elements per lane. Results of float32 forms are float32.

Modifiers (chapter 7, "Broadcasting Values"): of every 2^CBSZ neighbouring blocks all take A of number ABID. BLGP says
which lanes' B the lanes use (`PATTERNS`): those of the first or second half, of one quarter, or of the next quarter.
Forms of float64 have neither.

Scaled forms (CDNA4 ISA, chapter 7.2, "Dense Matrices" with block exponent scaling) hold 32 elements of A per lane, with
g = lane / M and G = 64 / M: of 8 bits, element i is column 16 * g + i % 16 + 16 * G * (i / 16); of 6 and 4
bits, column 32 * g + i, in bits 6 * i (4 * i) and up of six (four) registers. Columns 32 * g to 32 * g + 31 of row
lane % M are scaled by 2^(s - 127), where s is the byte that OPSEL names of the lane's scale register; 255 is no number.
B likewise, with rows and columns exchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.amd import formats, matrix
from tilelang_mlir.isa.amd.matrix import Tables
from tilelang_mlir.isa.instruction import WARP, Grid, Instruction, Machine, Run, constant, create, flags, integer
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

WAVE = 64


@dataclass(frozen=True)
class Form:
    """One instruction: sizes of a block, number of blocks, kinds of A and B, the feature that has it."""

    name: str
    m: int
    n: int
    k: int
    a: str
    b: str
    feature: Feature
    blocks: int = 1

    @property
    def elements(self) -> int:
        """Elements of A (and of B) per lane."""
        return self.m * self.k * self.blocks // WAVE

    @property
    def op_name(self) -> str:
        return f"rocdl.mfma.{self.name}"

    @property
    def sum(self) -> str:
        """The type of C and D."""
        return next(part for part in self.name.split(".") if part in ("f32", "i32", "f64"))

    @property
    def sums(self) -> int:
        """Elements of D per lane."""
        return self.m * self.n * self.blocks // WAVE


_F = Feature
FORMS: tuple[Form, ...] = (
    *(
        Form(f"f32.{m}x{m}x{k}{text}", m, m, k, kind, kind, feature)
        for kind, feature, spelling in (
            ("f16", _F.MFMA, ((32, 8, "f16"), (16, 16, "f16"))),
            ("bf16", _F.MFMA, ((32, 8, "bf16.1k"), (16, 16, "bf16.1k"))),
            ("f32", _F.MFMA, ((32, 2, "f32"), (16, 4, "f32"))),
            ("xf32", _F.MFMA_XF32, ((32, 4, ".xf32"), (16, 8, ".xf32"))),
            ("f16", _F.MFMA_DOUBLE, ((32, 16, ".f16"), (16, 32, ".f16"))),
            ("bf16", _F.MFMA_DOUBLE, ((32, 16, ".bf16"), (16, 32, ".bf16"))),
        )
        for m, k, text in spelling
    ),
    *(
        Form(f"f32.{m}x{m}x{k}.{a}.{b}", m, m, k, a, b, _F.MFMA_FP8)
        for m, k in ((32, 16), (16, 32))
        for a in ("fp8", "bf8")
        for b in ("fp8", "bf8")
    ),
    *(
        Form(f"i32.{m}x{m}x{k}{text}", m, m, k, "i8", "i8", feature)
        for m, k, text, feature in (
            (32, 8, "i8", _F.MFMA_I8_NARROW), (16, 16, "i8", _F.MFMA_I8_NARROW), (32, 16, ".i8", _F.MFMA_I8),
            (16, 32, ".i8", _F.MFMA_I8), (32, 32, ".i8", _F.MFMA_DOUBLE), (16, 64, ".i8", _F.MFMA_DOUBLE),
        )
    ),
    Form("f64.16x16x4f64", 16, 16, 4, "f64", "f64", _F.MFMA),
    Form("f64.4x4x4f64", 4, 4, 4, "f64", "f64", _F.MFMA, 4),
    Form("f32.4x4x4f16", 4, 4, 4, "f16", "f16", _F.MFMA, 16),
    Form("f32.4x4x4bf16.1k", 4, 4, 4, "bf16", "bf16", _F.MFMA, 16),
    Form("f32.4x4x1f32", 4, 4, 1, "f32", "f32", _F.MFMA, 16),
    Form("i32.4x4x4i8", 4, 4, 4, "i8", "i8", _F.MFMA, 16),
)  # fmt: skip
BY_OP = {form.op_name: form for form in FORMS}
SCALED_FORMS: tuple[Form, ...] = tuple(
    Form(f"scale.f32.{m}x{m}x{k}.f8f6f4", m, m, k, a, b, Feature.MFMA_SCALED)
    for m, k in ((32, 64), (16, 128))
    for a, b in product(("fp8", "bf8", "fp6", "bf6", "fp4"), repeat=2)
)
"""Forms that take the element formats as modifiers, and a scale per 32 elements along K."""
SCALE_BLOCK = 32
_SCALED = {"rocdl.mfma.scale.f32.16x16x128.f8f6f4": (16, 128), "rocdl.mfma.scale.f32.32x32x64.f8f6f4": (32, 64)}
_SCALED_KINDS = {
    "fp8": "fp8_e4m3", "bf8": "fp8_e5m2", "fp6": "fp6_e2m3", "bf6": "fp6_e3m2", "fp4": "fp4_e2m1",
}  # fmt: skip
PATTERNS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda lane: lane,
    "bcast_first_32": lambda lane: lane % 32,
    "bcast_second_32": lambda lane: lane % 32 + 32,
    "rotate_16_right": lambda lane: (lane + 16) % WAVE,
    "bcast_first_16": lambda lane: lane % 16,
    "bcast_second_16": lambda lane: lane % 16 + 16,
    "bcast_third_16": lambda lane: lane % 16 + 32,
    "bcast_fourth_16": lambda lane: lane % 16 + 48,
}
"""The lanes whose B each lane uses, by LLVM's name of the pattern; their order is the encoding of BLGP."""
UNIT_SCALE = 0x7F7F7F7F
"""Four E8M0 scales of 2^0."""


def operand_type(form: Form, side: int = 0) -> ir.Type:
    """The type that A (side 0) or B travels in: vectors of the elements, integers for packed bytes."""
    count, kind = form.elements, (form.a, form.b)[side]
    if kind in ("f32", "f64"):
        return ir.Type.parse(kind)
    if kind == "xf32":
        return ir.Type.parse(f"vector<{count}xf32>")
    if kind == "f16" or kind == "bf16" and not form.name.endswith(".1k"):
        return ir.Type.parse(f"vector<{count}x{kind}>")
    if kind == "bf16":
        return ir.Type.parse(f"vector<{count}xi16>")
    size = count * formats.bits_of(kind) // 8
    return ir.Type.parse({4: "i32", 8: "i64"}.get(size) or f"vector<{size // 4}xi32>")


def sum_type(form: Form) -> ir.Type:
    """The type of C and D."""
    if form.sums == 1:
        return ir.Type.parse(form.sum)
    return ir.Type.parse(f"vector<{form.sums}x{form.sum}>")


@dataclass(frozen=True)
class Modifiers:
    """CBSZ, ABID and BLGP of an instruction, as in the module's docstring."""

    cbsz: int = 0
    abid: int = 0
    blgp: str = "none"


def emit(
    form: Form, a: ir.Value, b: ir.Value, c: ir.Value, fnuz: bool = False, modifiers: Modifiers = Modifiers()
) -> ir.Value:
    """`v_mfma`: D = A B + C, in the types of `operand_type` and `sum_type`.

    `fnuz` says that the machine's 8-bit floats have no negative zero; it is a remark for readers of the program. Scaled
    forms get scales of 2^0.
    """
    if form in SCALED_FORMS:
        one = constant(UNIT_SCALE)
        return emit_scaled(form.m, a, b, c, (form.a, form.b), (one, one))
    modifier = "mfma_neg_modifier" if form.a == "f64" else "mfma_perm_b"
    attributes = {
        "cbsz": f"{modifiers.cbsz} : i32", "abid": f"{modifiers.abid} : i32",
        "blgp": f"#rocdl<{modifier} {modifiers.blgp}>",
    }  # fmt: skip
    remark = {formats.REMARK: "unit"} if fnuz else {}
    return create(form.op_name, [a, b, c], [c.type], **attributes, **remark)


def emit_scaled(
    m: int, a: ir.Value, b: ir.Value, c: ir.Value, kinds: tuple[str, str], scales: tuple[ir.Value, ir.Value],
    bytes_: tuple[int, int] = (0, 0),
) -> ir.Value:  # fmt: skip
    """`v_mfma_scale_f32_*_f8f6f4`: D = (A * SA) (B * SB) + C.

    Args:
        m: 16 or 32, rows and columns. a, b: eight i32 of 8-bit floats, six of 6-bit, four of 4-bit ones.
        kinds: fp8, bf8, fp6, bf6 or fp4, of A and of B.
        scales: i32 of the lane, as in the module's docstring.
        bytes_: which byte of these counts.
    """
    name = next(n for n, (size, _) in _SCALED.items() if size == m)
    first, second = (f"#rocdl<matrix_format {_SCALED_KINDS[kind]}>" for kind in kinds)
    return create(
        name, [a, b, c, *scales], [c.type], opselA=f"{bytes_[0]} : i32", opselB=f"{bytes_[1]} : i32", cbsz=first,
        blgp=second,
    )  # fmt: skip


@cache
def tables(m: int, n: int, k: int, blocks: int, single_rows: bool, modifiers: Modifiers = Modifiers()) -> Tables:
    """Index tables of the layouts in the module's docstring."""
    per = m * k * blocks // WAVE
    block, row, column = np.ogrid[:blocks, :m, :k]
    group = 1 << modifiers.cbsz
    source = block // group * group + modifiers.abid if group > 1 else block
    a = (m * (source + blocks * (column // per)) + row) * per + column % per
    block, row, column = np.ogrid[:blocks, :k, :n]
    b = PATTERNS[modifiers.blgp](n * (block + blocks * (row // per)) + column) * per + row % per
    lane = np.arange(WAVE)[:, None]
    element = np.arange(m * n * blocks // WAVE)[None, :]
    part = lane // n // blocks
    d_row = part + 4 * element if single_rows else 4 * part + element % 4 + 256 // m * (element // 4)
    shape = np.broadcast_shapes(lane.shape, element.shape)
    return Tables(a, b, *(np.broadcast_to(x, shape) for x in (lane // n % blocks, d_row, lane % n)))


def _modifiers(op: ir.Operation, form: Form) -> Modifiers:
    """What an op says of broadcasts and permutations.

    Raises:
        UnsupportedError: the instruction has none, or not so many blocks.
    """
    blgp = next((name for name in PATTERNS if f" {name}>" in flags(op, "blgp")), "")
    found = Modifiers(integer(op, "cbsz"), integer(op, "abid"), blgp)
    if form.a == "f64" and found != Modifiers():
        raise UnsupportedError(f"{op.name} has no broadcasts and permutations of lanes")
    if 1 << found.cbsz > form.blocks or found.abid >> found.cbsz:
        raise UnsupportedError(f"{op.name} with CBSZ {found.cbsz} and ABID {found.abid}: it has {form.blocks} blocks")
    return found


def _grid(op: ir.Operation) -> Run:
    form = BY_OP[op.name]
    found = tables(form.m, form.n, form.k, form.blocks, form.a == "f64", _modifiers(op, form))
    kinds = formats.kind_of(op, form.a), formats.kind_of(op, form.b)

    def run(machine: Machine, lefts: list[Any], rights: list[Any], starts: list[Any]) -> list[np.ndarray]:
        machine.require_whole_warps("v_mfma")
        groups = ([x for (x,) in values] for values in (lefts, rights, starts))
        return matrix.multiply(machine, found, kinds, *groups)

    return run


def _split(op: ir.Operation) -> tuple[tuple[ir.Value, ...], tuple[ir.Value, ...], tuple[ir.Value, ...]]:
    a, b, c = op.operands
    return (a,), (b,), (c,)


@cache
def scaled_operand(m: int, k: int, bits: int) -> np.ndarray:
    """Where row r, column c of an operand of a scaled form lies: lane * 32 + element, (m, k)."""
    groups = WAVE // m
    row, column = np.ogrid[:m, :k]
    if bits < 8:
        return (row + m * (column // SCALE_BLOCK)) * SCALE_BLOCK + column % SCALE_BLOCK
    half = column // (16 * groups)
    return (row + m * (column // 16 % groups)) * SCALE_BLOCK + 16 * half + column % 16


def _scales(machine: Machine, words: Any, byte: int, m: int) -> np.ndarray:
    """The factor of each row and column: byte `byte` of lane r + m * (c / 32)."""
    held = machine.warps(words)
    held = np.broadcast_to(held, np.broadcast_shapes(held.shape, machine.active().shape))
    code = held.astype(np.int64) >> (8 * byte) & 0xFF
    value = np.where(code == 255, np.nan, np.exp2(code - 127.0)).astype(np.float32)
    lane = np.arange(m)[:, None] + m * np.arange(WAVE // m)[None, :]
    return np.repeat(value[:, :, lane], SCALE_BLOCK, axis=3)


def _scaled(op: ir.Operation) -> Run:
    m, k = _SCALED[op.name]
    kinds = [next((n for n, text in _SCALED_KINDS.items() if text in str(op.attributes[key])), "")
             for key in ("cbsz", "blgp")]  # fmt: skip
    if not all(kinds):
        raise UnsupportedError("the simulator has scaled MFMA of 8-bit, 6-bit and 4-bit floats only")
    places = [scaled_operand(m, k, formats.bits_of(kind)) for kind in kinds]
    bytes_ = integer(op, "opselA"), integer(op, "opselB")
    sums = tables(m, m, k, 1, False)

    def run(machine: Machine, a: Any, b: Any, c: Any, scale_a: Any, scale_b: Any) -> np.ndarray:
        machine.require_whole_warps("v_mfma_scale")
        left = matrix.elements(a, kinds[0], machine).take(places[0], axis=2)
        right = matrix.elements(b, kinds[1], machine).take(places[1], axis=2)
        left = left * _scales(machine, scale_a, bytes_[0], m)
        right = right * _scales(machine, scale_b, bytes_[1], m)
        product = np.matmul(left, right.swapaxes(2, 3))[:, :, sums.d_row, sums.d_column]
        return (product.reshape(product.shape[0], -1, sums.d_row.shape[1]) + c).astype(np.float32)

    return run


_SECTION = "7 matrix arithmetic instructions"
INSTRUCTIONS = (
    *(
        Instruction(form.op_name, f"v_mfma_{form.name.replace('.', '_')} d, a, b, c", _SECTION, matrix.single(_grid),
                    emit=emit, feature=form.feature, together=WARP, grid=Grid(_split, _grid))
        for form in FORMS
    ),
    *(
        Instruction(name, f"{name.replace('rocdl.', 'v_').replace('.', '_')} d, a, b, c, sa, sb", f"CDNA4 {_SECTION}",
                    _scaled, emit=emit_scaled, feature=Feature.MFMA_SCALED, together=WARP)
        for name in _SCALED
    ),
)  # fmt: skip
