"""What a kernel for AMD does not use of its machine, as attributes: LLVM's last pass over a module finds it out.

Kernels around matrix products are optimised without that pass (`amdgcn.py`). Where the attributes are missing, half of
the registers become accumulation registers, between which values are moved, and scalar registers hold what none reads.
"""

from __future__ import annotations

import re

from tilelang_mlir.compiler.llvm_passes import needs_everything

# LLVM, "User Guide for AMDGPU Backend", function attributes: each says that its intrinsic does not occur.
_INPUTS = (
    "cluster-id-x", "cluster-id-y", "cluster-id-z", "dispatch-id", "dispatch-ptr", "implicitarg-ptr", "lds-kernel-id",
    "queue-ptr", "workgroup-id-x", "workgroup-id-y", "workgroup-id-z", "workitem-id-x", "workitem-id-y",
    "workitem-id-z",
)  # fmt: skip
# These lie behind the implicit arguments, or belong to private memory.
_BEHIND = ("completion-action", "default-queue", "heap-ptr", "hostcall-ptr", "multigrid-sync-arg",
           "flat-scratch-init")  # fmt: skip
_GROUP = re.compile(r'"amdgpu-flat-work-group-size"="\d+,\d+"')
# What may use any of this without naming it: functions that are called, inline assembly, traps, flat addresses.
# Searches for one start each: for all of them together takes three times as long.
_OPAQUE = tuple(map(re.compile, (
    r" asm ", r"addrspacecast", r"@llvm\.(?:trap|debugtrap|amdgcn\.implicitarg)", r"call[^\n@]*@(?!llvm\.)",
)))  # fmt: skip


def marked(llvm_ir: str) -> str | None:
    """LLVM IR whose kernel says what it does not use; None where only the whole pipeline can tell."""
    if needs_everything(llvm_ir) or llvm_ir.count("\ndefine ") != 1 or any(word.search(llvm_ir) for word in _OPAQUE):
        return None
    unused = [name for name in _INPUTS if f"@llvm.amdgcn.{name.replace('-', '.')}(" not in llvm_ir]
    attributes = " ".join(['"amdgpu-agpr-alloc"="0"', *(f'"amdgpu-no-{name}"' for name in (*unused, *_BEHIND))])
    text, count = _GROUP.subn(lambda found: f"{found[0]} {attributes}", llvm_ir)
    return text if count == 1 else None
