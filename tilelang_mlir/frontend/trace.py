"""Tracing: runs a rewritten function with arguments that stand for the kernel's, and returns what it emitted."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any

from tilelang_mlir import collection
from tilelang_mlir.dialect.location import location_notes, python_location
from tilelang_mlir.errors import Location, TileError, TileTypeError
from tilelang_mlir.frontend import protocol, where
from tilelang_mlir.frontend.annot import Annot, declare, declare_annotated
from tilelang_mlir.frontend.body_annotations import Argument
from tilelang_mlir.frontend.buffer import Buffer
from tilelang_mlir.frontend.builder import Builder
from tilelang_mlir.frontend.expr import describe
from tilelang_mlir.frontend.hints import add_hint
from tilelang_mlir.frontend.primfunc import PrimFunc
from tilelang_mlir.frontend.python_errors import PYTHON_ERRORS, retold
from tilelang_mlir.frontend.rewrite import rewritten
from tilelang_mlir.frontend.spec import Param
from tilelang_mlir.mlir import ir

Callback = Callable[..., Any]


def definition(func: Callback) -> Location:
    """Where a function is defined."""
    plain: Any = func
    return Location(plain.__code__.co_filename, plain.__code__.co_firstlineno, function=plain.__name__)


@contextmanager
def located(fallback: Location) -> Generator[None, None, None]:
    """Stamp errors raised while tracing with the user's source position and the macro calls that led there."""
    try:
        yield
    except TileError as error:
        found = where.from_traceback(error.__traceback__)
        if error.location is None:
            error.location = found[0] if found else fallback
            error.notes += tuple(("called from here", place) for place in found[1:])
            if found and not error.notes:
                error.notes = _definitions(error.__traceback__, found[0])
        add_hint(error)
        raise
    except PYTHON_ERRORS as error:
        told = retold(error)
        if told is None:
            raise
        add_hint(told)
        raise told from None


_NAME = re.compile(r"(?<![\w.'\"])[A-Za-z_]\w*")
_MAX_DEFINITIONS = 3


def _definitions(traceback: TracebackType | None, place: Location) -> tuple[tuple[str, Location | None], ...]:
    """Where the buffers are allocated that the expression at fault names, for those of other lines."""
    names: dict[str, Any] = {}
    while traceback is not None:
        if where.is_traced(traceback.tb_frame.f_code):
            names = traceback.tb_frame.f_locals
        traceback = traceback.tb_next
    text = place.expression()
    notes: list[tuple[str, Location | None]] = []
    for name in dict.fromkeys(_NAME.findall(text)):
        buffer = names.get(name)
        value = buffer.value if isinstance(buffer, Buffer) else None
        if value is not None and isinstance(value, ir.OpResult):
            made = python_location(value.owner.location)
            if made is not None and made.line != place.line:
                notes.append((f"{name} is {describe(buffer)}", made))
    return tuple(notes[:_MAX_DEFINITIONS])


