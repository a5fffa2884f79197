"""The binder of a whole signature, and what makes annotations of what users write."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import ArgumentError, TileTypeError
from tilelang_mlir.frontend.annot.base import Annot, ArgVarTable, KeyParser
from tilelang_mlir.frontend.annot.buffers import BufferAnnot, annotation_of
from tilelang_mlir.frontend.annot.fixed import TIRAnnot
from tilelang_mlir.frontend.annot.keys import freeze
from tilelang_mlir.frontend.annot.values import DTypeAnnot, Value
from tilelang_mlir.frontend.buffer import Buffer
from tilelang_mlir.frontend.builder import require
from tilelang_mlir.frontend.expr import Expr, Var, describe
from tilelang_mlir.frontend.spec import Param, Pointer
from tilelang_mlir.frontend.typename import dtype


def as_annot(spec: Any) -> Annot | None:
    """The annotation that users wrote as `spec`; None when it says nothing about a kernel's argument.

    Factories (functions that return an annotation) are called.
    """
    if inspect.isfunction(spec):
        spec = spec()
    if isinstance(spec, Annot):
        return spec
    if isinstance(spec, Buffer):
        found = annotation_of(spec)
        return found.promote() or found
    if isinstance(spec, Var) or getattr(spec, "is_pointer_spec", False):
        return TIRAnnot(spec)
    if isinstance(spec, type) and issubclass(spec, DType):
        return DTypeAnnot()
    if isinstance(spec, DType):
        return Value.from_value(spec)
    bare = getattr(spec, "bare_annotation", None)  # T.Tensor without a shape
    return bare() if bare is not None else None


@dataclass
class FuncAnnot:
    """The annotations of a function, and calls of it bound by them.

    `annots` has an entry per parameter; those without an annotation are compile-time values. `arg_parser` gives an
    argument's part of the cache key, `ker_arg_names` the parameters that are passed at launch.
    """

    sig: inspect.Signature
    arg_names: list[str]
    annots: dict[str, Annot]
    arg_parser: dict[str, KeyParser]
    ker_arg_names: list[str]
    name: str = "the function"

    @classmethod
    def from_sig_annots(
        cls, sig: inspect.Signature, func_annots: Mapping[str, Any], name: str = "the function"
    ) -> FuncAnnot:
        """The binder of a signature whose parameters are annotated as in `func_annots`."""
        annots: dict[str, Annot] = {}
        for parameter in sig.parameters:
            found = (as_annot(func_annots.get(parameter)) or Value("static")).with_name(parameter)
            annots[parameter] = found.promote() or found
        return cls._of(sig, annots, name)

    @classmethod
    def _of(cls, sig: inspect.Signature, annots: dict[str, Annot], name: str) -> FuncAnnot:
        parsers = {key: annot.get_key_parser() for key, annot in annots.items()}
        return cls(sig, list(annots), annots, parsers, [key for key, annot in annots.items() if annot.is_kernel_arg()],
                   name)

    def refine(self, found: Mapping[str, Annot]) -> FuncAnnot:
        """The binder with other annotations for some parameters, as a function's body gives them."""
        return self._of(self.sig, {**self.annots, **{key: a.with_name(key) for key, a in found.items()}}, self.name)

    def bind(self, args: tuple[Any, ...], kws: Mapping[str, Any], *, partial: bool = False) -> dict[str, Any]:
        """The arguments of a call by parameter name, defaults filled in. With `partial` parameters may be missing.

        Raises:
            ArgumentError: the call does not fit the signature.
        """
        try:
            bound = (self.sig.bind_partial if partial else self.sig.bind)(*args, **kws)
        except TypeError as error:
            raise ArgumentError(f"{self.name}: {error}", hint=f"the signature is {self.name}{self.sig}") from None
        bound.apply_defaults()
        return dict(bound.arguments)

    def parse_key(self, *args: Any, **kws: Any) -> tuple[tuple[str, Any], ...]:
        """The cache key of a call: (name, key) of every parameter, sorted by name. Equal calls give equal keys.

        Raises:
            ArgumentError, TileValueError: an argument is not what its annotation says.
        """
        bound = self.bind(args, kws)
        return tuple(sorted((key, self._part(key, value)) for key, value in bound.items()))

    def _part(self, key: str, value: Any) -> Any:
        parser = self.arg_parser.get(key)
        return freeze(key, value) if parser is None else parser(value)

    def convert_to_kernel_args(self, *args: Any, **kws: Any) -> list[Any]:
        """What is passed at launch, in the order of the parameters.

        Raises:
            ArgumentError: the call does not fit the signature.
        """
        bound = self.bind(args, kws)
        return [bound[key] for key in self.ker_arg_names]

    def create_argument(self, name: str, value: Any, vt: ArgVarTable) -> Any:
        """What the parameter `name` is in the traced function; `value` is its part of the key, or None."""
        return self.annots[name].create_prim_func_arg(name, value, vt)

    def is_all_static(self) -> bool:
        """Whether every parameter is complete without an argument: `@T.prim_func` takes no others."""
        return not self.get_compile_time_unknown_args()

    def get_all_static_args(self) -> dict[str, Any]:
        """The parameters that are complete, by name: buffer descriptions, symbolic sizes, pointers, dtypes."""
        return {
            key: annot.data if isinstance(annot, TIRAnnot) else annot
            for key, annot in self.annots.items()
            if _is_complete(annot)
        }

    def get_compile_time_unknown_args(self) -> list[str]:
        """The parameters that depend on the argument: compile-time values, and tensors with static sizes to read."""
        return [key for key, annot in self.annots.items() if not _is_complete(annot)]


