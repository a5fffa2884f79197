"""Generated programs on a GPU against the reference evaluator: `python -m tests.fuzz.gpu --count N --seed S`.

Needs a CUDA device and torch. Programs are generated for any target but compiled for the device; the same tolerances
hold as on the simulator.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tests.fuzz.check import Outcome, arguments, compare, raw_bits, trace, unpack
from tests.fuzz.generate import generate
from tests.fuzz.program import Program
from tests.fuzz.wider import NIBBLES
from tilelang_mlir.errors import LayoutError, ResourceError, SimulationError, UnsupportedError
from tilelang_mlir.jit.compile import compile_prim_func
from tilelang_mlir.reference import evaluate

_RAW = {1: torch.uint8, 2: torch.uint16, 4: torch.int32, 8: torch.int64}
_BITS = {1: np.uint8, 2: np.uint16, 4: np.int32, 8: np.int64}


def run(program: Program) -> Outcome:
    """One program on the device; the outcome as `check` gives it."""
    func = trace(program)
    reference, values = arguments(program), arguments(program)
    try:
        evaluate(func.module, "main", reference)
    except SimulationError as error:
        return Outcome("invalid", str(error))
    try:
        kernel = compile_prim_func(func, target="cuda")
    except (LayoutError, ResourceError, UnsupportedError) as error:
        return Outcome("rejected", str(error))
    symbols = len(program.used_symbols())
    users = values[: len(values) - symbols]
    pairs = zip(users, program.used_params(), strict=True)
    device = [_to_device(value, param) if isinstance(value, np.ndarray) else value for value, param in pairs]
    kernel(*device)
    for value, tensor in zip(users, device, strict=True):
        if isinstance(value, np.ndarray):
            found = tensor.view(_RAW[tensor.element_size()]).cpu().numpy()
            if value.dtype.name in NIBBLES:
                value[...] = unpack(found, value)
            else:
                value.view(_BITS[value.dtype.itemsize])[...] = found
    return compare(program, reference, values)


def _to_device(value: np.ndarray, param: Any) -> torch.Tensor:
    if param.dtype in NIBBLES:
        packed = torch.from_numpy(raw_bits(value)).cuda()
        return packed.view(torch.int8) if param.dtype == "int4" else packed
    raw = torch.from_numpy(value.view(_BITS[value.dtype.itemsize]).copy()).cuda()
    return raw.view(getattr(torch, param.dtype))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    counts: Counter[str] = Counter()
    for seed in range(options.seed, options.seed + options.count):
        try:
            outcome = run(generate(seed))
        except Exception as error:  # a fuzzer reports whatever happens
            outcome = Outcome(type(error).__name__, str(error))
        counts[outcome.kind] += 1
        if outcome.failed:
            print(f"seed {seed}: {outcome.kind}: {outcome.detail[-600:]}", flush=True)
    print(", ".join(f"{kind}: {count}" for kind, count in sorted(counts.items())))
    return int(any(Outcome(kind).failed for kind in counts))


if __name__ == "__main__":
    raise SystemExit(main())
