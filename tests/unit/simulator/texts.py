"""Hand-written thread programs as MLIR text, and the line numbers of marked statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator import SimulationReport, simulate

_PTR = {"a": "!llvm.ptr<1>", "s": "!llvm.ptr<3>", "p": "!llvm.ptr"}


class Text:
    """Writes one kernel. Values are SSA names; integers given as Python ints become i32 constants."""

    def __init__(self, arguments: str, threads: int = 128, shared: int = 0) -> None:
        self.arguments, self.threads, self.shared = arguments, threads, shared
        self.lines: list[str] = []
        self.marks: dict[str, int] = {}
        self._constants: dict[tuple[str, str], str] = {}
        self._heads: list[str] = []
        self._count = 0

    def line(self, text: str, mark: str = "") -> None:
        if mark:
            self.marks[mark] = len(self.lines)
        self.lines.append(text)

    def let(self, text: str, mark: str = "") -> str:
        self._count += 1
        self.line(f"%v{self._count} = {text}", mark)
        return f"%v{self._count}"

    def const(self, value: Any, kind: str = "i32") -> str:
        key = (str(value), kind)
        if key not in self._constants:
            name = f"%c{len(self._constants)}"
            self._constants[key] = name
            self._heads.append(f"{name} = arith.constant {value}" + ("" if kind == "i1" else f" : {kind}"))
        return self._constants[key]

    def value(self, x: str | int | float, kind: str = "i32") -> str:
        return x if isinstance(x, str) else self.const(x, kind)

    def op(self, name: str, x: str | int | float, y: str | int | float, kind: str = "i32") -> str:
        return self.let(f"arith.{name} {self.value(x, kind)}, {self.value(y, kind)} : {kind}")

    def add(self, x: str | int, y: str | int) -> str:
        return self.op("addi", x, y)

    def mul(self, x: str | int, y: str | int) -> str:
        return self.op("muli", x, y)

    def cmp(self, predicate: str, x: str | int, y: str | int, kind: str = "i32") -> str:
        return self.let(f"arith.cmpi {predicate}, {self.value(x, kind)}, {self.value(y, kind)} : {kind}")

    def sreg(self, name: str) -> str:
        return self.let(f"nvvm.read.ptx.sreg.{name} : i32")

    def smem(self) -> str:
        return self.let("llvm.mlir.addressof @smem : !llvm.ptr<3>")

    def at(self, pointer: str, index: str | int, element: str = "f32", space: str = "a") -> str:
        kind = _PTR[space]
        return self.let(f"llvm.getelementptr {pointer}[{self.value(index)}] : ({kind}, i32) -> {kind}, {element}")

    def load(self, pointer: str, kind: str = "f32", space: str = "a", mark: str = "") -> str:
        return self.let(f"llvm.load {pointer} : {_PTR[space]} -> {kind}", mark)

    def store(self, value: str, pointer: str, kind: str = "f32", space: str = "a", mark: str = "") -> None:
        self.line(f"llvm.store {value}, {pointer} : {kind}, {_PTR[space]}", mark)

    def barrier(self) -> None:
        self.line("nvvm.barrier")

    @property
    def _head(self) -> list[str]:
        return [
            "module { gpu.module @kernels {",
            "llvm.mlir.global external @smem() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>",
            f"llvm.func @k({self.arguments}) attributes {{gpu.kernel, nvvm.kernel, "
            f"nvvm.reqntid = array<i32: {self.threads}, 1, 1>, tl.shared_bytes = {self.shared} : i64}} {{",
            *self._heads,
        ]

    @property
    def text(self) -> str:
        return "\n".join([*self._head, *self.lines, "llvm.return", "} } }"]) + "\n"

    def line_of(self, mark: str) -> int:
        """The line number of a marked statement in `text`."""
        return len(self._head) + self.marks[mark] + 1

    def run(self, grid: int, *args: Any, **options: Any) -> SimulationReport:
        with ir.Context():
            return simulate(ir.Module.parse(self.text), "k", (grid, 1, 1), list(args), **options)


def vector_add(threads: int = 128) -> Text:
    """c = a + b, the last CTA masked."""
    t = Text("%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %c: !llvm.ptr<1>, %n: i32", threads)
    i = t.add(t.mul(t.sreg("ctaid.x"), threads), t.sreg("tid.x"))
    inside = t.cmp("ult", i, "%n")
    t.line(f"scf.if {inside} {{")
    x, y = t.load(t.at("%a", i), mark="load"), t.load(t.at("%b", i))
    t.store(t.let(f"arith.addf {x}, {y} : f32"), t.at("%c", i))
    t.line("}")
    return t


def softmax(columns: int) -> Text:
    """One warp per row of `columns` f32 (a multiple of 32), 4 rows per CTA; reductions by shuffles."""
    t = Text("%x: !llvm.ptr<1>, %y: !llvm.ptr<1>, %rows: i32", 128)
    tid = t.sreg("tid.x")
    row = t.add(t.mul(t.sreg("ctaid.x"), 4), t.op("shrui", tid, 5))
    lane = t.op("andi", tid, 31)
    inside = t.cmp("slt", row, "%rows")
    t.line(f"scf.if {inside} {{")
    base = t.add(t.mul(row, columns), lane)
    count = columns // 32
    values = [t.load(t.at("%x", t.add(base, 32 * k))) for k in range(count)]

    def reduce(value: str, combine: str) -> str:
        for step in (16, 8, 4, 2, 1):
            other = t.let(f"nvvm.shfl.sync bfly {t.const(-1)}, {value}, {t.const(step)}, {t.const(31)} : f32 -> f32")
            value = t.op(combine, value, other, "f32")
        return value

    top = values[0]
    for value in values[1:]:
        top = t.op("maximumf", top, value, "f32")
    top = reduce(top, "maximumf")
    powers = [
        t.let(f"math.exp2 {t.op('mulf', t.op('subf', v, top, 'f32'), t.const('1.44269504', 'f32'), 'f32')} : f32")
        for v in values
    ]
    total = powers[0]
    for power in powers[1:]:
        total = t.op("addf", total, power, "f32")
    total = reduce(total, "addf")
    for k, power in enumerate(powers):
        t.store(t.op("divf", power, total, "f32"), t.at("%y", t.add(base, 32 * k)))
    t.line("}")
    return t


def gemm(m: int, n: int, k: int, *, skip: str = "") -> Text:
    """C (f32) = A (f16) B (f16), row-major: 64x64x32 tiles, 4 warps of 32x32, swizzled, cp.async in 2 stages.

    `skip` leaves out one synchronisation: "after wait", "before refill" or "wait".
    """
    t = Text("%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %c: !llvm.ptr<1>", 128, 16384)
    tid, cta, smem = t.sreg("tid.x"), t.sreg("ctaid.x"), t.smem()
    row0, col0 = t.mul(t.op("divui", cta, n // 64), 64), t.mul(t.op("remui", cta, n // 64), 64)
    warp, lane = t.op("shrui", tid, 5), t.op("andi", tid, 31)
    warp_row, warp_col = t.mul(t.op("shrui", warp, 1), 32), t.mul(t.op("andi", warp, 1), 32)

    def a_place(row: str, chunk: str) -> str:  # 64 rows of 64 bytes, 4 chunks of 16
        swizzled = t.op("xori", chunk, t.op("andi", t.op("shrui", row, 1), 3))
        return t.add(t.mul(row, 64), t.mul(swizzled, 16))

    def b_place(row: str, chunk: str) -> str:  # 32 rows of 128 bytes, 8 chunks of 16
        return t.add(t.add(t.mul(row, 128), t.mul(t.op("xori", chunk, t.op("andi", row, 7)), 16)), 4096)

    copies = []
    for part in range(2):
        index = t.add(tid, 128 * part)
        row, chunk = t.op("shrui", index, 2), t.op("andi", index, 3)
        source = t.add(t.mul(t.add(row0, row), 2 * k), t.mul(chunk, 16))
        copies.append((a_place(row, chunk), "%a", source, 64))
        row, chunk = t.op("shrui", index, 3), t.op("andi", index, 7)
        source = t.add(t.mul(row, 2 * n), t.mul(t.add(t.mul(chunk, 8), col0), 2))
        copies.append((b_place(row, chunk), "%b", source, 64 * n))

    def fetch(tile: str | int, stage: str | int, mark: str = "") -> None:
        for place, tensor, source, step in copies:
            to = t.at(smem, t.add(place, stage), "i8", "s")
            at = t.at(tensor, t.add(source, t.mul(tile, step)), "i8")
            t.line(f"nvvm.cp.async.shared.global {to}, {at}, 16, cache = cg : !llvm.ptr<3>, !llvm.ptr<1>", mark)
            mark = ""
        t.line("nvvm.cp.async.commit.group")

    fetch(0, 0)
    starts = ", ".join(f"%acc{i} = {t.const('0.0', 'f32')}" for i in range(32))
    t.line(
        f"%end:32 = scf.for %kt = {t.const(0)} to {t.const(k // 32)} step {t.const(1)} iter_args({starts}) -> "
        f"({', '.join(['f32'] * 32)}) : i32 {{"
    )
    stage = t.mul(t.op("andi", "%kt", 1), 8192)
    following = t.add("%kt", 1)
    t.line(f"scf.if {t.cmp('ult', following, k // 32)} {{")
    fetch(following, t.mul(t.op("andi", following, 1), 8192), "refill")
    if skip != "wait":
        t.line("nvvm.cp.async.wait.group 1")
    t.line("} else {")
    if skip != "wait":
        t.line("nvvm.cp.async.wait.group 0")
    t.line("}")
    if skip != "after wait":
        t.barrier()
    sums = _multiply(t, smem, stage, lane, warp_row, warp_col, a_place, b_place)
    if skip != "before refill":
        t.barrier()
    t.line(f"scf.yield {', '.join(sums)} : {', '.join(['f32'] * 32)}")
    t.line("}")
    _store_sums(t, lane, t.add(row0, warp_row), t.add(col0, warp_col), n)
    return t


def _store_sums(t: Text, lane: str, row0: str, col0: str, n: int) -> None:
    """The accumulators of a warp's 32x32 tile, whose corner is (row0, col0), into %c with rows of n."""
    group, pair = t.op("shrui", lane, 2), t.mul(t.op("andi", lane, 3), 2)
    for i in range(2):
        for j in range(4):
            for q in range(4):
                row = t.add(row0, t.add(group, 16 * i + 8 * (q // 2)))
                column = t.add(col0, t.add(pair, 8 * j + q % 2))
                t.store(f"%end#{(i * 4 + j) * 4 + q}", t.at("%c", t.add(t.mul(row, n), column)))


def _multiply(
    t: Text, smem: str, stage: str, lane: str, warp_row: str, warp_col: str, a_place: Any, b_place: Any
) -> list[str]:
    sums = [f"%acc{i}" for i in range(32)]
    low, high = t.op("andi", lane, 15), t.op("shrui", lane, 4)

    def matrices(place: str, layout: str, mark: str) -> list[str]:
        struct = "!llvm.struct<(i32, i32, i32, i32)>"
        loaded = t.let(
            f"nvvm.ldmatrix {t.at(smem, t.add(place, stage), 'i8', 's')} {{num = 4 : i32, layout = "
            f"#nvvm.mma_layout<{layout}>, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, "
            f"eltType = #nvvm.ld_st_matrix_elt_type<b16>}} : (!llvm.ptr<3>) -> {struct}",
            mark,
        )
        parts = [t.let(f"llvm.extractvalue {loaded}[{q}] : {struct}") for q in range(4)]
        return [t.let(f"llvm.bitcast {p} : i32 to vector<2xf16>") for p in parts]

    for step in range(2):
        left = [
            matrices(
                a_place(t.add(t.add(warp_row, 16 * i), low), t.add(high, 2 * step)),
                "row",
                "ldmatrix" if not (step or i) else "",
            )
            for i in range(2)
        ]
        right = []
        for j in range(2):
            parts = matrices(
                b_place(t.add(low, 16 * step), t.add(t.op("shrui", t.add(warp_col, 16 * j), 3), high)), "col", ""
            )
            right += [parts[:2], parts[2:]]
        struct = "!llvm.struct<(f32, f32, f32, f32)>"
        for i in range(2):
            for j in range(4):
                first = (i * 4 + j) * 4
                product = t.let(
                    f"nvvm.mma.sync A[{', '.join(left[i])}] B[{', '.join(right[j])}] "
                    f"C[{', '.join(sums[first : first + 4])}] "
                    "{layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, "
                    f"shape = #nvvm.shape<m = 16, n = 8, k = 16>}} : (vector<2xf16>, vector<2xf16>, f32) -> {struct}"
                )
                sums[first : first + 4] = [t.let(f"llvm.extractvalue {product}[{q}] : {struct}") for q in range(4)]
    return sums


def relative_error(got: np.ndarray, want: np.ndarray) -> float:
    return float(np.linalg.norm(got.astype(np.float64) - want) / np.linalg.norm(want))


def poisoned(shape: int | Sequence[int], dtype: Any = np.float32) -> np.ndarray:
    """An output buffer whose every byte is 0xFF."""
    out = np.empty(shape, dtype)
    out.view(np.uint8)[...] = 0xFF
    return out
