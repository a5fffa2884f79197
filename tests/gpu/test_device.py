"""What only a device can show: capture in CUDA graphs, streams, foreign arrays, asserts; skipped without one."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tests.fuzz import chains
from tests.util.narrow_sums import sums_and_largest
from tilelang_mlir.errors import ArgumentError

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@tilelang.jit
def scaled(A, B, block: int = 128):
    """B = 2 A, of any length."""
    n = T.dynamic("n")
    A: T.Tensor((n,), "float32")
    B: T.Tensor((n,), "float32")
    with T.Kernel(T.ceildiv(n, block), threads=128) as bx:
        for i in T.Parallel(block):
            B[bx * block + i] = A[bx * block + i] * 2.0


@tilelang.jit(out_idx=[-1])
def product(M: int, N: int, K: int) -> Any:
    """C = A B on whatever products and copies the device has; C is allocated by the call."""

    @T.prim_func
    def main(A: T.Tensor((M, K), "float16"), B: T.Tensor((K, N), "float16"), C: T.Tensor((M, N), "float32")):
        with T.Kernel(T.ceildiv(N, 128), T.ceildiv(M, 128), threads=256) as (bx, by):
            A_shared, B_shared = T.alloc_shared((128, 64), "float16"), T.alloc_shared((64, 128), "float16")
            sums = T.alloc_fragment((128, 128), "float32")
            T.clear(sums)
            for k in T.Pipelined(T.ceildiv(K, 64), num_stages=3):
                T.copy(A[by * 128, k * 64], A_shared)
                T.copy(B[k * 64, bx * 128], B_shared)
                T.gemm(A_shared, B_shared, sums)
            T.copy(sums, C[by * 128, bx * 128])

    return main


def random(*shape: int, dtype: Any = torch.float32) -> Any:
    return torch.randn(*shape, device="cuda", generator=torch.Generator("cuda").manual_seed(1)).to(dtype)


def close(got: Any, want: Any) -> bool:
    return bool((got.double() - want.double()).norm() <= 2e-3 * want.double().norm())


def test_calls_are_captured_in_a_graph_and_replayed_with_other_data() -> None:
    kernel = product(512, 384, 320)
    a, b = random(512, 320, dtype=torch.float16), random(320, 384, dtype=torch.float16)
    doubled = torch.empty(512 * 384, device="cuda")
    scaled(kernel(a, b).view(-1), doubled)  # the first calls load code and encode maps
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        c = kernel(a, b)
        scaled(c.view(-1), doubled)
    for seed in range(3):
        a.copy_(torch.randn(512, 320, device="cuda", generator=torch.Generator("cuda").manual_seed(10 + seed)))
        doubled.fill_(float("nan"))
        graph.replay()
        torch.cuda.synchronize()
        assert close(doubled.view(512, 384), 2 * (a.double() @ b.double()))


def test_first_calls_are_captured_too() -> None:
    """Loading code and encoding tensor maps are no operations on the stream."""
    kernel = product(256, 128, 192)
    a, b = random(256, 192, dtype=torch.float16), random(192, 128, dtype=torch.float16)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        c = kernel(a, b)
    graph.replay()
    torch.cuda.synchronize()
    assert close(c, a.double() @ b.double())


def test_kernels_run_on_the_current_stream() -> None:
    n = 1 << 24
    a, b, c = random(n), torch.full((n,), float("nan"), device="cuda"), torch.empty(n, device="cuda")
    scaled(a, b)
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)  # what is on the stream comes first
        c.copy_(a + 1)
        scaled(c, b)
    assert not torch.cuda.current_stream() == stream
    stream.synchronize()
    assert torch.equal(b, 2 * (a + 1))


def test_one_kernel_serves_all_lengths() -> None:
    a = random(100_000)
    scaled(a, torch.empty_like(a))
    kernels = len(scaled._kernels)
    for n in (1, 127, 128, 129, 99_991):
        b = torch.full((n,), float("nan"), device="cuda")
        scaled(a[:n], b)
        assert torch.equal(b, 2 * a[:n])
    assert len(scaled._kernels) == kernels == 1


class Interface:
    """An array of another library: all it has is its interface."""

    def __init__(self, tensor: Any) -> None:
        self.__cuda_array_interface__ = tensor.__cuda_array_interface__


class Exchange:
    """One that speaks DLPack only."""

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    def __dlpack__(self, **options: Any) -> Any:
        return self._tensor.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._tensor.__dlpack_device__()


@pytest.mark.parametrize("wrap", [Interface, Exchange])
def test_arrays_of_other_libraries(wrap: Any) -> None:
    a, b = random(1000), torch.full((1000,), float("nan"), device="cuda")
    scaled(wrap(a), wrap(b))
    torch.cuda.synchronize()
    assert torch.equal(b, 2 * a)


def test_tensors_of_the_host_are_refused() -> None:
    with pytest.raises(ArgumentError, match="A|argument"):
        scaled(torch.zeros(8), torch.zeros(8, device="cuda"))
    with pytest.raises(ArgumentError):
        scaled(np.zeros(8, np.float32), torch.zeros(8, device="cuda"))


def test_every_device_runs_kernels() -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two devices")
    for index in range(torch.cuda.device_count()):
        a = torch.randn(1000, device=f"cuda:{index}")
        b = torch.full_like(a, float("nan"))
        scaled(a, b)
        torch.cuda.synchronize(index)
        assert torch.equal(b, 2 * a)
    assert torch.cuda.current_device() == 0
    with pytest.raises(ArgumentError):
        scaled(torch.zeros(8, device="cuda:0"), torch.zeros(8, device="cuda:1"))


PROGRAM = """
import torch, tilelang_mlir as tilelang, tilelang_mlir.language as T

