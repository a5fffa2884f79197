"""What every annotation can do, and the variables that annotations of one function share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from tilelang_mlir.dtypes import DType
from tilelang_mlir.frontend.expr import INT32, Var

Scope = Literal["global", "shared.dyn", "local.fragment", "local"]
KeyParser = Callable[[Any], Any]


@dataclass
class ArgVarTable:
    """The symbolic sizes of one function by name: the same name in two annotations is the same size."""

    var_tab: dict[str, Var] = field(default_factory=dict[str, Var])
    tmp_name_idx: int = 0

    def get_or_create_var(self, name: str, dtype: DType = INT32) -> Var:
        """The size called `name`; made with `dtype` where it is new."""
        found = self.var_tab.get(name)
        if found is None:
            found = self.var_tab[name] = Var(name, dtype)
        return found

    def create_tmp_name(self) -> str:
        """A name for a size that has none: `varg_0`, `varg_1`, ..."""
        name = f"varg_{self.tmp_name_idx}"
        self.tmp_name_idx += 1
        return name


class Annot(ABC):
    """How one parameter of a kernel function is understood.

    An annotation says whether the argument is passed at launch, what of it goes into the key of the kernel cache, and
    what stands for it while the function is traced.
    """

    def is_kernel_arg(self) -> bool:
        """Whether the argument is passed when the kernel is launched; others are compile-time values."""
        return False

    @abstractmethod
    def with_name(self, name: str) -> Annot:
        """The same annotation for the parameter `name`, which error messages and unnamed sizes then carry."""

    @abstractmethod
    def get_key_parser(self) -> KeyParser:
        """A function from an argument to its part of the cache key, which is hashable."""

    @abstractmethod
    def create_prim_func_arg(self, name: str, value: Any, vt: ArgVarTable) -> Any:
        """What the parameter is in the traced function.

        Args:
            value: what the key parser made of the argument; None where nothing depends on it.
            vt: the symbolic sizes of the function.
        """

    def promote(self) -> Annot | None:
        """The annotation as one that needs no argument to be complete; None where it depends on the argument."""
        return None
