"""Vectors and structs: arrays with a trailing axis, and tuples."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.isa import numeric
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator.ops.rule import Writer, result_kind, rule
from tilelang_mlir.simulator.values import as_lanes, kind_of


def _ints(op: ir.Operation, name: str) -> list[int]:
    return [int(x) for x in op.attributes[name]] if name in op.attributes else []


@rule("vector.extract")
def _extract(w: Writer, op: ir.Operation, a: list[str]) -> str:
    return f"{a[0]}[..., {_ints(op, 'static_position')[0]}]"


@rule("vector.insert")
def _insert(w: Writer, op: ir.Operation, a: list[str]) -> str:
    return f"{w.ref(_put)}({a[1]}, {_ints(op, 'static_position')[0]}, {a[0]})"


def _put(vector: np.ndarray, index: int, value: Any) -> np.ndarray:
    shape = np.broadcast_shapes(vector.shape[:2], np.shape(value) or (1, 1))
    out = np.array(np.broadcast_to(vector, (*shape, vector.shape[2])))
    out[..., index] = value
    return out


@rule("vector.from_elements")
def _from_elements(w: Writer, op: ir.Operation, a: list[str]) -> str:
    return f"{w.ref(gather)}({w.ref(result_kind(op).dtype)}, {', '.join(a)})"


def gather(dtype: Any, *values: Any) -> np.ndarray:
    """Scalars -> vector."""
    shape = np.broadcast_shapes((1, 1), *[np.shape(x) for x in values])
    out = np.empty((*shape, len(values)), dtype)
    for index, value in enumerate(values):
        out[..., index] = value
    return out


@rule("vector.broadcast", "vector.splat")
def _broadcast(w: Writer, op: ir.Operation, a: list[str]) -> str:
    kind = result_kind(op)
    return f"{w.ref(_repeat)}({a[0]}, {kind.lanes}, {w.ref(kind.dtype)})"


def _repeat(value: Any, lanes: int, dtype: Any) -> np.ndarray:
    value = as_lanes(value, dtype)
    if value.ndim == 2:
        value = value[..., None]
    return np.broadcast_to(value, (*value.shape[:2], lanes))


@rule("vector.shuffle")
def _shuffle(w: Writer, op: ir.Operation, a: list[str]) -> str:
    return f"{w.ref(_pick)}({a[0]}, {a[1]}, {_ints(op, 'mask')})"


def _pick(x: np.ndarray, y: np.ndarray, picks: list[int]) -> np.ndarray:
    if max(picks) < x.shape[2]:
        return x[..., [max(p, 0) for p in picks]]
    if x.shape[:2] != y.shape[:2]:
        shape = np.broadcast_shapes(x.shape[:2], y.shape[:2])
        x, y = (np.broadcast_to(v, (*shape, v.shape[2])) for v in (x, y))
    if picks == list(range(x.shape[2] + y.shape[2])):
        return np.concatenate((x, y), axis=2)
    return np.concatenate((x, y), axis=2)[..., [max(p, 0) for p in picks]]


@rule("vector.extract_strided_slice")
def _slice(w: Writer, op: ir.Operation, a: list[str]) -> str:
    offset, size, stride = (
        int(ir.IntegerAttr(ir.ArrayAttr(op.attributes[n])[0]).value) for n in ("offsets", "sizes", "strides")
    )
    return f"{a[0]}[..., {offset}:{offset + size * stride}:{stride}]"


@rule("vector.insert_strided_slice")
def _insert_slice(w: Writer, op: ir.Operation, a: list[str]) -> str:
    offset = int(ir.IntegerAttr(ir.ArrayAttr(op.attributes["offsets"])[0]).value)
    return f"{w.ref(_put)}({a[1]}, slice({offset}, {offset} + {a[0]}.shape[2]), {a[0]})"


_FOLD: dict[str, Any] = {
    "add": np.add,
    "mul": np.multiply,
    "minsi": np.minimum,
    "maxsi": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "minimumf": np.minimum,
    "maximumf": np.maximum,
    "minnumf": np.fmin,
    "maxnumf": np.fmax,
}


@rule("vector.reduction")
def _reduce(w: Writer, op: ir.Operation, a: list[str]) -> str:
    kind = str(op.attributes["kind"]).partition("<")[2].rstrip(">")
    element = kind_of(str(op.operands[0].type))
    unsigned = kind in ("minui", "maxui")
    function = _FOLD[kind.replace("ui", "si") if unsigned else kind]
    start = a[1] if len(a) > 1 else "None"
    return f"{w.ref(_fold)}({w.ref(function)}, {a[0]}, {start}, {w.ref(element)}, {unsigned})"


def _fold(function: Any, vector: np.ndarray, start: Any, kind: Any, unsigned: bool) -> np.ndarray:
    """Left to right, as an ordered reduction rounds."""
    if unsigned:
        vector = vector.view(f"u{kind.unit}")
    total = vector[..., 0] if start is None else function(start, vector[..., 0])
    for index in range(1, vector.shape[2]):
        total = function(total, vector[..., index])
        if kind.element == "bf16":
            total = numeric.round_bf16(total)
    return total.view(kind.dtype).astype(kind.dtype, copy=False)


@rule("llvm.extractvalue")
def _extract_value(w: Writer, op: ir.Operation, a: list[str]) -> str:
    return a[0] + "".join(f"[{i}]" for i in _ints(op, "position"))


@rule("llvm.insertvalue")
def _insert_value(w: Writer, op: ir.Operation, a: list[str]) -> str:
    return f"{w.ref(_put_field)}({a[0]}, {_ints(op, 'position')[0]}, {a[1]})"


def _put_field(struct: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    return (*struct[:index], value, *struct[index + 1 :])


@rule("llvm.extractelement")
def _extract_element(w: Writer, op: ir.Operation, a: list[str]) -> str:
    return f"{w.ref(_element)}({a[0]}, {a[1]})"


def _element(vector: np.ndarray, index: Any) -> np.ndarray:
    if not isinstance(index, np.ndarray):
        return vector[..., index]
    shape = np.broadcast_shapes(vector.shape[:2], index.shape)
    wide = np.broadcast_to(vector, (*shape, vector.shape[2]))
    return np.take_along_axis(wide, np.broadcast_to(index, shape)[..., None].astype(np.int64), 2)[..., 0]


@rule("llvm.mlir.zero", "llvm.mlir.undef", "llvm.mlir.poison", "ub.poison")
def _filled(w: Writer, op: ir.Operation, a: list[str]) -> str:
    text = str(op.results[0].type)
    zero = op.name == "llvm.mlir.zero"
    if text.startswith("!llvm.struct"):
        fields = text.partition("(")[2].rpartition(")")[0].split(", ")
        return "(" + "".join(f"{w.ref(_fill(f, zero, True))}, " for f in fields) + ")"
    value = _fill(text, zero, bool(kind_of(text).lanes))
    return w.ref(value) if isinstance(value, (np.ndarray, np.generic)) else repr(value)


def _fill(text: str, zero: bool, lanes: bool) -> Any:
    """Zeros; or for an undefined value a pattern that is conspicuous (NaN, or a repeated 0x5A)."""
    kind = kind_of(text if not text.startswith("ptr") else f"!llvm.{text}")
    value = kind.dtype(0) if zero else kind.dtype(np.nan) if kind.is_float else kind.dtype(0x5A)
    if kind.lanes:
        return np.full((1, 1, kind.lanes), value, kind.dtype)
    if lanes:
        return np.full((1, 1), value, kind.dtype)
    return value if kind.is_float else value.item()
