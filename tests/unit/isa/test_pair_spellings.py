"""What instructions of pairs of CTAs become in PTX, that ptxas takes them, and that each has an entry in the table."""

from __future__ import annotations

import pytest

from tests.unit.isa.kernel_builder import POINTER, build, load, offset, smem
from tilelang_mlir.compiler.codegen import generate
from tilelang_mlir.isa import key_of, table
from tilelang_mlir.isa.instruction import constant
from tilelang_mlir.isa.nvidia import cluster, tcgen05, tcgen05_descriptors, tcgen05_mma, tma
from tilelang_mlir.mlir import ir

EXPECTED = [
    "tcgen05.alloc.cta_group::2.sync.aligned.shared::cta.b32",
    "tcgen05.relinquish_alloc_permit.cta_group::2.sync.aligned",
    "tcgen05.mma.cta_group::2.kind::f16",
    "tcgen05.mma.cta_group::2.kind::mxf8f6f4.block_scale",
    "tcgen05.cp.cta_group::2.32x128b.warpx4",
    "tcgen05.commit.cta_group::2.mbarrier::arrive::one.shared::cluster.multicast::cluster.b64",
    "mbarrier.expect_tx.relaxed.cluster.shared::cluster.b64",
    "cp.async.bulk.tensor.2d.cta_group::2.shared::cluster.global.tile.mbarrier::complete_tx::bytes",
    "cp.async.bulk.tensor.3d.cta_group::2.shared::cluster.global.tile.mbarrier::complete_tx::bytes.L2::cache_hint",
    "tcgen05.dealloc.cta_group::2.sync.aligned.b32",
]


def _tcgen05_pair(arguments: list[ir.Value]) -> None:
    """What pairs of CTAs have of their own; an arena, products, completion, loads, and all of it for one kernel."""
    generic = ir.Operation.create("llvm.addrspacecast", [ir.Type.parse("!llvm.ptr")], [arguments[0]]).results[0]
    tcgen05.alloc(smem(), constant(64), pair=True)
    tcgen05.relinquish(pair=True)
    address, long, yes = load(smem()), constant(1, 64), constant(1, 1)
    shape = tcgen05_descriptors.Shape(256, 64, "f16", "f16", "f16")
    tcgen05_mma.emit(address, long, long, constant(tcgen05_descriptors.instruction(shape)), yes, "f16", pair=True)
    scaled = tcgen05_descriptors.Shape(256, 64, "mxf8f6f4", "e4m3", "e4m3")
    word = constant(tcgen05_descriptors.instruction(scaled))
    tcgen05_mma.emit_scaled(address, long, long, word, yes, (address, address), "mxf8f6f4", 32, pair=True)
    tcgen05.copy_scales(address, long, pair=True)
    tcgen05.commit_pair(offset(smem(), 4), constant(3, 16))
    barrier, rank = offset(smem(), 1024, "i8"), cluster.rank()
    cluster.expect_remote(barrier, rank, constant(128))
    tma.load_pair(smem(), generic, barrier, rank, [constant(0), 8])
    tma.load_pair(smem(), generic, barrier, rank, [constant(0), 8, 1], hint="evict_last")
    tcgen05.dealloc(address, constant(64), pair=True)


@pytest.mark.parametrize("arch", ["sm_100a", "sm_103a"])
def test_reaches_ptx(arch: str) -> None:
    with ir.Context(), ir.Location.unknown():
        module = build(_tcgen05_pair, [POINTER, POINTER], 32, 2048)
        code = generate(module, arch)
    assert [text for text in EXPECTED if text not in code.assembly] == [] and code.binary


def test_every_instruction_has_an_entry() -> None:
    with ir.Context(), ir.Location.unknown():
        keys: set[str] = set()

        def look(op: ir.Operation) -> ir.WalkResult:
            if op.name.startswith("nvvm."):
                keys.add(key_of(op))
            return ir.WalkResult.ADVANCE

        build(_tcgen05_pair, [POINTER, POINTER], 32, 2048).operation.walk(look)
    assert keys and keys <= set(table())
