"""Runs a generated program twice, by the reference evaluator and by the simulator, and compares.

Outcomes: `ok`; `rejected` (the compiler names a limit: layouts, resources, something unsupported); `invalid` (the
evaluator gives the program no meaning); everything else is a failure, with the exception's name or `mismatch`.
"""

from __future__ import annotations

import itertools
import linecache
import re
import traceback
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import ml_dtypes
import numpy as np

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tests.fuzz.program import Program, Scalar, Tensor
from tests.fuzz.wider import NIBBLES
from tilelang_mlir import knobs
from tilelang_mlir.compiler.options import CompileOptions
from tilelang_mlir.compiler.pipeline import lower_program
from tilelang_mlir.errors import LayoutError, ResourceError, SimulationError, UnsupportedError
from tilelang_mlir.jit.simulated import SimulatedKernel
from tilelang_mlir.reference import evaluate
from tilelang_mlir.target import parse_target

_COUNT = itertools.count()
_RAW = {1: np.uint8, 2: np.uint16}
# Relative norm per narrowest float in the program: rounding at another place moves single elements by one unit.
_TOLERANCE = {
    "float8_e4m3fn": 6e-2,
    "float8_e5m2": 1.2e-1,
    "bfloat16": 1e-2,
    "float16": 2e-3,
    "float32": 1e-5,
    "float64": 1e-5,
}
_TF32 = 2e-3  # the evaluator rounds operands to nearest, the instruction drops bits
_F16_SUMS = 2e-2  # sums rounded at every step, in another order


@dataclass(frozen=True)
class Outcome:
    """What happened; `kind` compares equal for the same error (used to keep the error while cutting down)."""

    kind: str
    detail: str = ""

    @property
    def failed(self) -> bool:
        return self.kind not in ("ok", "rejected", "invalid")


def numpy_dtype(name: str) -> np.dtype[Any]:
    return np.dtype(bool if name == "bool" else getattr(ml_dtypes, name, None) or name)


def trace(program: Program) -> Any:
    """The PrimFunc of a program's text."""
    text = "import tilelang_mlir as tilelang\nimport tilelang_mlir.language as T\n" + program.text()
    file = f"<fuzz {program.seed}.{next(_COUNT)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    scope: dict[str, Any] = {"__name__": file, "T": T, "tilelang": tilelang}
    try:
        exec(compile(text, file, "exec", dont_inherit=True), scope)
    finally:
        del linecache.cache[file]
    return scope["main"]


def arguments(program: Program) -> list[Any]:
    """Random inputs, poisoned outputs, scalars, then the symbols' values."""
    out: list[Any] = []
    for param in program.used_params():
        if isinstance(param, Scalar):
            out.append(param.value)
            continue
        seed = [program.seed, *param.name.encode()]
        out.append(_filled(param, np.random.default_rng(seed)))
    return [*out, *program.used_symbols().values()]


def _filled(tensor: Tensor, rng: np.random.Generator) -> np.ndarray:
    dtype = numpy_dtype(tensor.dtype)
    if tensor.fill == "zero":
        return np.zeros(tensor.sizes, dtype)
    if tensor.fill == "poison" and tensor.dtype in NIBBLES:
        return np.ones(tensor.sizes, dtype)
    if tensor.fill == "poison":
        return (
            np.full(tensor.sizes, 0x5A, np.uint8).astype(dtype)
            if dtype.kind in "biu"
            else np.full(tensor.sizes, np.nan, dtype)
        )
    if dtype.kind == "b":
        return rng.integers(0, 2, tensor.sizes).astype(dtype)
    if tensor.dtype == "int4":
        return rng.integers(-8, 8, tensor.sizes).astype(dtype)
    if dtype.kind in "iu":
        low, high = (0, 256 ** min(dtype.itemsize, 2)) if dtype.kind == "u" else (-100, 100)
        return rng.integers(low, high, tensor.sizes).astype(dtype)
    return rng.standard_normal(tensor.sizes).astype(dtype)


