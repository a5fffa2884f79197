"""Compatibility mode: programs in `tests/programs`, written for TileLang, run unmodified on the simulator."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import utils
from tilelang_mlir.compat import __main__ as command
from tilelang_mlir.compat import imports
from tilelang_mlir.compat.modules import arch, carver, intrinsics, mfma, nvcc, tools_cuda, tvm
from tilelang_mlir.compat.modules.math import cdiv, next_power_of_2
from tilelang_mlir.compat.simulate import moved
from tilelang_mlir.errors import TileError, TileTypeError, UnsupportedError
from tilelang_mlir.jit.target import resolve_target

torch = pytest.importorskip("torch")
ROOT = Path(__file__).resolve().parents[3]


def run(*arguments: str, module: str = "tilelang_mlir.compat") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True,
                          env=environment, cwd=ROOT / "tests" / "programs", timeout=600)  # fmt: skip


def test_script_with_arguments() -> None:
    done = run("--simulate", "scale_rows.py", "--m", "21")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ok 21x40 on simulated sm_90a in True\n"


def test_factory_profiler_and_other_imports() -> None:
    done = run("--simulate=sm_80", "matmul_factory.py")
    assert done.returncode == 0 and done.stdout == "passed\n", done.stderr


def test_test_files() -> None:
    for option in ("--simulate", "--simulate=gfx942"):
        done = run(option, "marks.py", "-q")
        assert done.returncode == 0 and "1 passed, 4 skipped" in done.stdout, done.stdout + done.stderr


def test_mistakes_are_shown_where_they_are() -> None:
    done = run("--simulate", "wrong.py")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "wrong.py:12:13: buffer 'A' has 1 dimension but got 2 indices" in done.stderr
    assert "A[bx, 0] = 1.0" in done.stderr


def test_options_before_the_script_are_ours() -> None:
    assert command._split(["--simulate", "x.py", "--simulate"]) == (["--simulate"], ["x.py", "--simulate"])
    assert command._split(["-m", "pkg", "-v"]) == (["-m", "pkg"], ["-v"])
    with pytest.raises(SystemExit):
        command.main(["--simulate"])


def test_dtypes_as_torch_stores_them() -> None:
    from tilelang_mlir.language import dtypes

    assert dtypes.resolve_torch_storage_dtype("int4") == "int8"
    assert dtypes.resolve_torch_storage_dtype(torch.bfloat16) == "bfloat16"
    assert dtypes._TORCH_DTYPE_TO_STR[torch.float16] == "float16"
    assert {"float32", "uint8x16"} <= set(dtypes._all_dtypes)
    assert dtypes.float16 == T.float16 and dtypes.float32x4 == "float32x4" and not hasattr(dtypes, "float17")
    if hasattr(torch, "float4_e2m1fn_x2"):
        assert T.float4_e2m1fn.as_torch() is torch.float4_e2m1fn_x2


def test_names_of_tvm_that_programs_carry() -> None:
    number = tvm.IntImm("int64", 3)
    assert isinstance(number, tvm.IntImm) and not isinstance(number, tvm.FloatImm) and number.dtype == "int64"
    assert tvm.reinterpret is T.reinterpret and tvm.Select is T.if_then_else and issubclass(TileError, tvm.TVMError)
    assert tvm.IndexMap.from_func(lambda i, j: (j, i)).map_indices([1, 2]) == [2, 1]
    with pytest.raises(TypeError, match="only supports floating-point inputs, but got int8"):
        getattr(T, "__exp")(tvm.Var("x", "int8"))
    imports.install()
    try:
        absent = importlib.import_module("tvm.tir.stmt_functor").substitute  # a name alone does no harm
        with pytest.raises(UnsupportedError, match="substitute is part of TVM"):
            absent(None, print)
        assert importlib.import_module("tvm.error").InternalError is TileError
        assert importlib.import_module("tilelang.language.tir.ir").cast is T.cast
        assert callable(importlib.import_module("tilelang.engine.lower").lower)  # the module hides no function
    finally:
        imports.uninstall()


def test_marks_in_the_body_of_a_function_are_taken_out() -> None:
    """Calls of a function that does not exist, found by name and replaced by zero, as tools of programs do."""

    @T.prim_func
    def main(A: T.Tensor((32,), "int32")):
        with T.Kernel(1, threads=32):
            t = T.get_thread_binding()
            T.evaluate(T.call_extern("handle", "mark", 5, t))
            A[t] = A[t] + 1

    seen: list[Any] = []

    def drop(node: Any) -> Any:
        call = node.value if isinstance(node, tvm.Evaluate) else None
        is_mark = isinstance(call, tvm.Call) and call.args[0].value == "mark"
        return tvm.Evaluate(tvm.IntImm("int32", 0)) if is_mark else node

    tvm.post_order_visit(main.body, lambda node: seen.append(node.value.args[1:]))
    body = tvm.ir_transform(main.body, None, drop)
    cleaned = tvm.PrimFunc(params=list(main.params), body=body, ret_type=main.ret_type, attrs=main.attrs)
    assert seen == [[5, None]] and isinstance(cleaned, tvm.PrimFunc)
    assert '"mark"' in main.script() and '"mark"' not in cleaned.script()
    a = np.arange(32, dtype=np.int32)
    tilelang.compile(cleaned, target="sim:sm_80")(a)
    assert (a == np.arange(32) + 1).all()
    with pytest.raises(UnsupportedError, match="cannot become str"):
        tvm.ir_transform(main.body, None, lambda node: "text")


def test_maps_of_mfma_operands() -> None:
    """CDNA3: lane 37 of a 16 x 16 x 16 product holds A[5, 8:12], B[8:12, 5] and C[8:12, 5]."""
    assert [mfma.thread_id_shared_access_64x4_to_16x16_layout_A(37, r) for r in (0, 3)] == [(5, 8), (5, 11)]
    assert mfma.thread_id_shared_access_64x4_to_16x16_layout_B(37, 3) == (11, 5)
    assert mfma.shared_16x16_to_local_64x4_layout_C(11, 5) == (37, 3) and mfma.mfma_store_index_map(37, 3) == (5, 11)
    assert mfma.mfma_store_index_map_32x32(37, 6) == (5, 14)
    for shape, lanes, side in (("16x4", "64x1", "A"), ("4x16", "64x1", "B"), ("32x32", "64x16", "B")):
        there = getattr(mfma, f"shared_{shape}_to_local_{lanes}_layout_{side}")
        back = getattr(mfma, f"thread_id_shared_access_{lanes}_to_{shape}_layout_{side}")
        rows, columns = map(int, shape.split("x"))
        places = [(i, j) for i in range(rows) for j in range(columns)]
        assert [back(*there(*place)) for place in places] == places and len({there(*p) for p in places}) == len(places)
    assert mfma.get_mma_micro_size("int8") == (16, 16, 32) and mfma.get_mma_micro_size("float16") == (16, 16, 16)
    assert imports.counterpart("tilelang.rocm.intrinsics.utils") == mfma.__name__


def test_the_current_device(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    driver = importlib.import_module(str(imports.counterpart("tilelang.utils.device")))
    assert driver.get_current_device() == 3


def test_counterparts() -> None:
    assert imports.counterpart("tilelang.language") == "tilelang_mlir.language"
    assert imports.counterpart("tilelang.jit.kernel") == "tilelang_mlir.jit.kernel"
    assert imports.counterpart("tilelang.nonsense") is None and imports.counterpart("tilelangx") is None
    assert imports.counterpart("tilelang.profiler.bench.more") is None
    profiler = importlib.import_module("tilelang_mlir.profiler")
    assert profiler.TensorSupplyType.__module__ == "tilelang_mlir.jit.profiler" and not hasattr(profiler, "nonsense")
    with pytest.raises(ImportError, match="'tilelang.distributed': it is an extension for several GPUs at once"):
        raise imports.MissingModuleError("tilelang.distributed")
    for name, real in imports.ALIASES.items():
        __import__(real)
        assert sys.modules[real], name


class _CalledBack(torch.autograd.Function):
    """An operation whose halves name the GPU; the second runs inside of a call of torch."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return x + torch.zeros(3, device="cuda")

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        @torch.library.custom_op("tilelang_mlir_tests::twice", mutates_args=(), device_types="cuda")
        def twice(x: torch.Tensor) -> torch.Tensor:
            assert x.is_cuda
            return x + x + torch.zeros(3, device="cuda")

        return twice(grad)


