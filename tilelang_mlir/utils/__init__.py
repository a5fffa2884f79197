"""Helpers of programs: comparing tensors, making inputs."""

from __future__ import annotations

from tilelang_mlir.utils.tensor import get_tensor_supply, map_torch_type, torch_assert_close

__all__ = ["get_tensor_supply", "map_torch_type", "torch_assert_close"]
