"""Launching through a stand-in libamdhip64: what reaches the runtime library, call by call, argument by argument."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.runtime.stand_in import FakeLibrary, compiled
from tilelang_mlir import knobs
from tilelang_mlir.errors import DriverError, ResourceError
from tilelang_mlir.jit import target as targets
from tilelang_mlir.launch_plan import KernelSpec, LaunchPlan, ParamSpec, plan_solving
from tilelang_mlir.runtime.cuda import device as cuda_device
from tilelang_mlir.runtime.hip import device as hip_device
from tilelang_mlir.runtime.hip.device import device
from tilelang_mlir.runtime.hip.driver import HipDriver
from tilelang_mlir.runtime.hip.kernel import HipKernel

HSACO = b"\x7fELF code object"
Make = Callable[..., Any]


@pytest.fixture(scope="session")
def hip_library(tmp_path_factory: pytest.TempPathFactory) -> FakeLibrary:
    return FakeLibrary(compiled("fake_hip", tmp_path_factory.mktemp("hip")))


@pytest.fixture
def hip(hip_library: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLibrary]:
    hip_library.clear()
    hip_library.expect_parameters()
    internals = SimpleNamespace(_cuda_getCurrentRawStream=lambda index: 0x77)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(_C=internals))
    yield hip_library


def plan_of(*kernels: KernelSpec) -> LaunchPlan:
    params = (
        ParamSpec("A", "tensor", "float32", ("n",), (1,)), ParamSpec("x", "scalar", "float32"),
        ParamSpec("n", "symbol", "int32"),
    )  # fmt: skip
    return LaunchPlan("f", params, kernels, solve=plan_solving(params))


ONE = KernelSpec("f_kernel", (("ceildiv", "n", 512), 1, 1), (256, 1, 1), shared_bytes=4096)


def test_parameters_grid_stream_and_no_dynamic_memory(hip: FakeLibrary, tensor: Make) -> None:
    kernel = HipKernel(plan_of(ONE), HSACO, hip.path)
    hip.expect_parameters(8, 4, 4)
    assert kernel(tensor((1000,), pointer=0x1230), 1.0) is None
    assert hip.log() == [
        "load on 0", "function f_kernel",
        "launch 0xf4 2,1,1 256,1,1 0 0x77 on 0: 0000000000001230 3f800000 000003e8",
    ]  # fmt: skip
    kernel(tensor((1000,), pointer=0x50), 2.0, stream=0x99)
    assert hip.log()[3:] == ["launch 0xf4 2,1,1 256,1,1 0 0x99 on 0: 0000000000000050 40000000 000003e8"]


def test_another_device_is_current_during_the_launch_only(hip: FakeLibrary, tensor: Make) -> None:
    kernel = HipKernel(plan_of(ONE), HSACO, hip.path)
    hip.expect_parameters(8)
    kernel(tensor((8,), pointer=0x10, device=1), 0.0)
    assert hip.log() == [
        "device 1", "load on 1", "function f_kernel", "device 0",
        "device 1", "launch 0xf4 1,1,1 256,1,1 0 0x77 on 1: 0000000000000010", "device 0",
    ]  # fmt: skip


def test_cooperative_launch(hip: FakeLibrary, tensor: Make) -> None:
    kernel = HipKernel(plan_of(KernelSpec("f_kernel", (4, 1, 1), (64, 1, 1), cooperative=True)), HSACO, hip.path)
    kernel(tensor((8,)), 0.0)
    assert hip.log()[-1] == "cooperative 0xf4 4,1,1 64,1,1 0 0x77 on 0:"


def test_failures_carry_the_runtimes_words(hip: FakeLibrary, tensor: Make) -> None:
    kernel = HipKernel(plan_of(ONE), HSACO, hip.path)
    kernel(tensor((8,)), 0.0)
    hip.fail_next("hipModuleLaunchKernel", 719)
    message = r"hipModuleLaunchKernel failed: hipErrorLaunchFailure \(719\): unspecified launch failure"
    with pytest.raises(DriverError, match=message):
        kernel(tensor((8,)), 0.0)
    with pytest.raises(DriverError, match=r"hipModuleLoadData failed: .*\(209\)"):
        HipKernel(plan_of(ONE), b"no code object", hip.path)(tensor((8,)), 0.0)


def test_too_much_shared_memory(hip: FakeLibrary, tensor: Make) -> None:
    large = KernelSpec("f_kernel", (1, 1, 1), (64, 1, 1), shared_bytes=65537)
    with pytest.raises(ResourceError, match="needs 65537 bytes of shared memory, the device has 65536"):
        HipKernel(plan_of(large), HSACO, hip.path)(tensor((8,)), 0.0)


def test_devices(hip: FakeLibrary) -> None:
    found = device(0, hip.path)
    assert (found.name, found.arch, found.multiprocessors, found.wave) == ("Stand-in 0", "gfx942", 304, 64)
    assert (device(1, hip.path).arch, device(1, hip.path).wave) == ("gfx1100", 32)


def test_no_library_lists_the_places() -> None:
    with (
        knobs.overrides({"ROCM_PATH": "/nowhere/rocm"}),
        pytest.raises(DriverError, match=r"/nowhere/rocm/lib/libamdhip64\.so, libamdhip64\.so, /opt/rocm/lib"),
    ):
        HipDriver()


def test_auto_takes_an_amd_device_where_there_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_device, "device_count", lambda: 0)
    monkeypatch.setattr(hip_device, "device_count", lambda: 1)
    monkeypatch.setattr(hip_device, "device", lambda index: SimpleNamespace(arch="gfx950"))
    monkeypatch.setattr(targets, "_current_device", lambda: 0)
    assert [str(targets.resolve_target(x)) for x in ("auto", "hip", "rocm")] == ["hip:gfx950"] * 3
    assert str(targets.resolve_target("cuda")) == "cuda:sm_90a"
