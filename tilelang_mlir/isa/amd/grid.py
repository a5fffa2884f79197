"""The barrier of all blocks of a grid, put together from instructions.

LLVM, "User Guide for AMDGPU": "Memory Model" (fences and atomics of agent scope: S_WAITCNT, BUFFER_WBL2, BUFFER_INV,
GLOBAL_ATOMIC_ADD) and "Code Object V5 Kernel Argument Metadata" (the number of blocks, at bytes 0, 4 and 8 of the
implicit arguments). CDNA3 ISA, SOPP: S_BARRIER, S_SLEEP. Every wave waits for its own stores, since a wait counts those
of one wave only, and writes back; then work-item 0 of every block adds to a counter in device memory:
block 0 adds 0x80000000 - (n - 1), the others add 1, so that the last arrival flips the highest bit, whatever the
counter held before. Everyone waits for the flip. The counter need not be reset between barriers or launches; all blocks
must be resident (a cooperative launch), and one launch of the kernel at a time may run.
"""

from __future__ import annotations

from tilelang_mlir.isa.instruction import Access, Effect, Instruction, create, grid_barrier
from tilelang_mlir.mlir import ir

NAME = "tilelang_meet_grid"
DEFINITION = f"""
@tilelang_grid_barrier = internal addrspace(1) global i32 0, align 4
declare ptr addrspace(4) @llvm.amdgcn.implicitarg.ptr()
{chr(10).join(f"declare i32 @llvm.amdgcn.work{kind}.id.{axis}()" for kind in ("item", "group") for axis in "xyz")}
declare void @llvm.amdgcn.s.barrier()
declare void @llvm.amdgcn.s.sleep(i32 immarg)
define linkonce_odr hidden void @{NAME}() alwaysinline convergent {{
  fence syncscope("agent") release
  call void @llvm.amdgcn.s.barrier()
  fence syncscope("workgroup") acquire
  %tx = call i32 @llvm.amdgcn.workitem.id.x()
  %ty = call i32 @llvm.amdgcn.workitem.id.y()
  %tz = call i32 @llvm.amdgcn.workitem.id.z()
  %txy = or i32 %tx, %ty
  %t = or i32 %txy, %tz
  %one = icmp eq i32 %t, 0
  br i1 %one, label %arrive, label %done
arrive:
  %arguments = call ptr addrspace(4) @llvm.amdgcn.implicitarg.ptr()
  %sy = getelementptr i8, ptr addrspace(4) %arguments, i64 4
  %sz = getelementptr i8, ptr addrspace(4) %arguments, i64 8
  %nx = load i32, ptr addrspace(4) %arguments, align 4
  %ny = load i32, ptr addrspace(4) %sy, align 4
  %nz = load i32, ptr addrspace(4) %sz, align 4
  %nxy = mul i32 %nx, %ny
  %n = mul i32 %nxy, %nz
  %bx = call i32 @llvm.amdgcn.workgroup.id.x()
  %by = call i32 @llvm.amdgcn.workgroup.id.y()
  %bz = call i32 @llvm.amdgcn.workgroup.id.z()
  %bxy = or i32 %bx, %by
  %b = or i32 %bxy, %bz
  %first = icmp eq i32 %b, 0
  %rest = sub i32 -2147483647, %n
  %part = select i1 %first, i32 %rest, i32 1
  %before = atomicrmw add ptr addrspace(1) @tilelang_grid_barrier, i32 %part syncscope("agent") acq_rel, align 4
  br label %wait
wait:
  call void @llvm.amdgcn.s.sleep(i32 1)
  %now = load atomic i32, ptr addrspace(1) @tilelang_grid_barrier syncscope("agent") acquire, align 4
  %changed = xor i32 %now, %before
  %waiting = icmp sge i32 %changed, 0
  br i1 %waiting, label %wait, label %done
done:
  fence syncscope("workgroup") release
  call void @llvm.amdgcn.s.barrier()
  fence syncscope("agent") acquire
  ret void
}}
"""


def declare() -> None:
    """The function, at the insertion point in a module; code generation links `DEFINITION`."""
    attributes = {
        "sym_name": ir.StringAttr.get(NAME),
        "function_type": ir.TypeAttr.get(ir.Type.parse("!llvm.func<void ()>")),
        "linkage": ir.Attribute.parse("#llvm.linkage<external>"),
        "CConv": ir.Attribute.parse("#llvm.cconv<ccc>"),
    }
    ir.Operation.create("llvm.func", attributes=attributes, regions=1)


def emit() -> None:
    """Wait until all threads of all blocks are here; what they wrote before is visible to all after."""
    segments = ir.DenseI32ArrayAttr.get([0, 0])
    create(
        "llvm.call", callee=ir.FlatSymbolRefAttr.get(NAME), operandSegmentSizes=segments,
        op_bundle_sizes=ir.DenseI32ArrayAttr.get([]), **{"tl.instr": ir.StringAttr.get("grid.meet")},
    )  # fmt: skip


INSTRUCTIONS = (
    Instruction(
        "grid.meet",
        "s_barrier; global_atomic_add; global_load until the highest bit flips; s_barrier",
        "SOPP S_BARRIER, FLAT GLOBAL_ATOMIC_ADD",
        grid_barrier,
        emit=emit,
        effects=(Effect(Access.BARRIER),),
        blocking=True,
    ),
)
