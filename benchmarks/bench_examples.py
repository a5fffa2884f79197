"""Every example at the sizes of large models, on the GPU: python benchmarks/bench_examples.py [--quick]

Each example checks itself against numpy in float64 and prints its rate and torch's time over ours. An example that
fails is reported and the others still run. With --quick, or without a GPU, the small sizes are run.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from harness import ROOT, Report, arguments, example, has_gpu


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__, argv, "quick")
    report = Report("examples", options.out)
    size = "real" if has_gpu() and not options.quick else "small"
    failures = 0
    for path in sorted((ROOT / "examples").glob("[0-9]*.py")):
        started = time.perf_counter()
        try:
            run = example(path.stem[:2]).main(["--size", size])
            outcome, error, ratios = "passed", max(run.errors), run.ratios
        except Exception as failure:  # any failure of one example is a row of the table
            print(f"{path.stem}: {type(failure).__name__}: {failure}")
            outcome, error, ratios, failures = type(failure).__name__, None, [], failures + 1
        report.add(
            example=path.stem, outcome=outcome, error=error, seconds=time.perf_counter() - started,
            ratios=" ".join(f"{ratio:.2f}" for ratio in ratios),
        )  # fmt: skip
    report.save()
    return int(failures > 0)


if __name__ == "__main__":
    raise SystemExit(main())
