"""tcgen05.mma: products that one thread starts, with the accumulator in tensor memory. PTX ISA 8.7, section 9.7.16.10.

D = A B (+ D): A from shared memory (a descriptor) or tensor memory (an address), B from shared memory. Rows of D by
lane (9.7.16.10.5): 128 rows are the lanes; of 64, row r is lane 32 (r / 16) + r % 16. An element of D takes a column,
of which float16 is the lower half (9.7.16.10.4.1). A in tensor memory holds row r in lane r, and the elements along k
in 32-bit columns, low bits first (9.7.16.10.4). With block scales (9.7.16.10.7) every 32 (16) elements along k are
multiplied by a factor: that of row r lies in lane r % 32 of each quarter, column r / 32, in the byte that the
instruction descriptor names.

A pair of CTAs (.cta_group::2) computes twice as many rows: with M = 256 each CTA has 128 rows of A and D in its own
shared and tensor memory, and half of the columns of B in its shared memory (9.7.16.10.5, layout A). With M = 128 it has
64 rows: row r of D is lane r for the left half of the columns and lane 64 + r for the right one (layout B). The CTA of
even rank has the first half of each. Addresses and descriptors hold for both. Scale factors of A are those of the CTA's
rows, those of B all of them, in each CTA.

Elements of 4 and 6 bits of .kind::f8f6f4 and .kind::mxf8f6f4 are padded in shared memory (9.7.16.10.2, packing
formats): 16 of them take the first 8 or 12 of 16 bytes, low bits first, so a k step is 32 bytes for all widths.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa import numeric
from tilelang_mlir.isa.instruction import (
    SHARED,
    TENSOR,
    Access,
    Effect,
    Instruction,
    Machine,
    Run,
    create,
    flags,
)
from tilelang_mlir.isa.nvidia import tcgen05_descriptors as descriptors
from tilelang_mlir.isa.nvidia import tcgen05_sparse
from tilelang_mlir.isa.nvidia.tcgen05 import GROUP, LANES, UPPER, is_pair, pointer
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

_GROUPS = ("#nvvm.cta_group<cta_1>", "#nvvm.cta_group<cta_2>")


def emit(
    d: ir.Value,
    a: ir.Value,
    b: ir.Value,
    instruction: ir.Value,
    accumulate: ir.Value,
    kind: str,
    *,
    pair: bool = False,
) -> None:
    """`tcgen05.mma.cta_group::N.kind`: one k step, issued by one thread (of one CTA of a pair).

    Args:
        d: i32 address of the accumulator.
        a: i64 shared memory descriptor, or i32 address in tensor memory.
        b: i64 shared memory descriptor.
        instruction: i32 instruction descriptor.
        accumulate: i1; false starts from zero.
        kind: f16, tf32, f8f6f4 or i8.
    """
    create(
        "nvvm.tcgen05.mma",
        [pointer(d), _operand(a), b, instruction, accumulate],
        kind=f"#nvvm.tcgen05_mma_kind<{kind}>",
        ctaGroup=_GROUPS[pair],
        operandSegmentSizes=ir.DenseI32ArrayAttr.get([1, 1, 1, 1, 1, 0, 0]),
    )


def emit_scaled(
    d: ir.Value,
    a: ir.Value,
    b: ir.Value,
    instruction: ir.Value,
    accumulate: ir.Value,
    scales: tuple[ir.Value, ir.Value],
    kind: str,
    block: int,
    *,
    pair: bool = False,
) -> None:
    """`tcgen05.mma...block_scale`: one k step with the i32 addresses of A's and B's scale factors.

    `kind` is mxf8f6f4, mxf4 or mxf4nvf4, `block` the elements along k of one factor (32 or 16).
    """
    create(
        "nvvm.tcgen05.mma.block_scale",
        [pointer(d), _operand(a), b, instruction, accumulate, *(pointer(s) for s in scales)],
        kind=f"#nvvm.tcgen05_mma_kind<{kind}>",
        ctaGroup=_GROUPS[pair],
        blockScale=f"#nvvm.tcgen05_mma_block_scale<block{block}>",
    )


def emit_sparse(
    d: ir.Value, a: ir.Value, b: ir.Value, instruction: ir.Value, accumulate: ir.Value, metadata: ir.Value, kind: str
) -> None:
    """`tcgen05.mma.sp`: one k step of a 2:4 sparse A, with the i32 address of its metadata (`tcgen05_sparse`)."""
    create(
        "nvvm.tcgen05.mma.sp",
        [pointer(d), _operand(a), b, instruction, accumulate, pointer(metadata)],
        kind=f"#nvvm.tcgen05_mma_kind<{kind}>",
        ctaGroup=_GROUPS[0],
        operandSegmentSizes=ir.DenseI32ArrayAttr.get([1, 1, 1, 1, 1, 1, 0, 0]),
    )


def _operand(a: ir.Value) -> ir.Value:
    return pointer(a) if str(a.type) == "i32" else a


# -- semantics ---------------------------------------------------------------------------------------------------------
_DECODE_16 = {"f16": numeric.HALF_TO_FLOAT.take, "bf16": numeric.bf16_bits_to_float}


_PADDED = {"e2m1": 8, "e2m3": 4, "e3m2": 4}  # bytes that are read at once of padded units


def decode_padded(raw: np.ndarray, kind: str) -> np.ndarray:
    """Elements along the last axis of bytes (..., units, 8 or 12): 16 of a unit."""
    if kind == "e2m1":
        return decode(np.ascontiguousarray(raw).reshape(*raw.shape[:-2], -1), kind)
    bits = np.unpackbits(raw, axis=-1, bitorder="little").reshape(*raw.shape[:-1], 16, 6)
    codes = (bits << np.arange(6)).sum(-1)
    return numeric.fp6_to_float(kind).take(codes).reshape(*raw.shape[:-2], -1)


def decode(raw: np.ndarray, kind: str) -> np.ndarray:
    """Elements along the last axis of bytes (..., n) of a type."""
    if kind in _DECODE_16:
        return _DECODE_16[kind](raw.view(np.uint16))
    if kind == "tf32":
        return numeric.truncate_tf32(raw.view(np.uint32))
    if kind == "e2m1":
        nibbles = np.stack([raw & 15, raw >> 4], axis=-1).reshape(*raw.shape[:-1], -1)
        return numeric.FP4_TO_FLOAT.take(nibbles)
    if kind in ("u8", "s8"):
        return raw.view(np.int8 if kind == "s8" else np.uint8).astype(np.float64)
    return numeric.fp8_to_float(kind).take(raw)


def _field(word: int, low: int, bits: int) -> int:
    return word >> low & ((1 << bits) - 1)


def _named(codes: dict[str, int], code: int, what: str) -> str:
    for name, number in codes.items():
        if number == code:
            return name
    raise UnsupportedError(f"the simulator has no tcgen05.mma with {what} of code {code}")


def parse(word: int, kind: str) -> tuple[descriptors.Shape, str, int, int]:
    """The fields of an instruction descriptor: shape, scale type, scale bytes of A and B (9.7.16.4.2, by hand)."""
    scaled = kind.startswith("mx")
    codes = descriptors.TYPES[kind]
    a = _named(codes, _field(word, 7, 3), "A")
    b = _named(codes, _field(word, 10, 2 if kind.startswith("mxf4") else 3), "B")
    if _field(word, 13, 2) or _field(word, 0, 2):
        raise UnsupportedError("the simulator has no negated tcgen05.mma, and no sparsity selector but zero")
    m = _field(word, 27, 2) * 128 if scaled else _field(word, 24, 5) * 16
    d = "f32" if scaled else _named(descriptors.RESULTS, _field(word, 4, 2), "D")
    scale = _named(descriptors.SCALES, _field(word, 23, 1), "scale factors") if scaled else ""
    transposes = bool(_field(word, 15, 1)), bool(_field(word, 16, 1))
    shape = descriptors.Shape(m, _field(word, 17, 6) * 8, kind, a, b, d, *transposes, bool(_field(word, 2, 1)))
    return shape, scale, _field(word, 29, 2) if scaled else 0, _field(word, 4, 2) if scaled else 0


def lanes_of(m: int) -> np.ndarray:
    """The lane of each of the m rows."""
    row = np.arange(m)
    return row if m == 128 else row // 16 * 32 + row % 16


def _scale_values(words: np.ndarray, byte: int, count: int, kind: str) -> np.ndarray:
    """Factors (n, rows, count) from columns (n, 32, rows / 32): `count` bytes from `byte` on."""
    raw = np.ascontiguousarray(words.transpose(0, 2, 1)).reshape(len(words), -1)
    units = raw[..., None].view(np.uint8).reshape(len(words), -1, 4)[..., byte : byte + count]
    return numeric.fp8_to_float("e4m3").take(units) if kind == "ue4m3" else np.exp2(units.astype(np.float32) - 127)


def _sums(words: np.ndarray, kind: str) -> np.ndarray:
    """The elements of D in 32-bit words; 9.7.16.10.4.1: those of 16 bits in the lower half."""
    if kind == "f16":
        return numeric.HALF_TO_FLOAT.take(words & 0xFFFF)
    return words.view(np.int32 if kind == "s32" else np.float32)


def _words(total: np.ndarray, kind: str) -> np.ndarray:
    if kind == "f16":
        return total.astype(np.float16).view(np.uint16).astype(np.uint32) | UPPER
    total = total.astype(np.int64).astype(np.int32) if kind == "s32" else total.astype(np.float32)
    return np.ascontiguousarray(total).view(np.uint32)


class _Product:
    """One tcgen05.mma under way."""

    def __init__(self, op: ir.Operation) -> None:
        self.kind = flags(op, "kind").partition("<")[2].rstrip(">")
        self.pair = is_pair(op, "ctaGroup")
        self.a_in_tensor = str(op.operands[1].type).startswith("!llvm.ptr")
        self.block = 16 if "block16" in flags(op, "blockScale") else 32
        self.k = descriptors.depth(self.kind)
        self.sparse = op.name == "nvvm.tcgen05.mma.sp"

    def run(self, machine: Machine, d: Any, a: Any, b: Any, word: Any, accumulate: Any, *scales: Any) -> None:
        issue = machine.engine.tensor.issue("a tcgen05.mma", self.pair)
        shape, scale, a_byte, b_byte = parse(issue.same(word, "the instruction descriptor"), self.kind)
        _require_shape(issue, shape, self.pair)
        if shape.sparse != self.sparse or self.sparse and (shape.m != 128 or self.pair):
            issue.refuse(f"tcgen05.mma{'.sp' if self.sparse else ''} with {shape}")
        ctas = 2 if self.pair else 1
        rows = shape.m // ctas
        left = self._left(issue, a, shape, rows)
        right = self._shared(issue, b, shape.b, shape.n // ctas, shape.transpose_b, times=2 if self.sparse else 1)
        lane, column = result_places(rows, shape.n, halves=self.pair and rows == 64)
        old, write = issue.accumulator(lane, issue.column(d)[:, None, None] + column)
        keep = issue.pick(accumulate).astype(bool)
        issue.accumulates(keep)
        factors = ()
        if self.sparse:
            left = self._expanded(issue, left, scales[0])
        elif scales:
            count = self.k // self.block
            factors = tuple(
                self._factors(issue, s, size, byte, count, scale)
                for s, size, byte in ((scales[0], rows, a_byte), (scales[1], shape.n, b_byte))
            )

        def finish() -> None:
            a_values, b_values = left(), right()
            if ctas == 2:  # both halves of B, for each CTA
                whole = b_values.reshape(-1, shape.n, self.k)
                b_values = np.repeat(whole, ctas, axis=0)
            if factors:
                a_values = a_values * np.repeat(factors[0](), self.block, axis=2)
                b_values = b_values * np.repeat(factors[1](), self.block, axis=2)
            product = np.matmul(a_values, b_values.swapaxes(1, 2))
            issue.require_accumulator()
            start = _sums(old(), shape.d)
            write(_words(np.where(keep[:, None, None], start, 0) + product, shape.d))

        issue.start(finish)

    def _left(self, issue: Any, a: Any, shape: descriptors.Shape, rows: int) -> Any:
        if not self.a_in_tensor:
            return self._shared(issue, a, shape.a, rows, shape.transpose_a)
        if rows != 128:
            issue.refuse(f"tcgen05.mma with A of {rows} rows in tensor memory")
        lane = np.arange(rows)[:, None] + np.zeros((1, 8), np.int64)
        read = issue.source(lane, issue.column(a)[:, None, None] + np.zeros((rows, 1), np.int64) + np.arange(8))
        return lambda: decode(np.ascontiguousarray(read()).view(np.uint8), shape.a)

    def _expanded(self, issue: Any, kept: Any, metadata: Any) -> Any:
        """What reads a sparse A as the dense one."""
        width = tcgen05_sparse.words(self.kind)
        lane = np.arange(LANES)[:, None] + np.zeros((1, width), np.int64)
        column = issue.column(metadata)[:, None, None] + np.zeros((LANES, 1), np.int64) + np.arange(width)
        read = issue.source(lane, column)
        return lambda: tcgen05_sparse.dense(kept(), tcgen05_sparse.codes(read(), self.kind), self.kind)

    def _shared(self, issue: Any, descriptor: Any, kind: str, rows: int, transposed: bool, times: int = 1) -> Any:
        """Returns what reads the operand, (n, rows, k), `times` as deep as a step of A."""
        start, leading, stride, mode = issue.descriptor(descriptor)
        span = next(span for span, code in descriptors.SWIZZLES.items() if code == mode)
        if transposed and kind in ("e2m1", "tf32"):
            issue.refuse(f"tcgen05.mma with an MN-major operand of {kind}")
        place = descriptors.addresses(
            start, leading, stride, span, rows, times * self.k, transposed, times * descriptors.STEP_BYTES
        )
        if self.kind.endswith("f8f6f4") and kind in _PADDED:
            return self._padded(issue, place, kind, transposed)
        read = issue.shared(place)

        def values() -> np.ndarray:
            raw = read().view(np.uint8).reshape(*place.shape[:2], -1)
            matrix = decode(raw, kind)
            return np.ascontiguousarray(matrix.swapaxes(1, 2)) if transposed else matrix

        return values

    def _padded(self, issue: Any, place: np.ndarray, kind: str, transposed: bool) -> Any:
        """The same of elements narrower than eight bits: the rest of each 16 bytes is not read."""
        if transposed:
            issue.refuse(f"tcgen05.mma with an MN-major operand of {kind}")
        size = _PADDED[kind]
        read = issue.shared(place[..., None] + np.arange(0, 8 if kind == "e2m1" else 12, size), size)
        return lambda: decode_padded(read().reshape(*place.shape, -1), kind)

    def _factors(self, issue: Any, address: Any, rows: int, byte: int, count: int, scale: str) -> Any:
        width = -(-rows // 32)
        lane = np.arange(32)[:, None] + np.zeros((1, width), np.int64)
        column = issue.column(address)[:, None, None] + np.zeros((32, 1), np.int64) + np.arange(width)
        read = issue.source(lane, column, quarters=True)
        return lambda: _scale_values(read(), byte, count, scale)[:, :rows]


def result_places(m: int, n: int, *, halves: bool) -> tuple[np.ndarray, np.ndarray]:
    """Lane and column of the CTA's part of D, (m, n) each; `halves`: of 64 rows of a pair of CTAs."""
    if halves:
        row, column = np.ogrid[:m, :n]
        return row + 64 * (column // (n // 2)), column % (n // 2) + 0 * row
    rows = lanes_of(m)[:, None]
    return rows + np.zeros((1, n), np.int64), np.arange(n)[None, :] + np.zeros_like(rows)


def _require_shape(issue: Any, shape: descriptors.Shape, pair: bool) -> None:
    """9.7.16.2.1: which M and N there are."""
    if pair:
        if shape.m not in ((256,) if shape.is_scaled else (128, 256)) or not 32 <= shape.n <= 256 or shape.n % 32:
            issue.refuse(f"tcgen05.mma of {shape.m}x{shape.n} by a pair of CTAs with kind::{shape.kind}")
        return
    rows = (128,) if shape.is_scaled else (64, 128)
    step = 16 if shape.m == 128 else 8
    if shape.kind == "i8" and shape.n > 32:
        step = 16
    if shape.m not in rows or not step <= shape.n <= 256 or shape.n % step:
        issue.refuse(f"tcgen05.mma of {shape.m}x{shape.n} with kind::{shape.kind}")


def _mma(op: ir.Operation) -> Run:
    return _Product(op).run


_EFFECTS = (
    Effect(Access.READ, SHARED, group=GROUP),
    Effect(Access.READ, TENSOR, 0, group=GROUP),
    Effect(Access.WRITE, TENSOR, 0, group=GROUP),
)
_SECTION = "9.7.16.10 tcgen05.mma"
INSTRUCTIONS = (
    Instruction(
        "nvvm.tcgen05.mma",
        "tcgen05.mma.cta_group::N.kind::f16 [d], a, b, i, p",
        _SECTION,
        _mma,
        emit=emit,
        feature=Feature.TCGEN05,
        effects=_EFFECTS,
    ),
    Instruction(
        "nvvm.tcgen05.mma.sp",
        "tcgen05.mma.sp.cta_group::1.kind::f16 [d], a, b, [m], i, p",
        "9.7.16.10.9 tcgen05.mma.sp",
        _mma,
        emit=emit_sparse,
        feature=Feature.TCGEN05,
        effects=_EFFECTS,
    ),
    Instruction(
        "nvvm.tcgen05.mma.block_scale",
        "tcgen05.mma.cta_group::N.kind::mxf8f6f4.block_scale.block32 [d], a, b, i, [sa], [sb], p",
        _SECTION,
        _mma,
        emit=emit_scaled,
        feature=Feature.TCGEN05,
        effects=_EFFECTS,
    ),
)
