"""The passes of LLVM that matter to kernels which lowering has folded, unrolled and vectorised already."""

from __future__ import annotations

import re
from typing import Any

import llvmlite.binding as llvm

# What a handful of passes does not deal with: private arrays, loops that ask to be unrolled, functions to inline.
_THOROUGH = ("define internal", "define linkonce", "alwaysinline")
_ARRAY = re.compile(r"alloca (?:\[|[^,\n]*, i\d+ )")
_UNROLLED = re.compile(r"llvm\.loop\.unroll\.(?!disable)")


def needs_everything(llvm_ir: str) -> bool:
    """Whether a kernel gains by the whole pipeline: private arrays, say, become registers when loops are unrolled."""
    # One search for all of them would take fifty times as long.
    return any(word in llvm_ir for word in _THOROUGH) or any(part.search(llvm_ir) for part in (_ARRAY, _UNROLLED))


def run_handful(module: Any, builder: Any, *, numbering: bool, long: bool = False) -> None:
    """Clean up the functions of a module: a sixth of the time of the whole pipeline.

    `numbering` of values finds what is computed twice across blocks, which takes as long as the rest. llvmlite's build
    of it takes time by the square of how often a value is computed: in `long` kernels what turns out to be constant
    goes first, which halves it (2.9 s of a kernel of 80,000 lines).
    """
    passes = llvm.create_new_function_pass_manager()
    passes.add_sroa_pass()
    if long:
        passes.add_sccp_pass()
    passes.add_simplify_cfg_pass()
    passes.add_loop_rotate_pass()  # tested at their end, loops are one block
    if numbering:
        passes.add_new_gvn_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    for function in module.functions:
        if not function.is_declaration:
            passes.run(function, builder)


def mark_arguments(module: Any, builder: Any) -> None:
    """Note which arguments are only read, or only written: loads of the others may be repeated or moved."""
    passes = llvm.create_new_module_pass_manager()
    passes.add_post_order_function_attributes_pass()
    passes.run(module, builder)
