"""Pipelines as text: `builtin.module(canonicalize,layout-inference{fuel=10},gpu.module(convert-nvvm-to-llvm))`.

The syntax is MLIR's. A name of our registry becomes a `Pass` with its options parsed into the dataclass fields;
anything else is handed to MLIR as text. Ours run on the whole module and may stand only at the top level.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from tilelang_mlir.errors import TileValueError
from tilelang_mlir.mlir import PassManager, ir

from . import registry
from .base import Pass

Element = Pass | str
_OPEN = {"(": ")", "{": "}", "[": "]"}


def parse_pipeline(text: str) -> list[Element]:
    """Parse a pipeline, with or without the `builtin.module(...)` around it.

    Raises:
        TileValueError: brackets do not match, a pass is unknown, or an option is unknown or has a wrong value.
    """
    body = text.strip()
    if match := re.fullmatch(r"(?:builtin\.module|any)\s*\((.*)\)", body, re.DOTALL):
        body = match[1]
    return [parse_element(part) for part in split_top_level(body, ",")]


def parse_element(text: str) -> Element:
    """Parse one element: `name`, `name{option=value ...}` or an upstream pass, possibly nested."""
    match = re.fullmatch(r"([\w.-]+)\s*(?:\{(.*)\})?", text, re.DOTALL)
    if match and registry.is_registered(match[1]):
        return build_pass(match[1], match[2] or "")
    if match and not match[2] and match[1].startswith("test-"):
        raise TileValueError(f"unknown pass {match[1]!r}", hint=registry.nearest(match[1]))
    _check_upstream(text)
    return text


def build_pass(name: str, options: str) -> Pass:
    """A registered pass with options from text such as `fuel=10 verbose=true`."""
    kind = registry.load(name)
    fields = {field.name.replace("_", "-"): field for field in dataclasses.fields(kind)}
    values: dict[str, object] = {}
    for item in split_top_level(options, " "):
        key, equals, value = item.partition("=")
        field = fields.get(key.replace("_", "-"))
        if field is None:
            known = ", ".join(f"{k} (default {_spell(f.default)})" for k, f in fields.items()) or "none"
            raise TileValueError(f"pass {name!r} has no option {key!r}", hint=f"its options: {known}")
        values[field.name] = _parse_value(name, key, value if equals else "true", field.default)
    return kind(**values)


def _parse_value(name: str, key: str, text: str, default: object) -> object:
    """Parse by the type of the option's default: bool, int, float, str or a tuple of ints."""
    text = text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"" else text
    if isinstance(default, bool):
        if text.lower() in ("true", "1", "false", "0"):
            return text.lower() in ("true", "1")
        raise TileValueError(f"option {key!r} of pass {name!r} is {text!r}, expected true or false")
    if isinstance(default, tuple):
        kind, items = "integers separated by commas", [i for i in text.strip("[]()").split(",") if i]
    else:
        kind = "an integer" if isinstance(default, int) else "a number" if isinstance(default, float) else "text"
        items = [text]
    convert = int if isinstance(default, tuple | int) else float if isinstance(default, float) else str
    try:
        values = [convert(item) for item in items]
    except ValueError:
        raise TileValueError(f"option {key!r} of pass {name!r} is {text!r}, expected {kind}") from None
    return tuple(values) if isinstance(default, tuple) else values[0]


def _check_upstream(text: str) -> None:
    """Let MLIR parse the element now, so that a wrong name is reported before anything runs."""
    try:
        with ir.Context():
            PassManager.parse(f"builtin.module({text})")
    except ValueError as error:
        for part in re.findall(r"[\w.-]+(?=\s*(?:[,{)]|$))", re.sub(r"\{[^}]*\}", "{}", text)):
            if registry.is_registered(part):
                message = f"pass {part!r} runs on the module and cannot be nested in {text!r}"
                raise TileValueError(message) from None
            if f"'{part}' does not refer to" in str(error):
                raise TileValueError(f"unknown pass {part!r}", hint=registry.nearest(part)) from None
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise TileValueError(f"bad pipeline element {text!r}: {lines[0]}") from None


def print_element(element: Element) -> str:
    """The text of an element; options at their defaults are left out."""
    if isinstance(element, str):
        return element
    options = [
        f"{field.name.replace('_', '-')}={_spell(value)}"
        for field in dataclasses.fields(element)
        if (value := getattr(element, field.name)) != field.default
    ]
    return element.name + (f"{{{' '.join(options)}}}" if options else "")


def print_pipeline(elements: Sequence[Element]) -> str:
    """The text that `parse_pipeline` reads back as the same elements."""
    return f"builtin.module({','.join(print_element(e) for e in elements)})"


def _spell(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    text = str(value)
    return f'"{text}"' if " " in text else text


def split_top_level(text: str, separator: str) -> list[str]:
    """Split at separators outside of brackets and quotes; empty parts are dropped.

    Raises:
        TileValueError: brackets do not match.
    """
    parts: list[str] = []
    closing: list[str] = []
    start, quote = 0, ""
    for position, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in _OPEN:
            closing.append(_OPEN[char])
        elif char in ")}]":
            if not closing or closing.pop() != char:
                raise TileValueError(f"unmatched {char!r} at position {position} of {text!r}")
        elif char == separator and not closing:
            parts.append(text[start:position])
            start = position + 1
    if closing or quote:
        raise TileValueError(f"missing {(closing or [quote])[-1]!r} at the end of {text!r}")
    return [part.strip() for part in (*parts, text[start:]) if part.strip()]
