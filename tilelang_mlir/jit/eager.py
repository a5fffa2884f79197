"""Eager kernels: functions that are the kernel themselves and are specialised for the tensors they are called with.

First the function runs up to its first kernel with symbolic sizes; that tells what each argument is and which tensor
supplies which static size. Then, for each set of sizes, it is traced with the numbers. Both phases make the arguments
through the same annotations (`tilelang_mlir.frontend.annot`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tilelang_mlir.errors import ArgumentError, TileTypeError
from tilelang_mlir.frontend import protocol
from tilelang_mlir.frontend.annot import (
    Annot,
    ArgVarTable,
    BufferAnnot,
    DTypeAnnot,
    FuncAnnot,
    Source,
    declare,
    freeze,
)
from tilelang_mlir.frontend.body_annotations import Argument
from tilelang_mlir.frontend.builder import Builder
from tilelang_mlir.frontend.primfunc import PrimFunc
from tilelang_mlir.frontend.rewrite import rewrite
from tilelang_mlir.frontend.source import function_tree
from tilelang_mlir.frontend.spec import Param
from tilelang_mlir.frontend.syntax import annotated_names
from tilelang_mlir.frontend.template import ConstVar, KernelReached, Template
from tilelang_mlir.frontend.trace import definition, finish_outputs, located, parameter_annotations, trace_body


@dataclass(frozen=True)
class Phase:
    """What the first phase found out for some compile-time arguments.

    `binder` has all annotations, `sizes` the names of the static sizes in order, `sources` where they are read.
    """

    binder: FuncAnnot
    sizes: tuple[str, ...]
    sources: dict[str, Source]


class EagerFunction:
    """One eager kernel function: what its arguments are, by compile-time arguments, and how to trace it."""

    def __init__(self, func: Callable[..., Any], scope: dict[str, Any] | None = None) -> None:
        self.func = func
        specs = parameter_annotations(func, scope)
        self.binder = FuncAnnot.from_sig_annots(inspect.signature(func), specs, func.__name__)
        annotated = annotated_names(function_tree(func))
        by_signature = self.binder.ker_arg_names
        self.runtime = [name for name in self.binder.arg_names if name in annotated or name in by_signature]
        opened = [n for n, a in self.binder.annots.items() if isinstance(a, BufferAnnot) and a.is_open]
        self.in_body = [n for n in self.runtime if n not in by_signature or (n in opened and n in annotated)]
        self.phases: dict[Any, Phase] = {}

    @functools.cached_property
    def rewritten(self) -> Callable[..., Any]:
        return rewrite(self.func, protocol)

    def split(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, partial: bool = False, check: bool = True
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, int]]:
        """Compile-time arguments, run-time arguments, and sizes given by keyword. `check` wants all of the first."""
        names = self.binder.arg_names
        sizes = {name: value for name, value in kwargs.items() if name not in names}
        if sizes and not partial:
            unknown = ", ".join(sizes)
            raise ArgumentError(
                f"{self.binder.name} has no parameter {unknown}", hint="sizes by keyword are for .compile()"
            )
        known = {name: value for name, value in kwargs.items() if name in names}
        bound = self.binder.bind(args, known, partial=partial)
        runtime = {name: bound.pop(name) for name in self.runtime if name in bound}
        for name in names:
            if check and name not in self.runtime and name not in bound:
                raise ArgumentError(f"{self.binder.name}: compile-time argument {name!r} is missing",
                                    hint=f"parameters without an annotation are part of the kernel: pass {name}=...")
            if name in bound and isinstance(self.binder.annots[name], DTypeAnnot):
                bound[name] = self.binder.arg_parser[name](bound[name])
        return bound, runtime, sizes

    def open_arguments(self) -> list[str]:
        """The parameters whose rank or dtype are the argument's (`A: T.Tensor`), unless the body says more."""
        found = [n for n, a in self.binder.annots.items() if isinstance(a, BufferAnnot) and a.is_open]
        return [name for name in found if name not in self.in_body]

    def kind_key(self, runtime: Mapping[str, Any]) -> tuple[Any, ...]:
        """What the first phase depends on besides the compile-time arguments: rank and dtype of open arguments."""
        return tuple((name, len(runtime[name].shape), str(runtime[name].dtype)) for name in self.open_arguments())

    def phase(self, constants: dict[str, Any], runtime: Mapping[str, Any]) -> Phase:
        """What the arguments are, for given compile-time arguments.

        Raises:
            ArgumentError: an argument is no tensor, or missing where its annotation leaves the shape to it.
        """
        opened = {name: self._specialised(name, runtime) for name in self.open_arguments()}
        key = (tuple((n, freeze(n, v)) for n, v in constants.items()), self.kind_key(runtime))
        found = self.phases.get(key)
        if found is None:
            found = self.phases[key] = self._first_phase(constants, self.binder.refine(opened))
        return found

    def _specialised(self, name: str, runtime: Mapping[str, Any]) -> Annot:
        annot = self.binder.annots[name]
        if name not in runtime:
            raise ArgumentError(f"{self.binder.name}: argument {name!r} is missing; its annotation has no shape",
                                hint=f"pass {name}=T.Tensor(shape, dtype) to .compile()")
        assert isinstance(annot, BufferAnnot)
        return annot.specialise(runtime[name])

    def _first_phase(self, constants: dict[str, Any], binder: FuncAnnot) -> Phase:
        template, variables = Template(), ArgVarTable()

        def make(name: str, annot: Annot) -> Any:
            template.annots[name] = annot
            value = None
            if isinstance(annot, BufferAnnot):
                value = annot.key_of({size: self._symbol(template, size) for size, _ in annot.static_sizes()})
            return annot.create_prim_func_arg(name, value, variables)

        with located(definition(self.func)), template.collecting():
            values = {name: self._stand_in(name, binder, make) for name in self.runtime}
            try:
                self.rewritten(**constants, **values)
            except KernelReached:
                pass
        full = binder.refine(template.annots)
        sources: dict[str, Source] = {}
        for annot in full.annots.values():
            if isinstance(annot, BufferAnnot):
                for size, source in annot.static_sizes():
                    sources.setdefault(size, source)
        return Phase(full, tuple(template.constants), sources)

    def _stand_in(self, name: str, binder: FuncAnnot, make: Callable[[str, Annot], Any]) -> Any:
        return Argument(name, make) if name in self.in_body else make(name, binder.annots[name])

    @staticmethod
    def _symbol(template: Template, name: str) -> Any:
        return template.constants.setdefault(name, ConstVar(name))

    def sizes(self, constants: dict[str, Any], runtime: dict[str, Any], given: dict[str, int]) -> dict[str, int]:
        """The value of every static size.

        Raises:
            TileTypeError: a size that no argument supplies directly.
            ArgumentError: the argument that supplies one is no tensor, or an unknown size is given.
        """
        phase = self.phase(constants, runtime)
        sizes: dict[str, int] = {}
        for name in given:
            if name not in phase.sizes:
                raise ArgumentError(f"{self.binder.name} has no parameter or size named {name!r}")
        for name in phase.sizes:
            source = phase.sources.get(name)
            if name in given:
                sizes[name] = int(given[name])
            elif source is None:
                raise TileTypeError(
                    f"size {name!r} (T.const) is no dimension or stride of any argument",
                    definition(self.func),
                    hint="it must occur by itself in a shape, not only in an expression, or be given to .compile()",
                )
            elif source.argument not in runtime:
                raise ArgumentError(
                    f"{self.binder.name}: size {name!r} needs argument {source.argument!r}, or {name}=..."
                )
            else:
                sizes[name] = _read(source, runtime[source.argument])
        return sizes

    def trace(self, constants: dict[str, Any], sizes: dict[str, int], binder: FuncAnnot) -> PrimFunc:
        """Trace the function for given compile-time arguments and sizes, with the annotations of their `phase`."""
        builder = Builder(self.func.__name__, definition(self.func))
        builder.side["constants"] = sizes
        declared: dict[str, Param] = {}

        def make(name: str, annot: Annot) -> Any:
            key = annot.key_of(sizes) if isinstance(annot, BufferAnnot) else None
            value, declared[name] = declare(name, annot, key)
            return value

        def body() -> list[Param]:
            values = {name: self._stand_in(name, binder, make) for name in self.runtime}
            result = self.rewritten(**constants, **values)
            missing = [name for name in self.runtime if name not in declared]
            if missing:
                raise TileTypeError(f"argument {missing[0]!r} is not annotated on this path")
            order = {name: index for index, name in enumerate(self.runtime)}
            builder.parameters.sort(key=lambda parameter: order.get(parameter.name, len(order)))
            finish_outputs(builder, result)
            return [declared[name] for name in self.runtime] + builder.side.get("outputs", [])

        result = trace_body(builder, body, definition(self.func))
        result.again = functools.partial(self.trace, constants, sizes, binder)
        return result


def _read(source: Source, value: Any) -> int:
    try:
        return source.read(value)
    except (AttributeError, IndexError, TypeError):
        raise ArgumentError(
            f"argument {source.argument!r} must be a tensor with at least {source.dim + 1} dimensions, "
            f"got {type(value).__name__}",
            hint="pass a torch tensor or a numpy array",
        ) from None
