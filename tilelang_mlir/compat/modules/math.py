"""`tilelang.math`: whole-number helpers for sizes."""

from __future__ import annotations


def next_power_of_2(n: int) -> int:
    """The least power of two that is not below `n`; 1 for `n` below 1."""
    return 1 << max(n - 1, 0).bit_length()


def cdiv(a: int, b: int) -> int:
    """`a / b` rounded up."""
    return -(-a // b)
