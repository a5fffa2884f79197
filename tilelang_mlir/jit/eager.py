"""Eager kernels: functions that are the kernel themselves and are specialised for the tensors they are called with.

First the function runs up to its first kernel with symbolic sizes; that tells what each argument is and which tensor
supplies which `T.const` size. Then, for each set of sizes, it is traced with the numbers.
"""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import ArgumentError, TileTypeError
from tilelang_mlir.frontend import protocol
from tilelang_mlir.frontend.buffer import Buffer
from tilelang_mlir.frontend.builder import Builder
from tilelang_mlir.frontend.expr import Var
from tilelang_mlir.frontend.primfunc import PrimFunc
from tilelang_mlir.frontend.rewrite import rewrite
from tilelang_mlir.frontend.source import function_tree
from tilelang_mlir.frontend.spec import Param, TensorSpec, declare
from tilelang_mlir.frontend.syntax import own_nodes
from tilelang_mlir.frontend.template import KernelReached, Template
from tilelang_mlir.frontend.trace import definition, finish_outputs, located, parameter_annotations, trace_body
from tilelang_mlir.frontend.typename import dtype, to_dtype
from tilelang_mlir.jit.binding import Binder, freeze


@dataclass(frozen=True)
class Source:
    """Where a `T.const` size is read: a dimension of the shape or the strides of an argument."""

    argument: str
    attribute: str  # shape or strides
    dim: int

    def read(self, value: Any) -> int:
        """The size, in elements."""
        if self.attribute == "shape":
            return int(value.shape[self.dim])
        stride = getattr(value, "stride", None)
        if callable(stride):
            return int(stride(self.dim))  # type: ignore[arg-type]
        return int(value.strides[self.dim]) // int(getattr(value, "itemsize", 1))


class _Recorder(protocol.Stub):
    """An argument in the first phase: records its annotation."""

    def __init__(self, name: str, template: Template) -> None:
        self.name, self.template = name, template

    def resolve(self, spec: Any) -> Any:
        spec = _called(spec)
        self.template.specs[self.name] = spec
        if isinstance(spec, TensorSpec):
            return Buffer(self.name, spec.shape, spec.dtype, spec.memory, spec.strides)
        return Var(self.name, spec) if isinstance(spec, DType) else self


class _Declarer(protocol.Stub):
    """An argument in the second phase: its annotation declares it."""

    def __init__(self, name: str, builder: Builder, declared: dict[str, Param]) -> None:
        self.name, self.builder, self.declared = name, builder, declared

    def resolve(self, spec: Any) -> Any:
        value, self.declared[self.name] = declare(self.builder, self.name, _called(spec))
        return value


def _called(spec: Any) -> Any:
    """An annotation; factories (functions that return one) are called."""
    return spec() if inspect.isfunction(spec) else spec


class EagerFunction:
    """One eager kernel function: its templates by compile-time arguments, and how to trace it."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func
        self.binder = Binder(func)
        self.specs = {name: _called(spec) for name, spec in parameter_annotations(func).items()}
        annotated = {
            node.target.id
            for node in own_nodes(function_tree(func).body)
            if isinstance(node, ast.AnnAssign) and node.value is None and isinstance(node.target, ast.Name)
        }
        self.runtime = [name for name in self.binder.names if name in annotated or _is_runtime(self.specs.get(name))]
        self.templates: dict[Any, tuple[Template, dict[str, Source]]] = {}

    @functools.cached_property
    def rewritten(self) -> Callable[..., Any]:
        return rewrite(self.func, protocol)

    def split(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, partial: bool = False
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, int]]:
        """Compile-time arguments, run-time arguments, and sizes given by keyword."""
        sizes = {name: value for name, value in kwargs.items() if name not in self.binder.names}
        if sizes and not partial:
            unknown = ", ".join(sizes)
            raise ArgumentError(
                f"{self.binder.name} has no parameter {unknown}", hint="sizes by keyword are for .compile()"
            )
        known = {name: value for name, value in kwargs.items() if name in self.binder.names}
        bound = self.binder.bind(args, known, partial=partial)
        runtime = {name: bound.pop(name) for name in self.runtime if name in bound}
        for name in self.binder.names:
            if name not in self.runtime and name not in bound:
                raise ArgumentError(f"{self.binder.name}: compile-time argument {name!r} is missing")
            if self.specs.get(name) is dtype and name in bound:
                bound[name] = to_dtype(bound[name])
        return bound, runtime, sizes

    def template(self, constants: dict[str, Any]) -> tuple[Template, dict[str, Source]]:
        """What the arguments are, for given compile-time arguments."""
        key = tuple(freeze(name, value) for name, value in constants.items())
        found = self.templates.get(key)
        if found is None:
            template = Template()
            arguments = {name: _Recorder(name, template) for name in self.runtime}
            with located(definition(self.func)), template.collecting():
                values = {
                    name: arguments[name].resolve(self.specs[name]) if name in self.specs else arguments[name]
                    for name in self.runtime
                }
                try:
                    self.rewritten(**constants, **values)
                except KernelReached:
                    pass
            found = self.templates[key] = (template, _sources(template))
        return found

    def sizes(self, constants: dict[str, Any], runtime: dict[str, Any], given: dict[str, int]) -> dict[str, int]:
        """The value of every `T.const` size.

        Raises:
            TileTypeError: a size that no argument supplies directly.
        """
        template, sources = self.template(constants)
        sizes: dict[str, int] = {}
        for name in given:
            if name not in template.constants:
                raise ArgumentError(f"{self.binder.name} has no parameter or size named {name!r}")
        for name in template.constants:
            source = sources.get(name)
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

    def trace(self, constants: dict[str, Any], sizes: dict[str, int]) -> PrimFunc:
        """Trace the function for given compile-time arguments and sizes."""
        builder = Builder(self.func.__name__, definition(self.func))
        builder.side["constants"] = sizes
        declared: dict[str, Param] = {}

        def body() -> list[Param]:
            stubs = {name: _Declarer(name, builder, declared) for name in self.runtime}
            values = {
                name: stub.resolve(self.specs[name]) if name in self.specs else stub for name, stub in stubs.items()
            }
            result = self.rewritten(**constants, **values)
            missing = [name for name in self.runtime if name not in declared]
            if missing:
                raise TileTypeError(f"argument {missing[0]!r} is not annotated on this path")
            order = {name: index for index, name in enumerate(self.runtime)}
            builder.parameters.sort(key=lambda parameter: order.get(parameter.name, len(order)))
            finish_outputs(builder, result)
            return [declared[name] for name in self.runtime] + builder.side.get("outputs", [])

        return trace_body(builder, body, definition(self.func))


def _is_runtime(spec: Any) -> bool:
    """Whether an annotation in the signature makes a parameter a run-time argument."""
    return isinstance(spec, TensorSpec | Var | DType) or getattr(spec, "is_pointer_spec", False)


def _sources(template: Template) -> dict[str, Source]:
    found: dict[str, Source] = {}
    for argument, spec in template.specs.items():
        if isinstance(spec, TensorSpec):
            for attribute in ("shape", "strides"):
                for dim, size in enumerate(getattr(spec, attribute) or ()):
                    for name, var in template.constants.items():
                        if size is var:
                            found.setdefault(name, Source(argument, attribute, dim))
    return found


def _read(source: Source, value: Any) -> int:
    try:
        return source.read(value)
    except (AttributeError, IndexError, TypeError):
        raise ArgumentError(
            f"argument {source.argument!r} must be a tensor with at least {source.dim + 1} dimensions, "
            f"got {type(value).__name__}"
        ) from None