def parameter_annotations(func: Callback, local_names: dict[str, Any] | None = None) -> dict[str, Any]:
    """Parameter annotations as values; those written as strings are evaluated where the function is defined."""
    plain: Any = func
    names: dict[str, Any] = {**enclosing_names(plain), **(local_names or {})} if has_text_annotations(func) else {}
    for name, cell in zip(plain.__code__.co_freevars, plain.__closure__ or (), strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # the cell is filled later
            continue
    result = {}
    for name, value in getattr(func, "__annotations__", {}).items():
        if type(value) is str:  # a dtype is a str too
            try:
                value = eval(value, plain.__globals__, names)
            except Exception as error:
                raise TileTypeError(
                    f"cannot evaluate the annotation {value!r} of {name!r}: {error}", definition(func),
                    hint="names in it must exist where the function is defined",
                ) from error
        result[name] = value
    return result


def has_text_annotations(func: Callback) -> bool:
    """Whether an annotation is a string, as all are after `from __future__ import annotations`."""
    return any(type(value) is str for value in getattr(func, "__annotations__", {}).values())


def enclosing_names(func: Any) -> dict[str, Any]:
    """The local names of the functions around a function's definition that are running; inner ones win.

    The names of an annotation that is a string are not captured, so they are looked for where they are.
    """
    *outer, _ = func.__qualname__.split(".<locals>.") if ".<locals>." in func.__qualname__ else [""]
    around = {part.rsplit(".", 1)[-1] for part in outer}
    names: dict[str, Any] = {}
    frame: Any = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and around:
        if frame.f_code.co_name in around and frame.f_code.co_filename == func.__code__.co_filename:
            names = {**frame.f_locals, **names}
        frame = frame.f_back
    return names


def trace_function(func: Callback, local_names: dict[str, Any] | None = None) -> PrimFunc:
    """Trace a function whose parameters are annotated with what they are (`@T.prim_func`).

    Raises:
        TileError: anything wrong in the kernel, with its position.
    """
    return _trace_annotated(func, parameter_annotations(func, local_names))


def _trace_annotated(func: Callback, specs: dict[str, Any]) -> PrimFunc:
    code = rewritten(func)
    builder = Builder(func.__name__, definition(func))
    signature = inspect.signature(func)

    in_body = [name for name in signature.parameters if specs.get(name) is None and name in code.annotated]

    def body() -> list[Param]:
        declared: dict[str, Param] = {}

        def make(name: str, annot: Annot) -> Any:
            value, declared[name] = declare(name, annot)
            return value

        values: dict[str, Any] = {name: Argument(name, make) for name in in_body}
        rest = [parameter for name, parameter in signature.parameters.items() if name not in values]
        found = declare_annotated(signature.replace(parameters=rest), specs, func.__name__)
        for parameter, (value, param) in zip(rest, found, strict=True):
            values[parameter.name], declared[parameter.name] = value, param
        result = code.bind(func, protocol)(**values)
        for name in in_body:
            if name not in declared:
                raise TileTypeError(f"argument {name!r} is not annotated on this path")
        if in_body:
            order = {name: index for index, name in enumerate(signature.parameters)}
            builder.parameters.sort(key=lambda parameter: order.get(parameter.name, len(order)))
        finish_outputs(builder, result)
        return [declared[name] for name in signature.parameters] + builder.side.get("outputs", [])

    result = trace_body(builder, body, definition(func))
    result.again = partial(_trace_annotated, func, specs)
    return result


def trace_body(builder: Builder, body: Callable[[], list[Param]], place: Location) -> PrimFunc:
    """Run a body that declares parameters and emits kernels, and close the function."""
    with located(place), builder.tracing(), collection.postponed():
        builder.entry = sys._getframe(0)  # pyright: ignore[reportPrivateUsage]
        params = body()
        if builder.kernels == 0:
            raise TileTypeError(f"{builder.name!r} launches no kernel", hint="add `with T.Kernel(...)`")
        out_idx = [index % len(params) for index in builder.side.get("tilelang_out_idx", [])]
        builder.finish(out_idx)
        verify(builder.module)
    return PrimFunc(builder.name, builder.module, builder.context, params, builder.side)


def finish_outputs(builder: Builder, result: Any) -> None:
    """Check that a function returns the tensors it makes with `T.empty`, all of them, and order them as returned.

    Raises:
        TileTypeError: something else is returned, or an output is not.
    """
    outputs: list[Any] = builder.side.get("output_buffers", [])
    returned = [] if result is None else list(result) if isinstance(result, list | tuple) else [result]
    order = []
    for value in returned:
        place = next((index for index, buffer in enumerate(outputs) if buffer is value), None)
        if place is None:
            raise TileTypeError(f"a kernel can only return tensors made by T.empty, got {describe(value)}")
        order.append(place)
    if sorted(order) != list(range(len(outputs))):
        raise TileTypeError(
            f"the function makes {len(outputs)} tensors with T.empty but returns {len(set(order))} of them",
            hint="return all of them, or take what is not an output as a parameter",
        )
    params: list[Param] = builder.side.get("outputs", [])
    if params:
        places = {param.name: index for index, param in enumerate(builder.parameters) if param.name in _names(params)}
        slots = sorted(places.values())
        arguments = [builder.parameters[places[params[index].name]] for index in order]
        for slot, argument in zip(slots, arguments, strict=True):
            builder.parameters[slot] = argument
        builder.side["outputs"] = [params[index] for index in order]


def _names(params: list[Param]) -> set[str]:
    return {param.name for param in params}


def verify(module: ir.Module) -> None:
    """Run the verifiers of the dialect; what they report becomes an error at the Python line.

    Raises:
        TileTypeError: the program is not valid level-1 IR.
    """
    try:
        module.operation.verify()
    except ir.MLIRError as error:
        diagnostics = error.error_diagnostics
        if not diagnostics:
            raise
        first = diagnostics[0]
        raise TileTypeError(
            first.message, python_location(first.location), notes=location_notes(first.location)
        ) from error
