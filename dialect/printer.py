"""Readable text of tile programs, one way: for people, not for parsing."""

from __future__ import annotations

from tilelang_mlir.mlir import ir


def print_module(module: ir.Module) -> str:
    return module.operation.get_asm(use_name_loc_as_prefix=True)
