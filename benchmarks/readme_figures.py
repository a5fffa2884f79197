"""Fills the figures of README.md from benchmarks/results: python benchmarks/readme_figures.py [--check]

The newest file of every benchmark counts. What stands between `<!-- figures -->` and `<!-- /figures -->` is replaced;
with --check nothing is written and the exit code says whether the page is up to date.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
NONE_YET = "No measurement is checked in yet: `python benchmarks/run_all.py` writes them to `benchmarks/results`."
_BLOCK = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- /figures -->)", re.DOTALL)
Result = dict[str, Any]


class Ratios(NamedTuple):
    """The time of a peer over ours in several cases; the best rate of ours in TFLOP/s."""

    what: str
    peer: str
    cases: int
    mean: float
    lowest: float
    best: float | None


class Figure(NamedTuple):
    """A figure that is no ratio to a peer."""

    what: str
    figure: str


Line = Ratios | Figure


def newest(folder: Path) -> list[Result]:
    """The newest result of each benchmark, by the date inside the file, sorted by benchmark."""
    found: dict[str, Result] = {}
    for path in sorted(folder.glob("*.json")):
        result: Result = json.loads(path.read_text())
        name = result["benchmark"]
        if name not in found or result["date"] > found[name]["date"]:
            found[name] = result
    return [found[name] for name in sorted(found)]


def _column(result: Result, name: str) -> list[float]:
    values = [row[name] for row in result["rows"] if isinstance(row.get(name), int | float)]
    return [float(value) for value in values if math.isfinite(value)]


def _mean(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


def _against(what: str, peer: str) -> Callable[[Result], list[Line]]:
    """One line on the ratios to a peer, and the best rate where rates were taken."""

    def lines(result: Result) -> list[Line]:
        ratios, rates = _column(result, "ratio"), _column(result, "tflops")
        if not ratios:
            return []
        return [Ratios(what, peer, len(ratios), _mean(ratios), min(ratios), max(rates, default=None))]

    return lines


def _gemm(result: Result) -> list[Line]:
    lines: list[Line] = []
    for instruction in dict.fromkeys(row.get("instruction", "wgmma") for row in result["rows"]):
        rows = [row for row in result["rows"] if row.get("instruction", "wgmma") == instruction]
        name, _, size = instruction.partition(", ")
        what = f"matrix products{size and ' of ' + size} by `{name}`"
        lines += _against(what, "cuBLAS")({**result, "rows": rows})
    return lines


def _bandwidth(result: Result) -> list[Line]:
    shares = [f"{row['kernel'].split()[0]} {row['of_copy']:.2f}" for row in result["rows"]]
    return [Figure("bandwidth-bound kernels: share of the rate of a device copy", ", ".join(shares))]


def _launch(result: Result) -> list[Line]:
    return [Figure(f"a call: {row['call']}", f"{row['microseconds']:.1f} µs") for row in result["rows"]]


def _compile(result: Result) -> list[Line]:
    times = [(row["what"], row["ms"]) for row in result["rows"] if "ms" in row]
    return [Figure(what, f"{ms:.{0 if ms >= 10 else 2}f} ms") for what, ms in times]


def _quantised(result: Result) -> list[Line]:
    """Products of fp8 with one scale, with a scale for each block, and of fp16 with int4, each beside its own peer."""
    kinds = {
        "fp8 per tensor": ("fp8 products, one scale for each tensor", "cuBLAS with fast accumulation"),
        "fp8 by blocks": ("fp8 products, scales by blocks of 128", "ours with one scale for each tensor"),
        "float16 x int4": ("fp16 by int4 products", "torch's fp16 product"),
    }
    lines: list[Line] = []
    for start, (what, peer) in kinds.items():
        rows = [row for row in result["rows"] if row.get("case", "").startswith(start)]
        lines += _against(what, peer)({**result, "rows": rows})
    return lines


def _sparse(result: Result) -> list[Line]:
    """Beside the dense product, and beside cuSPARSELt, which torch calls without a search."""
    rows = [{"ratio": row["sparse_ratio"]} for row in result["rows"] if "sparse_ratio" in row]
    theirs = _against("2:4 sparse products, fp16", "cuSPARSELt as torch calls it")({**result, "rows": rows})
    return [*_against("2:4 sparse products", "cuBLAS' dense product")(result), *theirs]


def _attention(result: Result) -> list[Line]:
    """Forward and backward, 16 heads of 128; the same with other heads; packed sequences."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for row in result["rows"]:
        case = row.get("case", "")
        kind = "backward" if case.startswith("backward") else "packed sequences" if "packed" in case else "forward"
        kinds.setdefault(f"{kind}, other heads" if " D=" in case or " H=" in case else kind, []).append(row)
    return [
        line
        for kind, rows in kinds.items()
        for line in _against(f"attention, {kind}", "torch's flash attention" if "packed" in kind else "cuDNN")(
            {**result, "rows": rows}
        )
    ]


