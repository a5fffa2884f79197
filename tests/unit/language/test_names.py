"""Every name of the language emits the op it stands for; values are checked with the reference evaluator."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tilelang_mlir.language as T
from tilelang_mlir.errors import TileError, TileTypeError, TileValueError, UnsupportedError
from tilelang_mlir.language import missing
from tilelang_mlir.reference import evaluate

_SPEC = importlib.util.spec_from_file_location("tracing", Path(__file__).parents[1] / "frontend" / "tracing.py")
assert _SPEC is not None and _SPEC.loader is not None
tracing: Any = importlib.util.module_from_spec(_SPEC)
sys.modules.setdefault("tracing", tracing)
_SPEC.loader.exec_module(tracing)
trace_kernel = tracing.trace_kernel
TILES = (
    "s = T.alloc_shared((32, 16), 'float16')\nf = T.alloc_fragment((32, 16), 'float32')\n"
    "r = T.alloc_fragment((32,), 'float32')\n"
)

# Kernel body -> what its IR contains.
EMITS: list[tuple[str, list[str]]] = [
    # Allocation.
    ("x = T.alloc_shared((4, 8), T.float16)", ['memref<4x8xf16, #tl.scope<"shared">>']),
    ("x = T.alloc_shared(8, 'bool')\nx[0] = True", ['memref<8xi1, #tl.scope<"shared">>']),
    ("x = T.alloc_local([4], 'float8_e4m3')", ['memref<4xf8E4M3FN, #tl.scope<"local">>']),
    ("x = T.alloc_tmem([128, 64], 'float32')", ['memref<128x64xf32, #tl.scope<"tmem">>']),
    ("x = T.alloc_barrier([1, 128])", ["counts = array<i64: 1, 128>", "!tl.barrier<2 : i64>"]),
    ("x = T.alloc_cluster_barrier(4)", ["cluster, counts = array<i64: 4>"]),
    ("x = T.alloc_var(T.int64, init=3)", ["arith.constant 3 : i64", 'memref<1xi64, #tl.scope<"var">>']),
    ("x = T.alloc_var('float32', 'local.var')\nx = 1", ["memref.store"]),
    (TILES + "v = T.view(f, (16, 32), 'float32')\nw = T.reshape(s, [512])", ["tl.reshape", "memref<512xf16"]),
    # Copies.
    (TILES + "T.copy(B[0:32, 0:16], s)", ["tl.slice", "tl.copy"]),
    (
        TILES + "T.copy(B[bx, 0], s, disable_tma=True, eviction_policy='evict_first')",
        ["disable_tma", 'eviction = "evict_first"'],
    ),
    (
        TILES + "T.copy(B[bx, 0], s, annotations={'coalesced_width': 4}, prefer_instruction='sync')",
        ["coalesced_width = 4", 'prefer = "sync"'],
    ),
    (TILES + "T.async_copy(B[0, 0], s)\nT.ptx_wait_group(1)", ["async", "tl.commit_group", "pending = 1 : i32"]),
    (TILES + "T.ptx_commit_group()", ["tl.commit_group"]),
    (TILES + "T.copy(A[3], r[5])", ["memref.load", "memref.store"]),
    (TILES + "T.copy(f, s)\nT.copy(s[0:16, :], f[16:32, :])", ["sizes = array<i64: 16, 16>"]),
    (TILES + "T.copy(B[bx, 0:16], s[0:1, :])", ["sizes = array<i64: 1, 16>"]),
    (TILES + "T.fill(s[0:8, :], 2)\nT.clear(f)\nT.fill(f, T.infinity('float32'))", ["tl.fill", "0x7F800000"]),
    ("a = T.alloc_shared((4, 8), 'int8')\nb = T.alloc_shared((8, 4), 'int8')\nT.transpose(a, b)", ["tl.transpose"]),
    ("a = T.alloc_shared((8,), 'uint8')\nb = T.alloc_fragment((8,), 'float32')\nT.copy(a, b)", ["unsigned"]),
    # Matrix products.
    (
        "a = T.alloc_shared((2, 32, 16), 'uint8')\nb = T.alloc_shared((8, 16), 'int8')\n"
        "c = T.alloc_fragment((32, 8), 'int32')\n"
        "T.gemm(a[bx % 2, :, :], b, c, transpose_B=True, policy=T.GemmWarpPolicy.FullCol, clear_accum=bx == 0)",
        ["a_unsigned", 'policy = "full_col"', "transpose_b = true", "(memref<1x32x16xi8", "i1) -> ()"],
    ),
    (
        "a = T.alloc_shared((16, 32), 'float8_e4m3')\nb = T.alloc_shared((16, 8), 'float8_e5m2')\n"
        "c = T.alloc_fragment((32, 8), 'float32')\nT.gemm(a, b, c, True, False, clear_accum=True)",
        ["transpose_a = true", "clear = true", 'policy = "square"'],
    ),
    # Reductions.
    (
        TILES + "T.reduce_sum(f, r, dim=1)\nT.reduce_max(f, r, dim=-1, clear=False)",
        ['clear = true, dim = 1 : i64, kind = "sum"', "clear = false"],
    ),
    (
        TILES + "T.reduce_absmax(f, r)\nT.reduce_abssum(f, r)\nT.reduce_min(f, r, nan_propagate=True)",
        ['"absmax"', '"abssum"', "nan_propagate"],
    ),
    (TILES + "k = T.alloc_fragment((32, 1), 'float32')\nT.reduce(f, k, 'sum', 1, True)", ["memref<32x1xf32"]),
    (
        "a = T.alloc_fragment((8, 4), 'uint32')\nb = T.alloc_fragment((8,), 'uint32')\nT.reduce_max(a, b)\n"
        "T.reduce_bitxor(a, b)",
        ['"umax"', '"xor"'],
    ),
    (
        TILES + "T.cumsum(s, dim=1, reverse=True)\nT.cummax(f, f)",
        ['kind = "sum", reverse = true', 'kind = "max", reverse = false'],
    ),
    (
        "r = T.alloc_reducer((8,), 'float32', 'max')\nd = T.alloc_fragment((8,), 'float32')\nT.reducer_init(r, 1.0)\n"
        "for i in T.Parallel(8):\n    T.reducer_update(r[i], A[i])\n    r[i] = T.max(r[i], A[i])\n"
        "T.finalize_reducer(r, d)",
        ["tl.alloc_reducer", "tl.reducer_init", "tl.reducer_update", "tl.finalize_reducer"],
    ),
    (
        "r = T.alloc_reducer((8,), 'float32')\nT.clear(r)\nfor i in T.Parallel(8):\n    r[i] += A[i]\n"
        "T.finalize_reducer(r)\nA[0] = r[1]",
        ['"tl.reducer_init"(%2)', "tl.reducer_update", "memref.load"],
    ),
    (
        "x = T.warp_reduce_sum(bx)\ny = T.warp_reduce_max(A[0])\nz = T.warp_reduce_bitor(bx)",
        ['kind = "sum"', 'kind = "max"', 'kind = "or"'],
    ),
    ("if T.any_of(A[0:3]) or T.all_of(A[3:5]):\n    A[0] = 1", ["arith.ori", "arith.andi"]),
    # Atomics.
    (
        "T.atomic_add(A[bx], 1)\nx = T.atomic_max(A[bx], 2.0, return_prev=True)\nA[0] = x",
        ['kind = "add", order = "relaxed"', 'kind = "max"', "-> f32"],
    ),
    (
        TILES + "T.atomic_add(B[bx * 16, 0:16], r[0:16], memory_order='release')",
        ["tl.parallel", 'order = "release"', "scf.if"],
    ),
    (TILES + "T.atomic_add(B[0:32, 0:16], f)", ["extents = array<i64: 32, 16>", "tl.cast"]),
    (
        "x = T.atomic_load(A[0], 'acquire')\nT.atomic_store(A[1], x)",
        ['kind = "load", order = "acquire"', 'kind = "store", order = "seq_cst"'],
    ),
    (TILES + "T.atomic_addx2(B[bx, 0], s[0, 0])", ["tl.atomic"]),
    (
        "i = T.alloc_shared((4,), 'uint32')\nT.atomic_or(i[0], 3)\nT.atomic_min(i[1], 3)",
        ['kind = "or"', 'kind = "umin"'],
    ),
    # Mathematics.
    (
        "A[0] = T.exp(A[1]) + T.exp2(A[1]) + T.log(A[1]) + T.log2(A[1]) + T.rsqrt(A[1]) + T.sqrt(bx)",
        ["math.exp ", "math.exp2", "math.rsqrt", "math.sqrt"],
    ),
    (
        "A[0] = T.sigmoid(A[1]) + T.exp10(A[1]) + T.__exp(A[1]) + T.fast_rcp(A[0])",
        ['"sigmoid"', '"exp10"', '"fast_exp"', '"fast_rcp"'],
    ),
    (
        "A[0] = T.ieee_add(A[1], A[2], 'rz') + T.ieee_fmaf(A[0], A[1], A[2]) + T.ieee_frsqrt(A[0])",
        ['"add_rz"', '"fma_rn"', "math.rsqrt"],
    ),
    (
        "A[0] = T.floor(A[1]) + T.ceil(A[1]) + T.round(A[1]) + T.trunc(A[1]) + T.abs(A[1])",
        ["math.floor", "math.ceil", "math.roundeven", "math.trunc", "math.absf"],
    ),
    (
        "A[0] = T.max(A[1], A[2]) + T.min(A[1], 0) + T.clamp(A[1], 0, 1) + T.max(bx, 3)",
        ["arith.maxnumf", "arith.minnumf", "arith.maxsi"],
    ),
    (
        "A[0] = T.pow(A[1], 2.5) + A[1] ** 2 + T.atan2(A[0], A[1]) + T.copysign(A[0], A[1])",
        ["math.powf", "arith.mulf", "math.atan2", "math.copysign"],
    ),
    (
        "A[0] = T.if_then_else(T.isnan(A[1]), 1.0, T.Select(T.isinf(A[1]), 2.0, 3.0))",
        ["math.isnan", "math.isinf", "arith.select"],
    ),
    ("A[T.popcount(bx)] = T.clz(bx)", ["math.ctpop", "math.ctlz"]),
    ("A[0] = T.reinterpret(bx, 'float32')\nx = T.reinterpret('int32', A[1])", ["tl.bitcast"]),
    (
        "A[0] = T.cast(A[1], 'float16', round='rz')\nB[0, 0] = T.float8_e4m3(A[0])\n"
        "x = T.cast(A[1], 'float8_e5m2', sat=False)",
        ['round = "rz"', 'to = "float8_e4m3"', "sat = false"],
    ),
    (
        "A[0] = T.truncdiv(bx - 9, 2) + T.truncmod(bx - 9, 2) + T.align_up(bx, 8)",
        ["arith.divsi", "arith.remsi", "arith.divui"],
    ),
    (
        "A[0] = T.shift_left(bx, 2) + T.bitwise_and(bx, 3) + T.bitwise_not(bx)",
        ["arith.shli", "arith.andi", "arith.xori"],
    ),
    (
        "a = T.alloc_local((4,), 'int8')\nc = T.alloc_local((1,), 'int32')\nT.dp4a(a, a, c)",
        ["arith.muli", 'from = "int8", to = "int32"'],
    ),
    # Synchronisation and threads.
    (
        "T.sync_threads()\nT.sync_threads(1, 64)\nT.sync_warp()\nT.sync_grid()",
        ["count = 64 : i32, id = 1 : i32", "tl.sync_warp", "tl.sync_grid"],
    ),
    (
        "x = T.shfl_xor(A[0], 4)\ny = T.shfl_down(bx, 1, 16)\nz = T.shfl_up(bx, 1)",
        ['kind = "xor", width = 32', 'kind = "down", width = 16', 'kind = "up"'],
    ),
    (
        "x = T.shfl_sync(bx, 3)\ny = T.shfl_sync(0xFFFFFFFF, bx, 3, 8)",
        ['kind = "idx", width = 32', 'kind = "idx", width = 8'],
    ),
    (
        "x = T.any_sync(bx > 1)\ny = T.ballot(bx > 1)\nz = T.activemask()\nw = T.syncthreads_count(bx)",
        ['"any"', '"ballot"', '"activemask"', '"block_count"'],
    ),
    (
        "A[T.get_lane_idx()] = T.get_warp_idx() + T.get_warp_group_idx()\nA[0] = T.get_thread_binding(0)",
        ["dim = 0 : i32", "arith.remui", "arith.divui"],
    ),
    (
        "if T.shuffle_elect(0):\n    A[0] = T.get_thread_extent(0) + T.get_block_extent()",
        ["arith.cmpi eq", "1.320000e+02"],
    ),
    (
        "b = T.alloc_barrier([1, 2])\nT.mbarrier_expect_tx(b[0], 64)\nT.mbarrier_arrive(b[bx % 2])\n"
        "T.barrier_arrive(b[1])\n"
        "T.mbarrier_wait_parity(b[0], bx & 1)\nT.barrier_wait(b[0], 0)\nT.mbarrier_arrive(b[1], 0)",
        ["tl.mbarrier_expect", "tl.mbarrier_arrive", "tl.mbarrier_wait"],
    ),
    # What a program schedules itself.
    (
        TILES + "b = T.alloc_barrier([1, 1])\nT.tma_copy(B[0, 0], s, barrier=b[1], eviction_policy='evict_last')\n"
        "T.cp_async_barrier_noinc(b[0])\nT.tma_copy(s, B[0, 0])\nT.tma_store_arrive()\nT.tma_store_wait(1, read=False)",
        [
            '{eviction = "evict_last", explicit}', "{copies}", '"tl.tma_store"', 'name = "bulk_commit"',
            "{complete, explicit, pending = 1 : i32}",
        ],
    ),
    (
        TILES + "T.fence_proxy_async('shared', 1)\nT.atomic_add(B[0, 0], s, use_tma=True)",
        ['"tl.fence_proxy"', '{explicit, reduce = "add"}', '"tl.tma_wait"() {pending = 0 : i32}'],
    ),
    (
        "a = T.alloc_shared((64, 64), 'float16')\nc = T.alloc_fragment((64, 64), 'float32')\nT.warpgroup_arrive()\n"
        "T.wgmma_mma(a, a, c, clear_accum=bx == 0)\nT.warpgroup_commit_batch()\nT.warpgroup_wait(1)\n"
        "T.wait_wgmma(0)\nT.warpgroup_fence_operand(c, num_regs=32)",
        ['name = "wgmma_fence"', "i1) -> ()", "transpose_b = false, wgmma}", '_products"() {pending = 1'],
    ),
    (
        "with T.ws(0):\n    T.set_max_nreg(240, 1)\n    T.dec_max_nreg(24)\n    T.inc_max_nreg(160)\n"
        "    T.sync_threads()\nT.named_barrier_arrive(3, 64)",
        ['{count = 240 : i32, increase = 1 : i32, name = "set_registers"}', "groups = array<i32: 0>", "id = 3 : i32"],
    ),
    (
        "T.annotate_producer_reg_dealloc()\nT.annotate_consumer_reg_alloc(168)\nT.no_set_max_nreg()\n"
        "T.disable_warp_group_reg_alloc()",
        ["producer_registers = 24 : i32", "consumer_registers = 168 : i32", "keep_registers"],
    ),
    # Raw accesses, vectors, clusters, random numbers.
    (
        TILES + "T.stg64(B[bx, 0], T.ldg64(B[bx, 4], pred=bx < 2))\nT.sts128(s[0, 0], T.lds128(s[1, 0]))\n"
        "T.stg32(A[0], T.ldg32(A[1:2]))\nA[2] = T.__ldg(A[3])",
        ['"tl.load_words"', ": (memref<128x64xf16", "-> (i32, i32)", '"tl.store_words"', "-> (i32, i32, i32, i32)"],
    ),
    (
        TILES + "T.ptx_cp_async(T.access_ptr(s[1, 0], 'w', 8), T.address_of(B[bx, 0]), 8, predicate=bx < 2)",
        ['"tl.copy_words"', "bytes = 16 : i32"],
    ),
    (
        "v = T.float32x2(1.0, 2.0) * 2\nw = T.fma2(v, A[0:2], T.Broadcast(A[4], 2))\nA[0:2] = T.max2(w, T.abs2(v))\n"
        "A[2:4] = T.vectorcombine('float32x2', T.extract_lane(v, 1), w[0]) if False else T.Ramp(A[0], 1.0, 2)",
        ["arith.mulf", "arith.addf", "max", "math.absf"],
    ),
    (
        "T.cluster_sync()\nx = T.block_rank_in_cluster()\nT.pdl_sync()\nT.pdl_trigger()\n"
        "T.cluster_arrive_relaxed()\nT.cluster_wait()\nA[0] = x",
        ['"cluster_arrive", relaxed = 0', '"cluster_rank"', '"wait_dependencies"', "launch_dependents", "relaxed = 1"],
    ),
    ("T.rng_init(7)\nA[bx] = T.rng_rand_float(dist='normal')", ["arith.muli", "arith.xori", "math.log", "scf.if"]),
    # Debugging and hints.
    (
        TILES + "T.print(f, 'f is')\nT.print(bx)\nT.print(msg='hello')\nT.device_assert(bx < 4, 'big')\nassert bx < 5",
        ['message = "f is"', "tl.print", 'message = "big"', 'message = "bx < 5"'],
    ),
    ("T.assume(bx < 3)\nT.evaluate(bx)", ["tl.assume"]),
    (
        "T.use_swizzle(4, order='column')\nT.annotate_min_blocks_per_sm(2)",
        ['swizzle = {order = "column", panel = 4 : i32}', "min_blocks = 2"],
    ),
    (
        "T.annotate_safe_value({A: -1.0})\nT.annotate_l2_hit_ratio({B: 0.5})",
        ["safe_value = -1.000000e+00", "tl.l2_hit_ratio"],
    ),
    ("x = T.alloc_local((8,), 'float32')\nx[0:4] = A[bx : bx + 4]\nx[4:8] = 1.0", ["tl.vectorize"]),
]


@pytest.mark.parametrize(("body", "expected"), EMITS, ids=[f"{i}-{b[:28]}" for i, (b, _) in enumerate(EMITS)])
def test_emits(body: str, expected: list[str]) -> None:
    text = str(trace_kernel(body).module)
    for part in expected:
        assert part in text, text


PARAMS = 'X: T.Tensor((64,), "float32"), Y: T.Tensor((64,), "float32")'
FUNCTIONS = {
    "exp": np.exp, "exp2": np.exp2, "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x), "sin": np.sin, "cos": np.cos, "tan": np.tan, "sinh": np.sinh, "cosh": np.cosh,
    "tanh": np.tanh, "asin": lambda x: np.arcsin(x), "acos": lambda x: np.arccos(x), "atan": np.arctan,
    "erf": np.vectorize(math.erf), "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "floor": np.floor, "ceil": np.ceil,
    "round": np.round, "trunc": np.trunc, "abs": np.abs,
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_values(name: str) -> None:
    func = trace_kernel(f"for i in T.Parallel(64):\n    Y[i] = T.{name}(X[i])", PARAMS)
    rng = np.random.default_rng(3)
    x = rng.uniform(0.05, 0.95, 64).astype(np.float32) * (1 if name in ("asin", "acos") else 3)
    y = np.full(64, np.nan, np.float32)
    with func.context:
        evaluate(func.module, "main", [x, y])
    expected = FUNCTIONS[name](x.astype(np.float64))
    assert np.linalg.norm(y - expected) <= 1e-5 * np.linalg.norm(expected)


def test_dtypes_are_names_and_functions() -> None:
    assert T.float16 == "float16" and T.float == "float32" and T.bool == "bool" and T.int == "int32"
    assert T.float32x4.lanes == 4 and T.float32x4.scalar == T.float32 and T.bfloat16x2 == "bfloat16x2"
    assert T.int32(7) == 7 and isinstance(T.int32(7), int)
    assert T.dtype(np.float16) == T.float16 and T.float64.bits == 64
    assert T.DataType("bfloat16").bits == 16 and isinstance(T.int8, T.DataType)
    assert T.DataType("float32x4").itemsize == 16
    assert repr(T.float16(1)) == "float16(1.0)"
    with pytest.raises(TileTypeError, match="unknown dtype"):
        T.dtype("float17")


def test_compile_time_values() -> None:
    assert T.ceildiv(10, 3) == 4 and T.align_up(10, 8) == 16 and T.truncdiv(-7, 2) == -3 and T.truncmod(-7, 2) == -1
    assert T.floordiv(-7, 2) == -4 and T.floormod(-7, 2) == 1 and T.min(3, 4) == 3 and T.clamp(9, 0, 5) == 5
    assert (
        T.max_value("int8").const == 127 and T.min_value("int8").const == -128 and T.max_value("uint16").const == 65535
    )
    assert T.max_value("float16").const == 65504.0 and (-T.infinity("float32")).const == -math.inf
    m = T.dynamic("m")
    assert (m + 1) * 8 - m * 8 == 8 and (m * 8 + 3) % 8 == 3 and (m - m) == 0


def test_symbolic_sizes_by_identity() -> None:
    m, n = T.symbolic("m, n")
    assert m is not n and T.dynamic("k", "int64").dtype == "int64"


def test_tensor_annotations() -> None:
    for spec in (T.Tensor((4, 8), T.int8), T.Tensor[[4, 8], "int8"], T.Buffer((4, 8), "int8")):
        assert spec.shape == (4, 8) and spec.dtype == "int8" and spec.strides == (8, 1)
    assert T.Tensor(7).shape == (7,) and T.Tensor[3, 4].dtype == "float32"
    assert T.StridedTensor[[4, 8], [16, 1], "int8"].strides == (16, 1)
    with pytest.raises(TileValueError, match="2 dimensions but 1 strides"):
        T.StridedTensor((4, 8), (1,))
    with pytest.raises(TileTypeError, match="must be an integer"):
        T.Tensor((4.5,))
    assert T.Tensor((0, 4)).shape == (0, 4)
    with pytest.raises(TileValueError, match="0 or more"):
        T.Tensor((-1,))


def test_warp_policy_from_partition() -> None:
    policy = T.GemmWarpPolicy
    assert [policy.from_warp_partition(*p) for p in ((4, 1), (1, 4), (2, 2))] == [1, 2, 0]


WRONG: list[tuple[str, type[Exception], str]] = [
    ("x = T.alloc_var('float32', init=1e300)", TileValueError, r"1e\+300 is beyond float32, whose largest value is 3"),
    ("x = T.float16(-65536.0)", TileValueError, "-65536.0 is beyond float16, whose largest value is 65504"),
    ("x = T.uint8(256)", TileValueError, "256 does not fit the 8 bits of uint8"),
    ("T.tma_copy(A[0], A[1])", TileTypeError, "copies between device and shared memory, got global to global"),
    (TILES + "T.tma_copy(B[0, 0], s)", TileTypeError, "a load with T.tma_copy needs barrier="),
    (TILES + "b = T.alloc_barrier(1)\nT.tma_copy(B[0, 0], s, barrier=b, eviction_policy='never')", TileValueError,
     "eviction_policy must be one of"),
    (TILES + "b = T.alloc_barrier([1, 1])\nT.tma_copy(B[0, 0], s, barrier=b)", TileTypeError, "an array of 2"),
    (TILES + "b = T.alloc_barrier(1)\nT.tma_copy(B[0:8, 0:8], s, barrier=b)", TileValueError, "differ in shape"),
    ("T.tma_store_wait(-1)", TileValueError, "needs a Python integer of 0 or more, got int -1"),
    ("T.wait_wgmma(bx)", TileValueError, "needs a Python integer of 0 or more"),
    ("T.set_max_nreg(100, 1)", TileValueError, "a multiple of 8 from 24 to 256, got int 100"),
    ("T.annotate_consumer_reg_alloc(512)", TileValueError, "a multiple of 8 from 24 to 256, got int 512"),
    ("with T.ws(1):\n    T.sync_threads()", TileValueError, "a block of 128 threads has no warpgroup 1"),
    ("with T.ws(0):\n    with T.ws(0):\n        T.sync_threads()", TileError, "T.ws inside another T.ws"),
    ("with T.ws():\n    T.sync_threads()", TileTypeError, "needs at least one warpgroup"),
    (TILES + "x = T.ldg64(s[0, 0])", TileTypeError, "T.ldg64 accesses global memory"),
    ("T.stg64(A[0], A[1])", TileTypeError, "T.stg64 needs 64 bits, got 1 x float32"),
    ("T.ptx_cp_async(A[0], A[1], 4)", TileTypeError, "copies from global to shared memory"),
    (TILES + "T.ptx_cp_async(s[0, 0], B[0, 0], 3)", TileValueError, "copies 4, 8 or 16 bytes of one dtype, got 6"),
    ("x = T.access_ptr(A[0], 'x')", TileValueError, "access 'x', expected"),
    ("x = T.add2(A[0:3], A[0:3])", TileTypeError, "needs vectors of two floats"),
    ("x = T.add2(A[0:2], B[0, 0:2])", TileTypeError, "needs operands of one dtype"),
    ("x = T.float32x4(1.0, 2.0)", TileTypeError, "float32x4 has 4 lanes, got 2 values"),
    ("x = T.rng_rand()", TileError, "T.rng_rand without T.rng_init before it"),
    ("T.rng_init(1, generator='curandStateSobol32_t')", UnsupportedError, "generator 'curandStateSobol32_t'"),
    ("T.rng_init(1)\nx = T.rng_rand_float(dist='gamma')", TileValueError, "dist='gamma'"),
    ("s = T.PersistentTileScheduler(4, 4, swizzle_size=0)", TileValueError, "swizzle_size .* must be positive"),
    ("T.named_barrier_arrive(16, 64)", TileValueError, "the barrier is 1 to 15, got 16"),
    ("T.named_barrier_arrive(1, 48)", TileValueError, "a positive multiple of 32, got 48"),
    (TILES + "T.warpgroup_fence_operand(s)", TileTypeError, "fences registers"),
    (TILES + "T.atomic_add(B[0, 0], r, use_tma=True)", TileTypeError, "a shared tile to a device tile of one dtype"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "kind", "match"), WRONG, ids=[b[-40:] for b, _, _ in WRONG])
def test_wrong_use(body: str, kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=match):
        trace_kernel(body)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = T.nonsense


def test_pointers_and_tables() -> None:
    text = """
    @T.prim_func
    def main(p: T.ptr, table: T.Tensor((2,), T.ptr), O: T.Tensor((4,), "float32")):
        with T.Kernel(1, threads=32) as bx:
            x = T.make_tensor(p, (4, 4), "float32")
            y = T.make_tensor(table[1], (4,), "float16")
            O[0] = x[1, 2] + y[3]
    """
    module = str(tracing.checked(tracing.run_text(text)["main"]).module)
    assert 'kind = "pointer"' in module and "llvm.inttoptr" in module and "memref<4x4xf32" in module
    assert module.index("memref<4x4xf32") < module.index("tl.launch")


def test_macros() -> None:
    text = """
    @T.macro
    def both(a, b):
        return a + b, a * b

    @T.macro
    def bump(x: T.Ref, by=1):
        x += by

    @T.macro
    def factorial(n):
        if n <= 1:
            return 1
        return n * factorial(n - 1)

    @T.meta_class
    class Counter:
        def __init__(self, start):
            self.count = T.alloc_var("int32", start)
            self.step = 2

        def next(self):
            self.count += self.step
            if self.count > 9:
                self.count = 0

    @T.prim_func
    def main(O: T.Tensor((8,), "int32")):
        with T.Kernel(1, threads=1) as bx:
            s, p = both(bx + 3, 4)
            O[0] = s
            O[1] = p
            v = T.alloc_var("int32", 5)
            bump(v)
            bump(O[2], by=6)
            bump(T.Ref(O[2]), 1)
            O[3] = v
            O[4] = factorial(5)
            counter = Counter(4)
            counter.next()
            counter.next()
            counter.next()
            counter.count = counter.count + 1
            O[5] = counter.count
    """
    func = tracing.checked(tracing.run_text(text)["main"])
    out = np.zeros(8, np.int32)
    with func.context:
        evaluate(func.module, "main", [out])
    assert out[:6].tolist() == [7, 12, 7, 6, 120, 1]


def test_layouts_are_kept_and_attached() -> None:
    from tilelang_mlir.dialect.layout import swizzled

    scope = tracing.run_text(
        tracing.kernel_text("s = T.alloc_shared((32, 64), 'float16')\nT.annotate_layout({s: swizzle})"),
        swizzle=swizzled((32, 64), 16, 128),
    )
    func = tracing.checked(scope["main"])
    assert "layout = #tl.smem<" in str(func.module) and list(func.layouts) == ["s"]


@pytest.mark.parametrize("name", missing.out_of_scope())
def test_names_out_of_scope_say_so(name: str) -> None:
    with pytest.raises(UnsupportedError, match=f"T.{name} is internal to TVM"):
        getattr(T, name)
