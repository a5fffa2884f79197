"""Run every benchmark that this machine can run: python benchmarks/run_all.py [NAME ...] [--limit SECONDS] [--quick]

Each benchmark is a process of its own, so that one that hangs or dies does not take the others along. When the limit
is reached the one that runs is ended and the rest are skipped. The exit status is 1 when one failed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness import ROOT, has_gpu

FOLDER = ROOT / "benchmarks"
# Name: whether it needs a GPU, and whether it takes --out and --quick.
BENCHMARKS = {
    "bandwidth": (True, ("--out",)),
    "gemm": (True, ("--out", "--quick")),
    "quantised": (True, ("--out", "--quick")),
    "grouped": (True, ("--out",)),
    "sparse": (True, ("--out",)),
    "by_hand": (True, ("--out",)),
    "attention": (True, ("--out", "--quick")),
    "launch": (True, ("--out",)),
    "compile": (False, ("--out", "--quick")),
    "compile_targets": (False, ("--out", "--quick")),
    "tilelang": (True, ("--out", "--quick")),
    "examples": (False, ("--out", "--quick")),
    "simulator": (False, ()),
}


def command(name: str, out: Path, quick: bool) -> list[str]:
    """The command line of a benchmark."""
    words = [sys.executable, str(FOLDER / f"bench_{name}.py")]
    accepted = BENCHMARKS[name][1]
    if "--out" in accepted:
        words += ["--out", str(out)]
    return [*words, "--quick"] if quick and "--quick" in accepted else words


def run(name: str, words: Sequence[str], seconds: float) -> str:
    """Run a benchmark for at most `seconds`; returns what became of it."""
    print(f"\n== {name}", flush=True)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", "1" if name == "simulator" else "8"),
    }
    try:
        code = subprocess.run(words, env=environment, timeout=max(seconds, 1), check=False).returncode
    except subprocess.TimeoutExpired:
        return "out of time"
    return "passed" if code == 0 else f"failed ({code})"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"which to run, of {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--limit", type=float, default=600, help="seconds for all together")
    parser.add_argument("--out", type=Path, default=FOLDER / "results", help="folder for the JSON results")
    parser.add_argument("--quick", action="store_true", help="fewer cases and repetitions")
    options = parser.parse_args(argv)
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}")
    deadline = time.monotonic() + options.limit
    gpu, outcomes = has_gpu(), {}
    for name in options.names or BENCHMARKS:
        started = time.monotonic()
        if BENCHMARKS[name][0] and not gpu:
            outcomes[name] = ("needs a GPU", 0.0)
        elif started >= deadline:
            outcomes[name] = ("out of time", 0.0)
        else:
            outcome = run(name, command(name, options.out, options.quick), deadline - started)
            outcomes[name] = (outcome, time.monotonic() - started)
    print()
    for name, (outcome, seconds) in outcomes.items():
        print(f"{name:12s} {outcome:14s} {seconds:6.1f} s")
    return int(any(outcome.startswith("failed") or outcome == "out of time" for outcome, _ in outcomes.values()))


if __name__ == "__main__":
    raise SystemExit(main())
