"""The barrier of all CTAs of a grid, put together from instructions of PTX.

PTX ISA 8.7, sections 9.7.13.1 (bar), 9.7.13.6 (atom), 9.7.9.8 (ld) and 8.9 (morally strong operations, release and
acquire patterns). Thread 0 of every CTA adds to a counter in device memory: CTA 0 adds 0x80000000 - (n - 1), the others
add 1, so that the last arrival flips the highest bit, whatever the counter held before. Everyone waits for the flip.
The counter need not be reset between barriers or launches; all CTAs must be resident (a cooperative launch), and one
launch of the kernel at a time may run.
"""

from __future__ import annotations

from tilelang_mlir.isa.instruction import Access, Effect, Instruction, grid_barrier, inline_ptx
from tilelang_mlir.mlir import ir

COUNTER = "tilelang_grid_barrier"
_TEXT = f"""{{
.reg .pred other, first, waiting;
.reg .b32 n, m, part, before, now;
bar.sync 0;
mov.u32 n, %tid.x;
mov.u32 m, %tid.y;
or.b32 n, n, m;
mov.u32 m, %tid.z;
or.b32 n, n, m;
setp.ne.u32 other, n, 0;
@other bra DONE;
mov.u32 n, %nctaid.x;
mov.u32 m, %nctaid.y;
mul.lo.u32 n, n, m;
mov.u32 m, %nctaid.z;
mul.lo.u32 n, n, m;
sub.u32 part, 0x80000001, n;
mov.u32 n, %ctaid.x;
mov.u32 m, %ctaid.y;
or.b32 n, n, m;
mov.u32 m, %ctaid.z;
or.b32 n, n, m;
setp.eq.u32 first, n, 0;
selp.u32 part, part, 1, first;
fence.acq_rel.gpu;
atom.add.acq_rel.gpu.global.u32 before, [{COUNTER}], part;
WAIT:
ld.acquire.gpu.global.u32 now, [{COUNTER}];
xor.b32 now, now, before;
setp.ge.s32 waiting, now, 0;
@waiting bra WAIT;
fence.acq_rel.gpu;
DONE:
bar.sync 0;
}}"""


def declare() -> None:
    """The counter, at the insertion point in a module."""
    i32 = ir.IntegerType.get_signless(32)
    attributes = {
        "sym_name": ir.StringAttr.get(COUNTER),
        "global_type": ir.TypeAttr.get(i32),
        "linkage": ir.Attribute.parse("#llvm.linkage<external>"),
        "addr_space": ir.IntegerAttr.get(i32, 1),
        "value": ir.IntegerAttr.get(i32, 0),
    }
    ir.Operation.create("llvm.mlir.global", attributes=attributes, regions=1)


def emit() -> None:
    """Wait until all threads of all CTAs are here; what they wrote before is visible to all after. Needs `declare`."""
    inline_ptx("grid.sync", _TEXT)


INSTRUCTIONS = (
    Instruction(
        "grid.sync",
        "bar.sync; atom.add.acq_rel.gpu; ld.acquire.gpu until the highest bit flips; bar.sync",
        "9.7.13.1 bar, 9.7.13.6 atom, 9.7.9.8 ld",
        grid_barrier,
        emit=emit,
        effects=(Effect(Access.BARRIER),),
        blocking=True,
    ),
)
