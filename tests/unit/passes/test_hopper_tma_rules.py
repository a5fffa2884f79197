"""Which tiles bulk copies can take, why the others not, and in which boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from level1 import expand

from tilelang_mlir.dialect import context
from tilelang_mlir.dialect.layout import SharedLayout, Step, Swizzle, row_major, swizzled
from tilelang_mlir.dialect.layout.attrs import to_attr
from tilelang_mlir.mlir import ir
from tilelang_mlir.passes.nvidia.tma_rules import BoxPlan, box_bytes, box_plan, tma_obstacle
from tilelang_mlir.passes.walk import nested


def ask(
    shape: Sequence[int], tile: Sequence[int], layout: SharedLayout, element: str = "f16", *,
    strides: Sequence[int] | None = None, slice_sizes: Sequence[int] | None = None, shared_element: str = "",
    kind: str = "tensor",
) -> tuple[str, BoxPlan | None, int]:  # fmt: skip
    """Obstacle, boxes and bytes of the copy of a slice (a tile's worth by default) of an argument to a shared tile."""
    strides = list(strides or _row_major(shape))
    sizes = list(slice_sizes or tile)
    inner = ", ".join("?" if s < 0 else str(s) for s in strides)
    contiguous = strides == _row_major(shape)
    whole = f"memref<{_dims(shape)}x{element}{'' if contiguous else f', strided<[{inner}]>'}, @G>"
    part = f"memref<{_dims(sizes)}x{element}, strided<[{inner}], offset: ?>, @G>"
    unknown = sum(v < 0 for v in [*shape, *strides])
    text = f"""
    func.func @f(%p: !llvm.ptr<1>, %n: i32) attributes {{tl.params = [{{kind = "{kind}", name = "A"}}]}} {{
      %zero = arith.constant 0 : i32
      %A = "tl.tensor"(%p{", %n" * unknown}) {{shape = {_array(shape)}, strides = {_array(strides)}}}
           : (!llvm.ptr<1>{", i32" * unknown}) -> {whole}
      %t = "tl.slice"(%A{", %zero" * len(shape)}) {{sizes = {_array(sizes)}}}
           : ({whole}{", i32" * len(shape)}) -> {part}
      %s = "tl.alloc"() : () -> memref<{_dims(tile)}x{shared_element or element}, @S>
      return
    }}"""
    with context(), ir.Location.unknown():
        module = ir.Module.parse(expand(text))
        ops = {op.name: op for op in nested(module.operation)}
        ops["tl.alloc"].attributes["layout"] = to_attr(layout)
        device, shared = ops["tl.slice"].results[0], ops["tl.alloc"].results[0]
        return tma_obstacle(device, shared), box_plan(device, shared), box_bytes(shared)


def _row_major(shape: Sequence[int]) -> list[int]:
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


def _array(values: Sequence[int]) -> str:
    return f"array<i64: {', '.join(map(str, values))}>"


def _dims(values: Sequence[int]) -> str:
    return "x".join(map(str, values))


def test_one_box_per_panel_of_a_swizzled_tile() -> None:
    wide = ask([512, 512], [64, 256], swizzled([64, 256], 16, 128))
    assert wide == ("", BoxPlan((64, 64), "128B", (64, 256)), 64 * 256 * 2)
    assert ask([512, 512], [64, 32], swizzled([64, 32], 16, 64))[1] == BoxPlan((64, 32), "64B", (64, 32))
    assert ask([512, 512], [64, 16], swizzled([64, 16], 16, 32))[1] == BoxPlan((64, 16), "32B", (64, 16))
    narrow = ask([512, 512], [64, 256], swizzled([64, 256], 8, 128), "f8E4M3FN")
    assert narrow == ("", BoxPlan((64, 128), "128B", (64, 256)), 64 * 256)


def test_one_box_for_a_plain_tile() -> None:
    assert ask([512, 512], [8, 24], row_major([8, 24])) == ("", BoxPlan((8, 24), "none", (8, 24)), 8 * 24 * 2)
    assert ask([512], [64], row_major([64]), "f32") == ("", BoxPlan((64,), "none", (64,)), 256)


@pytest.mark.parametrize(
    ("tile", "layout", "box", "starts"),
    [
        ([320, 128], swizzled([320, 128], 16, 128), (160, 64), [(0, 0), (0, 64), (160, 0), (160, 64)]),
        ([2, 512, 64], swizzled([2, 512, 64], 16, 128), (1, 256, 64), [(0, 0, 0), (0, 256, 0), (1, 0, 0), (1, 256, 0)]),
        ([2, 512], row_major([2, 512]), (1, 256), [(0, 0), (0, 256), (1, 0), (1, 256)]),
    ],
)
def test_long_tiles_are_boxes_of_equal_parts(
    tile: list[int], layout: SharedLayout, box: tuple[int, ...], starts: list[tuple[int, ...]]
) -> None:
    obstacle, plan, size = ask([512] * len(tile), tile, layout)
    assert (obstacle, plan, size) == ("", BoxPlan(box, plan.swizzle if plan else "", tuple(tile)), math.prod(tile) * 2)
    assert plan is not None and plan.starts() == starts


def test_boxes_keep_the_order_of_the_tensors_dimensions() -> None:
    layout = swizzled([64, 128], 16, 128)
    obstacle, plan, _ = ask([2, 256, 4, 128], [64, 128], layout, slice_sizes=[1, 64, 1, 128])
    assert obstacle == "" and plan == BoxPlan((1, 64, 1, 64), "128B", (1, 64, 1, 128))


@pytest.mark.parametrize(
    ("arguments", "options", "reason"),
    [
        (([512, 512], [64, 64], swizzled([64, 64], 16, 128)), {"kind": "pointer"}, "no argument whose shape"),
        (([512, 512], [64, 64], swizzled([64, 64], 16, 128)), {"shared_element": "bf16"}, "converts elements"),
        (([512, 512], [64, 64], row_major([64, 64]), "i1"), {}, "elements of i1"),
        (([512, 512], [64, 64], row_major([64, 64]), "i4"), {}, "elements of i4"),
        (([2] * 6, [2, 2], row_major([2, 2])), {"slice_sizes": [1] * 4 + [2, 2]}, "6 dimensions"),
        (([512, 511], [64, 64], swizzled([64, 64], 16, 128)), {}, "strides [511, 1] of 2-byte elements"),
        (([512, 512], [64, 64], swizzled([64, 64], 16, 128)), {"strides": [1, 512]}, "strides [1, 512]"),
        (([512, 512], [64, 64], swizzled([64, 64], 16, 128)), {"strides": [-1, 1]}, "strides [?, 1]"),
        (([512, 512], [64, 64], row_major([64, 64], pad=8)), {}, "not in panels"),
        (([512, 512], [296, 64], swizzled([296, 64], 16, 128)), {}, "a box of [296, 64]"),
        (([512, 512], [8, 288], row_major([8, 288])), {}, "a box of [8, 288]"),
        (([512, 512], [64, 4], row_major([64, 4])), {}, "rows of 8 bytes"),
        (([512], [40], row_major([40])), {}, "tiles of 80 bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_obstacles(arguments: tuple[object, ...], options: dict[str, object], reason: str) -> None:
    assert reason in ask(*arguments, **options)[0]  # type: ignore[arg-type]


def test_a_tile_of_another_shape_has_no_boxes() -> None:
    layout = SharedLayout((64, 64), (Step(64, 1, 1, 1), Step(64, 0, 1, 64)), Swizzle(0, 0, 0))
    assert ask([512, 512], [64, 64], layout, slice_sizes=[64, 64])[1] is not None
    assert ask([4, 64, 64], [64, 64], layout, slice_sizes=[1, 64, 64])[1] == BoxPlan((1, 64, 64), "none", (1, 64, 64))
    assert ask([4096], [64, 64], layout, slice_sizes=[4096])[1] is None
