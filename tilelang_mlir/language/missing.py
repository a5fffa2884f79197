"""Names of TileLang's language that are not part of this one yet, and why."""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError

_LATER = {
    "sparse products into tensor memory": "tcgen05_gemm_sp",
}
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
    "sblock_alloc_buffer sblock block_name_suffix_context match_buffer decl_buffer env_thread launch_thread"
)
_BY_NAME = {name: topic for topic, names in _LATER.items() for name in names.split()}


def lookup(name: str) -> None:
    """Raise for a name that TileLang has and this language does not.

    Raises:
        UnsupportedError: it is such a name.
    """
    if name in _OUT_OF_SCOPE.split():
        raise UnsupportedError(f"T.{name} is internal to TVM", hint="it is out of scope: kernels do not need it")
    topic = _BY_NAME.get(name)
    if topic is not None:
        raise UnsupportedError(f"T.{name} is not available", hint=f"{topic} are not part of the language yet")


def names() -> list[str]:
    return sorted(_BY_NAME)


def out_of_scope() -> list[str]:
    """The names that TileLang inherits from TVM and that stay out."""
    return sorted(_OUT_OF_SCOPE.split())


def topics() -> dict[str, list[str]]:
    """The names by what they belong to."""
    return {topic: sorted(text.split()) for topic, text in _LATER.items()}
