"""Tensor core products of a warp. PTX ISA 8.7, section 9.7.14.5 (mma.sync).

All m16n8 shapes follow one rule: with e elements per 32-bit register, g = lane / 4, t = lane % 4,
 A register q, element i: row g + 8 * (q % 2), column t * e + i + 4 * e * (q / 2)
 B register q, element i: row t * e + i + 4 * e * q, column g
 C element i:             row g + 8 * (i / 2), column 2 * t + i % 2
(9.7.14.5.7 to 9.7.14.5.11 and the figures there). m8n8 shapes are the half with rows g only. Products are summed in
float32 (integers are exact there) or float64; the order of the hardware's sum is not documented, so results agree to
rounding only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa import numeric
from tilelang_mlir.isa.instruction import WARP, Grid, Instruction, Machine, Run, bitcast, flags, type_of, unpack
from tilelang_mlir.mlir import ContextTable, int_array, ir
from tilelang_mlir.target import Feature

_SPELLINGS = ContextTable()
_BITS = {"f16": 16, "bf16": 16, "tf32": 32, "s8": 8, "u8": 8, "e4m3": 8, "e5m2": 8, "f64": 64}
_SHAPES = {
    16: ((16, 8, 8), (16, 8, 16)),
    32: ((16, 8, 4), (16, 8, 8)),
    8: ((16, 8, 16), (16, 8, 32), (8, 8, 16)),
    64: ((8, 8, 4),),
}


def registers(shape: tuple[int, int, int], kind: str) -> tuple[int, int]:
    """How many registers a lane holds of A and of B (32-bit; 64-bit for f64)."""
    m, n, k = shape
    bits = _BITS[kind]
    width = max(bits, 32)
    return m * k * bits // 32 // width, n * k * bits // 32 // width


def emit(
    a: Sequence[ir.Value],
    b: Sequence[ir.Value],
    c: Sequence[ir.Value],
    shape: tuple[int, int, int] = (16, 8, 16),
    a_type: str = "f16",
    b_type: str = "f16",
    c_type: str = "f32",
) -> list[ir.Value]:
    """`mma.sync.aligned.m{m}n{n}k{k}.row.col`: D = A * B + C.

    Args:
        a, b: registers of the lane: i32 (or a 2 x f16 vector) each, f64 for "f64". Counts: `registers`.
        c: accumulators: m * n / 32 values of f32, i32 or f64; for c_type "f16" half as many i32 (or 2 x f16 vectors).
            The values of each list are of one type.
        a_type, b_type: f16, bf16, tf32, s8, u8, e4m3, e5m2, f64. Only s8/u8 and e4m3/e5m2 mix.
        c_type: f32, f16, s32 or f64.

    Returns:
        D in the types of `c`.
    """
    spelling = _spelling(shape, (a_type, b_type, c_type), (len(a), len(b), len(c)))
    kind = c[0].type
    operands = [*_as(a, spelling.operand), *_as(b, spelling.operand), *_as(c, spelling.sum)]
    product = ir.Operation.create("nvvm.mma.sync", spelling.results, operands, spelling.attributes).result
    return list(_as(unpack(product, len(c), spelling.sum), kind))


def _as(values: Sequence[ir.Value], kind: ir.Type) -> Sequence[ir.Value]:
    """Registers of one type as those of another; a kernel has thousands, most of them of the right one."""
    return values if values[0].type == kind else [bitcast(v, kind) for v in values]


@dataclass(frozen=True)
class _Spelling:
    """Types and attributes of the op, the same for all products of a kernel."""

    operand: ir.Type
    sum: ir.Type
    results: list[ir.Type]
    attributes: dict[str, ir.Attribute]


def _spelling(
    shape: tuple[int, int, int], kinds: tuple[str, str, str], counts: tuple[int, int, int]
) -> _Spelling:
    known = _SPELLINGS.of(ir.Context.current)
    if (found := known.get((shape, kinds, counts))) is not None:
        return found
    half, i32 = type_of("vector<2xf16>"), ir.IntegerType.get_signless(32)
    operand = half if kinds[0] == "f16" else ir.F64Type.get() if kinds[0] == "f64" else i32
    result = {"f32": ir.F32Type.get(), "f16": half, "s32": i32, "f64": ir.F64Type.get()}[kinds[2]]
    m, n, k = shape
    texts = {
        "layoutA": "#nvvm.mma_layout<row>",
        "layoutB": "#nvvm.mma_layout<col>",
        "shape": f"#nvvm.shape<m = {m}, n = {n}, k = {k}>",
        "multiplicandAPtxType": f"#nvvm.mma_type<{kinds[0]}>",
        "multiplicandBPtxType": f"#nvvm.mma_type<{kinds[1]}>",
    }
    if kinds[0] in ("s8", "u8"):
        texts["intOverflowBehavior"] = "#nvvm.mma_int_overflow<wrapped>"
    attributes = {name: ir.Attribute.parse(text) for name, text in texts.items()}
    attributes["operandSegmentSizes"] = ir.DenseI32ArrayAttr.get(list(counts))
    struct = type_of(f"!llvm.struct<({', '.join([str(result)] * counts[2])})>")
    return known.setdefault((shape, kinds, counts), _Spelling(operand, result, [struct], attributes))


@dataclass(frozen=True)
class _Form:
    """What an mma.sync op computes, read from its attributes and types."""

    m: int
    k: int
    a: str
    b: str
    half_sum: bool
    counts: tuple[int, int, int]

    @classmethod
    def of(cls, op: ir.Operation) -> _Form:
        sizes = flags(op, "shape").replace(",", " ").replace(">", " ").split("<")[1].split()
        m, n, k = (int(sizes[i]) for i in (2, 5, 8))
        a_words, b_words, sums = int_array(op.attributes["operandSegmentSizes"])
        counts = a_words, b_words, sums
        kinds = []
        for name, index in (("multiplicandAPtxType", 0), ("multiplicandBPtxType", counts[0])):
            text = flags(op, name).partition("<")[2].rstrip(">").split()
            implied = "f64" if str(op.operands[index].type) == "f64" else "f16"
            kinds.append(text[-1] if text else implied)
        if n != 8 or kinds[0] not in _BITS or (m, n, k) not in _SHAPES[_BITS[kinds[0]]]:
            raise UnsupportedError(f"the simulator has no mma.sync m{m}n{n}k{k} of {kinds[0]}")
        half = str(op.operands[counts[0] + counts[1]].type) == "vector<2xf16>"
        return cls(m, k, kinds[0], kinds[1], half, counts)

    @property
    def elements(self) -> int:
        """Elements per register."""
        return max(32 // _BITS[self.a], 1)


def _raw(value: Any, elements: int, kind: str) -> np.ndarray:
    """A register (C|1, T) or vector (C|1, T, 2) as element bit patterns (C|1, T * elements)."""
    if value.ndim == 3:
        value = np.ascontiguousarray(value).view(np.uint32)[..., 0]
    unit = {1: value.dtype if kind == "f64" else np.uint32, 2: np.uint16, 4: np.uint8}[elements]
    return np.ascontiguousarray(value).view(unit)


def _decode(bits: np.ndarray, kind: str) -> np.ndarray:
    """Bit patterns -> numbers to multiply: float32, or float64 for integers (exact up to 2^53)."""
    if kind == "f16":
        return numeric.HALF_TO_FLOAT.take(bits)
    if kind == "bf16":
        return numeric.bf16_bits_to_float(bits)
    if kind == "tf32":
        return numeric.truncate_tf32(bits)
    if kind in ("e4m3", "e5m2"):
        return numeric.fp8_to_float(kind).take(bits)
    if kind == "s8":
        return bits.view(np.int8).astype(np.float32)
    return bits.astype(np.float32) if kind == "u8" else bits


def decode_registers(machine: Machine, values: Sequence[Any], kind: str, *, rows: bool) -> np.ndarray:
    """The numbers in 32-bit registers of A (C, W, 16, k) or, without `rows`, of B (C, W, k, 8)."""
    e = 32 // _BITS[kind]
    registers_ = [_bits(_varying(v), machine.shape[1] // 32, machine, kind, e) for v in values]
    whole = np.stack(np.broadcast_arrays(*registers_), axis=2)  # (C, W, register, g, t, element)
    c, w, count = whole.shape[:3]
    if rows:
        whole = whole.reshape(c, w, count // 2, 2, 8, 4, e).transpose(0, 1, 3, 4, 2, 5, 6).reshape(c, w, 16, -1)
    else:
        whole = whole.transpose(0, 1, 2, 4, 5, 3).reshape(c, w, -1, 8)
    return _decode(np.ascontiguousarray(whole), kind)


def _grid(op: ir.Operation) -> Run:
    form = _Form.of(op)

    def run(machine: Machine, lefts: list[Any], rights: list[Any], starts: list[Any]) -> list[Any]:
        _require_warps(machine)
        lefts = [[_varying(x) for x in regs] for regs in lefts]
        rights = [[_varying(x) for x in regs] for regs in rights]
        ctas = max(x.shape[0] for regs in (*lefts, *rights) for x in regs)
        warps = machine.shape[1] // 32
        left = _decode(_left(lefts, ctas, warps, machine, form), form.a)
        right = _decode(_right(rights, ctas, warps, machine, form), form.b)
        left = left.reshape(ctas * warps, len(lefts) * form.m, form.k)
        right = right.reshape(ctas * warps, form.k, len(rights) * 8)
        product = np.matmul(left, right).reshape(ctas, warps, len(lefts), form.m // 8, 8, len(rights), 4, 2)
        parts = np.ascontiguousarray(product.transpose(2, 5, 3, 7, 0, 1, 4, 6))
        parts = parts.reshape(len(lefts) * len(rights), form.m // 4, ctas, warps * 32)
        return [_accumulate(form, part, start) for part, start in zip(parts, starts, strict=True)]

    return run


def _varying(value: Any) -> np.ndarray:
    return value if isinstance(value, np.ndarray) and value.ndim >= 2 else np.asarray(value).reshape(1, 1)


def _bits(register: Any, warps: int, machine: Machine, kind: str, e: int) -> np.ndarray:
    """A register as bit patterns (C|1, W, g, t, element)."""
    if register.shape[1] == 1:
        register = np.broadcast_to(register, (register.shape[0], machine.shape[1], *register.shape[2:]))
    return _raw(register, e, kind).reshape(-1, warps, 8, 4, e)


def _left(fragments: list[Any], ctas: int, warps: int, machine: Machine, form: _Form) -> np.ndarray:
    """A of several fragments as bit patterns, row-major: (C, W, fragment, row / 8, g, register / rows, t, element)."""
    rows, depth, e = form.m // 8, form.counts[1], form.elements
    dtype = _raw(fragments[0][0], e, form.a).dtype
    out = np.empty((ctas, warps, len(fragments), rows, 8, depth, 4, e), dtype)
    for i, registers_ in enumerate(fragments):
        for q, register in enumerate(registers_):
            out[:, :, i, q % rows, :, q // rows] = _bits(register, warps, machine, form.a, e)
    return out


def _right(fragments: list[Any], ctas: int, warps: int, machine: Machine, form: _Form) -> np.ndarray:
    """B of several fragments as bit patterns, k-major: (C, W, register, t, element, fragment, g)."""
    depth, e = form.counts[1], form.elements
    dtype = _raw(fragments[0][0], e, form.b).dtype
    out = np.empty((ctas, warps, depth, len(fragments), 8, 4, e), dtype)
    for j, registers_ in enumerate(fragments):
        for q, register in enumerate(registers_):
            out[:, :, q, j] = _bits(register, warps, machine, form.b, e)
    return np.ascontiguousarray(out.transpose(0, 1, 2, 5, 6, 3, 4))


def _accumulate(form: _Form, part: np.ndarray, start: tuple[Any, ...]) -> tuple[Any, ...]:
    """D = product + C by register; `part` is (register, C, T)."""
    if form.half_sum:
        pairs = [
            np.stack((part[2 * q], part[2 * q + 1]), axis=2) + start[q].astype(np.float32) for q in range(len(start))
        ]
        return tuple(p.astype(np.float16) for p in pairs)
    if form.a in ("s8", "u8"):
        return tuple(part[q].astype(np.int32) + start[q] for q in range(len(start)))
    return tuple(part[q] + start[q] for q in range(len(start)))


def _require_warps(machine: Machine) -> None:
    if machine.mask is None and machine.shape[1] % 32 == 0:
        return
    machine.require_whole_warps("mma.sync")


def _split(op: ir.Operation) -> tuple[tuple[ir.Value, ...], tuple[ir.Value, ...], tuple[ir.Value, ...]]:
    na, nb, _ = int_array(op.attributes["operandSegmentSizes"])
    values = tuple(op.operands)
    return values[:na], values[na : na + nb], values[na + nb :]


def _single(op: ir.Operation) -> Run:
    run, (na, nb, _) = _grid(op), _Form.of(op).counts
    return lambda machine, *v: run(machine, [v[:na]], [v[na : na + nb]], [v[na + nb :]])[0]


INSTRUCTIONS = (
    Instruction(
        "nvvm.mma.sync",
        "mma.sync.aligned.mMnNkK.row.col.d.a.b.c d, a, b, c",
        "9.7.14.5 mma.sync",
        _single,
        emit=emit,
        feature=Feature.MMA_F16,
        together=WARP,
        grid=Grid(_split, _grid),
    ),
)


def bits_of(kind: str) -> int:
    """Bits of an element."""
    return _BITS[kind]


def feature_of(kind: str) -> Feature:
    """The feature that operands of a type need."""
    return {
        "f16": Feature.MMA_F16,
        "bf16": Feature.MMA_BF16,
        "tf32": Feature.MMA_BF16,
        "s8": Feature.MMA_INT8,
        "u8": Feature.MMA_INT8,
        "e4m3": Feature.MMA_FP8,
        "e5m2": Feature.MMA_FP8,
        "f64": Feature.MMA_F64,
    }[kind]
