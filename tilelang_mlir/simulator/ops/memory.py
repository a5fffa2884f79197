"""LLVM memory ops: addresses are byte offsets in their address space."""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa import numeric
from tilelang_mlir.isa.instruction import GLOBAL, PRIVATE, SHARED, MemoryOrder
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator.atomics import RELAXED, Ordering
from tilelang_mlir.simulator.ops.rule import Writer, all_uniform, kind_of, operand_kind, rule
from tilelang_mlir.simulator.values import as_lanes, decoder, encoder, size_of

_DYNAMIC = -(1 << 31)
_UNSIGNED_TYPES = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


@rule("llvm.mlir.addressof")
def _address_of(w: Writer, op: ir.Operation, a: list[str]) -> str:
    return str(w.shared_address(ir.FlatSymbolRefAttr(op.attributes["global_name"]).value))


@rule("llvm.alloca")
def _alloca(w: Writer, op: ir.Operation, a: list[str]) -> str:
    return str(w.alloca_address(op))


@rule("llvm.getelementptr")
def _element_pointer(w: Writer, op: ir.Operation, a: list[str]) -> str:
    text = str(ir.TypeAttr(op.attributes["elem_type"]).value)
    terms, fixed = [a[0]], 0
    dynamic = 1
    for index in ir.DenseI32ArrayAttr(op.attributes["rawConstantIndices"]):
        size = size_of(text)
        if index == _DYNAMIC:
            value = op.operands[dynamic]
            name = a[dynamic]
            if not w.uniform(value) and kind_of(str(value.type)).bits != 64:
                name = f"{name}.astype(np.int64)"
            terms.append(f"{name} * {size}" if size != 1 else name)
            dynamic += 1
        else:
            fixed += index * size
        text = _inner(text)
    if fixed:
        terms.append(str(fixed))
    return " + ".join(terms)


def _inner(text: str) -> str:
    if not text.startswith("!llvm.array<"):
        return text
    inner = text.partition(" x ")[2][:-1]
    return f"!llvm.{inner}" if inner.startswith(("ptr", "array")) else inner


@rule("llvm.ptrtoint")
def _pointer_to_integer(w: Writer, op: ir.Operation, a: list[str]) -> str:
    kind = kind_of(str(op.results[0].type))
    if kind.bits == 64 or all_uniform(w, op):
        return a[0]
    return f"{a[0]}.astype({w.ref(kind.dtype)})"


@rule("llvm.inttoptr")
def _integer_to_pointer(w: Writer, op: ir.Operation, a: list[str]) -> str:
    kind = operand_kind(op, 0)
    if all_uniform(w, op):
        return f"{a[0]} & {(1 << kind.bits) - 1}" if kind.bits < 64 else a[0]
    return a[0] if kind.bits == 64 else f"{a[0]}.view({w.ref(_UNSIGNED_TYPES[kind.unit])}).astype(np.int64)"


@rule("llvm.addrspacecast")
def _cast_space(w: Writer, op: ir.Operation, a: list[str]) -> str:
    source, target = operand_kind(op, 0).space, kind_of(str(op.results[0].type)).space
    if (source, target) == (GLOBAL, PRIVATE) and all(_takes_map(use.owner.operation) for use in op.results[0].uses):
        return a[0]  # copies take tensor maps at generic addresses
    if source != target and {source, target} != {SHARED, 7}:
        raise UnsupportedError(f"the simulator has no generic addresses (cast from space {source} to {target})")
    return a[0]


def _takes_map(user: ir.Operation) -> bool:
    return user.name.startswith("nvvm.")


def _method(space: int, kind: str) -> str:
    names = {GLOBAL: "global", SHARED: "shared"}
    return f"L.{kind}_{names.get(space, 'private')}"


@rule("llvm.load")
def _load(w: Writer, op: ir.Operation, a: list[str]) -> str:
    text = str(op.results[0].type)
    kind = kind_of(text)
    method, convert = _method(operand_kind(op, 0).space, "load"), w.ref(decoder(text))
    if kind.nbytes == 32:
        half = w.ref(decoder(f"vector<{kind.lanes // 2}x{kind.element}>"))
        first = f"L.aligned_global({a[0]}, 32)"
        return f"np.concatenate(({half}({method}({first}, 16)), {half}({method}({a[0]} + 16, 16))), axis=2)"
    _require_power(kind.nbytes, text)
    if not kind.lanes and kind.element not in ("i1", "bf16"):
        return f"{method}({a[0]}, {kind.nbytes}).view({w.ref(kind.dtype)})"
    return f"{convert}({method}({a[0]}, {kind.nbytes}))"


@rule("llvm.store")
def _store(w: Writer, op: ir.Operation, a: list[str]) -> None:
    text = str(op.operands[0].type)
    kind = kind_of(text)
    method = _method(operand_kind(op, 1).space, "store")
    if kind.nbytes == 32:
        half = w.ref(encoder(f"vector<{kind.lanes // 2}x{kind.element}>"))
        for part, place in (
            (f":{kind.lanes // 2}", f"L.aligned_global({a[1]}, 32)"), (f"{kind.lanes // 2}:", f"{a[1]} + 16"),
        ):  # fmt: skip
            w.statement(f"{method}({place}, 16, {half}({a[0]}[..., {part}]))", op)
        return
    _require_power(kind.nbytes, text)
    w.statement(f"{method}({a[1]}, {kind.nbytes}, {w.ref(encoder(text))}({a[0]}))", op)


def _require_power(nbytes: int, text: str) -> None:
    if nbytes not in (1, 2, 4, 8, 16):
        raise UnsupportedError(f"the simulator has no memory accesses of {nbytes} bytes ({text})")


