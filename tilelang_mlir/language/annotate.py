"""Hints on kernels and buffers."""

from __future__ import annotations

import inspect
from typing import Any

from tilelang_mlir.dialect.layout import Fragment, SharedLayout, TensorLayout
from tilelang_mlir.dialect.layout.attrs import tensor_to_attr, to_attr
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend.buffer import Buffer, buffer_of, memory_of
from tilelang_mlir.frontend.builder import require, scalar_attribute
from tilelang_mlir.frontend.expr import as_expr, describe
from tilelang_mlir.language.loops import as_layout
from tilelang_mlir.mlir import ir


def _i32(value: int) -> ir.Attribute:
    return ir.IntegerAttr.get(ir.IntegerType.get_signless(32), value)


def use_swizzle(panel_size: Any, order: str = "row", enable: bool = True) -> None:
    """Visit the blocks of the grid in panels of `panel_size` rows or columns, so that neighbours share operands."""
    if order not in ("row", "column", "mlx"):
        raise TileValueError(f"T.use_swizzle: unknown order {order!r}", hint="row or column")
    if isinstance(panel_size, bool) or not isinstance(panel_size, int) or panel_size < 1:
        raise TileValueError(f"T.use_swizzle: the panel size must be a positive integer, got {describe(panel_size)}")
    launch = require("T.use_swizzle").require_launch("T.use_swizzle")
    if enable:
        attribute = ir.DictAttr.get({"panel": _i32(panel_size), "order": ir.StringAttr.get(order)})
        launch.block.owner.attributes["swizzle"] = attribute


def annotate_min_blocks_per_sm(n: Any) -> None:
    """Ask for at least `n` blocks per multiprocessor, which limits the registers of a thread."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise TileValueError(f"T.annotate_min_blocks_per_sm needs a positive integer, got {describe(n)}")
    launch = require("T.annotate_min_blocks_per_sm").require_launch("T.annotate_min_blocks_per_sm")
    launch.block.owner.attributes["min_blocks"] = _i32(n)


def annotate_layout(layout_map: dict[Any, Any]) -> None:
    """Pin the layout of buffers: `{buffer: layout}`, with a `T.Layout` or function of the indices for a shared tile and
    a `T.Fragment` for a fragment; for tensor memory a `T.Layout` of the form `(lane, column)`, columns in elements.

    Maps of digits of the indices, and exchanges of bits behind them, are placed so. Of others a warning says that they
    have no effect: no value of the program depends on where elements lie.

    Raises:
        TileTypeError: a layout of another memory. TileValueError: of another shape, or two elements share a place.
    """
    builder = require("T.annotate_layout")
    if not isinstance(layout_map, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TileTypeError(f"T.annotate_layout needs a dictionary, got {describe(layout_map)}",
                            hint="T.annotate_layout({A_shared: layout})")
    layouts = builder.side.setdefault("layouts", {})
    for key, given in layout_map.items():
        buffer = buffer_of(key, "a key of T.annotate_layout")
        if inspect.isfunction(given):
            from tilelang_mlir.layout import Layout  # brings numpy, which few programs need so early

            given = Layout(tuple(buffer.shape), given)
        if buffer.memory == "tmem" and hasattr(given, "tables"):
            from tilelang_mlir.language.tensor_layouts import tensor_layout_of

            given = tensor_layout_of(given, buffer)
            if given is None:
                continue
        if isinstance(given, TensorLayout) != (buffer.memory == "tmem"):
            expected = "tensor memory" if buffer.memory == "tmem" else "shared memory or registers"
            raise TileTypeError(f"{buffer!r} needs a layout of {expected}, got {type(given).__name__}")
        if isinstance(given, TensorLayout):
            if given.shape != tuple(buffer.shape):
                raise TileValueError(f"the layout of {buffer!r} is for shape {list(given.shape)}")
            memory_of(buffer).owner.attributes["layout"] = tensor_to_attr(given)
            continue
        layouts[buffer.name] = given
        if buffer.memory in ("global", "local", "var"):
            continue  # tensors lie as their strides say, in every kernel; each thread has its own of the others
        layout = as_layout(given, f"the layout of {buffer.name}")
        if isinstance(layout, Fragment) != (buffer.memory == "fragment") and isinstance(
            layout, Fragment | SharedLayout
        ):
            expected = "a Fragment" if buffer.memory == "fragment" else "a shared-memory layout"
            raise TileTypeError(f"{buffer!r} needs {expected}, got {type(layout).__name__}")
        if isinstance(layout, Fragment | SharedLayout):
            shape = tuple(getattr(layout, "shape", buffer.shape))
            if shape != tuple(buffer.shape):
                raise TileValueError(f"the layout of {buffer!r} is for shape {list(shape)}")
            memory_of(buffer).owner.attributes["layout"] = to_attr(layout)


def annotate_safe_value(safe_value_map: dict[Any, Any]) -> None:
    """What elements outside a buffer read as: `{buffer: value}`; zero without it."""
    builder = require("T.annotate_safe_value")
    for key, value in safe_value_map.items():
        buffer = buffer_of(key, "a key of T.annotate_safe_value")
        number = as_expr(value).const
        if number is None:
            raise TileTypeError(f"the safe value of {buffer!r} must be a constant, got {describe(value)}")
        attribute = scalar_attribute(number, buffer.dtype, builder.type(buffer.dtype))
        memory_of(buffer).owner.attributes["safe_value"] = attribute


def annotate_l2_hit_ratio(l2_hit_ratio_map: dict[Any, Any]) -> None:
    """Which part of a tensor's accesses should stay in the L2 cache: `{tensor: ratio}`. Checked, and no more: no access
    is compiled otherwise."""
    require("T.annotate_l2_hit_ratio")
    for key, ratio in l2_hit_ratio_map.items():
        buffer = buffer_of(key, "a key of T.annotate_l2_hit_ratio")
        if buffer.memory != "global" or not isinstance(ratio, int | float) or not 0 <= ratio <= 1:
            raise TileValueError(
                f"T.annotate_l2_hit_ratio needs a global tensor and a ratio from 0 to 1, got {ratio!r}"
            )
        memory_of(buffer).owner.attributes["tl.l2_hit_ratio"] = ir.FloatAttr.get(ir.F64Type.get(), float(ratio))


def annotate_restrict_buffers(*buffers: Buffer) -> None:
    """Tensors that may overlap others."""
    for buffer in buffers:
        memory_of(buffer_of(buffer, "T.annotate_restrict_buffers")).owner.attributes["tl.may_alias"] = ir.UnitAttr.get()