def test_install_and_uninstall(monkeypatch: pytest.MonkeyPatch) -> None:
    if "tilelang" in sys.modules or "tvm" in sys.modules:
        pytest.skip("another tilelang is loaded")
    imports.install(simulate="sm_80")
    try:
        import tilelang  # type: ignore[import-not-found]
        import tilelang.carver.arch.driver as driver  # type: ignore[import-not-found]
        import tilelang.language.v2.annot as annot  # type: ignore[import-not-found]

        assert tilelang.__name__ == "tilelang_mlir" and annot.__name__ == "tilelang_mlir.language.v2.annot"
        assert tilelang.math.cdiv(7, 2) == 4 and tilelang.env.TILELANG_DISABLE_CACHE in (False, True)
        with pytest.raises(ModuleNotFoundError, match="jit.adapter.*TileLang's own compiler") as raised:
            importlib.import_module("tilelang.jit.adapter.cutedsl")
        assert isinstance(raised.value, UnsupportedError) and raised.value.name == "tilelang.jit.adapter"
        with pytest.raises(UnsupportedError, match="hooks on generated CUDA C"):
            tilelang.register_cuda_postproc(lambda code, target: code)
        assert tilelang.cdiv(7, 2) == 4 and driver.get_num_sms() == 108
        assert torch.cuda.is_available() and torch.cuda.get_device_capability() == (8, 0)
        assert not torch.cuda.is_current_stream_capturing()
        there = torch.ones(3, device="cuda", requires_grad=True)
        assert there.is_cuda and there.device == torch.device("cuda:0") and there.detach().numpy().sum() == 3
        _CalledBack.apply(there.to(there.device)).sum().backward()
        assert there.grad is not None and there.grad.sum() == 6
        assert torch.zeros(2).pin_memory().sum() == 0
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        assert event.elapsed_time(torch.cuda.Stream().record_event()) > 0
        assert torch.Generator(device="cuda").device.type == "cpu"
        assert nvcc.get_target_compute_version() == "8.0" and nvcc.have_bf16("8.0") and not nvcc.have_fp8("8.0")
        with pytest.raises(ImportError, match="cannot import name 'nothing'"):
            exec("from tilelang.language import nothing")
        assert str(tilelang.jit.resolve_target("cuda")) == "sim:sm_80"
        assert str(tilelang.jit.resolve_target("cuda:sm_90a")) == "sim:sm_90a"
    finally:
        imports.uninstall()
    assert "tilelang" not in sys.modules and not torch.cuda.is_available()
    monkeypatch.setitem(sys.modules, "tilelang", SimpleNamespace(__name__="tilelang"))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="already imported"):
        imports.install()


