"""Loads from device memory straight into LDS: values, waits, the checks of the simulator, and the machine code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hopper_programs import check, f64, poisoned, random

import tilelang_mlir.language as T
from tests.unit.isa.kernel_builder import POINTER, build, lane, load, offset, smem, store
from tests.unit.simulator.mutants import Mutant
from tests.util import target_matrix
from tilelang_mlir import errors, knobs
from tilelang_mlir.compiler.codegen import generate
from tilelang_mlir.isa.amd import barrier, lds_dma
from tilelang_mlir.isa.amd.buffer import resource
from tilelang_mlir.isa.instruction import constant, create
from tilelang_mlir.isa.nvidia import thread
from tilelang_mlir.jit.compile import compile_prim_func
from tilelang_mlir.jit.simulated import SimulatedKernel
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator import simulate


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def product(M: int, N: int, K: int, transpose_b: bool = True, column: int = 0) -> Any:
    shape_b = (N, K) if transpose_b else (K, N)

    @T.prim_func
    def multiply(A: T.Tensor((M, K), "float16"), B: T.Tensor(shape_b, "float16"), C: T.Tensor((M, N), "float32")):
        with T.Kernel(T.ceildiv(N, 64), T.ceildiv(M, 64), threads=128) as (bx, by):
            a, b = T.alloc_shared((64, 64), "float16"), T.alloc_shared((64, 64), "float16")
            c = T.alloc_fragment((64, 64), "float32")
            T.clear(c)
            for k in T.Pipelined(T.ceildiv(K, 64), num_stages=3):
                T.copy(A[by * 64, k * 64 + column], a)
                if transpose_b:
                    T.copy(B[bx * 64, k * 64 + column], b)
                else:
                    T.copy(B[k * 64 + column, bx * 64], b)
                T.gemm(a, b, c, transpose_B=transpose_b)
            T.copy(c, C[by * 64, bx * 64])

    return multiply


def is_direct(kernel: Any) -> bool:
    return "rocdl.raw.ptr.buffer.load.lds" in kernel.ir("lowered")


@pytest.mark.parametrize(("size", "transpose_b"), [((70, 72, 200), True), ((64, 136, 72), False)])
def test_products(size: tuple[int, int, int], transpose_b: bool) -> None:
    """Over the edges of the tensors, along K too."""
    M, N, K = size
    kernel = compile_prim_func(product(M, N, K, transpose_b), target="sim:gfx950")
    assert is_direct(kernel)
    a, b, c = random((M, K)), random((N, K) if transpose_b else (K, N), seed=1), poisoned((M, N), "float32")
    kernel(a, b, c)
    check(c, f64(a) @ (f64(b).T if transpose_b else f64(b)), "float32")


@pytest.mark.parametrize(
    ("program", "target"),
    [(lambda: product(64, 64, 129), "gfx950"), (lambda: product(64, 64, 128, column=4), "gfx950"),
     (lambda: product(64, 64, 128), "gfx942")],
    ids=["rows not aligned", "a chunk over the edge", "4 bytes at a time"],
)  # fmt: skip
def test_copies_that_stay_in_registers(program: Callable[[], Any], target: str) -> None:
    assert not is_direct(compile_prim_func(program(), target=f"sim:{target}"))


def test_a_missing_wait_is_reported() -> None:
    kernel = compile_prim_func(product(64, 64, 128), target="sim:gfx950")
    mutant = Mutant("drop", "rocdl.s.waitcnt", 0, lambda op: op.erase())
    broken = SimulatedKernel(kernel.plan, mutant.apply(kernel.artifact.lowered))
    with pytest.raises(errors.InFlightError, match="while an asynchronous copy into it is in flight") as caught:
        broken(random((64, 128)), random((64, 128)), poisoned((64, 64), "float32"))
    assert "T.copy(A" in str(caught.value)


def test_loops_wait_once() -> None:
    """No product waits for the next tiles: the loop's only wait is the one in front of its barrier."""
    for name in ("gemm_bias_relu", "gemm_dynamic_m"):
        text = target_matrix.build(name, "gfx950").assembly
        begin = text.index(".LBB0_1:")
        loop = text[begin : begin + text[begin:].index("_store_dword")]
        inside = loop[: loop.rindex("branch")]
        assert "buffer_load_dwordx4" in inside and "offen lds" in inside and "v_mfma" in inside
        assert len(re.findall(r"s_waitcnt.*vmcnt", inside)) == 1 and "ds_write" not in inside


