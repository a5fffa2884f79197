"""What each key of `pass_configs` does here, and why some do nothing."""

from __future__ import annotations

from tilelang_mlir.compiler.pass_configs import PassConfigKey

K = PassConfigKey
EFFECTIVE: dict[PassConfigKey, str] = {
    K.TL_DISABLE_BUFFER_INIT_CHECK: "no warnings of on-chip buffers that are read before they are written",
    K.TL_DISABLE_DATA_RACE_CHECK: "no warnings of parallel iterations that write one element",
    K.TL_DISABLE_WARP_SPECIALIZED: "pipelined loops are not split into producer and consumer warps",
    K.TL_ENABLE_FAST_MATH: "approximate exponentials, divisions and square roots",
    K.TL_DISABLE_FAST_MATH: "no effect: off is what fast math is by default",
    K.TL_PTXAS_REGISTER_USAGE_LEVEL: "0 to 10, handed to ptxas",
    K.TL_DEVICE_COMPILE_FLAGS: "flags for ptxas; nvcc's spellings are unwrapped",
    K.TL_DISABLE_SAFE_MEMORY_ACCESS: "no guards at the edges of tensors; the simulator reports what lies outside",
    K.TL_EMIT_LINE_DIRECTIVES: "PTX lines map to Python lines",
    K.TL_DISABLE_TMA_LOWER: "no bulk copies in the place of T.copy",
    K.TL_ENABLE_ASYNC_COPY: "False: no cp.async in pipelined loops",
    K.TL_DISABLE_WGMMA: "mma.sync in the place of wgmma",
    K.TL_DISABLE_PERSISTENT: "kernels keep one block per output tile",
    K.TL_ENABLE_CLUSTER_MULTICAST: "pairs of blocks load what both need once, in loops over tiles",
    K.TL_DISABLE_LAGGING_MAXIMUM: "online softmax rescales in every iteration",
    K.TL_DISABLE_PING_PONG: "consumer warp groups do not take turns at the tensor cores",
    K.TL_ALLOW_REGISTER_SPILLS: "fragments may take more than five times a thread's registers, which is an error else",
    K.TL_DISABLE_SHARED_MEMORY_REUSE: "every shared buffer has an address of its own",
    K.TL_DISABLE_VECTORIZE_256: "accesses to device memory stay at 16 bytes where a target has wider ones, which need "
    "tensors at multiples of 32 bytes",
    K.TL_ENABLE_DUMP_IR: "the program is written after every stage",
    K.TL_DUMP_IR_DIR: "the folder for that, ./dump_ir by default",
    K.TL_PASS_PROFILE: "the time of every stage is printed",
    K.TL_PASS_PROFILE_THRESHOLD_MS: "stages below this many ms are left out",
    K.CUDA_KERNELS_OUTPUT_DIR: "the PTX of every kernel is written into this folder",
}
_TVM = "a pass of TVM, which this compiler is not built on"
_ALWAYS = "always done here"
INERT: dict[PassConfigKey, str] = {
    K.TL_SIMPLIFY: "index arithmetic is always simplified",
    K.TL_DISABLE_PRELOWER_SEMANTIC_CHECK: "wrong programs are always refused",
    K.TL_CONFIG_INDEX_BITWIDTH: "indices are 32 bits wide, and 64 where a tensor's size asks for it",
    K.TL_ENABLE_REDUCER_PLAN_VERBOSE: "the plan of a reduction is in kernel.ir('scheduled')",
    K.TL_REDUCER_FORCE_BASELINE: "there is one plan",
    K.TL_LAYOUT_COST_MODEL: "layouts are chosen by registers and conflicts together",
    K.TL_ENABLE_LOWER_LDGSTG: "loads and stores are lowered in one way",
    K.TL_ENABLE_LOWER_LDGSTG_PREDICATED: "loads and stores are lowered in one way",
    K.TL_ENABLE_VECTORIZE_PLANNER_VERBOSE: "widths are in kernel.ir('lowered')",
    K.TL_DEBUG_MERGE_SHARED_MEMORY_ALLOCATIONS: "addresses are in kernel.ir('scheduled')",
    K.TL_ENABLE_AGGRESSIVE_SHARED_MEMORY_MERGE: "buffers that do not live at once share memory always",
    K.TL_DISABLE_SHUFFLE_ELECT: "the elected thread is chosen by the target's instruction",
    K.TL_DISABLE_LOOP_UNSWITCHING: "loops are not unswitched",
    K.TL_LOOP_UNSWITCHING_ALLOW_NON_TRIVIAL_ELSE: "loops are not unswitched",
    K.TL_IF_STMT_BINDING_INLINE_REPLAYABLE_BINDS: _TVM,
    K.TL_DISABLE_THREAD_STORAGE_SYNC: "T.sync_threads in a branch on the thread index meets all threads of the block; "
    "barriers that tile operations need are placed all the same",
    K.TL_FORCE_LET_INLINE: _TVM,
    K.TL_AST_PRINT_ENABLE: "kernel.ir('tl') shows the program",
    K.TL_LAYOUT_VISUALIZATION_ENABLE: "kernel.ir('laid_out') and tilelang.tools.plot_layout show layouts",
    K.TL_LAYOUT_VISUALIZATION_FORMATS: "as above",
    K.TL_STORAGE_REWRITE_DETECT_INPLACE: _TVM,
    K.TL_ENABLE_PTXAS_VERBOSE_OUTPUT: "registers, spills and shared memory are in kernel.resources",
    K.TL_DISABLE_DYNAMIC_TAIL_SPLIT: "tails of run-time sizes are guarded, not split off",
    K.TL_DYNAMIC_ALIGNMENT: "T.assume says what divides a run-time size",
    K.TL_DISABLE_OUT_OF_BOUND_WARNING: "the simulator reports accesses outside of tensors",
    K.TIR_ENABLE_EQUIV_TERMS_IN_CSE: _TVM,
    K.TIR_DISABLE_CSE: _ALWAYS,
    K.TIR_SIMPLIFY: _ALWAYS,
    K.TIR_DISABLE_STORAGE_REWRITE: _TVM,
    K.TIR_DISABLE_VECTORIZE: "accesses are as wide as layouts allow",
    K.TIR_USE_ASYNC_COPY: "see tl.enable_async_copy",
    K.TIR_ENABLE_DEBUG: _TVM,
    K.TIR_MERGE_STATIC_SMEM: "all shared memory is one arena",
    K.TIR_ADD_LOWER_PASS: _TVM,
    K.TIR_NOALIAS: "arguments may overlap",
}


def explain(key: PassConfigKey | str) -> str:
    """What a key does here, or why it does nothing.

    Raises:
        ValueError: there is no such key.
    """
    known = PassConfigKey(key)
    if known in INERT:
        return f"no effect: {INERT[known]}"
    return EFFECTIVE.get(known, "an option of a pass, see [passes](passes.md)")


def pass_config_page(note: str) -> str:
    """The table of all keys as a documentation page."""
    rows = [f"| `{key.value}` | {explain(key)} |" for key in PassConfigKey]
    head = ["# Pass configurations", "", note, "",
            "Keys of `pass_configs`, also as `tilelang.PassConfigKey`. An unknown key is an error.", "",
            "| key | effect |", "|---|---|"]  # fmt: skip
    return "\n".join([*head, *rows]) + "\n"