def test_questions_about_tiles_and_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    @T.prim_func
    def main(A: T.Tensor((8, 4), "float16")):
        with T.Kernel(1, threads=32):
            s, f = T.alloc_shared((8, 4), "float16"), T.alloc_fragment((8, 4), "float16")
            T.copy(A, s)
            T.copy(s, f)
            seen["memories"] = [utils.is_shared(s), utils.is_fragment(f[0:2, :]), utils.is_global(A), utils.is_local(s)]
            seen["whole"] = [utils.is_full_region(s), utils.is_full_region(s[0:8, :]), utils.is_full_region(s[0:4, :])]
            seen["shapes"] = utils.retrieve_shape(s[0:4, :]), utils.retrieve_stride(A)
            part = utils.get_buffer_region_from_load(A[2, 0], (4, 4))
            seen["part"] = list(part.offsets), list(part.extents)

    assert seen == {"memories": [True, True, True, False], "whole": [True, True, False],
                    "shapes": ([4, 4], [4, 1]), "part": ([2, 0], [4, 4])}  # fmt: skip
    assert utils.get_prim_func_name(main) == "main" and utils.retrieve_func_from_module(main) is main
    with pytest.raises(TileTypeError, match="expected a prim_func, got int"):
        utils.retrieve_func_from_module(3)
    for arch_, kind in (("sm_90a", torch.float8_e4m3fn), ("gfx942", torch.float8_e4m3fnuz)):
        monkeypatch.setenv("TILELANG_DEFAULT_TARGET", f"sim:{arch_}")
        assert utils.determine_torch_fp8_type() == kind
    with pytest.warns(DeprecationWarning, match="old is deprecated and goes in 1.0: use new"):
        assert utils.deprecated("old", "new", "1.0")(lambda: 3)() == 3


def test_devices_are_moved() -> None:
    assert [moved(x) for x in ("cuda", "cuda:1", "cudax", 3)] == ["cpu", "cpu", "cudax", 3]
    assert moved(torch.device("cuda:0")) == torch.device("cpu") and moved(torch.device("meta")).type == "meta"


