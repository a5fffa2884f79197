"""Processor time of a compilation, by target: python benchmarks/bench_compile_targets.py [--quick]

A GEMM and attention, from the Python function to the final binary: tracing, passes, LLVM, and ptxas or lld, all in this
process and its children, so that other work on the machine does not count. Goal: 300 ms on one core. Needs no GPU.
"""

from __future__ import annotations

import resource
import statistics
from collections.abc import Callable, Sequence
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


def processor_ms() -> float:
    """Time that this process and its children have run."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return 1e3 * sum(s.ru_utime + s.ru_stime for s in spent)


def measure(program: Callable[[int], Any], target: Target, repeats: int) -> float:
    """The median in milliseconds, after one compilation that is not counted."""
    times: list[float] = []
    for salt in range(repeats + 1):
        started = processor_ms()
        artifact = compile_here(whole_request(program(salt).module, target, CompileOptions()), generate)
        times.append(processor_ms() - started)
        assert artifact.binary, f"no machine code for {target}: is there a tool?"
    return statistics.median(times[1:])


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__, argv, "quick")
    report = Report("compile-targets", options.out)
    for arch in dict.fromkeys(name for feature in _OLDEST for name in targets_with(feature)):
        target = parse_target(arch)
        for name, program in programs(target).items():
            report.add(what=name, target=arch, cpu_ms=measure(program, target, 1 if options.quick else 5), goal_ms=GOAL)
    report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