@tilelang.jit
def checked(A):
    A: T.Tensor((32,), "int32")
    with T.Kernel(1, threads=32):
        i = T.get_thread_binding()
        if i == 3:
            T.print(A[i])
        T.device_assert(A[i] >= 0, "negative")

a = torch.arange(32, device="cuda", dtype=torch.int32)
checked(a)
torch.cuda.synchronize()
a[5] = -1
checked(a)
try:
    torch.cuda.synchronize()
except RuntimeError as error:
    print("stopped:", type(error).__name__)
"""


def test_prints_and_asserts_come_from_the_device(tmp_path: Any) -> None:
    """A failed assert ends the context, so this runs in a process of its own."""
    path = tmp_path / "checked.py"
    path.write_text(PROGRAM)
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=120, check=False)
    assert "stopped:" in done.stdout and "negative" in done.stdout + done.stderr, done.stdout + done.stderr
    assert done.stdout.count("3") >= 1


def test_profiler_measures() -> None:
    kernel = product(1024, 1024, 1024)
    assert 0 < kernel.get_profiler().do_bench() < 10


def test_narrow_floats_that_are_stored_and_read_again() -> None:
    """What `tilelang_mlir.compiler.packed_conversions` is for."""
    kernel = tilelang.compile(sums_and_largest(), target="cuda")
    for seed in range(4):
        a = torch.randn(128, 16, device="cuda", generator=torch.Generator("cuda").manual_seed(seed))
        sums, largest = (torch.zeros(n, device="cuda").to(torch.float8_e4m3fn) for n in (16, 1))
        kernel(a.to(torch.float8_e4m3fn), sums, largest)
        assert largest.float().item() == sums.float().max().item()


def test_narrow_floats_at_an_edge() -> None:
    """Rows of 78 elements are stored two by two."""

    @T.prim_func
    def main(A: T.Tensor((48, 72), "float32"), B: T.Tensor((44, 78), "float8_e5m2")):
        with T.Kernel(3, threads=128) as bx:
            tile = T.alloc_shared((48, 32), "float32")
            T.copy(A[0, bx * 32], tile)
            T.copy(tile, B[0, bx * 32])

    a, b = random(48, 72), torch.zeros(44, 78, device="cuda").to(torch.float8_e5m2)
    tilelang.compile(main, target="cuda")(a, b)
    want = torch.zeros(44, 78, device="cuda")
    want[:, :72] = a[:44]
    assert torch.equal(b.float(), want.to(torch.float8_e5m2).float())


@pytest.mark.parametrize(("seed", "groups"), [(10018, 2), (15021, 1), (16148, 1)])
def test_operands_that_stay_in_registers_are_those_of_the_program(seed: int, groups: int) -> None:
    """ptxas took the registers of Q for weights in these three, which the simulator, in front of it, cannot see."""
    case = chains.case_of(seed, "sm_90a")
    assert case.held and case.products == 2 and case.threads == 128 * groups
    rng = np.random.default_rng(seed)
    rows = {"Q": (case.queries, case.width), "K": (case.keys, case.width), "V": (case.keys, case.width_out)}
    q, k, v = (rng.standard_normal((case.heads, *size)).astype(case.dtype) for size in rows.values())
    o = np.full((case.heads, case.queries, case.width_out), 99, case.dtype)
    kernel = tilelang.compile(chains.program(case), target="cuda")
    tensors = [torch.from_numpy(array).cuda() for array in (q, k, v, v, o, o)]
    kernel(*tensors)
    want, _ = chains.expected(case, *(array.astype(np.float64) for array in (q, k, v, v)))
    error = np.linalg.norm(tensors[4].cpu().numpy().astype(np.float64) - want) / np.linalg.norm(want)
    assert error < chains.TOLERANCE[case.dtype]