def test_tvm_says_that_it_is_not_here() -> None:
    assert isinstance(T.float16, tvm.DataType) and not isinstance("float16", tvm.DataType)
    x, y = tvm.Var("x", "int32"), tvm.Var("y", "int32")
    assert tvm.Or(tvm.Not(tvm.all(x < y, y < 3, x * y < 3)), tvm.any(x < 1)).dtype == "bool"
    assert tvm.DataType("bfloat16").type_code == 4 and tvm.DataType("int8x4").lanes == 4
    assert tvm.tir is tvm and tvm.Target("sim:sm_80").arch == "sm_80"
    with tvm.Target("sim:sm_80"):
        with tvm.Target({"kind": "cuda", "arch": "sm_100"}) as inner:
            assert inner is resolve_target("auto") is tvm.Target.current() and inner.arch == "sm_100a"
        assert resolve_target(None).arch == "sm_80" and resolve_target("sim:sm_75").arch == "sm_75"
    assert tvm.Target.current() is None
    from tilelang_mlir.compat.modules import engine, transform

    absent = tvm.IRModule
    for use in (lambda: absent({}), lambda: absent.from_expr, lambda: types.new_class("M", (absent,))):
        with pytest.raises(UnsupportedError, match="IRModule is part of TVM"):
            use()
    with pytest.raises(UnsupportedError, match="events into CUDA C.. for an external profiler"):
        tools_cuda.iket.session()
    assert imports.counterpart("tilelang.tools.cuda") == tools_cuda.__name__
    assert not isinstance(3, absent) and "IRModule is part of TVM" in repr(absent)
    assert not hasattr(absent, "from_expr")  # pickle and torch.compile search all modules for what they write down
    with pytest.raises(UnsupportedError, match="is a pass of TVM"):
        transform.ThreadSync()
    with pytest.raises(UnsupportedError, match="CUDA C"):
        engine.register_cuda_postproc(lambda code, target: code)


@pytest.mark.parametrize("biased", [False, True])
def test_simplified_programs_lose_unused_tensors(biased: bool) -> None:
    from tilelang_mlir.compat.modules.transform import apply_simplify, simplify_prim_func

    @simplify_prim_func
    def make(n: int) -> object:
        @T.prim_func
        def main(A: T.Tensor((n,), "float32"), Bias: T.Tensor((n,), "float32"), C: T.Tensor((n,), "float32")):
            with T.Kernel(1, threads=32):
                for i in T.Parallel(n):
                    C[i] = A[i] + Bias[i] if biased else A[i] * 2

        return main

    import tilelang_mlir as tilelang

    a, b = torch.arange(37.0), torch.ones(37)
    kernel = tilelang.compile(apply_simplify(make(37)), target="sim:sm_80", out_idx=[-1])
    assert torch.equal(kernel(a, b) if biased else kernel(a), a + b if biased else 2 * a)


def test_addresses_of_tensors_reach_kernels() -> None:
    """A table of addresses, and one address as a number, of tensors that are no arguments."""
    import tilelang_mlir as tilelang
    from tilelang_mlir.compat import simulate

    @T.prim_func
    def main(Ptrs: T.Tensor([2], T.ptr), out: T.ptr, n: T.int32):
        with T.Kernel(2, threads=32) as bx:
            X = T.make_tensor(Ptrs[bx], (7,), "float32")
            Y = T.make_tensor(out, (2, n), "float32")
            for i in T.Parallel(7):
                Y[bx, i] = X[i] + 1
                X[i] = 0

    simulate.start("sm_80")
    try:
        whole, other, y = torch.arange(20.0), torch.arange(7.0) * 2, torch.full((2, 7), -1.0)
        parts = [whole[5:12], other]
        table = torch.tensor([part.data_ptr() for part in parts], dtype=torch.int64)
        before = table.clone()
        tilelang.compile(main)(table, y.data_ptr(), 7)
    finally:
        simulate.stop()
    assert torch.equal(y, torch.stack([torch.arange(5.0, 12.0), torch.arange(7.0) * 2]) + 1)
    assert whole[5:12].sum() == 0 == other.sum() and whole[4] == 4 and whole[12] == 12 and torch.equal(table, before)


def test_pass_contexts() -> None:
    from tilelang_mlir.compat.modules.transform import PassContext, get_pass_context
    from tilelang_mlir.jit.compile import configuration

    with PassContext(config={"tl.enable_fast_math": True}):
        assert configuration() == {"tl.enable_fast_math": True} == get_pass_context().config
    assert configuration() == {}


def test_numbers() -> None:
    assert [next_power_of_2(n) for n in (0, 1, 2, 3, 64, 65)] == [1, 1, 2, 4, 64, 128] and cdiv(9, 4) == 3