def _tilelang(result: Result) -> list[Line]:
    """Ratios by kind of kernel, and what compiling and calling cost."""
    lines: list[Line] = []
    for kind in ("gemm", "attention"):
        rows = [row for row in result["rows"] if row.get("case", "").startswith(kind)]
        lines += _against(f"{kind} from one source", "TileLang")({**result, "rows": rows})
    for row in result["rows"]:
        if "seconds" in row:
            lines.append(Figure(row["what"], f"{row['seconds']:.2f} s"))
        elif "microseconds" in row:
            lines.append(Figure(row["what"], f"{row['microseconds']:.1f} µs"))
    return lines


_LINES: dict[str, Callable[[Result], list[Line]]] = {
    "gemm": _gemm,
    "attention": _attention,
    "bandwidth": _bandwidth,
    "by_hand": _against("plain products", "ours with roles and barriers by hand"),
    "launch": _launch,
    "grouped": _against("products of groups", "torch"),
    "quantised": _quantised,
    "sparse": _sparse,
    "tilelang": _tilelang,
    "compile": _compile,
}


def _tables(lines: Sequence[Line]) -> list[str]:
    """The ratios as one table and the other figures as another."""
    text: list[str] = []
    ratios = [line for line in lines if isinstance(line, Ratios)]
    if ratios:
        text += ["| peer's time over ours | peer | cases | geometric mean | lowest | ours up to |", f"|{'---|' * 6}"]
    for what, peer, cases, mean, lowest, best in ratios:
        rate = "" if best is None else f"{best:.0f} TFLOP/s"
        text.append(f"| {what} | {peer} | {cases} | {mean:.2f} | {lowest:.2f} | {rate} |")
    others = [line for line in lines if isinstance(line, Figure)]
    if others:
        text += [*([""] if ratios else []), "| what else | figure |", "|---|---|"]
    return text + [f"| {what} | {figure} |" for what, figure in others]


def figures(folder: Path = RESULTS) -> str:
    """The text between the markers: the tables of each device and day, or a line that says there are none."""
    groups: dict[str, list[Line]] = {}
    for result in newest(folder):
        lines = _LINES.get(result["benchmark"], _against(result["benchmark"], "the peer"))(result)
        if lines:
            groups.setdefault(f"{result['device']}, {result['date'][:10]}", []).extend(lines)
    text = [line for where, lines in groups.items() for line in (f"Measured on one {where}:", "", *_tables(lines), "")]
    return "\n".join(text[:-1] or [NONE_YET]) + "\n"


def filled(page: str, folder: Path = RESULTS) -> str:
    """The page with its figures replaced.

    Raises:
        ValueError: it has no markers.
    """
    if not _BLOCK.search(page):
        raise ValueError("the page has no <!-- figures --> ... <!-- /figures --> block")
    return _BLOCK.sub(lambda _: figures(folder), page)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when README.md is stale")
    options = parser.parse_args(argv)
    path = ROOT / "README.md"
    before, after = path.read_text(), filled(path.read_text())
    if options.check:
        if before != after:
            print("README.md is not up to date: run python benchmarks/readme_figures.py", file=sys.stderr)
        return int(before != after)
    path.write_text(after)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
