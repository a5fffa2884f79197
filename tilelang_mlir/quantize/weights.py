"""Weights of few bits as torch tensors: packed, and in the order that decoders take out of a word."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.errors import TileValueError
from tilelang_mlir.language.decoders import bit_of


def general_compress(lowprecision_weight: Any, source_bits: int = 4, storage_dtype: Any = None) -> Any:
    """Numbers of `source_bits` bits along the last dimension, packed into bytes, the first in the lowest bits.

    Args:
        lowprecision_weight: numbers that fit, of an integer or float16 dtype.
        storage_dtype: of the result, torch.int8 by default.
    """
    import torch

    per_byte = 8 // source_bits
    fields = lowprecision_weight.to(torch.int32) & ((1 << source_bits) - 1)
    fields = fields.reshape(*fields.shape[:-1], -1, per_byte)
    shifts = torch.arange(per_byte, device=fields.device, dtype=torch.int32) * source_bits
    packed = (fields << shifts).sum(-1).to(torch.uint8).view(torch.int8)
    return packed if storage_dtype is None else packed.to(storage_dtype)


def interleave_weight(qweight: Any, nbits: int = 4, target_dtype: Any = "float16") -> Any:
    """Packed numbers in the order of the decoders to `target_dtype` (float16 or int8), as int8.

    Raises:
        TileValueError: another dtype or number of bits.
    """
    import torch

    target = str(target_dtype)
    if target not in ("float16", "int8") or nbits not in (1, 2, 4):
        raise TileValueError(f"decoders take 1, 2 or 4 bits to float16 or int8, not {nbits} to {target}")
    unit = 8 if target == "float16" or nbits == 4 else 16
    words = qweight.contiguous().view(torch.int32).to(torch.int64) & 0xFFFFFFFF
    result = torch.zeros_like(words)
    for start in range(0, 32, unit * nbits):
        for element in range(unit):
            field = (words >> (start + element * nbits)) & ((1 << nbits) - 1)
            result |= field << (start + bit_of(element, nbits, target))
    low = torch.where(result >= 1 << 31, result - (1 << 32), result)
    return low.to(torch.int32).view(torch.int8)


def gen_quant4(k: int, n: int, groupsize: int = -1) -> tuple[Any, Any, Any, Any]:
    """Random weights [k, n] in 4 bits: the weights, a `torch.nn.Linear` of what they mean, the scales [k / groupsize,
    n] and the numbers, -8 to 8."""
    import torch

    size = k if groupsize == -1 else groupsize
    weights = torch.randn((k, n), dtype=torch.half)
    groups = weights.reshape(k // size, size, n).float()
    scales = groups.abs().amax(1, keepdim=True).half().float() / 8
    numbers = torch.clamp(torch.round(groups / scales), -8, 8)
    linear = torch.nn.Linear(k, n, bias=False)
    linear.weight.data = (numbers.half() * scales.half()).reshape(k, n).t()
    return weights, linear, scales.reshape(-1, n).half().contiguous(), numbers.reshape(k, n).int()
