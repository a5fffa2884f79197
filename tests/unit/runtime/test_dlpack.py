"""Tensors whose type offers DLPack's C functions are read through them, and the stream is asked for there."""

from __future__ import annotations

import ctypes
import gc
import weakref
from collections.abc import Callable
from ctypes import POINTER, c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p, py_object
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tilelang_mlir.errors import ArgumentError
from tilelang_mlir.launch_plan import KernelSpec, LaunchPlan, ParamSpec, plan_solving
from tilelang_mlir.runtime.cuda import kernel as kernel_module
from tilelang_mlir.runtime.cuda.kernel import CudaKernel

Make = Callable[..., Any]
STREAM = 0x5A5A


class Described(ctypes.Structure):  # DLTensor, dlpack.h
    _fields_ = [("data", c_void_p), ("device_type", c_int32), ("device", c_int32), ("ndim", c_int32),
                ("code", c_uint8), ("bits", c_uint8), ("lanes", c_uint16), ("shape", POINTER(c_int64)),
                ("strides", POINTER(c_int64)), ("byte_offset", c_uint64)]  # fmt: skip


DESCRIBE = ctypes.CFUNCTYPE(ctypes.c_int, py_object, POINTER(Described))
CURRENT_STREAM = ctypes.CFUNCTYPE(ctypes.c_int, c_int32, c_int32, POINTER(c_void_p))


class Table(ctypes.Structure):  # DLPackExchangeAPI, dlpack.h
    _fields_ = [("major", c_uint32), ("minor", c_uint32), ("older", c_void_p), ("allocate", c_void_p),
                ("from_object", c_void_p), ("to_object", c_void_p), ("describe", DESCRIBE),
                ("current_stream", CURRENT_STREAM)]  # fmt: skip


def described_by_c(base: type, **versions: int) -> type:
    """A subclass of the stand-in tensor with a table of C functions; `seen` counts the calls of its `describe`."""
    sizes: list[Any] = []

    def describe(value: Any, out: Any) -> int:
        kind.seen += 1
        if value.broken:
            return -1
        rank = len(value.shape)
        arrays = ((c_int64 * rank)(*value.shape), (c_int64 * rank)(*value.stride()))
        sizes[:] = arrays
        bits = {"float32": 32, "float16": 16}[value.dtype]
        out[0] = Described(value.data_ptr() - 16, 2, value.get_device(), rank, 2, bits, 1, arrays[0],
                           None if value.row_major else arrays[1], 16)  # fmt: skip
        return 0

    def current_stream(device_type: int, device: int, out: Any) -> int:
        out[0] = STREAM + device
        return 0 if device_type == 2 else -1

    functions = {"describe": DESCRIBE(describe), "current_stream": CURRENT_STREAM(current_stream)}
    table = Table(**functions, **{"major": 1, **versions})
    make_capsule = ctypes.pythonapi.PyCapsule_New
    make_capsule.restype, make_capsule.argtypes = py_object, (c_void_p, ctypes.c_char_p, c_void_p)
    name = b"dlpack_exchange_api"
    capsule = make_capsule(ctypes.addressof(table), name, None)
    kept = {"table": table, "name": name, "seen": 0, "broken": False, "row_major": False}
    kind: Any = type("Tensor", (base,), {"__dlpack_c_exchange_api__": capsule, **kept})
    return kind


@pytest.fixture
def make(tensor: Any, fake_torch: SimpleNamespace, native: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(kernel_module, "_launcher_class", lambda: native.Launcher)
    fake_torch.Tensor = described_by_c(tensor)
    return fake_torch.Tensor


def plan() -> LaunchPlan:
    params = (ParamSpec("A", "tensor", "float32", ("n", 8), (8, 1)), ParamSpec("n", "symbol", "int32"))
    return LaunchPlan("f", params, (KernelSpec("f_kernel", ("n", 1, 1), (32, 1, 1)),), solve=plan_solving(params))


def launches(cuda: Any) -> list[str]:
    return [line for line in cuda.log() if line.startswith("launch")]


def test_address_sizes_and_stream(cuda: Any, make: Any) -> None:
    kernel = CudaKernel(plan(), b"\x7fELF", cuda.path)
    cuda.expect_parameters(8, 4)
    for size, device in ((5, 0), (6, 0), (5, 1), (5, 0)):
        kernel(make((size, 8), pointer=0x1230, device=device))
        words = launches(cuda)[-1].split()
        assert (words[2], words[5]) == (f"{size},1,1", hex(STREAM + device))
        assert words[-2:] == [f"{0x1230:016x}", f"{size:08x}"]
    assert make.seen >= 4


def test_mismatches_after_a_good_call(cuda: Any, make: Any) -> None:
    kernel = CudaKernel(plan(), b"\x7fELF", cuda.path)
    kernel(make((5, 8)))
    for wrong, message in (
        (make((5, 8), "float16"), "A: expected dtype float32"),
        (make((8, 5)), "A: expected shape"),
        (make((5, 8), strides=(1, 5)), "A: expected strides"),
        (make((40,)), "A: expected 2 dimensions"),
        (make((5, 8), pointer=0x1238), "A: its data does not start"),
    ):
        with pytest.raises(ArgumentError, match=message):
            kernel(wrong)
    assert len(launches(cuda)) == 1


def test_without_strides_a_tensor_is_row_major(cuda: Any, make: Any) -> None:
    kernel = CudaKernel(plan(), b"\x7fELF", cuda.path)
    make.row_major = True
    kernel(make((5, 8)))
    kernel(make((5, 8)))
    assert len(launches(cuda)) == 2


def test_a_tensor_that_cannot_be_described_goes_the_slow_way(cuda: Any, make: Any) -> None:
    kernel = CudaKernel(plan(), b"\x7fELF", cuda.path)
    make.broken = True
    kernel(make((5, 8), pointer=0x40))
    assert launches(cuda)[-1].startswith("launch 0xf4 5,1,1")


def test_tables_of_another_version_are_not_used(cuda: Any, tensor: Any, make: Any) -> None:
    other = described_by_c(tensor, major=2)
    kernel = CudaKernel(plan(), b"\x7fELF", cuda.path)
    kernel(other((5, 8)))
    assert other.seen == 0 and len(launches(cuda)) == 1


def test_nothing_keeps_tensors_or_kernels_alive(cuda: Any, make: Any) -> None:
    kernel = CudaKernel(plan(), b"\x7fELF", cuda.path)
    argument = make((5, 8))
    kernel(argument)
    kernel(argument)
    alive = weakref.ref(argument)
    del argument
    assert alive() is None
    # The launcher and the kernel refer to each other.
    alive = weakref.ref(kernel)
    del kernel
    gc.collect()
    assert alive() is None


def test_torch_tensors_have_the_table(native: ModuleType) -> None:
    torch = pytest.importorskip("torch")
    if not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"):
        pytest.skip("this torch has no C functions for DLPack")
    seen: list[Any] = []
    router = native.Router(0, lambda *args: seen.append(args))
    a = torch.zeros(4, 6)
    router.add((a, a), {}, lambda *args: args, (1, 0))
    other = torch.ones(4, 6)
    assert router(a, other) == (other, a)  # the same table entry: same dtype, device, shape and strides
    for miss in (torch.zeros(4, 7), torch.zeros(6, 4).t(), torch.zeros(4, 6).half(), torch.zeros(4, 6, 1), None):
        router(a, miss)
        assert len(seen.pop()) == 2
