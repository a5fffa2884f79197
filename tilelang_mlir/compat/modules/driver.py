"""`tilelang.carver.arch.driver` and `tilelang.utils.device`: facts about the device."""

from __future__ import annotations

from tilelang_mlir.jit.target import resolve_target


def get_num_sms(device_id: int = 0) -> int:
    """Multiprocessors of the current target."""
    del device_id
    return resolve_target("auto").multiprocessors


def get_cuda_device_name(device_id: int = 0) -> str:
    del device_id
    return resolve_target("auto").arch


def get_shared_memory_per_block(device_id: int = 0) -> int:
    """Bytes of shared memory that a block may use."""
    del device_id
    return resolve_target("auto").max_shared_bytes


get_max_dynamic_shared_size_bytes = get_shared_memory_per_block


def get_current_device() -> int:
    """The number of torch's current GPU."""
    import torch

    return torch.cuda.current_device()
