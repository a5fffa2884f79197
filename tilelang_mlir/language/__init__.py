"""The kernel language: `import tilelang_mlir.language as T`.

Names shadow builtins on purpose (`T.print`, `T.max`, `T.int32`). Dtype names and names that are not available yet are
resolved by the module's `__getattr__`.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from tilelang_mlir.frontend.arith import ceildiv, floordiv, floormod, shift_left, shift_right, truncdiv, truncmod
from tilelang_mlir.frontend.buffer import Element as BufferLoad
from tilelang_mlir.frontend.buffer import Region as BufferRegion
from tilelang_mlir.frontend.expr import Expr as PrimExpr
from tilelang_mlir.frontend.expr import Var
from tilelang_mlir.frontend.macro import Macro, Ref, macro, meta_class
from tilelang_mlir.frontend.primfunc import PrimFunc
from tilelang_mlir.frontend.typename import dtype
from tilelang_mlir.frontend.typename import dtype as DataType
from tilelang_mlir.language import earlier, low_level, script_names, ws_schedule
from tilelang_mlir.language.alloc import (
    alloc_barrier,
    alloc_cluster_barrier,
    alloc_fragment,
    alloc_global,
    alloc_local,
    alloc_shared,
    alloc_tmem,
    alloc_var,
    empty,
    make_tensor,
    make_tensor_from_addr,
    reshape,
    view,
)
from tilelang_mlir.language.annotate import (
    annotate_l2_hit_ratio,
    annotate_layout,
    annotate_min_blocks_per_sm,
    annotate_restrict_buffers,
    annotate_safe_value,
    use_swizzle,
)
from tilelang_mlir.language.atomic import (
    atomic_add,
    atomic_addx2,
    atomic_addx4,
    atomic_load,
    atomic_max,
    atomic_min,
    atomic_or,
    atomic_store,
)
from tilelang_mlir.language.bits import ffs as _ffs
from tilelang_mlir.language.bits import fns as _fns
from tilelang_mlir.language.branches import Else, If, Then, While
from tilelang_mlir.language.cluster import (
    block_rank_in_cluster,
    cluster_arrive,
    cluster_arrive_relaxed,
    cluster_sync,
    cluster_wait,
    copy_cluster,
    pdl_sync,
    pdl_trigger,
)
from tilelang_mlir.language.convolution import c2d_im2col, im2col
from tilelang_mlir.language.copy import async_copy, clear, copy, fill, ptx_commit_group, ptx_wait_group, transpose
from tilelang_mlir.language.debug import device_assert, print
from tilelang_mlir.language.dtypes import ALIASES, SCALARS, AnyDType, find, get_tvm_dtype, is_float4
from tilelang_mlir.language.earlier import *  # noqa: F403 - the names of its __all__
from tilelang_mlir.language.explicit import (
    cp_async_barrier_noinc,
    dec_max_nreg,
    fence_proxy_async,
    inc_max_nreg,
    set_max_nreg,
    tma_copy,
    tma_prefetch,
    tma_store_arrive,
    tma_store_wait,
    wait_wgmma,
    warpgroup_arrive,
    warpgroup_commit_batch,
    warpgroup_fence_operand,
    warpgroup_wait,
    wgmma_gemm,
    wgmma_mma,
)
from tilelang_mlir.language.function import (
    JITNoBuilderError,
    annotate_compile_flags,
    annotate_pass_configs,
    const,
    dynamic,
    inline,
    prim_func,
    symbolic,
)
from tilelang_mlir.language.gather import tma_gather4, tma_gather4_bytes, tma_scatter4
from tilelang_mlir.language.gemm import GemmWarpPolicy, gemm
from tilelang_mlir.language.kernel import (
    ClusterKernel,
    Kernel,
    KernelLaunchFrame,
    get_block_binding,
    get_block_bindings,
    get_block_extent,
    get_block_extents,
    get_lane_idx,
    get_thread_binding,
    get_thread_bindings,
    get_thread_extent,
    get_thread_extents,
    get_warp_group_idx,
    get_warp_idx,
    get_warp_idx_sync,
)
from tilelang_mlir.language.launch_control import (
    clc_get_first_ctaid_x,
    clc_get_first_ctaid_y,
    clc_get_first_ctaid_z,
    clc_is_canceled,
    clc_try_cancel,
    clc_try_cancel_multicast,
)
from tilelang_mlir.language.logic import (
    EQ,
    GE,
    GT,
    LE,
    LT,
    NE,
    Add,
    And,
    Div,
    FloorDiv,
    FloorMod,
    Mod,
    Mul,
    Not,
    Or,
    Select,
    Sub,
    assume,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    break_loop,
    cdiv,
    continue_loop,
    evaluate,
    if_then_else,
    let,
    likely,
    loop_break,
    thread_return,
    where,
)
from tilelang_mlir.language.loops import (
    Parallel,
    Persistent,
    Pipelined,
    Serial,
    Unroll,
    Vectorized,
    grid,
    index_to_coordinates,
    parallel,
    serial,
    unroll,
    vectorized,
)
from tilelang_mlir.language.low_level import *  # noqa: F403 - the names of its __all__
from tilelang_mlir.language.math import FAST as _FAST
from tilelang_mlir.language.math import (
    Cast,
    Max,
    Min,
    abs,
    acos,
    acosh,
    align_up,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cast,
    ceil,
    clamp,
    clz,
    copysign,
    cos,
    cosh,
    dp4a,
    erf,
    exp,
    exp2,
    exp10,
    fabs,
    fast_rcp,
    floor,
    fmod,
    hypot,
    ieee_add,
    ieee_fdiv,
    ieee_fmaf,
    ieee_frcp,
    ieee_frsqrt,
    ieee_fsqrt,
    ieee_mul,
    ieee_sub,
    infinity,
    isfinite,
    isinf,
    isnan,
    ldexp,
    log,
    log1p,
    log2,
    log10,
    max,
    max_value,
    min,
    min_value,
    nearbyint,
    nextafter,
    popcount,
    pow,
    power,
    reinterpret,
    round,
    rsqrt,
    sigmoid,
    sin,
    sinh,
    sqrt,
    tan,
    tanh,
    trunc,
)
from tilelang_mlir.language.missing import lookup
from tilelang_mlir.language.pointers import (
    access_ptr,
    address_of,
    ldg32,
    ldg64,
    ldg128,
    ldg256,
    lds32,
    lds64,
    lds128,
    ptx_cp_async,
    ptx_cp_async_bulk,
    stg32,
    stg64,
    stg128,
    stg256,
    sts32,
    sts64,
    sts128,
    tvm_access_ptr,
    type_annotation,
)
from tilelang_mlir.language.pointers import ldg as _ldg
from tilelang_mlir.language.proxy import (
    BaseTensor,
    Buffer,
    FragmentBuffer,
    LocalBuffer,
    Ptr,
    SharedBuffer,
    StridedTensor,
    Tensor,
    dyn,
    handle,
    ptr,
)
from tilelang_mlir.language.random import rng_init, rng_rand, rng_rand_float
from tilelang_mlir.language.reduce import (
    all_of,
    any_of,
    cummax,
    cumsum,
    reduce,
    reduce_absmax,
    reduce_abssum,
    reduce_bitand,
    reduce_bitor,
    reduce_bitxor,
    reduce_max,
    reduce_min,
    reduce_sum,
    warp_reduce_bitand,
    warp_reduce_bitor,
    warp_reduce_max,
    warp_reduce_min,
    warp_reduce_sum,
)
from tilelang_mlir.language.reducers import alloc_reducer, finalize_reducer, reducer_init, reducer_update
from tilelang_mlir.language.schedule import BaseTileScheduler, PersistentTileScheduler
from tilelang_mlir.language.script_names import *  # noqa: F403 - the names of its __all__
from tilelang_mlir.language.sync import (
    activemask,
    all_sync,
    any_sync,
    ballot,
    ballot_sync,
    barrier_arrive,
    barrier_wait,
    match_all_sync,
    match_any_sync,
    mbarrier_arrive,
    mbarrier_arrive_expect_tx,
    mbarrier_arrive_state,
    mbarrier_expect_tx,
    mbarrier_test_wait,
    mbarrier_wait_parity,
    named_barrier_arrive,
    ptx_arrive_cluster_barrier,
    shfl_down,
    shfl_sync,
    shfl_up,
    shfl_xor,
    shuffle_elect,
    sync_global,
    sync_grid,
    sync_threads,
    sync_warp,
    syncthreads_and,
    syncthreads_count,
    syncthreads_or,
)
from tilelang_mlir.language.tensor import (
    deallocate_tmem,
    mma_gemm_blockscaled,
    tcgen05_after_thread_sync,
    tcgen05_before_thread_sync,
    tcgen05_cp_warpx4,
    tcgen05_gemm,
    tcgen05_gemm_blockscaled,
    tcgen05_mma,
    tcgen05_mma_arrive,
    tcgen05_mma_blockscaled,
    tcgen05_sf_warp_transpose,
)
from tilelang_mlir.language.tensor_descriptor import make_tensor_descriptor
from tilelang_mlir.language.thread_axes import (
    CommReducer,
    alloc_buffer,
    attr,
    comm_reducer,
    thread_binding,
    tvm_storage_sync,
    tvm_thread_allreduce,
    tvm_warp_shuffle,
    tvm_warp_shuffle_down,
    tvm_warp_shuffle_up,
)
from tilelang_mlir.language.vectors import (
    Broadcast,
    Ramp,
    Shuffle,
    abs2,
    add2,
    broadcast,
    extract_lane,
    fma2,
    max2,
    min2,
    mul2,
    ramp,
    sub2,
    vectorcombine,
    vectorhigh,
    vectorlow,
)
from tilelang_mlir.language.warps import (
    WarpSpecialize,
    WarpSpecializeFrame,
    annotate_consumer_reg_alloc,
    annotate_producer_reg_dealloc,
    disable_warp_group_reg_alloc,
    no_set_max_nreg,
    ws,
)
from tilelang_mlir.language.ws_schedule import *  # noqa: F403 - the names of its __all__

__all__ = [
    "Add", "And", "AnyDType", "BaseTensor", "Buffer",
    "BufferLoad", "BufferRegion", "Cast", "ClusterKernel", "DataType", "Div", "EQ", "FloorDiv", "FloorMod",
    "Fragment", "FragmentBuffer", "GE", "GT", "GemmWarpPolicy", "JITFunc", "JITNoBuilderError", "Kernel",
    "KernelLaunchFrame", "LE", "LT", "Layout", "LocalBuffer", "Macro", "Max", "Min", "Mod", "Mul", "NE", "Not",
    "Or", "Parallel", "Persistent", "Pipelined", "PrimExpr", "PrimFunc", "Ptr", "Ref", "Select", "Serial",
    "SharedBuffer", "StridedTensor", "Sub", "Tensor", "Unroll", "Var", "Vectorized", "abs", "acos", "acosh",
    "activemask", "align_up", "all_of", "all_sync", "alloc_barrier", "alloc_cluster_barrier", "alloc_fragment",
    "alloc_global", "alloc_local", "alloc_reducer", "alloc_shared", "alloc_tmem", "alloc_var",
    "annotate_compile_flags", "annotate_l2_hit_ratio", "annotate_layout", "annotate_min_blocks_per_sm",
    "annotate_pass_configs", "annotate_restrict_buffers", "annotate_safe_value", "any_of", "any_sync", "asin",
    "asinh", "assume", "async_copy", "atan", "atan2", "atanh", "atomic_add", "atomic_addx2", "atomic_addx4",
    "atomic_load", "atomic_max", "atomic_min", "atomic_or", "atomic_store", "ballot", "ballot_sync",
    "barrier_arrive", "barrier_wait", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "break_loop",
    "c2d_im2col", "cast", "cdiv", "ceil", "ceildiv", "clamp", "clear", "clz", "const",
    "continue_loop", "copy", "copysign", "cos", "cosh", "cummax", "cumsum", "device_assert", "dp4a", "dtype",
    "dyn", "dynamic",
    "empty", "erf", "evaluate", "exp", "exp10", "exp2", "fabs", "fast_rcp", "fill", "finalize_reducer",
    "floor", "floordiv", "floormod", "fmod", "gemm", "get_block_binding", "get_block_bindings", "get_block_extent",
    "get_block_extents", "get_lane_idx", "get_swizzle_layout",
    "get_thread_binding", "get_thread_bindings", "get_thread_extent",
    "get_thread_extents", "get_tvm_dtype", "get_warp_group_idx", "get_warp_idx", "get_warp_idx_sync", "grid",
    "handle", "hypot", "ieee_add", "ieee_fdiv", "ieee_fmaf", "ieee_frcp", "ieee_frsqrt", "ieee_fsqrt", "ieee_mul",
    "ieee_sub", "if_then_else", "im2col", "index_to_coordinates", "infinity", "inline", "is_float4", "isfinite",
    "isinf", "isnan", "ldexp", "likely", "log", "log10", "log1p", "log2", "loop_break", "macro",
    "make_mma_swizzle_layout", "make_tensor", "make_tensor_descriptor", "make_tensor_from_addr", "match_all_sync",
    "match_any_sync", "max", "max_value",
    "mbarrier_arrive", "mbarrier_arrive_expect_tx", "mbarrier_arrive_state", "mbarrier_expect_tx", "mbarrier_test_wait",
    "mbarrier_wait_parity", "meta_class", "min", "min_value",
    "nearbyint", "nextafter", "parallel", "popcount", "pow", "power", "prim_func", "print", "ptr",
    "ptx_arrive_cluster_barrier", "ptx_commit_group", "ptx_wait_group", "reduce", "reduce_absmax", "reduce_abssum",
    "reduce_bitand", "reduce_bitor", "reduce_bitxor", "reduce_max", "reduce_min", "reduce_sum", "reducer_init",
    "reducer_update", "reinterpret", "reshape", "round", "rsqrt", "serial", "shfl_down", "shfl_sync", "shfl_up",
    "shfl_xor", "shift_left", "shift_right", "shuffle_elect", "sigmoid", "sin", "sinh", "sqrt", "symbolic",
    "sync_global", "sync_grid", "sync_threads", "sync_warp", "syncthreads_and", "syncthreads_count", "syncthreads_or",
    "tan", "tanh", "thread_return", "transpose", "trunc", "truncdiv", "truncmod", "unroll", "use_swizzle", "vectorized",
    "view", "warp_reduce_bitand", "warp_reduce_bitor", "warp_reduce_max", "warp_reduce_min", "warp_reduce_sum",
    "where",
]  # fmt: skip
__all__ += [
    "clc_get_first_ctaid_x", "clc_get_first_ctaid_y", "clc_get_first_ctaid_z", "clc_is_canceled", "clc_try_cancel",
    "clc_try_cancel_multicast",
    "deallocate_tmem", "tcgen05_after_thread_sync", "tcgen05_before_thread_sync", "tcgen05_cp_warpx4", "tcgen05_gemm",
    "mma_gemm_blockscaled", "tcgen05_gemm_blockscaled", "tcgen05_mma", "tcgen05_mma_arrive", "tcgen05_mma_blockscaled",
    "tcgen05_sf_warp_transpose",
]  # fmt: skip
__all__ += [
    "WarpSpecialize", "WarpSpecializeFrame", "annotate_consumer_reg_alloc", "annotate_producer_reg_dealloc",
    "cp_async_barrier_noinc", "dec_max_nreg", "disable_warp_group_reg_alloc", "fence_proxy_async", "inc_max_nreg",
    "named_barrier_arrive", "no_set_max_nreg", "set_max_nreg", "tma_copy", "tma_gather4",
    "tma_gather4_bytes", "tma_prefetch", "tma_scatter4", "tma_store_arrive",
    "tma_store_wait", "wait_wgmma", "warpgroup_arrive", "warpgroup_commit_batch", "warpgroup_fence_operand",
    "warpgroup_wait", "wgmma_gemm", "wgmma_mma", "ws",
]  # fmt: skip
__all__ += [
    "BaseTileScheduler", "PersistentTileScheduler", "block_rank_in_cluster", "cluster_arrive", "cluster_arrive_relaxed",
    "cluster_sync", "cluster_wait", "copy_cluster", "pdl_sync", "pdl_trigger",
    "Broadcast", "Ramp", "Shuffle", "abs2", "access_ptr", "add2", "address_of", "broadcast", "extract_lane",
    "fma2", "ldg128", "ldg256", "ldg32", "ldg64", "lds128", "lds32", "lds64", "max2", "min2", "mul2",
    "ptx_cp_async", "ptx_cp_async_bulk", "ramp", "rng_init", "rng_rand", "rng_rand_float", "stg128", "stg256", "stg32",
    "stg64", "sts128", "sts32", "sts64", "sub2", "vectorcombine", "vectorhigh", "vectorlow",
    "tvm_access_ptr", "type_annotation",
    "CommReducer", "Else", "If", "Then", "While", "alloc_buffer", "attr", "comm_reducer", "let", "thread_binding",
    "tvm_storage_sync", "tvm_thread_allreduce", "tvm_warp_shuffle", "tvm_warp_shuffle_down", "tvm_warp_shuffle_up",
]  # fmt: skip

__all__ += low_level.__all__
__all__ += script_names.__all__
__all__ += earlier.__all__
__all__ += ws_schedule.__all__

if TYPE_CHECKING:
    from tilelang_mlir.jit.eager import EagerFunction as JITFunc
    from tilelang_mlir.language.swizzles import get_swizzle_layout as get_swizzle_layout
    from tilelang_mlir.language.swizzles import make_mma_swizzle_layout as make_mma_swizzle_layout
    from tilelang_mlir.layout import Fragment as Fragment
    from tilelang_mlir.layout import Layout as Layout

__tilelang_dialect__ = "cuda"

# Dtypes, and the fast functions whose names start with two underscores.
globals().update({name: find(name) for name in (*SCALARS, *ALIASES)})
globals().update(_FAST)
globals().update({"__ldg": _ldg, "__ffs": _ffs, "__fns": _fns})


# Names of modules that most programs do without.
_LATER = {
    "Fragment": "tilelang_mlir.layout", "JITFunc": "tilelang_mlir.jit.eager", "Layout": "tilelang_mlir.layout",
    "get_swizzle_layout": "tilelang_mlir.language.swizzles",
    "make_mma_swizzle_layout": "tilelang_mlir.language.swizzles",
}  # fmt: skip
_RENAMED = {"JITFunc": "EagerFunction"}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), _RENAMED.get(name, name))
    found = find(name)
    if found is not None:
        return found
    lookup(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__])