# -- the instruction ---------------------------------------------------------------------------------------------------
def _words(arguments: Any, size: int, count: int) -> None:
    """Lane l loads `size` bytes from offset size * (63 - l) of a buffer of `count` bytes, and stores what LDS holds."""
    source, out = arguments
    i32 = ir.IntegerType.get_signless(32)
    backwards = create("arith.subi", [constant(63), thread.tid()], [i32])
    place = create("arith.muli", [backwards, constant(size)], [i32])
    lds_dma.load(resource(source, count), smem(), place, size)
    lds_dma.wait(0)
    barrier.lds()
    words = size // 4
    for i in range(words):
        store(load(lane(smem(), words, i)), lane(out, words, i))


@pytest.mark.parametrize("size", [4, 16])
def test_values_of_the_instruction(size: int) -> None:
    """CDNA4 9.1: lane l's bytes go to place l; from `count` bytes on a buffer reads as zero."""
    count = 48 * size
    a = np.random.default_rng(0).integers(1, 1 << 30, 64 * size // 4).astype(np.int32)
    out = np.full_like(a, -1)
    with ir.Context(), ir.Location.unknown():
        module = build(lambda arguments: _words(arguments, size, count), [POINTER] * 2, 64, 64 * size, warp=64)
        simulate(module, "k", (1, 1, 1), [a, out])
    want = a.reshape(64, -1)[::-1].copy()
    want[: 64 - 48] = 0
    assert (out.reshape(64, -1) == want).all()


def test_a_place_that_differs_in_a_wave() -> None:
    def body(arguments: Any) -> None:
        lds_dma.load(resource(arguments[0]), offset(smem(), thread.tid()), constant(0), 4)

    with ir.Context(), ir.Location.unknown():
        module = build(body, [POINTER], 64, 1024, warp=64)
        with pytest.raises(errors.SimulationError, match="the place in LDS of a buffer load differs inside a wave"):
            simulate(module, "k", (1, 1, 1), [np.zeros(64, np.int32)])


@pytest.mark.parametrize(("pending", "text"), [(0, "vmcnt(0)"), (5, "vmcnt(5)"), (40, "vmcnt(40)")])
def test_spellings(pending: int, text: str) -> None:
    """The wait counts this kernel's loads; the fields of S_WAITCNT are split."""
    kernel = """
    module { gpu.module @kernels {
      llvm.mlir.global external @smem() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>
      llvm.func @k(%p: !llvm.ptr<1>) attributes {gpu.kernel, rocdl.kernel,
          rocdl.reqd_work_group_size = array<i32: 64, 1, 1>, tl.shared_bytes = 65536 : i64, tl.warp_size = 64 : i32} {
        llvm.return
      }
    } }"""
    with ir.Context() as ctx, ir.Location.unknown():
        ctx.load_all_available_dialects()
        module = ir.Module.parse(kernel)
        function = list(module.body.operations[0].regions[0].blocks[0].operations)[1]
        block = function.regions[0].blocks[0]
        with ir.InsertionPoint(block.operations[0]):
            buffer = resource(block.arguments[0])
            for i in range(pending + 1):
                lds_dma.load(buffer, offset(smem(), 256 * i), constant(1024 * i))
            lds_dma.wait(pending)
        code = generate(module, "gfx950", emit=("amdgcn", "hsaco"))
    assert "buffer_load_dwordx4" in code.assembly and f"s_waitcnt {text}" in code.assembly and code.binary