def test_tile_hints_fit_the_machine() -> None:
    device = arch.CUDA("sim:sm_80")
    hints = carver.MatmulTemplate(4096, 4096, 1024).with_arch(device).recommend_hints(5)
    assert len(hints) == 5 and hints[0].block[0] * hints[0].block[1] >= 128 * 128
    for hint in hints:
        assert sum(hint.block) * hint.rstep[0] * 2 * hint.pipeline_stage <= device.smem_cap
    small = carver.MatmulTemplate(64, 64, 1024).with_arch(device).recommend_hints(1)
    assert small[0].block[0] <= 64 and small[0].block[1] <= 64


@pytest.mark.parametrize(("row_size", "span"), [(64, 8), (32, 4), (16, 2), (8, 1)])
def test_swizzle_is_the_hardware_pattern(row_size: int, span: int) -> None:
    seen: set[tuple[int, int]] = set()
    for row in range(8):
        for col in range(row_size):
            place = intrinsics.get_swizzle_layout(row, col, row_size)
            chunk = (col // 8 ^ row // (8 // span)) if span > 1 else col // 8
            assert place == (row, chunk * 8 + col % 8)
            seen.add(place)
    assert len(seen) == 8 * row_size


def test_graphs_are_captured_and_replayed() -> None:
    """A capture changes nothing, a replay computes with what is in the tensors by then."""
    from tilelang_mlir.compat import simulate

    @T.prim_func
    def add_one(A: T.Tensor((64,), "float32"), B: T.Tensor((64,), "float32")):
        with T.Kernel(1, threads=64):
            for i in T.Parallel(64):
                B[i] = A[i] + 1

    simulate.start("sm_80")
    try:
        kernel = tilelang.compile(add_one, out_idx=[1], target="sim:sm_80")
        x, total = torch.zeros(64, device="cuda"), torch.zeros(64, device="cuda")
        graph = torch.cuda.CUDAGraph()
        assert not torch.cuda.is_current_stream_capturing()
        with torch.cuda.graph(graph):
            assert torch.cuda.is_current_stream_capturing()
            y = kernel(x) * 2
            total += y
        assert (total == 0).all() and not torch.cuda.is_current_stream_capturing()
        for value in (3, 4):
            x.fill_(value)
            graph.replay()
            assert (y == 2 * value + 2).all()
        assert (total == 8 + 10).all()
        with pytest.raises(UnsupportedError, match="while another one is"), torch.cuda.graph(graph):
            torch.cuda.CUDAGraph().capture_begin()
        with pytest.raises(UnsupportedError, match="make_graphed_callables has no counterpart"):
            torch.cuda.make_graphed_callables(kernel, (x,))
    finally:
        simulate.stop()


def test_a_supply_program_names_the_device_and_the_dtypes() -> None:
    """It runs in the autotuner's thread; the parameters have dtypes that torch's follow from."""
    imports.install(simulate="sm_80")
    made: list[Any] = []

    def supply(params: Any) -> list[Any]:
        made.append([param.dtype for param in params])
        return [torch.ones([int(n) for n in p.shape], dtype=p.dtype.as_torch(), device="cuda") for p in params]

    try:

        @tilelang.autotune(configs=[{"threads": 32}, {"threads": 64}], warmup=0, rep=1, supply_prog=supply)
        @tilelang.jit(out_idx=[-1])
        def double(n: int, threads: int = 32) -> Any:
            @T.prim_func
            def kernel(X: T.Tensor((n,), "float16"), Y: T.Tensor((n,), "float16")):
                with T.Kernel(1, threads=threads):
                    for i in T.Parallel(n):
                        Y[i] = X[i] * 2

            return kernel

        kernel = double(40)
        assert made and made[0] == ["float16"] and kernel.config["threads"] in (32, 64)
        assert (kernel(torch.ones(40, dtype=torch.float16, device="cuda")) == 2).all()
    finally:
        imports.uninstall()


def test_a_capture_takes_as_long_as_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call looks at its own tensors only, however many came before."""
    from tilelang_mlir.compat import graphs

    looked: list[int] = []
    address = graphs._address

    def counted(tensor: Any) -> int:
        looked.append(1)
        return address(tensor)

    monkeypatch.setattr(graphs, "_address", counted)
    found: list[int] = []
    for calls in (20, 200):
        looked.clear()
        graph, x = graphs.Graph(), torch.zeros(4)
        graph.capture_begin()
        values = [x]
        for _ in range(calls):
            values.append(graph.run(torch.add, (values[-1], 1), {}))
        graph.run(x.add_, (5,), {})
        graph.capture_end()
        assert (x == 0).all()
        found.append(len(looked))
        graph.replay()
        assert (values[-1] == calls).all() and (x == 5).all()
    assert found[1] < 11 * found[0]
