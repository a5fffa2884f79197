"""The page docs/language.md: the names of `T` by family, with signatures and docstrings."""

from __future__ import annotations

import enum
import inspect
import sys
import types
from collections.abc import Iterable
from typing import Any

import tilelang_mlir.language as T
from tilelang_mlir.jit import eager
from tilelang_mlir.language import dtypes, missing, swizzles

# The modules of each family; the docstring of the first is the title.
_FAMILIES: tuple[tuple[str, ...], ...] = (
    ("language.function", "frontend.primfunc", "frontend.macro", "jit.eager"),
    ("language.proxy", "frontend.spec", "frontend.annot.values"),
    ("language.kernel",),
    ("language.loops",),
    ("language.thread_axes", "language.branches", "language.script_names"),
    ("language.alloc",),
    ("language.copy",),
    ("language.convolution",),
    ("language.gemm", "language.gemm_sparse"),
    ("language.matrix", "language.emitter", "language.wgmma", "language.wgmma_emitter", "language.tensor_emitter",
     "language.matrix_descriptors", "language.swizzles"),
    ("language.tensor", "language.block_scales"),
    ("language.launch_control",),
    ("language.explicit",),
    ("language.gather",),
    ("language.descriptors", "language.tensor_descriptor"),
    ("language.warps",),
    ("language.cluster",),
    ("language.schedule",),
    ("language.ws_schedule", "language.marks"),
    ("language.pointers",),
    ("language.vectors",),
    ("language.random",),
    ("language.reduce", "language.reducers"),
    ("language.math",),
    ("language.bits",),
    ("language.logic", "frontend.arith"),
    ("language.atomic",),
    ("language.sync", "language.earlier"),
    ("language.annotate", "layout.maps"),
    ("language.debug",),
    ("language.extern", "language.named_calls"),
    ("frontend.expr", "frontend.buffer", "frontend.typename", "language.dtypes"),
)
_FULL_MASK = 2**32 - 1
_LATE = (eager, swizzles)  # modules that the language itself loads when their names are asked for


def language_page(note: str) -> str:
    """The page, with `note` under its title."""
    parts = [
        "# The language `T`",
        note,
        "`import tilelang_mlir.language as T`. Names shadow Python's builtins on purpose (`T.print`, `T.max`, "
        "`T.int32`). Inside a kernel, `for`, `while`, `if`, `break`, `continue`, `and`, `or`, `not`, comparisons and "
        "conditional expressions on run-time values become part of it; on Python values they run while it is traced.",
    ]
    for family in _FAMILIES:
        modules = [f"tilelang_mlir.{name}" for name in family]
        parts.append(f"## {_title(modules[0])}")
        parts.append("\n".join(_entry(names) for names in _names_in(modules)))
    parts += ["## Dtypes", _dtypes(), "## Out of scope", _missing()]
    return "\n\n".join(parts) + "\n"


def names() -> set[str]:
    """The names that the families cover."""
    modules = [f"tilelang_mlir.{name}" for family in _FAMILIES for name in family]
    return {name for aliases in _names_in(modules) for name in aliases}


def _title(module: str) -> str:
    return (inspect.getdoc(sys.modules[module]) or "").splitlines()[0].rstrip(".")


def _names_in(modules: Iterable[str]) -> list[list[str]]:
    """Names that live in the modules, aliases of one object together."""
    found: dict[int, list[str]] = {}
    places = list(modules)
    for name in T.__all__:
        value = getattr(T, name)
        nameless = isinstance(value, str | types.UnionType)  # objects that know no module
        defined = nameless and any(name in vars(sys.modules[place]) for place in places)
        if defined or getattr(value, "__module__", None) in places:
            found.setdefault(id(value), []).append(name)
    return sorted(found.values(), key=lambda aliases: aliases[0].lower())


def _entry(aliases: list[str]) -> str:
    first, *others = sorted(aliases, key=lambda name: (name[0].isupper(), name))
    value = getattr(T, first)
    also = f" (also {', '.join(f'`T.{name}`' for name in others)})" if others else ""
    if isinstance(value, types.UnionType):
        return f"* `T.{first}`{also}: what is taken for a dtype, for annotations."
    if isinstance(value, str):
        return f"* `T.{first}`{also}: the text `{value}`."
    text = " ".join((inspect.getdoc(value) or "").partition("Raises:")[0].split())
    if isinstance(value, enum.EnumMeta):
        text += f" Members: {', '.join(value.__members__)}."
    return f"* `T.{first}{_signature(value)}`{also}" + (f": {text}" if text else "")


def _signature(value: Any) -> str:
    if inspect.isclass(value) and issubclass(value, BaseException | enum.Enum):
        return ""
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return ""
    shown = [_parameter(parameter) for parameter in parameters]
    bare = next((i for i, p in enumerate(parameters) if p.kind is p.KEYWORD_ONLY), None)
    if bare is not None and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        shown.insert(bare, "*")
    return f"({', '.join(shown)})"


def _parameter(parameter: inspect.Parameter) -> str:
    star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    if parameter.default is parameter.empty:
        return f"{star}{parameter.name}"
    default = parameter.default
    if isinstance(default, enum.Enum):
        return f"{parameter.name}={type(default).__name__}.{default.name}"
    return f"{parameter.name}={hex(default) if default == _FULL_MASK else repr(default)}"


def _dtypes() -> str:
    names = [f"`T.{name}`" for name in dtypes.SCALARS]
    aliases = [f"`T.{alias}` is `{target}`" for alias, target in dtypes.ALIASES.items()]
    return (
        f"{', '.join(names)}. Other names: {', '.join(aliases)}. Vectors are spelled `T.float32x4`. A dtype is also a "
        "string, `\"float16\"`; called, it converts a scalar: `T.float16(x)`."
    )


def _missing() -> str:
    inherited = ", ".join(f"`T.{name}`" for name in missing.out_of_scope())
    rows = [f"| {', '.join(f'`T.{name}`' for name in names)} | `{own}` |" for own, names in missing.by_tiles().items()]
    return (
        f"Names of TileLang that are internal to TVM raise `UnsupportedError` when touched: {inherited}.\n\n"
        "So do single matrix instructions that only tile operations use here:\n\n"
        "| name | instead |\n|---|---|\n" + "\n".join(rows)
    )
