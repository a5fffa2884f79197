"""Layout values to attributes and back. The values are the truth; attributes only carry them through the IR."""

from __future__ import annotations

from collections.abc import Iterable

from tilelang_mlir.mlir import ContextTable, int_array, ir

from ..tl import FragmentLayoutAttr, SharedLayoutAttr, TensorLayoutAttr
from .fragment import Digit, Fragment
from .shared import SharedLayout, Step, Swizzle
from .tensor import LaneStep, TensorLayout

_READ = ContextTable()


def to_attr(layout: Fragment | SharedLayout) -> ir.Attribute:
    """Serialise a layout; needs a current MLIR context with the dialect loaded."""
    if isinstance(layout, Fragment):
        return FragmentLayoutAttr.get(_ints(layout.shape), _flat(layout.thread), _flat(layout.value))
    return SharedLayoutAttr.get(_ints(layout.shape), _flat(layout.steps), _ints(layout.swizzle))


def from_attr(attr: ir.Attribute) -> Fragment | SharedLayout:
    """Read a `#tl.fragment` or `#tl.smem` attribute."""
    known = _READ.of(attr.context)
    if (layout := known.get(attr)) is None:
        layout = known[attr] = _read(attr.maybe_downcast())
    return layout


def _read(attr: ir.Attribute) -> Fragment | SharedLayout:
    if isinstance(attr, FragmentLayoutAttr):
        shape, thread, value = (_list(a) for a in (attr.shape, attr.thread, attr.value))
        return Fragment(tuple(shape), _digits(thread), _digits(value))
    if isinstance(attr, SharedLayoutAttr):
        shape, steps, swizzle = (_list(a) for a in (attr.shape, attr.digits, attr.swizzle))
        return SharedLayout(
            tuple(shape), tuple(Step(*steps[i : i + 4]) for i in range(0, len(steps), 4)), Swizzle(*swizzle)
        )
    raise TypeError(f"{attr} is no layout attribute")


def tensor_to_attr(layout: TensorLayout) -> ir.Attribute:
    """Serialise a tensor memory layout."""
    i64 = ir.IntegerType.get_signless(64)
    numbers = (ir.IntegerAttr.get(i64, n) for n in (layout.bits, layout.parts, int(layout.spread)))
    return TensorLayoutAttr.get(_ints(layout.shape), _flat(layout.lanes), *numbers)


def tensor_from_attr(attr: ir.Attribute) -> TensorLayout:
    """Read a `#tl.tmem` attribute."""
    attr = attr.maybe_downcast()
    if not isinstance(attr, TensorLayoutAttr):
        raise TypeError(f"{attr} is no tensor memory layout")
    shape, lanes = _list(attr.shape), _list(attr.lanes)
    steps = tuple(LaneStep(*lanes[i : i + 3]) for i in range(0, len(lanes), 3))
    bits, parts, spread = (x.maybe_downcast().value for x in (attr.bits, attr.parts, attr.spread))
    return TensorLayout(tuple(shape), steps, bits, parts, bool(spread))


def _digits(flat: list[int]) -> tuple[Digit, ...]:
    return tuple(Digit(*flat[i : i + 3]) for i in range(0, len(flat), 3))


def _flat(rows: Iterable[Iterable[int]]) -> ir.Attribute:
    return _ints(x for row in rows for x in row)


def _ints(values: Iterable[int]) -> ir.Attribute:
    return ir.DenseI64ArrayAttr.get(list(values))


def _list(attr: ir.Attribute) -> list[int]:
    return int_array(ir.DenseI64ArrayAttr(attr))
