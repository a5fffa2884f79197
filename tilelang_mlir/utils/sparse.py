"""2:4 sparse matrices: which elements are kept, packed with their places for `T.gemm_sp`.

Of every four neighbours in a row two are kept (of two one, for 32-bit elements). Four bits say which: the place of the
first in the lower two bits, of the second in the upper two; groups of a row fill an integer from its lowest bits on. A
kept 32-bit element takes two places: 0b0100 or 0b1110. Arrays of numpy and tensors of torch both work.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tilelang_mlir.errors import ArgumentError

_META = {1: np.dtype(np.int32), 2: np.dtype(np.int16), 4: np.dtype(np.int16)}  # default, by bytes of an element


def get_e_factor(a_dtype: Any, meta_dtype: Any) -> int:
    """How many elements of the dense matrix one element of the metadata describes."""
    from tilelang_mlir.dtypes import DType

    return DType(meta_dtype).bits // 4 * (2 if DType(a_dtype).bits == 32 else 4)


def compress(A: Any, transposed: bool = False, meta_dtype: Any = None, arch: str | None = None) -> tuple[Any, Any]:
    """What is kept of a 2:4 sparse matrix [M, K], and its metadata: [M, K / 2] and [M, K / `get_e_factor`].

    Args:
        A: a matrix with at most two elements that are not zero in every four (one in two for 32-bit elements).
        transposed: A is [K, M], and both results are transposed too.
        meta_dtype: int8, int16 or int32 (default: int16, int32 for 8-bit elements).
        arch: accepted and not needed: the metadata are the same for every machine.

    Raises:
        ArgumentError: A is no matrix, K is no multiple of what an element of metadata describes, or a group has too
        many elements.
    """
    del arch
    if A.ndim != 2:
        raise ArgumentError(f"a sparse matrix has two dimensions, got {list(A.shape)}")
    if not isinstance(A, np.ndarray):
        return _compress_tensor(A, transposed, meta_dtype)
    matrix = A.T if transposed else A
    meta, group, per = _units(matrix.shape[1], matrix.dtype.itemsize, meta_dtype)
    rows, k = matrix.shape
    groups = np.ascontiguousarray(matrix).reshape(rows, k // group, group)
    places = _places(groups)
    kept = np.take_along_axis(groups, places if group == 4 else places[..., :1], -1).reshape(rows, k // 2)
    codes = places[..., 0] | places[..., 1] << 2 if group == 4 else np.where(places[..., 0] == 0, 0b0100, 0b1110)
    packed = np.zeros((rows, k // per), np.uint64)
    for step in range(meta.itemsize * 2):
        packed |= codes[:, step :: meta.itemsize * 2].astype(np.uint64) << np.uint64(4 * step)
    metadata = packed.astype(np.dtype(f"u{meta.itemsize}")).view(meta)
    if transposed:
        kept, metadata = np.ascontiguousarray(kept.T), np.ascontiguousarray(metadata.T)
    return kept, metadata


def compress_sm90(A: Any, block_k: int = 64, transposed: bool = False) -> tuple[Any, Any]:
    """`compress` with metadata of uint8, a byte for 8 elements; the order does not depend on `block_k`."""
    del block_k
    kept, metadata = compress(A, transposed, "int8")
    if isinstance(metadata, np.ndarray):
        return kept, metadata.view(np.uint8)
    import torch

    return kept, metadata.view(torch.uint8)


def _units(k: int, size: int, meta_dtype: Any) -> tuple[np.dtype[Any], int, int]:
    """The dtype of the metadata, elements of a group, and how many elements one of the metadata describes."""
    meta = _META[size] if meta_dtype is None else np.dtype(str(meta_dtype).rpartition(".")[2])
    group = 2 if size == 4 else 4
    per = meta.itemsize * 2 * group
    if k % per:
        raise ArgumentError(f"a row of {k} elements is no multiple of {per}, which an element of {meta} describes")
    return meta, group, per


def _compress_tensor(A: Any, transposed: bool, meta_dtype: Any) -> tuple[Any, Any]:
    """`compress` of a torch tensor, on its device."""
    import torch

    matrix = (A.t() if transposed else A).contiguous()
    rows, k = matrix.shape
    meta, group, per = _units(k, matrix.element_size(), meta_dtype)
    raw = matrix.view({1: torch.uint8, 2: torch.int16, 4: torch.int32}[matrix.element_size()])
    sign = 1 << 8 * matrix.element_size() - 1 if matrix.dtype.is_floating_point else 0
    filled = (raw.to(torch.int64) & ~sign & (2 * sign - 1 if sign else -1)).view(rows, k // group, group) != 0
    if bool((filled.sum(-1) > group // 2).any()):
        raise ArgumentError(f"the matrix is not sparse: more than {group // 2} elements in a group of {group}")
    order = torch.argsort((~filled).to(torch.int8), dim=-1, stable=True)[..., :2]
    places = order.sort(-1).values if group == 4 else order
    kept = torch.gather(raw.view(rows, k // group, group), -1, places if group == 4 else places[..., :1])
    first, second = places[..., 0], places[..., 1]
    codes = first | second << 2 if group == 4 else torch.where(first == 0, 0b0100, 0b1110)
    shifts = 4 * torch.arange(meta.itemsize * 2, device=codes.device)
    packed = (codes.view(rows, k // per, -1) << shifts).sum(-1)
    kinds = {1: torch.int8, 2: torch.int16, 4: torch.int32}
    low = packed - ((packed >> 8 * meta.itemsize - 1) << 8 * meta.itemsize)  # as a signed number of the same bits
    results = kept.view(rows, k // 2).view(A.dtype), low.to(kinds[meta.itemsize])
    values, metadata = (x.t().contiguous() if transposed else x for x in results)
    return values, metadata


def _places(groups: np.ndarray) -> np.ndarray:
    """Two ascending places per group that cover what is not zero; of pairs one (and a second that means nothing)."""
    filled = groups != 0
    allowed = 2 if groups.shape[-1] == 4 else 1
    if (filled.sum(-1) > allowed).any():
        raise ArgumentError(f"the matrix is not sparse: more than {allowed} elements in a group of {groups.shape[-1]}")
    order = np.argsort(~filled, axis=-1, kind="stable")[..., :2]
    return np.sort(order, axis=-1) if allowed == 2 else order


def torch_compress(dense: Any, meta_dtype: Any = None) -> tuple[Any, Any]:
    """`compress` under its older name."""
    return compress(dense, meta_dtype=meta_dtype)


def randn_semi_sparse(M: int, K: int, dtype: Any = None, device: Any = "cuda", transposed: bool = False) -> Any:
    """A torch tensor [M, K] ([K, M] when transposed) of normal elements, two of every four zero."""
    import torch

    dtype = torch.float16 if dtype is None else dtype
    values = torch.randn(M, K, device=device, dtype=torch.float32)
    return _thinned(values, dtype, transposed)


def randint_semi_sparse(
    M: int, K: int, low: int, high: int, dtype: Any = None, device: Any = "cuda", transposed: bool = False
) -> Any:
    """A torch tensor of integers from `low` to below `high`, two of every four zero."""
    import torch

    dtype = torch.int8 if dtype is None else dtype
    values = torch.randint(low, high, (M, K), device=device, dtype=torch.int32)
    return _thinned(values, dtype, transposed)


def _thinned(values: Any, dtype: Any, transposed: bool) -> Any:
    import torch

    group, kept = (2, 1) if dtype == torch.float32 else (4, 2)
    rows, k = values.shape
    order = torch.rand(rows, k // group, group, device=values.device).argsort(-1)
    values = (values.reshape(rows, -1, group) * (order < kept)).reshape(rows, k).to(dtype)
    return values.t().contiguous() if transposed else values
