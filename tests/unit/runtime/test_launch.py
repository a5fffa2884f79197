"""Launching through a stand-in libcuda: what reaches the driver, call by call, for both launchers."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tilelang_mlir.errors import ArgumentError, DriverError, ResourceError, TargetError
from tilelang_mlir.launch_plan import (
    KernelSpec,
    LaunchPlan,
    ParamSpec,
    TensorMapSpec,
    WorkspaceSpec,
    plan_solving,
)
from tilelang_mlir.runtime.cuda import module as cuda_module
from tilelang_mlir.runtime.cuda.device import runs_on
from tilelang_mlir.runtime.cuda.kernel import CudaKernel

CUBIN = b"\x7fELF cubin"
Make = Callable[..., Any]


def plan_of(params: tuple[ParamSpec, ...], *kernels: KernelSpec, **more: Any) -> LaunchPlan:
    return LaunchPlan("f", params, kernels, solve=plan_solving(params), **more)


def vector(name: str, size: Any = "n", **more: Any) -> ParamSpec:
    return ParamSpec(name, "tensor", "float32", (size,), (1,), **more)


N = ParamSpec("n", "symbol", "int32")
ONE = KernelSpec("f_kernel", (("ceildiv", "n", 512), 1, 1), (128, 1, 1))


def launches(cuda: Any) -> list[str]:
    return [line for line in cuda.log() if line.startswith("launch")]


def test_parameters_grid_and_stream(cuda: Any, tensor: Make, fake_torch: SimpleNamespace, launcher: str) -> None:
    kernel = CudaKernel(plan_of((vector("A"), vector("B"), N), ONE), CUBIN, cuda.path)
    cuda.expect_parameters(8, 8, 4)
    assert kernel(tensor((1000,), pointer=0x1230), tensor((1000,), pointer=0x4560)) is None
    assert launches(cuda)[-1] == (
        "launch 0xf4 2,1,1 128,1,1 0 0x77 in 0xc0: 0000000000001230 0000000000004560 000003e8"
    )
    kernel(tensor((1000,), pointer=0x50), tensor((1000,), pointer=0x60), stream=0x99)
    assert launches(cuda)[-1].split(":")[0].endswith("0x99 in 0xc0")
    assert launches(cuda)[-1].endswith("0000000000000050 0000000000000060 000003e8")


def test_warm_calls_touch_only_the_launch(cuda: Any, tensor: Make, fake_torch: SimpleNamespace, launcher: str) -> None:
    kernel = CudaKernel(plan_of((vector("A"), N), ONE), CUBIN, cuda.path)
    kernel(tensor((512,)))
    cuda.clear()
    cuda.set_current(0xC0)
    kernel(tensor((512,)))
    assert [line.split()[0] for line in cuda.log()] == ["launch"]


def test_new_shape_gets_its_own_grid(cuda: Any, tensor: Make, fake_torch: SimpleNamespace, launcher: str) -> None:
    kernel = CudaKernel(plan_of((vector("A"), N), ONE), CUBIN, cuda.path)
    for size, grid in ((512, "1,1,1"), (513, "2,1,1"), (512, "1,1,1"), (5120, "10,1,1")):
        kernel(tensor((size,)))
        assert launches(cuda)[-1].split()[2] == grid


def test_empty_grid_launches_nothing(cuda: Any, tensor: Make, fake_torch: SimpleNamespace, launcher: str) -> None:
    kernel = CudaKernel(plan_of((vector("A"), N), ONE), CUBIN, cuda.path)
    kernel(tensor((0,)))
    assert launches(cuda) == []


def test_outputs_and_workspaces(cuda: Any, tensor: Make, fake_torch: SimpleNamespace, launcher: str) -> None:
    params = (vector("A"), vector("B", output=True), vector("C", ("mul", "n", 2), output=True), N)
    plan = plan_of(params, ONE, workspaces=(WorkspaceSpec("w", "float16", ("n", 4)),))
    kernel = CudaKernel(plan, CUBIN, cuda.path)
    cuda.expect_parameters(8, 8, 8, 4, 8)
    first, second = kernel(tensor((6,), pointer=0x10))
    assert (first.shape, second.shape, second.dtype) == ((6,), (12,), "float32")
    assert launches(cuda)[-1].split(": ")[1] == (
        f"{0x10:016x} {first.data_ptr():016x} {second.data_ptr():016x} 00000006 {0xC000:016x}"
    )
    again = kernel(tensor((6,), pointer=0x10))
    assert again[0].data_ptr() != first.data_ptr()


def test_outputs_are_made_on_the_arguments_device(
    cuda: Any, tensor: Make, fake_torch: SimpleNamespace, launcher: str
) -> None:
    kernel = CudaKernel(plan_of((vector("A"), vector("B", output=True), N), ONE), CUBIN, cuda.path)
    cuda.set_current(0xC0)
    assert kernel(tensor((6,), device=1)).get_device() == 1
    assert cuda.current() == 0xC0
    del fake_torch._C._dynamo  # an older torch
    assert kernel(tensor((7,), device=1)).get_device() == 1


def test_scalars_of_every_format(cuda: Any, tensor: Make, fake_torch: SimpleNamespace, launcher: str) -> None:
    cases = [("bool", True, "01"), ("int8", -2, "fe"), ("uint8", 200, "c8"), ("int16", -3, "fffd"),
             ("int32", -4, "fffffffc"), ("uint32", 2**32 - 1, "ffffffff"), ("int64", -5, "f" * 15 + "b"),
             ("float16", 1.5, "3e00"), ("bfloat16", 1.00390625, "3f80"), ("bfloat16", 1.01171875, "3f82"),
             ("float32", 0.1, "3dcccccd"), ("float64", 0.1, struct.pack(">d", 0.1).hex())]  # fmt: skip
    params = tuple(ParamSpec(f"s{i}", "scalar", dtype) for i, (dtype, _, _) in enumerate(cases))
    kernel = CudaKernel(plan_of(params, KernelSpec("k", (1, 1, 1), (32, 1, 1))), CUBIN, cuda.path)
    cuda.expect_parameters(*(len(bits) // 2 for _, _, bits in cases))
    fake_torch.cuda = SimpleNamespace(current_device=lambda: 0)
    for _ in range(2):
        kernel(*(value for _, value, _ in cases))
        assert launches(cuda)[-1].split(": ")[1].split() == [bits for _, _, bits in cases]


def test_scalar_in_the_grid_is_part_of_the_key(cuda: Any, fake_torch: SimpleNamespace, launcher: str) -> None:
    params = (ParamSpec("blocks", "scalar", "int32"), ParamSpec("x", "scalar", "float32"))
    kernel = CudaKernel(plan_of(params, KernelSpec("k", ("blocks", 1, 1), (32, 1, 1))), CUBIN, cuda.path)
    cuda.expect_parameters(4, 4)
    for blocks, x in ((3, 1.0), (5, 1.0), (5, 2.0)):
        kernel(blocks, x)
        words = launches(cuda)[-1].split()
        assert words[2] == f"{blocks},1,1"
        assert words[-1] == struct.pack(">f", x).hex()


@pytest.mark.parametrize(
    ("dtype", "good", "bad"),
    [("int8", 5, 128), ("uint8", 255, -1), ("int16", 5, -40000), ("uint16", 5, 65536), ("int32", -5, 2**31),
     ("uint32", 2**32 - 1, -1), ("int64", 5, 2**63), ("uint64", 2**64 - 1, -1), ("int32", 7, 1.5), ("bool", True, 2)],
)  # fmt: skip
def test_scalars_that_do_not_fit_are_refused_on_warm_calls(
    cuda: Any, fake_torch: SimpleNamespace, launcher: str, dtype: str, good: Any, bad: Any
) -> None:
    fake_torch.cuda = SimpleNamespace(current_device=lambda: 0)
    plan = plan_of((ParamSpec("x", "scalar", dtype),), KernelSpec("k", (1, 1, 1), (32, 1, 1)))
    kernel = CudaKernel(plan, CUBIN, cuda.path)
    kernel(good)
    kernel(good)
    assert len(launches(cuda)) == 2
    with pytest.raises(ArgumentError, match="x: "):
        kernel(bad)
    assert len(launches(cuda)) == 2


def test_wrong_arguments_after_right_ones(cuda: Any, tensor: Make, fake_torch: SimpleNamespace, launcher: str) -> None:
    matrix = ParamSpec("A", "tensor", "float32", ("n", 8), (8, 1))
    kernel = CudaKernel(plan_of((matrix, vector("B"), N), ONE), CUBIN, cuda.path)
    kernel(tensor((4, 8)), tensor((4,)))
    wrong = [
        ((tensor((4, 8), "float16"), tensor((4,))), "A: expected dtype float32, got float16"),
        ((tensor((4, 9)), tensor((4,))), "A: expected shape"),
        ((tensor((32,)), tensor((4,))), "A: expected 2 dimensions"),
        ((tensor((4, 8), strides=(1, 4)), tensor((4,))), "A: expected strides"),
        ((tensor((4, 8)), tensor((5,))), "B: expected shape"),
        ((tensor((4, 8)), tensor((4,), device=1)), "B: is on cuda:1, but A is on cuda:0"),
        ((tensor((4, 8)),), "f takes 2 arguments"),
        ((tensor((4, 8)), tensor((4,)), tensor((4,))), "f takes 2 arguments"),
        ((tensor((4, 8)), [1.0]), "B: expected a tensor, got list"),
        ((tensor((4, 8)), "B"), "B: expected a tensor, got str"),
    ]
    for _ in range(2):  # a refused call must not be remembered
        for args, message in wrong:
            with pytest.raises(ArgumentError, match=message):
                kernel(*args)
    assert len(launches(cuda)) == 1


def test_launch_attributes(cuda: Any, tensor: Make, fake_torch: SimpleNamespace, launcher: str) -> None:
    spec = replace(ONE, cluster=(2, 1, 1), cooperative=True, programmatic=True, shared_bytes=100_000)
    kernel = CudaKernel(plan_of((vector("A"), N), spec), CUBIN, cuda.path)
    kernel(tensor((512,)))
    assert "set 8 100000" in cuda.log()
    (line,) = launches(cuda)
    assert line.startswith("launch_ex 0xf4 1,1,1 128,1,1 100000 0x77 attribute 2=1,0,0 attribute 4=2,1,1 attribute 6=1")


def test_tensor_map_per_address(cuda: Any, tensor: Make, fake_torch: SimpleNamespace, launcher: str) -> None:
    matrix = ParamSpec("A", "tensor", "float16", ("m", 256), (256, 1))
    spec = KernelSpec("k", (1, 1, 1), (128, 1, 1), tensor_maps=(TensorMapSpec(0, (128, 64), "128B"),))
    kernel = CudaKernel(plan_of((matrix, ParamSpec("m", "symbol", "int32")), spec), CUBIN, cuda.path)
    cuda.expect_parameters(8, 4, 128)
    for pointer in (0x1000, 0x2000, 0x1000):
        kernel(tensor((300, 256), "float16", pointer))
        assert launches(cuda)[-1].endswith(" 0000012c " + "5a" * 128)
    encodes = [line for line in cuda.log() if line.startswith("encode")]
    assert encodes == [
        f"encode 6 rank 2 at {pointer:#x} sizes 256 300 strides 512 box 64 128 swizzle 3 l2 3 fill 0"
        for pointer in (0x1000, 0x2000)
    ]


def test_tensor_map_with_gaps(cuda: Any, tensor: Make, fake_torch: SimpleNamespace, launcher: str) -> None:
    """Elements of 4 and of 6 bits: sizes and box in elements, strides in bytes."""
    for dtype, row, code in (("float4_e2m1fn", 64, 14), ("float6_e3m2fn", 96, 15)):
        matrix = ParamSpec("A", "tensor", dtype, ("m", 256), (256, 1))
        maps = (TensorMapSpec(0, (64, 128), "128B", gaps="e2m1" if code == 14 else "e3m2"),)
        spec = KernelSpec("k", (1, 1, 1), (128, 1, 1), tensor_maps=maps)
        kernel = CudaKernel(plan_of((matrix, ParamSpec("m", "symbol", "int32")), spec), CUBIN, cuda.path)
        kernel(tensor((300, 2 * row), "uint8", 0x1000))
        encodes = [line for line in cuda.log() if line.startswith("encode")]
        assert encodes[-1] == (
            f"encode {code} rank 2 at 0x1000 sizes 256 300 strides {2 * row} box 128 64 swizzle 3 l2 3 fill 0"
        )


def test_tensor_map_of_im2col(cuda: Any, tensor: Make, fake_torch: SimpleNamespace, launcher: str) -> None:
    """A kernel of 3 x 3 with padding 1 and steps of 2: corners and steps of columns and rows, 32 channels at a time."""
    image = ParamSpec("X", "tensor", "float16", ("n", 9, 7, 64), (9 * 7 * 64, 7 * 64, 64, 1))
    spec = KernelSpec("k", (1, 1, 1), (128, 1, 1), tensor_maps=(TensorMapSpec(0, (128, 32), "64B", walk=(-1, -1, 2)),))
    kernel = CudaKernel(plan_of((image, ParamSpec("n", "symbol", "int32")), spec), CUBIN, cuda.path)
    cuda.expect_parameters(8, 4, 128)
    kernel(tensor((4, 9, 7, 64), "float16", 0x1000))
    assert launches(cuda)[-1].endswith("5b" * 128)
    assert [line for line in cuda.log() if line.startswith("encode")] == [
        "encode_im2col 6 rank 4 at 0x1000 sizes 64 7 9 4 strides 128 896 8064 corners -1:-1 -1:-1 channels 32 "
        "pixels 128 steps 1 2 2 1 swizzle 2 l2 3 fill 0"
    ]


def test_each_device_uses_its_own_context(cuda: Any, tensor: Make, fake_torch: SimpleNamespace, launcher: str) -> None:
    kernel = CudaKernel(plan_of((vector("A"), N), ONE), CUBIN, cuda.path)
    cuda.set_current(0xC0)
    kernel(tensor((512,), device=1))
    kernel(tensor((512,), device=0))
    contexts = [line.split(" in ")[1].rstrip(": ") for line in launches(cuda)]
    assert contexts == ["0xc1", "0xc0"]
    assert [line for line in cuda.log() if line.startswith("load")] == ["load ELF  in 0xc1", "load ELF  in 0xc0"]


def test_arrays_with_the_cuda_interface(cuda: Any, tensor: Make, fake_torch: SimpleNamespace, launcher: str) -> None:
    interface = {"data": (0x7770, False), "shape": (512,), "typestr": "<f4", "version": 3, "strides": None}
    array = SimpleNamespace(__cuda_array_interface__=interface)
    kernel = CudaKernel(plan_of((vector("A"), N), ONE), CUBIN, cuda.path)
    cuda.expect_parameters(8, 4)
    for _ in range(2):
        kernel(array)
        assert launches(cuda)[-1].endswith("0000000000007770 00000200")


def test_unused_parameter_may_be_none(cuda: Any, tensor: Make, fake_torch: SimpleNamespace, launcher: str) -> None:
    kernel = CudaKernel(plan_of((vector("A"), vector("bias", used=False), N), ONE), CUBIN, cuda.path)
    cuda.expect_parameters(8, 8, 4)
    kernel(tensor((512,)), None)
    assert launches(cuda)[-1].split()[-2] == "0" * 16
    with pytest.raises(ArgumentError, match="A: None is only taken"):
        kernel(None, tensor((512,)))


def test_misaligned_data_is_refused(cuda: Any, tensor: Make, fake_torch: SimpleNamespace, launcher: str) -> None:
    kernel = CudaKernel(plan_of((vector("A"), vector("B"), N), ONE), CUBIN, cuda.path)
    with pytest.raises(ArgumentError, match="B: its data does not start at a multiple of 16 bytes"):
        kernel(tensor((512,)), tensor((512,), pointer=0x1004))
    wide = CudaKernel(plan_of((vector("A"), vector("B", alignment=32), N), ONE), CUBIN, cuda.path)
    with pytest.raises(ArgumentError, match="B: its data does not start at a multiple of 32 bytes"):
        wide(tensor((512,), pointer=0x1010), tensor((512,), pointer=0x1010))
    assert launches(cuda) == []


def test_driver_errors_carry_the_drivers_words(
    cuda: Any, tensor: Make, fake_torch: SimpleNamespace, launcher: str
) -> None:
    kernel = CudaKernel(plan_of((vector("A"), N), ONE), CUBIN, cuda.path)
    cuda.fail_next("cuLaunchKernel", 700)
    with pytest.raises(DriverError, match=r"cuLaunchKernel failed: CUDA_ERROR_ILLEGAL_ADDRESS \(700\): something"):
        kernel(tensor((512,)))
    kernel(tensor((512,)))
    assert len(launches(cuda)) == 1


def test_rejected_code_shows_the_drivers_log(cuda: Any, tensor: Make, fake_torch: SimpleNamespace) -> None:
    kernel = CudaKernel(plan_of((vector("A"), N), ONE), b".version 8.6", cuda.path)
    cuda.fail_next("cuModuleLoadDataEx", 218)
    with pytest.raises(DriverError, match=r"bad instruction\nhint: the device is .*compiled for sm_90a"):
        kernel(tensor((512,)))


def test_too_much_shared_memory(cuda: Any, tensor: Make, fake_torch: SimpleNamespace) -> None:
    kernel = CudaKernel(plan_of((vector("A"), N), replace(ONE, shared_bytes=300_000)), CUBIN, cuda.path)
    with pytest.raises(ResourceError, match="needs 300000 bytes of shared memory, the device has 232448"):
        kernel(tensor((512,)))


def test_code_for_another_architecture_is_not_loaded(
    cuda: Any, tensor: Make, fake_torch: SimpleNamespace, launcher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in is of architecture 9.0; then it says that it is an older GPU."""
    kernel = CudaKernel(plan_of((vector("A"), N), ONE), CUBIN, cuda.path, "sm_100a")
    with pytest.raises(TargetError, match="is compiled for sm_100a; device 0 is Stand-in 0, of .* sm_90a") as no:
        kernel(tensor((512,)))
    assert no.value.hint == "compile with target='cuda -arch=sm_90a', or on that machine with target='auto'"
    there = replace(cuda_module.device(0, cuda.path), name="NVIDIA A100", arch="sm_80")
    monkeypatch.setattr(cuda_module, "device", lambda index, path: there)
    kernel = CudaKernel(plan_of((vector("A"), N), ONE), CUBIN, cuda.path, "sm_90a")
    with pytest.raises(TargetError, match="compiled for sm_90a; device 0 is NVIDIA A100, of architecture sm_80"):
        kernel(tensor((512,)))
    assert not [line for line in cuda.log() if line.startswith(("load", "launch"))]
    CudaKernel(plan_of((vector("A"), N), ONE), CUBIN, cuda.path, "sm_80")(tensor((512,)))
    assert len(launches(cuda)) == 1


@pytest.mark.parametrize(
    ("arch", "there", "machine_code", "ptx"),
    [
        *(("sm_80", "sm_80", True, True), ("sm_80", "sm_86", True, True), ("sm_86", "sm_80", False, False)),
        *(("sm_80", "sm_90a", False, True), ("sm_90a", "sm_90a", True, True), ("sm_90a", "sm_100a", False, False)),
        *(("sm_90", "sm_120a", False, True), ("sm_100f", "sm_103a", True, True), ("sm_100f", "sm_120a", False, False)),
    ],
)
def test_which_code_runs_where(arch: str, there: str, machine_code: bool, ptx: bool) -> None:
    assert (runs_on(arch, there, assembled=True), runs_on(arch, there, assembled=False)) == (machine_code, ptx)
