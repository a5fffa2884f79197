"""Arguments that a function's body annotates: `A: T.Tensor((M, N), "float16")` as a statement, not in the signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tilelang_mlir.errors import TileTypeError
from tilelang_mlir.frontend import protocol
from tilelang_mlir.frontend.annot import Annot, BufferAnnot, as_annot


class Argument(protocol.Stub):
    """An argument whose annotation is in the body; `make` is told the annotation and returns what stands for it."""

    def __init__(self, name: str, make: Callable[[str, Annot], Any]) -> None:
        self.name, self.make = name, make

    def resolve(self, spec: Any) -> Any:
        annot = as_annot(spec)
        if annot is None:
            return self
        if isinstance(annot, BufferAnnot) and annot.is_open:
            raise TileTypeError(f"the annotation of {self.name!r} leaves its shape or dtype open",
                                hint="write T.Tensor[[sizes], dtype], or put T.Tensor into the signature")
        return self.make(self.name, annot.with_name(self.name))