def _is_complete(annot: Annot) -> bool:
    if isinstance(annot, BufferAnnot):
        # Dynamic sizes may be named only: the table of variables completes them.
        return not annot.is_open and not list(annot.static_sizes())
    return isinstance(annot, TIRAnnot) or (isinstance(annot, Value) and annot.resolved().kind == "dynamic")


def declare(name: str, annot: Annot, value: Any = None) -> tuple[Any, Param]:
    """Declare a parameter of the function being traced: what it is in the body, and its description."""
    side = require("a parameter").side
    made = annot.create_prim_func_arg(name, value, side.setdefault("argument_variables", ArgVarTable()))
    return made, describe_parameter(name, made)


def describe_parameter(name: str, made: Any) -> Param:
    """A parameter as the launch plan describes it, from what stands for it in the trace."""
    if isinstance(made, Buffer):
        return Param(name, "tensor", made.dtype, made.shape, made.strides)
    if isinstance(made, Pointer):
        return Param(name, "pointer", made.dtype or dtype("handle"))
    assert isinstance(made, Expr)
    return Param(name, "scalar", made.dtype)


_SCALARS: dict[Any, str] = {int: "int32", float: "float32", bool: "bool"}


def declare_annotated(sig: inspect.Signature, specs: Mapping[str, Any], name: str) -> list[tuple[Any, Param]]:
    """Declare the parameters of a prim_func, all of which say what they are; Python types are scalars.

    Raises:
        TileTypeError: an annotation is missing or leaves something to the argument.
    """
    known = {key: dtype(_SCALARS[spec]) if isinstance(spec, type) and spec in _SCALARS else spec
             for key, spec in specs.items()}  # fmt: skip
    binder = FuncAnnot.from_sig_annots(sig, known, name)
    for key in binder.get_compile_time_unknown_args():
        raise _incomplete(key, binder.annots[key], specs.get(key))
    return [declare(key, annot) for key, annot in binder.annots.items()]


def _incomplete(name: str, annot: Annot, spec: Any) -> TileTypeError:
    if isinstance(annot, BufferAnnot):
        return TileTypeError(f"the annotation of parameter {name!r} leaves its shape or dtype open",
                             hint="a prim_func needs T.Tensor(shape, dtype); an eager @tilelang.jit reads the rest")
    return TileTypeError(
        f"parameter {name!r} has no annotation that says what it is"
        + (f" (got {describe(spec)})" if spec is not None else ""),
        hint="annotate it with T.Tensor(shape, dtype), T.ptr, or a dtype such as T.int32",
    )
