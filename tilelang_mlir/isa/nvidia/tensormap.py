"""Tensor maps that a kernel makes itself, and the proxy that reads them.

PTX ISA 8.7, sections 9.7.9.26 (tensormap.replace), 9.7.13.4 (fence.proxy.tensormap), 9.7.13.6
(tensormap.cp_fenceproxy), 9.7.9.15 (prefetch.tensormap). What the 128 bytes look like inside is the hardware's affair:
a program zeroes them, sets every field, releases them, and acquires them in the warp that copies through them.
"""

from __future__ import annotations

from typing import Any

from tilelang_mlir.errors import SimulationError
from tilelang_mlir.isa.instruction import (
    GLOBAL,
    SHARED,
    WARP,
    Access,
    Effect,
    Instruction,
    Machine,
    Run,
    constant,
    create,
    inline_ptx,
)
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Feature

BYTES = 128

# By dtype (PTX ISA 8.7, table of elemtype values); what has no entry of its own goes as bytes.
ELEMENT_TYPES = {
    "uint8": 0, "uint16": 1, "uint32": 2, "int32": 3, "uint64": 4, "int64": 5, "float16": 6, "float32": 7, "float64": 9,
    "bfloat16": 10,
}  # fmt: skip
SWIZZLES = {"none": 0, "32B": 1, "64B": 2, "128B": 3}

# Fields: those of one number, those of one number per dimension, and those that are constants.
WHOLE = {"global_address": 64, "rank": 32}
BY_DIMENSION = {"box_dim": 32, "global_dim": 32, "global_stride": 64, "element_stride": 32}
CHOICES = {"elemtype": 13, "interleave_layout": 3, "swizzle_mode": 4, "fill_mode": 2}  # how many values each has
_SPACES = {SHARED: "shared::cta", GLOBAL: "global"}


def replace(place: ir.Value, field: str, value: ir.Value | int, ordinal: int = 0) -> None:
    """`tensormap.replace.tile.FIELD.{shared::cta,global}.b1024.bN`: one field of the descriptor at `place`.

    Args:
        place: `!llvm.ptr<3>` or `!llvm.ptr<1>` of 128 bytes.
        field: global_address (i64), rank (the number of dimensions less one); box_dim, global_dim and element_stride
            (elements), global_stride (bytes, i64; ordinal 0 is that of the second dimension); elemtype,
            interleave_layout, swizzle_mode and fill_mode, which are Python integers.
        ordinal: the dimension, innermost first, of fields that have one.
    """
    space = int(str(place.type).partition("<")[2].rstrip(">"))
    bits = {**WHOLE, **BY_DIMENSION}.get(field, 32)
    start = f"tensormap.replace.tile.{field}.{_SPACES[space]}.b1024.b{bits} [{{$r0}}]"
    which = f", {ordinal}" if field in BY_DIMENSION else ""
    reads = [place]
    if field in CHOICES:
        text = f"{start}, {value};"
    else:
        text = f"{start}{which}, {{$r1}};"
        reads.append(value if isinstance(value, ir.Value) else constant(value, bits))
    i64 = ir.IntegerType.get_signless(64)
    facts: dict[str, ir.Attribute] = {
        "tl.field": ir.StringAttr.get(field), "tl.ordinal": ir.IntegerAttr.get(i64, ordinal),
    }  # fmt: skip
    if isinstance(value, int) and field in CHOICES:
        facts["tl.value"] = ir.IntegerAttr.get(i64, value)
    inline_ptx(f"tensormap.replace.{'shared' if space == SHARED else 'global'}", text, reads, attributes=facts)


def copy_and_release(target: ir.Value, source: ir.Value) -> None:
    """`tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned`: publish a descriptor.

    Args:
        target: `!llvm.ptr<1>`, 128-byte aligned.
        source: `!llvm.ptr<3>`, 128-byte aligned. All threads of the warp execute it with the same operands.
    """
    text = (
        "tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned "
        f"[{{$r0}}], [{{$r1}}], {BYTES};"
    )
    inline_ptx("tensormap.cp_fenceproxy", text, [target, source])


def release() -> None:
    """`fence.proxy.tensormap::generic.release.gpu`: publish what this thread has changed in device memory."""
    inline_ptx("fence.proxy.tensormap.release", "fence.proxy.tensormap::generic.release.gpu;")


