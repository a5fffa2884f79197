"""One use of every function of the language's reference pages: bodies of a kernel of two warpgroups.

In scope are `A` (a tensor of 128 float32), `B` and `D` ([128, 64] float16), `bx`, the thread `tx`, a shared tile `s`
([64, 64] float16) and a fragment `f` ([64, 64] float32). The page docs/surface.md says where each body compiles.
"""

from __future__ import annotations

_BARS = "bars = T.alloc_barrier([256, 256])\n"
_DESCRIPTOR = _BARS + "x = T.create_tma_descriptor(6, 2, B, 64, 128, 2, 128, 64, 64, 1, 1, 0, 0, 2, 0)\n"
_WS = "with T.ws(0):\n"

ALLOCATE: dict[str, str] = {
    "alloc_shared": "x = T.alloc_shared((4, 8), 'float32')\nx[0, 0] = 1.0",
    "alloc_local": "x = T.alloc_local((4,), 'float32')\nx[0] = A[tx % 128]\nA[0] = x[0]",
    "alloc_fragment": "x = T.alloc_fragment((128,), 'float32')\nT.copy(A, x)\nT.copy(x, A)",
    "alloc_var": "x = T.alloc_var('int32', 'local.var')\nx = 3\nA[0] = x",
    "alloc_barrier": "x = T.alloc_barrier(256)\nT.mbarrier_arrive(x)",
    "alloc_tmem": "x = T.alloc_tmem((128, 64), 'float32')\nT.tcgen05_before_thread_sync()",
    "alloc_reducer": (
        "r = T.alloc_reducer((1,), 'float32', 'sum', replication='all')\nT.fill(r, 0)\nfor i in T.Parallel(128):\n"
        "    r[0] += A[i]\nT.finalize_reducer(r)\nA[0] = r[0]"
    ),
}
BUILTIN: dict[str, str] = {
    "access_ptr": (
        "T.ptx_cp_async(T.access_ptr(s[0, 0], 'w', 8), T.access_ptr(B[0, 0], 'r', 8), 8)\nT.ptx_commit_group()"
    ),
    "create_tma_descriptor": _DESCRIPTOR + "T.tma_load(x, bars[0], T.access_ptr(s, 'w'), 0, 64 * bx)",
    "tma_load": _BARS + "T.tma_load(T.access_ptr(s, 'w'), T.access_ptr(B[bx, 0], 'r'), bars[0], 128)",
    "fence_proxy_async": "T.fence_proxy_async()",
    "tma_store_arrive": "T.tma_store_arrive()",
    "tma_store_wait": "T.tma_store_wait()",
    "set_max_nreg": _WS + "    T.set_max_nreg(240, 1)",
    "inc_max_nreg": _WS + "    T.inc_max_nreg(240)",
    "dec_max_nreg": _WS + "    T.dec_max_nreg(24)",
    "annotate_producer_reg_dealloc": "T.annotate_producer_reg_dealloc(24)",
    "annotate_consumer_reg_alloc": "T.annotate_consumer_reg_alloc(240)",
    "no_set_max_nreg": "T.no_set_max_nreg()",
    "disable_warp_group_reg_alloc": "T.disable_warp_group_reg_alloc()",
    "ptx_arrive_cluster_barrier": _BARS + "T.ptx_arrive_cluster_barrier(bars[0], 0)",
    "mbarrier_wait_parity": _BARS + "T.mbarrier_arrive(bars[0])\nT.mbarrier_wait_parity(bars[0], 0)",
    "mbarrier_arrive": _BARS + "T.mbarrier_arrive(bars[1])",
    "mbarrier_expect_tx": _BARS + "if tx == 0:\n    T.mbarrier_expect_tx(bars[0], 128)",
    "warpgroup_arrive": "T.warpgroup_arrive()",
    "warpgroup_commit_batch": "T.warpgroup_commit_batch()",
    "warpgroup_wait": _WS + "    T.wgmma_gemm(s, s, f)\n    T.warpgroup_wait(0)",
    "get_lane_idx": "A[T.get_lane_idx()] = 1.0",
    "get_warp_idx_sync": "A[T.get_warp_idx_sync()] = 1.0",
    "get_warp_idx": "A[T.get_warp_idx(64)] = 1.0",
    "get_warp_group_idx": "A[T.get_warp_group_idx(32, 4)] = 1.0",
    "shuffle_elect": "if T.shuffle_elect(128):\n    A[0] = 1.0",
    "warpgroup_fence_operand": "T.warpgroup_fence_operand(f, num_regs=16)",
    "wait_wgmma": _WS + "    T.wgmma_gemm(s, s, f)\n    T.wait_wgmma(0)",
    "barrier_wait": _BARS + "T.barrier_arrive(bars[0])\nT.barrier_wait(bars[0], 0)",
    "barrier_arrive": _BARS + "T.barrier_arrive(bars[0])",
    "shfl_xor": "A[tx % 128] = T.shfl_xor(A[tx % 128], 1)",
    "shfl_down": "A[tx % 128] = T.shfl_down(A[tx % 128], 1)",
    "shfl_up": "A[tx % 128] = T.shfl_up(A[tx % 128], 1)",
    "sync_threads": "T.sync_threads()",
    "sync_warp": "T.sync_warp()",
    "shfl_sync": "A[tx % 128] = T.shfl_sync(0xFFFFFFFF, A[tx % 128], 0)",
    "sync_global": "T.sync_global()",
    "sync_grid": "T.sync_grid()",
    "initialize_wgmma_descriptor": (
        "x = T.alloc_wgmma_desc()\nT.initialize_wgmma_descriptor(x, T.access_ptr(s, 'r'), 1, 1, 64)"
    ),
    "initialize_tcgen05_descriptor": (
        "x = T.alloc_tcgen05_smem_desc()\nT.initialize_tcgen05_descriptor(x, T.access_ptr(s, 'r'), 1, 64)"
    ),
    "increase_descriptor_offset": "x = T.alloc_wgmma_desc()\nx[0] = 0\nT.increase_descriptor_offset(x, 32)",
    "loop_break": "for i in T.serial(4):\n    if A[i] > 0:\n        T.loop_break()\n    A[i] = 1.0",
    "cp_async_barrier_noinc": _BARS + "T.async_copy(B[0, 0], s)\nT.cp_async_barrier_noinc(bars[0])",
    "tcgen05_mma_arrive": _BARS + "T.tcgen05_mma_arrive(bars[0])",
    "ptx_mma_sm70": (
        "x = T.alloc_local((4,), 'float16')\ny = T.alloc_local((8,), 'float16')\nT.clear(x)\nT.clear(y)\n"
        "T.ptx_mma_sm70('m16n16k4', 'row', 'col', 'fp16', 'fp16', 'fp16', x.data, 0, x.data, 0,\n"
        "               accumulator=y.data, c_index=0)"
    ),
    **{f"ldg{bits}": f"T.stg{bits}(A[0], T.ldg{bits}(A[32], pred=tx < 4))" for bits in (32, 64, 128, 256)},
    **{f"stg{bits}": f"T.stg{bits}(A[0], T.ldg{bits}(A[32]), pred=tx < 4)" for bits in (32, 64, 128, 256)},
}
COPY_OP: dict[str, str] = {
    "copy": "T.copy(B[0, 0], s)\nT.copy(s, D[0:64, :])",
    "async_copy": "T.async_copy(B[0, 0], s)\nT.ptx_wait_group(0)\nT.sync_threads()\nT.copy(s, D[0:64, :])",
    "tma_copy": "b = T.alloc_barrier(1)\nT.tma_copy(B[0, 0], s, barrier=b, eviction_policy='evict_first')",
    "c2d_im2col": (
        "i = T.make_tensor(B, (2, 8, 8, 64), 'float16')\nT.c2d_im2col(i, s, bx, 0, 3, 1, 1, 1)\nT.copy(s, D[0:64, :])"
    ),
}
PROXY: dict[str, str] = {"make_tensor": "x = T.make_tensor(A, (64, 2), 'float32')\nA[0] = x[3, 1]"}
PAGES = {"allocate": ALLOCATE, "builtin": BUILTIN, "copy_op": COPY_OP, "proxy": PROXY}
# What the PTX of an example has because of the name; names that are not here have no instruction of their own: places
# in registers, hints, arithmetic.
_BULK = "cp.async.bulk"
INSTRUCTIONS: dict[str, str] = {
    "alloc_shared": "st.shared",
    "alloc_barrier": "mbarrier.init",
    "alloc_tmem": "tcgen05.alloc",
    "alloc_reducer": "shfl.sync.bfly",
    "access_ptr": "cp.async.cg",
    "create_tma_descriptor": f"{_BULK}.tensor.2d",
    "tma_load": f"{_BULK}.shared::cluster.global",
    "fence_proxy_async": "fence.proxy.async",
    "tma_store_arrive": f"{_BULK}.commit_group",
    "tma_store_wait": f"{_BULK}.wait_group.read",
    "set_max_nreg": "setmaxnreg.inc",
    "inc_max_nreg": "setmaxnreg.inc",
    "dec_max_nreg": "setmaxnreg.dec",
    "ptx_arrive_cluster_barrier": "mapa",
    "mbarrier_wait_parity": "mbarrier.try_wait.parity",
    "mbarrier_arrive": "mbarrier.arrive",
    "mbarrier_expect_tx": "mbarrier.expect_tx",
    "warpgroup_arrive": "wgmma.fence",
    "warpgroup_commit_batch": "wgmma.commit_group",
    "warpgroup_wait": "wgmma.wait_group",
    "wait_wgmma": "wgmma.wait_group",
    "barrier_wait": "mbarrier.try_wait.parity",
    "barrier_arrive": "mbarrier.arrive",
    "shfl_xor": "shfl.sync.bfly",
    "shfl_down": "shfl.sync.down",
    "shfl_up": "shfl.sync.up",
    "sync_threads": "bar.sync",
    "sync_warp": "bar.warp.sync",
    "shfl_sync": "shfl.sync.idx",
    "sync_global": "atom.add.acq_rel.gpu",
    "sync_grid": "atom.add.acq_rel.gpu",
    "cp_async_barrier_noinc": "cp.async.mbarrier.arrive.noinc",
    "tcgen05_mma_arrive": "tcgen05.commit",
    "ptx_mma_sm70": "mma.sync.aligned.m8n8k4",
    **{f"{name}{bits}": f"{kind}.global.{width}"
       for name, kind in (("ldg", "ld"), ("stg", "st"))
       for bits, width in ((32, "b32"), (64, "v2.b32"), (128, "v4.b32"), (256, "v4.b64"))},
    "copy": "st.shared.v4",
    "async_copy": "cp.async.cg",
    "tma_copy": f"{_BULK}.tensor.2d",
    "c2d_im2col": "st.shared.v4",
}  # fmt: skip
