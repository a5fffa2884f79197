"""Names that TileLang's language inherits and that are not part of this one."""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError

# What TileLang inherits from TVM and kernels of its own do not use.
_OUT_OF_SCOPE = (
    "handle_add_byte_offset call_packed call_cpacked call_packed_lowered call_cpacked_lowered "
    "tvm_call_packed tvm_call_cpacked tvm_call_packed_lowered tvm_call_cpacked_lowered tvm_throw_last_error "
    "tvm_stack_alloca tvm_stack_make_shape tvm_stack_make_array tvm_tuple tvm_struct_set tvm_struct_get "
    "tvm_thread_invariant "
    "tvm_warp_activemask tvm_load_matrix_sync tvm_mma_sync tvm_bmma_sync tvm_fill_fragment "
    "tvm_store_matrix_sync TVMBackendAllocWorkspace TVMBackendFreeWorkspace anylist_getitem anylist_resetitem "
    "anylist_setitem_call_packed anylist_setitem_call_cpacked vscale get_active_lane_mask ignore_loop_partition "
    "lookup_param isnullptr call_kernel call_llvm_pure_intrin llvm_lookup_intrinsic_id start_profile_intrinsic "
    "end_profile_intrinsic ProducerLoad CallEffectKind SizeVar StringImm IterVar buffer_decl "
    "create_barriers ptx_init_barrier_thread_count ptx_arrive_barrier ptx_arrive_barrier_expect_tx ptx_wait_barrier "
    "ptx_cp_async_barrier allocate_const arg axis block block_attr buffer buffer_var func_name func_ret "
    "index_map init iter_var prefetch q_multiply_shift_per_axis reads realize ret sblock_attr target "
    "undef var void writes Assert Call Let LetStmt Range Reduce "
    "sblock_alloc_buffer sblock block_name_suffix_context match_buffer decl_buffer env_thread launch_thread"
)
# Instructions that kernels of this language reach by tile operations only, by what does the same.
_BY_TILES = {
    "T.gemm_sp": "ptx_wgmma_sp_rs ptx_wgmma_sp_ss SparseTensorCoreIntrinEmitter WGSparseTensorCoreIntrinEmitter",
    "T.gemm_blockscaled": "ptx_mma_block_scale ptx_tcgen05_mma_blockscaled_ss TensorCoreIntrinEmitterSM120",
    "T.tcgen05_gemm": "ptx_tcgen05_mma_ss ptx_tcgen05_mma_ts",
    "T.gemm": (
        "mfma mfma_store tvm_mfma tvm_mfma_store rdna_wmma rdna_wmma_store tvm_rdna_wmma tvm_rdna_wmma_store "
        "ds_read_tr16_b64 ds_read_tr8_b64 MatrixCoreIntrinEmitter MatrixCorePreshuffleIntrinEmitter WMMAIntrinEmitter"
    ),
}
# Names of compilers that extend TileLang for other machines, by what they are for.
_ELSEWHERE = {
    "several GPUs at once (NVSHMEM)": (
        "get_pe get_pe_num get_rank get_num_ranks signal_op signal_wait_until putmem_block putmem_nbi_block "
        "putmem_signal_block putmem_signal_nbi_block getmem_block getmem_nbi_block put_warp put_block get_warp "
        "get_block barrier_blocks sync_blocks wait_eq wait_ne wait_ge wait_gt wait_le wait_lt quiet fence fence_sys "
        "ld st atom_add warp_any warp_all Amo CmpType"
    ),
    "GPUs with the MUSA instruction set": "make_robust_desc lma_wait mul_half_float_to_bfloat16_x4",
}
_MACHINE = {name: machine for machine, names in _ELSEWHERE.items() for name in names.split()}
_REPLACED = {"annotate_padding": "T.annotate_safe_value({tensor: value}) says what lies outside of a tensor"}
_INSTEAD = {name: own for own, names in _BY_TILES.items() for name in names.split()}


def lookup(name: str) -> None:
    """Raise for a name that TileLang has and this language does not.

    Raises:
        UnsupportedError: it is such a name.
    """
    if name in _OUT_OF_SCOPE.split():
        raise UnsupportedError(f"T.{name} is internal to TVM", hint="it is out of scope: kernels do not need it")
    if name in _INSTEAD:
        raise UnsupportedError(f"T.{name} is not part of the language", hint=f"{_INSTEAD[name]} uses the instruction")
    if name in _REPLACED:
        raise UnsupportedError(f"T.{name} is not part of the language", hint=_REPLACED[name])
    if name in _MACHINE:
        raise UnsupportedError(
            f"T.{name} belongs to extensions of the language for {_MACHINE[name]}",
            hint="programs here run on one NVIDIA or AMD GPU: docs/targets.md lists them",
        )


def out_of_scope() -> list[str]:
    """The names that TileLang inherits from TVM and that stay out."""
    return sorted(_OUT_OF_SCOPE.split())


def elsewhere() -> dict[str, list[str]]:
    """Names of extensions of TileLang, by the machines they are for."""
    return {machine: sorted(names.split()) for machine, names in _ELSEWHERE.items()}


def by_tiles() -> dict[str, list[str]]:
    """Names of single instructions that are not there, by the tile operation that uses the instruction."""
    return {own: sorted(names.split()) for own, names in _BY_TILES.items()}
