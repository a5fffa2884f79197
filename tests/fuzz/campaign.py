"""Random cases of a generator, one after another: what the command lines of `products` and `chains` do."""

from __future__ import annotations

import argparse
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any


def campaign(
    name: str,
    about: str | None,
    case_of: Callable[[int, str], Any],
    run: Callable[[Any], str],
    arguments: Sequence[str] | None,
) -> int:
    """Run the cases of `--count` seeds from `--seed` on for `--target`, and print those that are not `ok`; the exit
    status is 1 when one is neither that nor rejected."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.fuzz.{name}", description=about)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--target", default="sm_100a")
    options = parser.parse_args(arguments)
    kinds: Counter[str] = Counter()
    for seed in range(options.seed, options.seed + options.count):
        case = case_of(seed, options.target)
        try:
            found = run(case)
        except Exception:  # a fuzzer reports whatever happens
            found = "failed: " + " | ".join(traceback.format_exc().strip().splitlines()[-3:])[-400:]
        kinds[found.split(":")[0].split(" of")[0]] += 1
        if found != "ok":
            print(f"seed {seed}: {found}\n    {case}", flush=True)
    print(f"{options.target}: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
    return int(any(not kind.startswith(("ok", "rejected")) for kind in kinds))
