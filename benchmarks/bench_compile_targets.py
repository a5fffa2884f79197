"""Processor time of a compilation, by target: python benchmarks/bench_compile_targets.py [--quick] [--all]

A GEMM and attention, from the Python function to the final binary: tracing, passes, LLVM, and ptxas or lld, all in this
process and its children, so that other work on the machine does not count. What shares a core or its caches still does:
the least of several compilations is the time, the median says how far the machine was from idle, and `tool_ms` is what
ptxas or lld takes of it. Goal: 300 ms on one core. Needs no GPU. With --all it is every kernel of docs/kernel_matrix.md
on every target there, in place of the two.
"""

from __future__ import annotations

import resource
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from harness import Report, arguments, example

from tilelang_mlir.compiler.options import CompileOptions
from tilelang_mlir.compiler.whole import compile_here, whole_request
from tilelang_mlir.compiler.worker import generate
from tilelang_mlir.target import Feature, Target, parse_target, targets_with

GOAL = 300.0
_OLDEST = (Feature.LDMATRIX, Feature.MFMA, Feature.WMMA)  # every target has one of them


def programs(target: Target) -> dict[str, Callable[[int], Any]]:
    """Traced functions by name, in tiles that the target's registers hold; the number makes the sizes differ."""
    gemm, attention = example("03").gemm_bias_relu, example("11").attention
    tile = 64 if target.supports(Feature.WMMA_REPEATED) else 128
    smaller: dict[str, int] = {}  # than what the example takes by itself
    if target.max_shared_bytes < 160 << 10 or not target.supports(Feature.LDMATRIX):
        smaller = {"block_M": tile // 2, "block_N": tile // 2, "threads": tile}
    return {
        "gemm": lambda salt: gemm.get_tir(4096, 4096, 4096 + 128 * salt, "float16", tile, tile),
        "attention": lambda salt: attention.get_tir(1, 4096 + 128 * salt, 32, 32, 128, False, **smaller),
    }


def rows() -> Iterator[tuple[str, Target, Callable[[int], Any]]]:
    """A GEMM and attention for each kind of target."""
    for arch in dict.fromkeys(name for feature in _OLDEST for name in targets_with(feature)):
        target = parse_target(arch)
        for name, program in programs(target).items():
            yield name, target, program


def all_rows() -> Iterator[tuple[str, Target, Callable[[int], Any]]]:
    """The kernels of docs/kernel_matrix.md by target. They have one size, so that repeats trace the same again."""
    from tests.util.target_matrix import PROGRAMS, targets_of

    for name, program in PROGRAMS.items():
        for target in map(parse_target, targets_of(name)):
            yield name, target, lambda _, program=program, target=target: program(target)


def processor_ms(who: int) -> float:
    """Time that this process (`RUSAGE_SELF`), or its children that have ended (`RUSAGE_CHILDREN`), have run."""
    spent = resource.getrusage(who)
    return 1e3 * (spent.ru_utime + spent.ru_stime)


def measure(program: Callable[[int], Any], target: Target, repeats: int) -> dict[str, float]:
    """Milliseconds of the quickest compilation, of the median one, and of the tool; a first one does not count."""
    runs: list[tuple[float, float]] = []
    for salt in range(repeats + 1):
        mine, tool = (processor_ms(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        artifact = compile_here(whole_request(program(salt).module, target, CompileOptions()), generate)
        mine, tool = processor_ms(resource.RUSAGE_SELF) - mine, processor_ms(resource.RUSAGE_CHILDREN) - tool
        assert artifact.binary, f"no machine code for {target}: is there a tool?"
        runs.append((mine + tool, tool))
    totals = [total for total, _ in runs[1:]]
    return {"cpu_ms": min(totals), "median_ms": statistics.median(totals), "tool_ms": min(tool for _, tool in runs[1:])}


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__, argv, "quick", "all")
    report = Report("compile-kernels" if options.all else "compile-targets", options.out)
    for name, target, program in all_rows() if options.all else rows():
        report.add(what=name, target=target.arch, **measure(program, target, 1 if options.quick else 7), goal_ms=GOAL)
    within = sum(row["cpu_ms"] <= GOAL for row in report.rows)
    print(f"{within} of {len(report.rows)} within {GOAL:.0f} ms")
    report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
