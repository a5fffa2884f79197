"""Compiled kernels on the simulator: calling them, their code and resources, the cache, compiling many, profiling."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tilelang_mlir import cache, knobs
from tilelang_mlir.compiler.artifact import Artifact
from tilelang_mlir.dialect import context
from tilelang_mlir.errors import ArgumentError, CacheError, TileTypeError, TileValueError, UnsupportedError
from tilelang_mlir.jit.compile import compile_prim_func, par_compile
from tilelang_mlir.jit.kernel import JITKernel
from tilelang_mlir.jit.profiler import Profiler, TensorSupplyType
from tilelang_mlir.mlir import ir

GLOBAL = '#tl.scope<"global">'
VECTOR = f"{{shape = array<i64: -1>, strides = array<i64: 1>}} : (!llvm.ptr<1>, i32) -> memref<?xf32, {GLOBAL}>"
# C[i] = A[i] + s * B[i] for i < n, where n is read off A.
AXPY = f"""
func.func @axpy(%a: !llvm.ptr<1>, %b: !llvm.ptr<1>, %s: f32, %c: !llvm.ptr<1>, %n: i32) attributes {{tl.params = [
    {{name = "A", kind = "tensor", dtype = "float32"}}, {{name = "B", kind = "tensor", dtype = "float32"}},
    {{name = "s", kind = "scalar", dtype = "float32"}}, {{name = "C", kind = "tensor", dtype = "float32"}},
    {{name = "n", kind = "symbol", dtype = "int32"}}]}} {{
  %A = "tl.tensor"(%a, %n) {VECTOR}
  %B = "tl.tensor"(%b, %n) {VECTOR}
  %C = "tl.tensor"(%c, %n) {VECTOR}
  %c256 = arith.constant 256 : i32
  %g = arith.ceildivsi %n, %c256 : i32
  "tl.launch"(%g) ({{
  ^bb0(%x: i32):
    "tl.parallel"() ({{
    ^bb0(%j: i32):
      %0 = arith.muli %x, %c256 : i32
      %1 = arith.addi %0, %j : i32
      %2 = arith.index_cast %1 : i32 to index
      %ok = arith.cmpi slt, %1, %n : i32
      scf.if %ok {{
        %3 = memref.load %A[%2] : memref<?xf32, {GLOBAL}>
        %4 = memref.load %B[%2] : memref<?xf32, {GLOBAL}>
        %5 = arith.mulf %s, %4 : f32
        %6 = arith.addf %3, %5 : f32
        memref.store %6, %C[%2] : memref<?xf32, {GLOBAL}>
      }}
    }}) {{extents = array<i64: 256>}} : () -> ()
  }}) {{threads = array<i32: 128, 1, 1>}} : (i32) -> ()
  return
}}"""


def prim_func(text: str = AXPY, **attributes: Any) -> Any:
    ctx = context()
    with ctx:
        module = ir.Module.parse(text)
    return SimpleNamespace(name="axpy", module=module, context=ctx, attrs=attributes)


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(cache, "KERNELS", cache.KernelCache())
    with knobs.overrides({"TILELANG_CACHE_DIR": str(tmp_path / "cache"), "TILELANG_DISABLE_CACHE": False}):
        yield


@pytest.fixture
def axpy() -> JITKernel:
    return compile_prim_func(prim_func(), out_idx=[-1], target="sim:sm_80")


def inputs(size: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    random = np.random.default_rng(size)
    return random.standard_normal(size, np.float32), random.standard_normal(size, np.float32)


@pytest.mark.parametrize("size", [1, 255, 256, 1001])
def test_outputs_are_allocated_and_right(axpy: JITKernel, size: int) -> None:
    a, b = inputs(size)
    c = axpy(a, b, 0.75)
    expected = a.astype(np.float64) + 0.75 * b.astype(np.float64)
    assert c.dtype == np.float32
    assert np.linalg.norm(c - expected) < 1e-6 * np.linalg.norm(expected)


def test_torch_tensors_in_torch_tensors_out(axpy: JITKernel) -> None:
    torch = pytest.importorskip("torch")
    a, b = (torch.from_numpy(x) for x in inputs(300))
    c = axpy(a, b, 2.0)
    assert isinstance(c, torch.Tensor)
    torch.testing.assert_close(c, a + 2 * b)


def test_caller_may_pass_the_output() -> None:
    kernel = compile_prim_func(prim_func(), target="sim:sm_80")
    a, b = inputs(300)
    c = np.full(300, np.nan, np.float32)
    assert kernel(a, b, 1.0, c) is None
    np.testing.assert_allclose(c, a + b, rtol=1e-6)


def test_arguments_are_checked(axpy: JITKernel) -> None:
    a, b = inputs(8)
    with pytest.raises(ArgumentError, match=r"B: expected shape \[n\] = \[8\], got \[7\]"):
        axpy(a, b[:7], 1.0)


def test_sources_and_resources(axpy: JITKernel, tmp_path: Path) -> None:
    assert ".visible .entry axpy_kernel(" in axpy.get_kernel_source()
    assert "launch axpy_kernel grid=[ceildiv(n, 256), 1, 1] block=[128, 1, 1]" in axpy.get_host_source()
    assert '"tl.launch"' in axpy.ir("tl")
    assert "#tl.fragment" in axpy.ir("laid_out")
    assert "llvm.func @axpy_kernel" in axpy.ir("lowered")
    assert "define ptx_kernel void @axpy_kernel" in axpy.ir("llvm")
    assert axpy.n_regs > 4 and axpy.n_spills == 0 and axpy.shared_bytes == 0 and axpy.n_max_threads == 128
    axpy.export_sass(tmp_path / "axpy.sass")
    assert "FFMA" in (tmp_path / "axpy.sass").read_text() or "FMUL" in (tmp_path / "axpy.sass").read_text()
    with pytest.raises(TileValueError, match="no IR level 'hlo'"):
        axpy.ir("hlo")


def test_serialised_kernel_runs_without_its_source(axpy: JITKernel) -> None:
    again = JITKernel.from_database(axpy.serialize())
    a, b = inputs(33)
    np.testing.assert_array_equal(again(a, b, 3.0), axpy(a, b, 3.0))
    with pytest.raises(UnsupportedError, match="loaded without its source"):
        again.ir("tl")
    with pytest.raises(CacheError, match="not a compiled kernel"):
        Artifact.from_bytes(axpy.serialize()[:-1])


def test_cache_returns_the_same_kernel_and_survives_the_process(axpy: JITKernel) -> None:
    assert compile_prim_func(prim_func(), out_idx=[-1], target="sim:sm_80") is axpy
    assert compile_prim_func(prim_func(), target="sim:sm_80") is not axpy
    cache.KERNELS.forget()
    again = compile_prim_func(prim_func(), out_idx=[-1], target="sim:sm_80")
    assert again is not axpy
    assert again.artifact.timings == axpy.artifact.timings  # not compiled anew


def test_disabled_cache_writes_nothing(tmp_path: Path) -> None:
    with knobs.overrides({"TILELANG_DISABLE_CACHE": True, "TILELANG_CACHE_DIR": str(tmp_path / "none")}):
        first, second = (compile_prim_func(prim_func(), target="sim:sm_80") for _ in range(2))
    assert first is not second
    assert not (tmp_path / "none").exists()


def test_compiling_for_a_device_gives_a_cubin() -> None:
    kernel = compile_prim_func(prim_func(), out_idx=-1, target="cuda:sm_90a")
    assert kernel.artifact.binary[:4] == b"\x7fELF"
    assert kernel.resources["axpy_kernel"].registers == kernel.n_regs > 0
    assert kernel.timings["ptxas"] > 0


def test_many_compile_at_once_in_order() -> None:
    functions = [prim_func(AXPY.replace("axpy", f"axpy{n}").replace("256", str(128 << n))) for n in range(3)]
    functions.insert(1, SimpleNamespace(name="no function"))
    with pytest.raises(TileTypeError, match="expected a prim_func"):
        par_compile(functions, target="sim:sm_80")
    made = par_compile(functions, target="sim:sm_80", ignore_error=True)
    assert [kernel and kernel.plan.name for kernel in made] == ["axpy0", None, "axpy1", "axpy2"]


def test_options_are_checked() -> None:
    with pytest.raises(TileValueError, match="unknown pass configuration 'tl.enable_fast_maths'") as caught:
        compile_prim_func(prim_func(), pass_configs={"tl.enable_fast_maths": True})
    assert caught.value.hint == "did you mean tl.enable_fast_math?"
    with pytest.raises(TileValueError, match="unknown compile flag '--turbo'"):
        compile_prim_func(prim_func(), compile_flags=["--turbo"])
    with pytest.raises(TileValueError, match="out_idx is given, but the function already returns"):
        compile_prim_func(prim_func(tilelang_out_idx=[-1]), out_idx=[-1])
    with pytest.raises(TileValueError, match="unknown execution backend"):
        compile_prim_func(prim_func(), execution_backend="magic")


def test_profiler_makes_inputs_checks_and_measures(axpy: JITKernel) -> None:
    torch = pytest.importorskip("torch")
    profiler = axpy.get_profiler(TensorSupplyType.Uniform)
    assert isinstance(profiler, Profiler)
    with pytest.raises(TileValueError, match="the dimension n has no value"):
        profiler.run_once()
    given = [torch.rand(64), torch.rand(64), 2.0]
    profiler.assert_allclose(lambda a, b, s: a + s * b, input_tensors=given, atol=1e-6, rtol=1e-6)
    with pytest.raises(AssertionError, match="output 0: 64 of 64 elements differ"):
        profiler.assert_allclose(lambda a, b, s: a + s * b + 1, input_tensors=given)
    times = profiler.do_bench(n_warmup=1, n_repeat=3, dynamic_symbolic_constraints={"n": 64}, quantiles=[0.0, 1.0])
    assert 0 < times[0] <= times[1]


def test_worker_and_runtime_need_no_torch() -> None:
    """Nor numpy, until a pass wants it."""
    code = (
        "import sys; from tilelang_mlir.compiler.worker_process import missing\n"
        "with missing('numpy'): import tilelang_mlir.compiler.worker, tilelang_mlir.compiler.nvptx\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
        "import numpy, tilelang_mlir.passes.pipelines\n"
        "with missing('numpy'): assert sys.modules['numpy'] is numpy"
    )
    root = Path(cache.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)
