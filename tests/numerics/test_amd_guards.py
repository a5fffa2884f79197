"""What lies outside of a tensor on AMD targets: buffer accesses without branches."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir.runtime.binding import Binder, WideSizeError

ROWS = 13


def shifted(dtype: str, columns: Any, rows: Any = ROWS) -> Any:
    """B[i, j] = 2 A[i - 1, j]: tiles hang over on all sides."""

    @T.prim_func
    def main(A: T.Tensor((rows, columns), dtype), B: T.Tensor((rows, columns), dtype)):
        with T.Kernel(T.ceildiv(rows, 4), T.ceildiv(columns, 128), threads=64) as (by, bx):
            tile = T.alloc_fragment((4, 128), dtype)
            T.copy(A[by * 4 - 1, bx * 128], tile)
            for i, j in T.Parallel(4, 128):
                tile[i, j] *= 2
            T.copy(tile, B[by * 4, bx * 128])

    return main


@pytest.mark.parametrize("arch", ["gfx942", "gfx1201"])
@pytest.mark.parametrize(
    ("dtype", "columns", "width"),
    [("float16", 205, "(?:ushort|u16|short|b16|d16_b16|d16_hi_b16)"), ("float16", 208, "(?:dwordx4|b128)"),
     ("float32", 206, "(?:dwordx2|b64)"), ("float64", 201, "(?:dwordx2|b64)"), ("int8", 204, "(?:dword|b32)")],
)  # fmt: skip
def test_guards(arch: str, dtype: str, columns: int, width: str) -> None:
    a = (np.random.default_rng(0).standard_normal((ROWS, columns)) * 8).astype(dtype)
    b = np.full_like(a, 7)
    tilelang.compile(shifted(dtype, columns), target=f"sim:{arch}")(a, b)
    assert (b[1:] == a[:-1] * 2).all() and (b[0] == 0).all()
    text = tilelang.compile(shifted(dtype, columns), target=f"hip:{arch}").ir("amdgcn")
    accesses = re.findall(r"^\s(buffer|global)_(load|store)_(\w+)", text, re.MULTILINE)
    assert {(kind, what) for kind, what, _ in accesses} == {("buffer", "load"), ("buffer", "store")}
    assert all(re.fullmatch(width, how) for _, _, how in accesses), accesses
    assert "s_cbranch" not in text


@pytest.mark.parametrize("columns", [208, 205, None])
def test_sizes_of_run_time(columns: int | None) -> None:
    """A launch checks that offsets have 32 bits; what is larger goes to a kernel with 64."""
    program = shifted("float16", columns or T.dynamic("n"), T.dynamic("m"))
    text = tilelang.compile(program, target="hip:gfx942").ir("amdgcn")
    found = set(re.findall(r"^\s((?:buffer|global)_(?:load|store)|s_cbranch)", text, re.MULTILINE))
    assert found == {"buffer_load", "buffer_store"}
    kernel: Any = tilelang.compile(program, target="sim:gfx942")
    a = np.random.default_rng(0).standard_normal((ROWS, columns or 205)).astype("float16")
    b = np.full_like(a, 7)
    kernel(a, b)
    assert (b[1:] == a[:-1] * 2).all() and (b[0] == 0).all()
    large = np.empty((2**31 // (2 * a.shape[1]) + 1, a.shape[1]), "float16")  # never touched
    with pytest.raises(WideSizeError, match="bytes, an offset is 32 bits wide"):
        Binder(kernel.plan, "cpu").bind((large, large))
    wide = kernel._widened()
    assert wide is not None and not any(p.max_bytes for p in wide.plan.params)
    wide(a, c := np.full_like(a, 7))
    assert (b == c).all()