def check(program: Program) -> Outcome:
    """Run a program both ways and compare all its tensors."""
    try:
        func = trace(program)
    except Exception as error:
        return _error("trace", error)
    reference, simulated = arguments(program), arguments(program)
    try:
        evaluate(func.module, "main", reference)
    except SimulationError as error:
        return Outcome("invalid", f"{type(error).__name__}: {error}")
    except Exception as error:
        return _error("reference", error)
    try:
        plan, lowered = lower_program(func.module, parse_target(program.target), CompileOptions())
    except (LayoutError, UnsupportedError, ResourceError) as error:
        return Outcome("rejected", f"{type(error).__name__}: {error}")
    except Exception as error:
        return _error("lower", error)
    try:
        _simulate(program, SimulatedKernel(plan, _bytecode(lowered)), simulated)
    except Exception as error:
        return _error("simulate", error)
    return compare(program, reference, simulated)


def _error(stage: str, error: Exception) -> Outcome:
    return Outcome(f"{stage} {type(error).__name__}", "".join(traceback.format_exception(error))[-4000:])


def _bytecode(module: Any) -> bytes:
    out = BytesIO()
    module.operation.write_bytecode(out)
    return out.getvalue()


def _simulate(program: Program, kernel: SimulatedKernel, values: list[Any]) -> None:
    users = values[: len(values) - len(program.used_symbols())]
    given = [_packed(v) if isinstance(v, np.ndarray) and v.dtype.name in NIBBLES else v for v in users]
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_SIM_SEED": program.seed % 3}):
        kernel(*given)
    for value, data in zip(users, given, strict=True):
        if isinstance(value, np.ndarray) and value.dtype.name in NIBBLES:
            value[...] = unpack(data.view(np.uint8), value)


def _packed(value: np.ndarray) -> np.ndarray:
    """Elements of 4 bits as calls of kernels take them."""
    return raw_bits(value).view(np.int8 if value.dtype.name == "int4" else np.uint8)


def unpack(data: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Bytes of two elements of 4 bits as an array like another."""
    codes = np.stack((data & 15, data >> 4), axis=-1).reshape(like.shape)
    return (codes ^ 8).astype(np.int8) - 8 if like.dtype.name == "int4" else codes.view(like.dtype)


def raw_bits(value: np.ndarray) -> np.ndarray:
    """An array as the simulator takes it: raw bits where numpy has no such type, two elements of 4 bits in a byte."""
    if value.dtype.name in NIBBLES:
        codes = value.view(np.uint8) & 15
        return codes[..., ::2] | codes[..., 1::2] << 4
    return value.view(_RAW[value.dtype.itemsize]) if _is_foreign(value.dtype) else value


def _is_foreign(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype comes from ml_dtypes: the simulator takes such arrays as raw bits."""
    return dtype.kind not in "biuf" or hasattr(ml_dtypes, dtype.name)


def tolerance(program: Program) -> float:
    """The relative norm by which results may differ: the coarsest format wins; products have formats of their own."""
    text = program.text()
    found = [allowed for name, allowed in _TOLERANCE.items() if name in text]
    dtypes = dict(re.findall(r'(\w+) = T.alloc_\w+\(.*, "(\w+)"\)', text))
    for a, c in re.findall(r"T.gemm\((\w+), \w+, (\w+)", text):
        found += [_TF32] * (dtypes[a] == "float32") + [_F16_SUMS] * (dtypes[c] == "float16")
    return max(found, default=0.0)


def compare(program: Program, reference: list[Any], simulated: list[Any]) -> Outcome:
    allowed = tolerance(program)
    for param, want, got in zip(program.used_params(), reference, simulated, strict=False):
        if not isinstance(want, np.ndarray):
            continue
        if want.dtype.kind in "biu":
            if not np.array_equal(want, got):
                return Outcome("mismatch", _difference(param.name, want.astype(np.int64), got.astype(np.int64)))
            continue
        want, got = want.astype(np.float64), got.astype(np.float64)
        special = ~np.isfinite(want) | ~np.isfinite(got)
        if not np.array_equal(want[special], got[special], equal_nan=True):
            return Outcome("mismatch", _difference(param.name, want, got))
        want, got = np.where(special, 0, want), np.where(special, 0, got)
        if np.linalg.norm(want - got) > allowed * np.linalg.norm(want):
            return Outcome("mismatch", _difference(param.name, want, got))
    return Outcome("ok")


def _difference(name: str, want: np.ndarray, got: np.ndarray) -> str:
    differs = ~((want == got) | (np.isnan(want) & np.isnan(got))) if want.dtype.kind == "f" else want != got
    place = tuple(int(i) for i in np.argwhere(differs)[0])
    first = f"first at {list(place)}: want {want[place]}, got {got[place]}"
    return f"{name}: {int(differs.sum())} of {want.size} elements differ; {first}"
