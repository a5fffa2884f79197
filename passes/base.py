"""What a pass is.

A pass is a frozen dataclass with a kebab-case `name`; its fields are its options, spelled in kebab-case on the command
line. `run` rewrites the module in place; it may rely on the input form its docstring states and must leave the output
form. The driver (`manager`) verifies before and after, not during.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from tilelang_mlir.mlir import ir
from tilelang_mlir.target import Target


@dataclass(frozen=True)
class Pass(ABC):
    """Base of all passes.

    `input_level` and `output_level` name levels of `dialect.spec` (empty: any). Where they are set, the driver checks
    the module against that level's spec before or after the pass when `TILELANG_VERIFY_SPECS` or a debug run asks for
    it.
    """

    name: ClassVar[str]
    input_level: ClassVar[str] = ""
    output_level: ClassVar[str] = ""

    @abstractmethod
    def run(self, module: ir.Module, target: Target) -> None:
        """Change the module in place."""
