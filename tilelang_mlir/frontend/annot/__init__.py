"""Annotations of kernel parameters: how an argument is keyed, and what it becomes in the traced function.

`FuncAnnot` binds calls of a whole signature; `@T.prim_func` and both styles of `@tilelang.jit` use it.
"""

from __future__ import annotations

from tilelang_mlir.frontend.annot.base import Annot, ArgVarTable, Scope
from tilelang_mlir.frontend.annot.buffers import (
    BufferAnnot,
    FragmentBufferAnnot,
    LocalBufferAnnot,
    SharedBufferAnnot,
    Source,
    StridedTensorAnnot,
    TensorAnnot,
)
from tilelang_mlir.frontend.annot.fixed import TIRAnnot
from tilelang_mlir.frontend.annot.function import FuncAnnot, as_annot, declare, declare_annotated
from tilelang_mlir.frontend.annot.keys import freeze
from tilelang_mlir.frontend.annot.values import DTypeAnnot, DynAnnot, Value

__all__ = [
    "Annot", "ArgVarTable", "BufferAnnot", "DTypeAnnot", "DynAnnot", "FragmentBufferAnnot", "FuncAnnot",
    "LocalBufferAnnot", "Scope", "SharedBufferAnnot", "Source", "StridedTensorAnnot", "TIRAnnot", "TensorAnnot",
    "Value", "as_annot", "declare", "declare_annotated", "freeze",
]  # fmt: skip