# llvm.atomicrmw bin_op (LLVM language reference, "atomicrmw") -> update of the old value
_UPDATES: dict[int, Any] = {
    0: lambda old, new: new,
    1: np.add,
    2: np.subtract,
    3: np.bitwise_and,
    4: lambda old, new: ~(old & new),
    5: np.bitwise_or,
    6: np.bitwise_xor,
    7: np.maximum,
    8: np.minimum,
    9: np.maximum,
    10: np.minimum,
    11: np.add,
    12: np.subtract,
    13: np.fmax,
    14: np.fmin,
}
_UNSIGNED = (9, 10)
# LLVM's orderings: acquire (consume is one), release, both, sequentially consistent.
_ORDERS = {4: MemoryOrder.ACQUIRE, 5: MemoryOrder.RELEASE, 6: MemoryOrder.BOTH, 7: MemoryOrder.BOTH}


def memory_order(op: ir.Operation) -> MemoryOrder:
    """What an atomic operation or a fence orders."""
    names = [name for name in ("ordering", "success_ordering") if name in op.attributes]
    order = MemoryOrder.RELAXED
    for name in names:
        order |= _ORDERS.get(int(ir.IntegerAttr(op.attributes[name]).value), MemoryOrder.RELAXED)
    return order


def _scope(op: ir.Operation) -> str:
    return ir.StringAttr(op.attributes["syncscope"]).value if "syncscope" in op.attributes else ""


def _ordering(w: Writer, op: ir.Operation) -> str:
    """The argument that says what an atomic operation orders, where it does."""
    order = memory_order(op)
    return "" if order is MemoryOrder.RELAXED else f", ordering={w.ref((order, _scope(op)))}"


@rule("llvm.atomicrmw")
def _atomic(w: Writer, op: ir.Operation, a: list[str]) -> str:
    code = int(ir.IntegerAttr(op.attributes["bin_op"]).value)
    text = str(op.operands[1].type)
    kind = kind_of(text)
    if kind.lanes and code == 11 and kind.unit == 2:
        return f"{w.ref(_add_pairs)}(L, {operand_kind(op, 0).space}, {a[0]}, {a[1]}, {w.ref(kind)})"
    if code not in _UPDATES or kind.lanes:
        raise UnsupportedError(f"the simulator has no atomicrmw number {code} on {text}")
    dtype = np.dtype(_UNSIGNED_TYPES[kind.unit]) if code in _UNSIGNED else np.dtype(kind.dtype)
    update = _UPDATES[code]
    used = bool(list(op.results[0].uses))
    value = f"{w.ref(as_lanes)}({a[1]}, {w.ref(kind.dtype)})"
    space, ordering = operand_kind(op, 0).space, _ordering(w, op)
    if kind.element == "bf16":
        bits, values = w.ref(numeric.float_to_bf16_bits), w.ref(numeric.bf16_bits_to_float)
        call = f"L.atomic({space}, {a[0]}, np.uint16, {w.ref(_on_bf16(update))}, {bits}({value}){ordering})"
        return f"{values}({call})"
    if not used and isinstance(update, np.ufunc) and kind.element != "f16":
        call = f"L.reduce({space}, {a[0]}, {w.ref(dtype)}, {w.ref(update)}, {value}.view({w.ref(dtype)}){ordering})"
        w.statement(call, op)
        return "None"
    call = f"L.atomic({space}, {a[0]}, {w.ref(dtype)}, {w.ref(update)}, {value}.view({w.ref(dtype)}){ordering})"
    return f"{call}.view({w.ref(kind.dtype)})"


def _add_pairs(lanes: Any, space: int, address: Any, value: np.ndarray, kind: Any) -> np.ndarray:
    """Additions of a vector of 16-bit floats: each element is atomic, the vector is not."""
    half = kind.element == "f16"
    old = []
    for k in range(kind.lanes):
        part, where = value[..., k], address + kind.unit * k
        if half:
            old.append(lanes.atomic(space, where, np.float16, np.add, part))
        else:
            bits = lanes.atomic(space, where, np.uint16, _on_bf16(np.add), numeric.float_to_bf16_bits(part))
            old.append(numeric.bf16_bits_to_float(bits))
    return np.stack(np.broadcast_arrays(*old), axis=2)


def _on_bf16(update: Any) -> Any:
    def apply(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        return numeric.float_to_bf16_bits(update(numeric.bf16_bits_to_float(old), numeric.bf16_bits_to_float(new)))

    return apply


@rule("llvm.cmpxchg")
def _compare_exchange(w: Writer, op: ir.Operation, a: list[str]) -> str:
    kind = kind_of(str(op.operands[1].type))
    dtype = w.ref(kind.dtype)
    lanes = w.ref(as_lanes)
    arguments = f"{operand_kind(op, 0).space}, {a[0]}, {dtype}"
    return f"{w.ref(_exchange)}(L, {arguments}, {lanes}({a[1]}, {dtype}), {lanes}({a[2]}, {dtype}){_ordering(w, op)})"


def _exchange(
    lanes: Any,
    space: int,
    address: Any,
    dtype: Any,
    expected: np.ndarray,
    new: np.ndarray,
    ordering: Ordering = RELAXED,
) -> tuple[Any, Any]:
    def update(current: np.ndarray, want: np.ndarray, put: np.ndarray) -> np.ndarray:
        return np.where(current == want, put, current)

    old = lanes.atomic(space, address, dtype, update, expected, new, ordering=ordering)
    return old, old == expected


@rule("llvm.fence")
def _fence(w: Writer, op: ir.Operation, a: list[str]) -> None:
    w.statement(f"L.fence({_scope(op)!r}, {w.ref(memory_order(op))})", op)
