"""Names of TileLang's language that are not part of this one yet, and why."""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError

_LATER = {
    "warp specialization": (
        "   annotate_ws_schedule ws_op WSID WSSchedule WSRole WSPipeline "
        "WSScope WSInstr "
        "WSOpRef WSSync WSSyncKind     "
        "   annotate_ws_pipeline_depth"
    ),
    "explicit bulk copies": (
        " copy_cluster tma_gather4 tma_scatter4 tma_gather4_bytes create_tma_descriptor tma_load tma_load_2sm "
        "   ptx_cp_async ptx_cp_async_bulk "
    ),
    "explicit matrix instructions": (
        "mma_gemm_blockscaled gemm_sp "
        "wgmma_gemm_sp "
        "tcgen05_gemm_sp gemm_blockscaled make_blockscaled_gemm_layout "
        "initialize_wgmma_descriptor "
        "initialize_tcgen05_descriptor increase_descriptor_offset alloc_descriptor alloc_wgmma_desc "
        "alloc_tcgen05_smem_desc "
        "alloc_tcgen05_instr_desc ptx_ldmatrix ptx_mma ptx_mma_sp mma_fill mma_store"
    ),
    "clusters and dependent launches": (
        "cluster_arrive_relaxed cluster_arrive cluster_wait cluster_sync block_rank_in_cluster clc_try_cancel "
        "clc_try_cancel_multicast clc_is_canceled clc_get_first_ctaid_x clc_get_first_ctaid_y clc_get_first_ctaid_z "
        "pdl_trigger pdl_sync"
    ),
    "raw memory access": (
        "access_ptr address_of tvm_access_ptr handle_add_byte_offset ldg32 ldg64 ldg128 ldg256 stg32 stg64 "
        "stg128 stg256 "
        "lds32 lds64 lds128 sts32 sts64 sts128 __ldg"
    ),
    "vector values": (
        "add2 sub2 mul2 fma2 max2 min2 abs2 Broadcast broadcast Ramp ramp Shuffle vectorlow vectorhigh vectorcombine "
        "extract_lane"
    ),
    "random numbers": "rng_init rng_rand rng_rand_float",
    "tile schedulers": "PersistentTileScheduler BaseTileScheduler",
    "device source code": "import_source CUDASourceCodeKernel call_pure_extern call_intrin call_llvm_intrin "
    "call_packed",
}
_BY_NAME = {name: topic for topic, names in _LATER.items() for name in names.split()}


def lookup(name: str) -> None:
    """Raise for a name that TileLang has and this language does not.

    Raises:
        UnsupportedError: it is such a name.
    """
    topic = _BY_NAME.get(name)
    if topic is not None:
        raise UnsupportedError(f"T.{name} is not available", hint=f"{topic} are not part of the language yet")


def names() -> list[str]:
    return sorted(_BY_NAME)


def topics() -> dict[str, list[str]]:
    """The names by what they belong to."""
    return {topic: sorted(text.split()) for topic, text in _LATER.items()}
