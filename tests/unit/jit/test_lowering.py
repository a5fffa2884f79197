"""`tilelang.lower`, the levels of a kernel, and line information down to the machine code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.errors import TileTypeError
from tilelang_mlir.jit.compile import compile_prim_func
from tilelang_mlir.jit.kernel import JITKernel


@T.prim_func
def scale(A: T.Tensor((1000,), "float16"), s: T.float32, B: T.Tensor((1000,), "float16")):
    with T.Kernel(T.ceildiv(1000, 256), threads=128) as block:
        for i in T.Parallel(256):
            B[block * 256 + i] = A[block * 256 + i] * s


STORE_LINE = 22  # of this file: the assignment above


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path) -> Iterator[None]:
    with knobs.overrides({"TILELANG_CACHE_DIR": str(tmp_path)}):
        yield


def test_lower_gives_plan_program_and_source() -> None:
    artifact = tilelang.lower(scale, target="cuda:sm_80")
    assert [(p.name, p.dtype, p.shape, p.is_scalar()) for p in artifact.params] == [
        ("A", "float16", (1000,), False), ("s", "float32", (), True), ("B", "float16", (1000,), False),
    ]  # fmt: skip
    assert artifact.host_mod.kernels[0].grid == (4, 1, 1)
    assert "llvm.func @scale_kernel" in str(artifact.device_mod)
    assert ".target sm_80" in artifact.kernel_source and ".visible .entry scale_kernel(" in artifact.kernel_source
    assert artifact.rt_mod is None
    assert str(artifact.target) == "cuda:sm_80"
    assert "scale_kernel:" in tilelang.lower(scale, target="hip:gfx942").kernel_source


def test_lower_can_compile_and_leave_parameters_out() -> None:
    artifact = tilelang.lower(scale, target="sim:sm_90a", runtime_only=True, enable_device_compile=True)
    assert artifact.params is None
    assert isinstance(artifact.rt_mod, JITKernel)
    torch = pytest.importorskip("torch")
    a = torch.randn(1000).half()
    b = torch.full((1000,), float("nan")).half()
    artifact.rt_mod(a, 3.0, b)
    torch.testing.assert_close(b, (a.float() * 3).half())
    assert tilelang.lower(scale, target="sim").params[0].torch_dtype() is torch.float16


def test_lower_takes_prim_funcs_only() -> None:
    with pytest.raises(TileTypeError, match="expected a prim_func, got int"):
        tilelang.lower(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{"pass_configs": {"tl.emit_line_directives": True}}, {"compile_flags": "-lineinfo"}], ids=str
)
def test_machine_code_names_python_lines(options: dict[str, object]) -> None:
    kernel = compile_prim_func(scale, target="cuda:sm_90a", **options)  # type: ignore[arg-type]
    assert f"\t.loc\t1 {STORE_LINE} " in kernel.get_kernel_source()
    stores = [block for block in kernel.ir("sass").split("//## File ") if "STG" in block]
    assert stores
    assert all(block.startswith(f'"{__file__}", line {STORE_LINE}') for block in stores)


def test_without_the_option_there_is_no_line_information() -> None:
    kernel = compile_prim_func(scale, target="cuda:sm_90a")
    assert ".loc" not in kernel.get_kernel_source()
    assert "//## File" not in kernel.ir("sass")


def test_levels_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    kernel = compile_prim_func(scale, target="cuda:sm_80")
    marks = {
        "tl": "tl.launch", "laid_out": "#tl.fragment", "scheduled": "tl.launch", "lowered": "llvm.func @scale_kernel",
        "llvm": "define ptx_kernel void @scale_kernel", "ptx": ".entry scale_kernel", "sass": "EXIT",
    }  # fmt: skip
    for level, mark in marks.items():
        assert mark in kernel.ir(level), level
    kernel.show_ptx()
    kernel.show_sass()
    printed = capsys.readouterr().out
    assert ".entry scale_kernel" in printed and "EXIT" in printed


def test_options_survive_serialisation() -> None:
    kernel = compile_prim_func(scale, target="sim:sm_80", compile_flags=["-lineinfo", "-maxrregcount=32"])
    again = JITKernel.from_database(kernel.serialize())
    assert ".loc" in again.get_kernel_source()
    assert again.n_regs <= 32
