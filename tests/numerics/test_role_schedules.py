"""Kernels whose programs give the schedule of their warp roles, in the simulator against float64."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hopper_programs import check, compiled, f64, poisoned, random

import tilelang_mlir.language as T
from tilelang_mlir.errors import TileError, TileTypeError, TileValueError

ACQUIRE, COMMIT, WAIT, RELEASE = (
    T.WSSync.producer_acquire, T.WSSync.producer_commit, T.WSSync.consumer_wait, T.WSSync.consumer_release
)  # fmt: skip
TILE = 64


def gemm(size: tuple[int, int, int], *, depth: int, behind: int) -> Any:
    """C = A @ B, several tiles per block: one warp loads, a warpgroup multiplies.

    E = D comes through a second pipeline, whose consumer runs `behind` iterations late.
    """
    M, N, K = size
    rows, columns, steps = -(-M // TILE), -(-N // TILE), -(-K // TILE)

    @T.prim_func
    def main(
        A: T.Tensor((M, K), "float16"), B: T.Tensor((K, N), "float16"), D: T.Tensor((steps * TILE, TILE), "float16"),
        C: T.Tensor((M, N), "float32"), E: T.Tensor((steps * TILE, TILE), "float16"),
    ):
        with T.Kernel(2, threads=128) as worker:
            a = T.alloc_shared((TILE, TILE), "float16")
            b = T.alloc_shared((TILE, TILE), "float16")
            d = T.alloc_shared((TILE, TILE), "float16")
            acc = T.alloc_fragment((TILE, TILE), "float32")
            extra = T.alloc_fragment((TILE, TILE), "float16")
            tiles = T.PersistentTileScheduler(rows, columns)
            T.annotate_ws_schedule(T.WSSchedule(
                num_warps=8,
                roles=[
                    T.WSRole("load", warps_lo=1, warps_hi=2, max_nreg=40),
                    T.WSRole("multiply", warps_lo=4, warps_hi=8, max_nreg=224),
                ],
                pipelines=[T.WSPipeline("operands", [a, b], depth), T.WSPipeline("extra", [d], 2)],
                scopes=[
                    T.WSScope("k", {
                        "load": [ACQUIRE("operands"), "A", "B", COMMIT("operands"), ACQUIRE("extra"), "D",
                                 COMMIT("extra")],
                        "multiply": [WAIT("operands"), T.WSOpRef("product"), RELEASE("operands"),
                                     WAIT("extra", behind), "take", RELEASE("extra", behind)],
                    }),
                    T.WSScope("tiles", {
                        "load": ["where", "k", "next"], "multiply": ["where", "zero", "k", "store", "next"],
                    }),
                    T.WSScope(T.WSScope.ROOT, {"load": ["start", "tiles"], "multiply": ["start", "tiles"]}),
                ],
            ))  # fmt: skip
            with T.ws_op("start"):
                tiles.init(worker)
            with T.ws_op("tiles"):
                while tiles.valid():
                    with T.ws_op("where"):
                        row, column = tiles.m_idx * TILE, tiles.n_idx * TILE
                    T.clear(acc, annotations={T.WSID: "zero"})
                    for k in T.Pipelined(steps, num_stages=depth, annotations={T.WSID: "k"}):
                        T.copy(A[row, k * TILE], a, annotations={T.WSID: "A"})
                        T.copy(B[k * TILE, column], b, annotations={T.WSID: "B"})
                        T.copy(D[k * TILE, 0], d, annotations={T.WSID: "D"})
                        T.gemm(a, b, acc, annotations={T.WSID: "product"})
                        if row + column == 0:
                            with T.ws_op("take"):
                                T.copy(d, extra)
                                T.copy(extra, E[k * TILE, 0])
                    T.copy(acc, C[row, column], annotations={T.WSID: "store"})
                    with T.ws_op("next"):
                        tiles.next_tile()

    return main


@pytest.mark.parametrize(("size", "depth", "behind"), [((72, 64, 136), 2, 1), ((64, 72, 64), 1, 0)])
def test_roles_of_a_product(size: tuple[int, int, int], depth: int, behind: int) -> None:
    M, N, K = size
    a, b, d = random((M, K)), random((K, N)), random((-(-K // TILE) * TILE, TILE))
    c, e = poisoned((M, N), "float32"), poisoned(d.shape, "float16")
    compiled(gemm(size, depth=depth, behind=behind))(a, b, d, c, e)
    check(c, f64(a) @ f64(b), "float32")
    np.testing.assert_array_equal(e, d)


def copying(roles: list[Any], bodies: dict[str, list[Any]], **pipeline: Any) -> Any:
    """A tile goes from A through shared memory to B, as roles and bodies say."""

    @T.prim_func
    def main(A: T.Tensor((TILE, TILE), "float16"), B: T.Tensor((TILE, TILE), "float16")):
        with T.Kernel(1, threads=128):
            s = T.alloc_shared((TILE, TILE), "float16")
            T.annotate_ws_schedule(T.WSSchedule(
                8, roles, [T.WSPipeline("tile", pipeline.get("buffers", [s]), pipeline.get("depth", 1))],
                [T.WSScope(T.WSScope.ROOT, bodies)],
            ))  # fmt: skip
            T.copy(A, s, annotations={T.WSID: "in"})
            T.copy(s, B, annotations={T.WSID: "out"})

    return main


LOAD, USE = T.WSRole("load", warps_lo=0, warps_hi=4), T.WSRole("use", warps_lo=4, warps_hi=8)
IN, OUT = [ACQUIRE("tile"), "in", COMMIT("tile")], [WAIT("tile"), "out", RELEASE("tile")]


@pytest.mark.parametrize(
    ("roles", "bodies", "pipeline", "error", "text"),
    [
        ([LOAD, USE], {"load": IN, "use": OUT}, {"buffers": [3]}, TileTypeError, "protects buffers in .* got int 3"),
        ([LOAD, USE], {"load": IN, "use": [*OUT, 4]}, {}, TileTypeError, "a step of scope .* got int 4"),
        ([LOAD, "use"], {"load": IN, "use": OUT}, {}, TileTypeError, "roles .* are T.WSRole, got str 'use'"),
        ([LOAD, USE], {"load": IN, "use": OUT}, {"depth": "2"}, TileTypeError, "depth .* a Python integer, got str"),
        ([LOAD, USE], {"load": [T.WSSync("acquire", "tile"), *IN[1:]], "use": OUT}, {}, TileTypeError, "T.WSSyncKind"),
        ([LOAD, USE], {"load": IN, "use": OUT}, {"depth": 0}, TileValueError, "'tile' has depth 0, expected 1"),
        ([LOAD, USE], {"load": IN[:2], "use": OUT}, {}, TileValueError, "the acquire of 'tile' .* has no commit"),
        ([LOAD, USE], {"load": IN}, {}, TileValueError, "needs one role that consumes it, got no role"),
        ([LOAD, USE], {"load": IN, "use": ["out"]}, {}, TileValueError, "needs one role that consumes it"),
        ([LOAD, USE], {"load": IN, "use": OUT[::2]}, {}, TileValueError, "'out' has no place in the schedule"),
    ],
)  # fmt: skip
def test_wrong_schedules(
    roles: list[Any], bodies: dict[str, list[Any]], pipeline: dict[str, Any], error: type[TileError], text: str
) -> None:
    with pytest.raises(error, match=text) as caught:
        compiled(copying(roles, bodies, **pipeline))(random((TILE, TILE)), poisoned((TILE, TILE), "float16"))
    assert caught.value.location is not None and caught.value.hint


def test_depth_of_a_loop() -> None:
    """The number of versions that a program asks for replaces that of the loop; the product stays right."""

    def program(depths: tuple[int, int]) -> Any:
        @T.prim_func
        def main(
            A: T.Tensor((128, 320), "float16"), B: T.Tensor((320, 64), "float16"), C: T.Tensor((128, 64), "float32")
        ):
            with T.Kernel(1, threads=128):
                a, b = T.alloc_shared((128, 64), "float16"), T.alloc_shared((64, 64), "float16")
                acc = T.alloc_fragment((128, 64), "float32")
                T.annotate_ws_pipeline_depth({a: depths[0], b: depths[1]})
                T.clear(acc)
                for k in T.Pipelined(5, num_stages=2):
                    T.copy(A[0, k * 64], a)
                    T.copy(B[k * 64, 0], b)
                    T.gemm(a, b, acc)
                T.copy(acc, C)

        return main

    a, b, c = random((128, 320)), random((320, 64)), poisoned((128, 64), "float32")
    kernel = compiled(program((3, 3)))
    kernel(a, b, c)
    check(c, f64(a) @ f64(b), "float32")
    assert re.search(r"3x128x64", kernel.ir("scheduled")), "three versions of a tile"
    with pytest.raises(TileValueError, match="different numbers of versions"):
        compiled(program((3, 4)))(a, b, c)
