"""Comparing tensors and making inputs, with torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tilelang_mlir.frontend.typename import to_dtype
from tilelang_mlir.jit.profiler import TensorSupplyType, make_input
from tilelang_mlir.launch_plan import ParamSpec
from tilelang_mlir.runtime.storage import storage_dtype

__all__ = ["TensorSupplyType", "get_tensor_supply", "map_torch_type", "torch_assert_close"]


def map_torch_type(name: Any) -> Any:
    """The torch dtype that tensors of a dtype are stored as.

    Raises:
        TileTypeError: it names no dtype.
    """
    import torch

    return getattr(torch, storage_dtype(to_dtype(name)))


def get_tensor_supply(supply_type: TensorSupplyType = TensorSupplyType.Integer) -> Callable[[Any], Any]:
    """A function from a parameter of a kernel to an input for it, on the current device."""

    def supply(param: Any) -> Any:
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        if not isinstance(param, ParamSpec):
            strides = [1]
            for size in reversed(param.shape[1:]):
                strides.insert(0, strides[0] * int(size))
            param = ParamSpec(param.name, "tensor", str(param.dtype), tuple(param.shape), tuple(strides))
        return make_input(param, {}, supply_type, device)

    return supply


def torch_assert_close(
    tensor_a: Any,
    tensor_b: Any,
    rtol: float = 1e-2,
    atol: float = 1e-3,
    max_mismatched_ratio: float = 0.001,
    verbose: bool = False,
    equal_nan: bool = True,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    base_name: str = "LHS",
    ref_name: str = "RHS",
) -> bool:
    """Compare two tensors; at most `max_mismatched_ratio` of the elements may differ by more than the tolerances.

    Raises:
        AssertionError: shapes or dtypes differ, or more elements do; the message has the worst one.
    """
    import torch

    del check_device, check_layout
    assert tensor_a.shape == tensor_b.shape, (
        f"{base_name} has shape {list(tensor_a.shape)}, {ref_name} {list(tensor_b.shape)}"
    )
    if check_dtype:
        assert tensor_a.dtype == tensor_b.dtype, f"{base_name} is {tensor_a.dtype}, {ref_name} {tensor_b.dtype}"
    if check_stride:
        assert tensor_a.stride() == tensor_b.stride(), (
            f"{base_name} has strides {tensor_a.stride()}, {ref_name} {tensor_b.stride()}"
        )
    got, want = tensor_a.detach().double().cpu(), tensor_b.detach().double().cpu()
    wrong = ~torch.isclose(got, want, rtol=rtol, atol=atol, equal_nan=equal_nan)
    count, total = int(wrong.sum()), max(got.numel(), 1)
    if verbose:
        print(f"{count} of {total} elements differ")
    if count > max_mismatched_ratio * total:
        worst = int(((got - want).abs().nan_to_num(float("inf")) * wrong).argmax())
        raise AssertionError(
            f"{base_name} and {ref_name} differ in {count} of {total} elements ({count / total:.2%}; at most "
            f"{max_mismatched_ratio:.2%} may, by {atol} + {rtol} * |{ref_name}|); the worst, at flat index {worst}, is "
            f"{got.flatten()[worst]:.6g} instead of {want.flatten()[worst]:.6g}"
        )
    return True
