"""Printing, assumptions, traps."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tilelang_mlir.errors import DeviceAssertError, SimulationError
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator.ops.rule import Writer, rule
from tilelang_mlir.simulator.values import kind_of

_DIRECTIVE = re.compile(r"%(?:%|([-+ #0]*\d*(?:\.\d+)?)(?:hh|h|ll|l|z)?([diuxXofFeEgGcsp])?)")


@rule("gpu.printf")
def _print(w: Writer, op: ir.Operation, a: list[str]) -> None:
    text = ir.StringAttr(op.attributes["format"]).value
    kinds = [kind_of(str(v.type)) for v in op.operands]
    w.statement(f"{w.ref(_printf)}(L, {text!r}, {w.ref(kinds)}, ({''.join(x + ', ' for x in a)}))", op)


def _printf(lanes: Any, text: str, kinds: list[Any], values: tuple[Any, ...]) -> None:
    """One line per active lane, by CTA then thread, to the report; the end of the batch shows it."""
    mask = np.broadcast_to(np.bool_(True) if lanes.mask is None else lanes.mask, lanes.shape)
    wide = [np.broadcast_to(np.asarray(v), lanes.shape) for v in values]
    for row, column in np.argwhere(mask):
        items = [v[row, column].item() for v in wide]
        line = _format(text, items, kinds)
        lanes.batch.printed.append(line)


def _format(text: str, items: list[Any], kinds: list[Any]) -> str:
    rest = iter(zip(items, kinds, strict=True))

    def one(match: re.Match[str]) -> str:
        if match[2] is None:
            return "%"
        value, kind = next(rest)
        letter = match[2]
        if letter in "uxXop" and value < 0:
            value += 1 << kind.bits
        if letter in "diu":
            return f"%{match[1]}d" % int(value)
        if letter == "p":
            return hex(value)
        if letter == "c":
            return chr(value)
        return f"%{match[1]}{letter}" % value

    return _DIRECTIVE.sub(one, text)


@rule("llvm.intr.assume")
def _assume(w: Writer, op: ir.Operation, a: list[str]) -> None:
    w.statement(f"{w.ref(_require)}(L, {a[0]})", op)


def _require(lanes: Any, condition: Any) -> None:
    holds = np.asarray(condition) if lanes.mask is None else np.asarray(condition) | ~lanes.mask
    if not holds.all():
        row, column = (int(i) for i in np.argwhere(~np.broadcast_to(holds, lanes.shape))[0])
        raise SimulationError(f"an assumption does not hold for {lanes.who(row, column)}")


@rule("llvm.intr.trap", "llvm.unreachable")
def _trap(w: Writer, op: ir.Operation, a: list[str]) -> None:
    w.statement(f"{w.ref(_stop)}(L)", op)


def _stop(lanes: Any) -> None:
    mask = np.broadcast_to(np.bool_(True) if lanes.mask is None else lanes.mask, lanes.shape)
    row, column = (int(i) for i in np.argwhere(mask)[0])
    said = lanes.batch.printed[-1].strip() if lanes.batch.printed else "trap"
    raise DeviceAssertError(f"{said} ({lanes.who(row, column)})")
