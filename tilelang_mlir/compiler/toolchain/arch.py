"""Which PTX version code for an architecture is written in, and which toolkit reads it.

Sources: PTX ISA release notes ("PTX ISA Version History"); CUDA toolkit release notes.
"""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError

# Oldest PTX version that has every instruction we emit for the architecture.
_PTX = {
    "sm_75": (8, 0),
    "sm_80": (8, 0),
    "sm_86": (8, 0),
    "sm_89": (8, 4),  # mma.sync on fp8
    "sm_90": (8, 6),
    "sm_90a": (8, 6),  # cp.async.bulk.tensor to .shared::cta
    "sm_100a": (8, 8),
    "sm_103a": (8, 8),
    "sm_120a": (8, 8),
}
# Toolkit release -> newest PTX version it reads.
_TOOLKIT = {
    (11, 8): (7, 8), (12, 0): (8, 0), (12, 1): (8, 1), (12, 2): (8, 2), (12, 3): (8, 3), (12, 4): (8, 4),
    (12, 5): (8, 5), (12, 6): (8, 5), (12, 7): (8, 6), (12, 8): (8, 7), (12, 9): (8, 8), (13, 0): (9, 0),
}  # fmt: skip


def ptx_version(arch: str) -> tuple[int, int]:
    """The PTX version (major, minor) that code for `arch` is emitted in.

    Raises:
        UnsupportedError: the architecture is another vendor's.
    """
    if arch not in _PTX:
        known = ", ".join(_PTX)
        raise UnsupportedError(f"there is no code generator for {arch}", hint=f"device code is made for {known}")
    return _PTX[arch]


def newest_ptx(release: tuple[int, int]) -> tuple[int, int]:
    """The newest PTX version a toolkit release reads; releases after the table read at least the table's newest."""
    known = [version for version in _TOOLKIT if version <= release]
    return _TOOLKIT[max(known)] if known else (0, 0)
