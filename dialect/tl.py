"""The dialect object and its attributes and types."""

from typing import Any

from tilelang_mlir.mlir import dialect, ir

ext = dialect("ext")

GLOBAL = "global"
SHARED = "shared"
FRAGMENT = "fragment"
LOCAL = "local"
VAR = "var"
TMEM = "tmem"
SCOPES = (GLOBAL, SHARED, FRAGMENT, LOCAL, VAR, TMEM)


class TL(ext.Dialect, name="tl"):
    """Tile programs: what a CTA does to tiles, before it is decided what each thread does."""


class ScopeAttr(TL.Attribute, name="scope"):
    """Memory space of a buffer: `#tl.scope<"shared">`.

    `global` device memory, `shared` one copy per CTA, `fragment` one tile spread over the CTA's registers by a layout,
    `local` one copy per thread, `var` one mutable scalar per thread, `tmem` tensor memory of a multiprocessor.
    """

    value: ir.StringAttr


class FragmentLayoutAttr(TL.Attribute, name="fragment"):
    """Which thread holds which elements of a tile: serialisation of `layout.Fragment`.

    `shape` is the tile's shape; `thread` and `value` are flat lists of (size, dim, stride) digits, fastest first,
    dim -1 marking replication.
    """

    shape: Any
    thread: Any
    value: Any


class SharedLayoutAttr(TL.Attribute, name="smem"):
    """Where an element of a shared tile lies: serialisation of `layout.SharedLayout`.

    `digits` is a flat list of (size, dim, stride, offset), `swizzle` is (bits, base, shift) in elements, or (0, 0, 0).
    """

    shape: Any
    digits: Any
    swizzle: Any


class TensorLayoutAttr(TL.Attribute, name="tmem"):
    """In which lane and column of tensor memory an element lies: serialisation of `layout.TensorLayout`.

    `lanes` is a flat list of (size, stride, lane) steps of the row, `bits` the width of an element.
    """

    shape: Any
    lanes: Any
    bits: ir.IntegerAttr


class BarrierType(TL.Type, name="barrier"):
    """An array of mbarriers in shared memory: `!tl.barrier<4 : i64>`."""

    count: ir.IntegerAttr


def scope_attr(scope: str) -> ir.Attribute:
    return ScopeAttr.get(ir.StringAttr.get(scope))


def scope_of(value: ir.Value) -> str:
    """The scope of a buffer value; raises KeyError-like TypeError for a value that is no buffer."""
    kind = value.type
    if not isinstance(kind, ir.MemRefType):
        raise TypeError(f"{kind} is not a buffer type")
    space = kind.memory_space
    return space.maybe_downcast().value.maybe_downcast().value if space is not None else GLOBAL


def buffer_type(shape: list[int], element: ir.Type, scope: str, layout: ir.Attribute | None = None) -> ir.Type:
    """A buffer type: a memref whose memory space is the scope. Dynamic sizes are `ir.ShapedType.get_dynamic_size()`."""
    return ir.MemRefType.get(shape, element, layout, scope_attr(scope))