def acquire(place: ir.Value) -> None:
    """`fence.proxy.tensormap::generic.acquire.gpu`: later copies of this thread see the descriptor as it is now.

    Args:
        place: `!llvm.ptr<1>`, of 128 bytes that were released.
    """
    text = f"fence.proxy.tensormap::generic.acquire.gpu [{{$r0}}], {BYTES};"
    inline_ptx("fence.proxy.tensormap.acquire", text, [place])


def prefetch(tensor_map: ir.Value) -> None:
    """`prefetch.tensormap`: a descriptor, a generic pointer, into the cache that copies read it from."""
    inline_ptx("prefetch.tensormap", "prefetch.tensormap [{$r0}];", [tensor_map])


def generic(place: ir.Value) -> ir.Value:
    """The descriptor at a `!llvm.ptr<1>` as copies take it."""
    return create("llvm.addrspacecast", [place], [ir.Type.parse("!llvm.ptr")])


def _replace(op: ir.Operation) -> Run:
    field = ir.StringAttr(op.attributes["tl.field"]).value
    ordinal = ir.IntegerAttr(op.attributes["tl.ordinal"]).value
    fixed = ir.IntegerAttr(op.attributes["tl.value"]).value if "tl.value" in op.attributes else None
    space = GLOBAL if ir.StringAttr(op.attributes["tl.instr"]).value.endswith("global") else SHARED
    if field in BY_DIMENSION and not 0 <= ordinal < (4 if field == "global_stride" else 5):
        raise SimulationError(f"tensormap.replace: {field} has no dimension {ordinal}")

    def run(machine: Machine, place: Any, *value: Any) -> None:
        machine.engine.maps.replace_field(space, place, field, ordinal, fixed if fixed is not None else value[0])

    return run


def _publish(machine: Machine, target: Any, source: Any) -> None:
    machine.require_whole_warps("tensormap.cp_fenceproxy")
    machine.engine.maps.publish_map(target, source)


_REPLACE, _FENCE = "9.7.9.26 tensormap.replace", "9.7.13.4 fence.proxy.tensormap"
_FIELDS = "tensormap.replace.tile.{field}.%s.b1024.{b32,b64} [a]{, ordinal}, value"
INSTRUCTIONS = (
    *(
        Instruction(
            f"tensormap.replace.{name}",
            _FIELDS % _SPACES[space],
            _REPLACE,
            _replace,
            emit=replace,
            feature=Feature.TENSOR_MAPS,
            effects=(Effect(Access.WRITE, space, 0, BYTES),),
        )
        for space, name in ((SHARED, "shared"), (GLOBAL, "global"))
    ),
    Instruction(
        "tensormap.cp_fenceproxy",
        "tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned [d], [s], 128",
        "9.7.13.6 tensormap.cp_fenceproxy",
        lambda op: _publish,
        emit=copy_and_release,
        feature=Feature.TENSOR_MAPS,
        effects=(Effect(Access.READ, SHARED, 1, BYTES), Effect(Access.WRITE, GLOBAL, 0, BYTES), Effect(Access.FENCE)),
        together=WARP,
    ),
    Instruction(
        "fence.proxy.tensormap.release",
        "fence.proxy.tensormap::generic.release.gpu",
        _FENCE,
        lambda op: lambda machine: machine.engine.maps.release_maps(),
        emit=release,
        feature=Feature.TMA,
        effects=(Effect(Access.FENCE),),
    ),
    Instruction(
        "fence.proxy.tensormap.acquire",
        "fence.proxy.tensormap::generic.acquire.gpu [a], 128",
        _FENCE,
        lambda op: lambda machine, place: machine.engine.maps.acquire_map(place),
        emit=acquire,
        feature=Feature.TMA,
        effects=(Effect(Access.FENCE), Effect(Access.READ, GLOBAL, 0, BYTES)),
    ),
    Instruction(
        "prefetch.tensormap",
        "prefetch.tensormap [a]",
        "9.7.9.15 prefetch",
        lambda op: lambda machine, place: machine.engine.maps.prefetch_map(place),
        emit=prefetch,
        feature=Feature.TMA,
    ),
)
