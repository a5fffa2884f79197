"""The dialect object and its attributes and types."""

import importlib
import io
from typing import Any, ClassVar

from tilelang_mlir.mlir import ROOT, dialect, ir

ext = dialect("ext")
_BINDINGS: Any = importlib.import_module(f"{ROOT}._mlir_libs._mlir")

GLOBAL = "global"
SHARED = "shared"
FRAGMENT = "fragment"
LOCAL = "local"
VAR = "var"
TMEM = "tmem"
SCOPES = (GLOBAL, SHARED, FRAGMENT, LOCAL, VAR, TMEM)
# Attribute of a quotient or remainder of an unsigned dtype, whose operands may have wrapped around.
UNSIGNED = "tl.unsigned"


class TL(ext.Dialect, name="tl"):
    """Tile programs: what a CTA does to tiles, before it is decided what each thread does."""

    _definitions: ClassVar[bytes] = b""  # of the ops, as bytecode

    @classmethod
    def load(cls) -> None:
        """Define the ops, types and attributes in the current context.

        The bindings build the definitions op by op, optimise them and enter the classes in tables of the process. The
        first context does that, others read what it made.
        """
        if not cls._definitions:
            super().load()
            buffer = io.BytesIO()
            cls._mlir_module.operation.write_bytecode(buffer)
            cls._definitions = buffer.getvalue()
            return
        dialect("irdl").load_dialects(ir.Module.parse(cls._definitions))
        for op in cls.operations:
            op._attach_traits()
        # Ids of types and attributes belong to a context.
        casters = [(ir.DynamicType.lookup_typeid(kind.type_name), kind) for kind in cls.types]
        casters += [(ir.DynamicAttr.lookup_typeid(kind.attr_name), kind) for kind in cls.attributes]
        for number, kind in casters:
            _BINDINGS.register_type_caster(number, replace=True)(kind)


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

    `lanes` is a flat list of (size, stride, lane) steps of the row, `bits` the width of an element, `parts` how many
    parts of the columns lie under one another, `spread` whether each element has a column of its own.
    """

    shape: Any
    lanes: Any
    bits: ir.IntegerAttr
    parts: ir.IntegerAttr
    spread: ir.IntegerAttr


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
