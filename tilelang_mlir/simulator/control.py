"""Structured control flow as generated Python.

Branches and loops on uniform values are Python's own. On varying values both sides run under masks; when all active
lanes agree, no mask is set. A branch whose body waits runs as two agents when the lanes of a CTA disagree. Where warps
must move together (products, shuffles, barriers, asynchronous copies) and whole CTAs go different ways, the batch
runs again in groups of CTAs that go the same way: that is simpler and checks faster than masks by CTA.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from tilelang_mlir.isa.instruction import WARPGROUP
from tilelang_mlir.mlir import ir
from tilelang_mlir.simulator.schedule import Diverged, Spin
from tilelang_mlir.simulator.values import select

_MANY = np.int64(2**62)


class Writer(Protocol):
    """The generator as control flow sees it."""

    depth: int
    lines: list[str]

    def line(self, text: str, op: ir.Operation | None = None) -> None: ...
    def name(self, value: ir.Value) -> str: ...
    def lanes_name(self, value: ir.Value, name: str | None = None) -> str: ...
    def named(self, value: ir.Value) -> bool: ...
    def uniform(self, value: ir.Value) -> bool: ...
    def blocks(self, op: ir.Operation) -> bool: ...
    def moves_together(self, op: ir.Operation) -> bool: ...
    def roles(self, op: ir.Operation) -> tuple[str, str]: ...
    def spins(self, op: ir.Operation) -> bool: ...
    def block(self, block: ir.Block) -> list[ir.Value]: ...
    def rename(self, names: dict[ir.Value, str]) -> dict[ir.Value, str]: ...
    def restore(self, saved: dict[ir.Value, str]) -> None: ...
    def loop(self, op: ir.Operation, variable: ir.Value, first: int) -> None: ...


def _assign(w: Writer, targets: list[str], values: list[str]) -> None:
    if targets:
        comma = "," if len(targets) == 1 else ""
        w.line(f"{', '.join(targets)}{comma} = {', '.join(values)}{comma}")


def _carried(w: Writer, target: ir.Value, value: ir.Value) -> str:
    """The value in the representation of the variable it goes to."""
    return w.name(value) if w.uniform(target) else w.lanes_name(value)


def _if(w: Writer, op: ir.Operation) -> None:
    sides = [region.blocks[0] for region in op.regions if len(region.blocks)]
    condition = op.operands[0]
    results = list(op.results)
    if w.uniform(condition):
        for index, side in enumerate(sides):
            w.line(f"if {w.name(condition)}:" if index == 0 else "else:", op)
            w.depth += 1
            out = w.block(side)
            _assign(w, [w.name(r) for r in results], [_carried(w, r, v) for r, v in zip(results, out, strict=True)])
            w.line("pass")
            w.depth -= 1
    elif w.blocks(op):
        _waiting_if(w, op, sides)
    else:
        _masked_if(w, op, sides)


def _masked_if(w: Writer, op: ir.Operation, sides: list[ir.Block]) -> None:
    tag, condition, results = len(w.lines), w.name(op.operands[0]), list(op.results)
    w.line(f"t{tag} = {_splitter(w, op)}(L, {condition}); m{tag} = L.mask", op)
    outcomes: list[list[str]] = []
    for index, side in enumerate(sides):
        w.line(f"if t{tag}{' != 1' if index else ''}:", op)
        w.depth += 1
        negation = "~" if index else ""
        w.line(f"if t{tag} == 2: L.mask = both(m{tag}, {negation}{condition})", op)
        out = w.block(side)
        names = [f"{'zy'[index == 0]}{tag}_{k}" for k in range(len(results))]
        _assign(w, names, [w.lanes_name(v) for v in out])
        outcomes.append(names)
        w.line("pass")
        w.depth -= 1
    w.line(f"L.mask = m{tag}")
    for result, yes, no in zip(results, *outcomes, strict=False) if len(outcomes) == 2 else ():
        w.line(
            f"{w.name(result)} = {yes} if t{tag} == 1 else {no} if t{tag} == 0 else select({condition}, {yes}, {no})",
            op,
        )


def _splitter(w: Writer, op: ir.Operation) -> str:
    return "split_together" if w.moves_together(op) else "split"


def _waiting_if(w: Writer, op: ir.Operation, sides: list[ir.Block]) -> None:
    """Each side is a nested generator; `take` restricts the values it uses to the columns of its agent."""
    tag, condition, results = len(w.lines), w.name(op.operands[0]), list(op.results)
    bodies = []
    for index, side in enumerate(sides):
        bodies.append(f"b{tag}_{index}")
        w.line(f"def {bodies[-1]}(L, take, out):", op)
        w.depth += 1
        free = [v for v in _free(op.regions[index]) if w.named(v) and not w.uniform(v) and w.name(v).startswith("v")]
        renamed = {v: f"{w.name(v)}_{tag}" for v in free}
        for value in free:
            w.line(f"{renamed[value]} = take({w.name(value)})")
        saved = w.rename(renamed)
        values = w.block(side)
        w.line(f"out[:] = [{', '.join(w.lanes_name(v) for v in values)}]")
        w.restore(saved)
        w.line("return")
        w.line("yield")
        w.depth -= 1
    arguments = ", ".join([*bodies, "None"][:2])
    part = WARPGROUP if "tl.warpgroups" in op.attributes else 0
    w.line(f"r{tag} = yield from branch(L, {condition}, {arguments}, {w.roles(op)}, {part})", op)
    _assign(w, [w.name(r) for r in results], [f"r{tag}[{k}]" for k in range(len(results))])


def _free(region: ir.Region) -> list[ir.Value]:
    """Values a region uses and does not define, in order of first use."""
    inside: set[ir.Value] = set()
    used: dict[ir.Value, None] = {}

    def visit(part: ir.Region) -> None:
        for block in part.blocks:
            inside.update(block.arguments)
            for view in block.operations:
                used.update((v, None) for v in view.operation.operands)
                inside.update(view.operation.results)
                for inner in view.operation.regions:
                    visit(inner)

    visit(region)
    return [v for v in used if v not in inside]


def _for(w: Writer, op: ir.Operation) -> None:
    operands, body = list(op.operands), op.regions[0].blocks[0]
    variable, *carried = list(body.arguments)
    targets = [w.name(v) for v in carried]
    _assign(w, targets, [_carried(w, v, x) for v, x in zip(carried, operands[3:], strict=True)])
    low, high, step = (w.name(v) for v in operands[:3])
    if all(w.uniform(v) for v in operands[:3]):
        w.line(f"for {w.name(variable)} in range({low}, {high}, {step}):", op)
        w.depth += 1
        first = len(w.lines) + 1
        out = w.block(body)
        _assign(w, targets, [_carried(w, v, x) for v, x in zip(carried, out, strict=True)])
        w.line("pass")
        w.loop(op, variable, first)
        w.depth -= 1
    else:
        _masked_for(w, op, targets)
    _assign(w, [w.name(r) for r in op.results], [_carried(w, r, v) for r, v in zip(op.results, carried, strict=True)])


def _masked_for(w: Writer, op: ir.Operation, targets: list[str]) -> None:
    body, tag = op.regions[0].blocks[0], len(w.lines)
    variable = w.name(body.arguments[0])
    low, high, step = (w.lanes_name(v) for v in list(op.operands)[:3])
    w.line(f"{variable} = one_row({low}); m{tag} = L.mask; h{tag} = {high}; s{tag} = {step}", op)
    if w.moves_together(op):
        w.line(f"same_trips(L, {variable}, h{tag}, s{tag})", op)
    w.line("while True:")
    w.depth += 1
    first = len(w.lines) + 1
    w.line(f"c{tag} = {variable} < h{tag}; t{tag} = split(L, c{tag})", op)
    w.line(f"if t{tag} == 0: break")
    w.line(f"if t{tag} == 2: L.mask = both(L.mask, c{tag})")
    out = w.block(body)
    _merge(w, targets, out, f"t{tag} == 1 and L.mask is m{tag}", "L.mask")
    w.line(f"{variable} = {variable} + s{tag}")
    w.loop(op, body.arguments[0], first)
    w.depth -= 1
    w.line(f"L.mask = m{tag}")


def _merge(w: Writer, targets: list[str], out: list[ir.Value], whole: str, mask: str) -> None:
    """Loop-carried values: lanes that have left keep theirs."""
    for index, value in enumerate(out):
        w.line(f"n{index} = {w.lanes_name(value)}")
    if targets:
        w.line(f"if {whole}: {'; '.join(f'{t} = n{i}' for i, t in enumerate(targets))}")
        w.line(f"else: {'; '.join(f'{t} = select({mask}, n{i}, {t})' for i, t in enumerate(targets))}")


def _while(w: Writer, op: ir.Operation) -> None:
    before, after = op.regions[0].blocks[0], op.regions[1].blocks[0]
    tag, results = len(w.lines), list(op.results)
    carried = [w.name(v) for v in before.arguments]
    _assign(w, carried, [w.lanes_name(v) for v in op.operands])
    w.line(f"m{tag} = L.mask; e{tag} = 0", op)
    spins = w.spins(op)
    if spins:
        w.line(f"w{tag} = Spin(L)", op)
    w.line("while True:")
    w.depth += 1
    condition, *passed = w.block(before)
    for index, (result, value) in enumerate(zip(results, passed, strict=True)):
        w.line(f"p{tag}_{index} = {w.lanes_name(value)}")
        text = f"p{tag}_{index} if L.mask is m{tag} else select(L.mask, p{tag}_{index}, {w.name(result)})"
        w.line(f"{w.name(result)} = {text}")
    w.line(f"c{tag} = {w.lanes_name(condition)}; t{tag} = {_splitter(w, op)}(L, c{tag})", op)
    w.line(f"if t{tag} == 0: break")
    w.line(f"if t{tag} == 2: L.mask = both(L.mask, c{tag})")
    if spins:
        values = ", ".join([f"c{tag}", *(f"p{tag}_{k}" for k in range(len(passed)))])
        w.line(f"yield w{tag}.round({values})", op)
    _assign(w, [w.name(v) for v in after.arguments], [f"p{tag}_{k}" for k in range(len(passed))])
    out = w.block(after)
    _merge(w, carried, out, f"L.mask is m{tag}", "L.mask")
    w.depth -= 1
    w.line(f"L.mask = m{tag}")


RULES: dict[str, Callable[[Any, ir.Operation], None]] = {"scf.if": _if, "scf.for": _for, "scf.while": _while}


# ---- what the generated code calls ---------------------------------------------------------------
def split(lanes: Any, condition: np.ndarray) -> int:
    """1: the condition holds in all active lanes, 0: in none, 2: in some."""
    if lanes.mask is None:
        true = int(np.count_nonzero(condition))
        return 1 if true == condition.size else 0 if true == 0 else 2
    if not (lanes.mask & condition).any():
        return 0
    return 2 if (lanes.mask & ~condition).any() else 1


def split_together(lanes: Any, condition: np.ndarray) -> int:
    """As `split`, for bodies whose warps move together: raises Diverged when whole CTAs go different ways.

    Those of one cluster stay together, under masks.
    """
    case = split(lanes, condition)
    if case == 2 and lanes.batch.ctas > 1:
        active = np.broadcast_to(np.bool_(True) if lanes.mask is None else lanes.mask, lanes.shape)
        yes, no = (np.logical_or.reduce(active & side, axis=1) for side in (condition, ~condition))
        clusters = yes.reshape(-1, lanes.batch.cluster)
        if not (yes & no).any() and (clusters == clusters[:, :1]).all():
            raise Diverged(yes)
    return case


def same_trips(lanes: Any, low: np.ndarray, high: np.ndarray, step: np.ndarray) -> None:
    """Raises Diverged when a loop takes different numbers of trips in different CTAs and one number in each."""
    trips = np.maximum(-((low.astype(np.int64) - high) // step), 0)
    if trips.shape[0] == 1 or (trips == trips[:1]).all():
        return
    active = np.broadcast_to(np.bool_(True) if lanes.mask is None else lanes.mask, lanes.shape)
    most, least = np.where(active, trips, -1).max(1), np.where(active, trips, _MANY).min(1)
    if (most == least)[active.any(1)].all():
        raise Diverged(most)


def one_row(value: np.ndarray) -> np.ndarray:
    """The value with one row when all CTAs agree: addresses made of it then show that they agree, too."""
    return value[:1] if (value == value[:1]).all() else value


def both(mask: np.ndarray | None, condition: np.ndarray) -> np.ndarray:
    return condition if mask is None else mask & condition


def _same(value: Any) -> Any:
    return value


def branch(lanes: Any, condition: np.ndarray, yes: Any, no: Any, roles: tuple[str, str], part: int) -> Any:
    """Run a branch whose body waits; returns its results. With `part` (no results then), so many threads at a time
    move on their own in its first side."""
    if _parts_clusters(lanes, condition):
        return (yield from _by_cta(lanes, condition, yes, no))
    mixed = _mixed_columns(lanes, condition)
    if mixed is not None:
        return (yield from _by_columns(lanes, condition, mixed, yes, no, roles, part))
    case = split_together(lanes, condition)
    out: list[Any] = []
    if case != 2:
        side = yes if case == 1 else no
        if side is not None:
            yield from side(lanes, _same, out)
        return out
    outs: tuple[list[Any], list[Any]] = ([], [])
    sides = lambda L, take: yes(L, take, outs[0]), no and (lambda L, take: no(L, take, outs[1]))
    fork = lanes.fork(condition, *sides, roles, part)
    yield fork
    full = np.broadcast_to(condition, (condition.shape[0], lanes.count))[0]
    return [_scatter(full, a, b) for a, b in zip(*outs, strict=True)] if no and not part else []


def _parts_clusters(lanes: Any, condition: np.ndarray) -> bool:
    """Whether whole CTAs of one cluster go different ways: these cannot be simulated apart."""
    cluster = lanes.batch.cluster
    if cluster == 1 or split(lanes, condition) != 2:
        return False
    active = np.broadcast_to(np.bool_(True) if lanes.mask is None else lanes.mask, lanes.shape)
    yes, no = (np.logical_or.reduce(active & side, axis=1) for side in (condition, ~condition))
    mixed = yes.reshape(-1, cluster).any(1) & no.reshape(-1, cluster).any(1)
    return bool(mixed.any() and not (yes & no).any())


def _mixed_columns(lanes: Any, condition: np.ndarray) -> np.ndarray | None:
    """The threads that go different ways in the CTAs of a cluster, where others go one way; None without any."""
    cluster = lanes.batch.cluster
    if cluster == 1 or condition.shape[0] == 1:
        return None
    clusters = np.broadcast_to(condition, (condition.shape[0], lanes.count)).reshape(-1, cluster, lanes.count)
    mixed = clusters[0].any(0) & ~clusters[0].all(0)
    return None if (clusters != clusters[:1]).any() or not mixed.any() or mixed.all() else mixed


def _by_columns(
    lanes: Any, condition: np.ndarray, mixed: np.ndarray, yes: Any, no: Any, roles: tuple[str, str], part: int
) -> Any:
    """Threads that go different ways in the CTAs of a cluster move apart from the others."""
    outs: tuple[list[Any], list[Any]] = ([], [])

    def side(out: list[Any], run: Any) -> Any:
        def body(inner: Any, take: Any) -> Any:
            first, second = (body and _taking(body, take) for body in (yes, no))
            out[:] = yield from run(inner, take(np.broadcast_to(condition, lanes.shape)), first, second)

        return body

    rest = lambda inner, holds, first, second: branch(inner, holds, first, second, roles, part)
    columns = np.broadcast_to(mixed, (condition.shape[0], lanes.count))
    yield lanes.fork(columns, side(outs[0], _by_cta), side(outs[1], rest))
    return [_scatter(mixed, a, b) for a, b in zip(*outs, strict=True)] if no and not part else []


def _taking(body: Any, take: Any) -> Any:
    """A side of a branch for some of its threads."""
    return lambda lanes, further, out: body(lanes, lambda value: further(take(value)), out)


def _by_cta(lanes: Any, condition: np.ndarray, yes: Any, no: Any) -> Any:
    """One side after the other, each in its CTAs; a first side that waits for the second one does so for ever."""
    outs: tuple[list[Any], list[Any]] = ([], [])
    mask = lanes.mask
    for side, holds, out in zip((yes, no), (condition, ~condition), outs, strict=True):
        if side is not None:
            lanes.mask = both(mask, np.broadcast_to(holds, lanes.shape))
            yield from side(lanes, _same, out)
    lanes.mask = mask
    return [select(condition, a, b) for a, b in zip(*outs, strict=True)] if no else []


def _scatter(columns: np.ndarray, yes: Any, no: Any) -> Any:
    """Results of two agents put back in place."""
    if isinstance(yes, tuple):
        return tuple(_scatter(columns, a, b) for a, b in zip(yes, no, strict=True))
    rows = max(yes.shape[0], no.shape[0])
    out = np.empty((rows, len(columns), *yes.shape[2:]), yes.dtype)
    out[:, columns] = yes
    out[:, ~columns] = no
    return out


HELPERS = {
    "Spin": Spin,
    "split": split,
    "split_together": split_together,
    "same_trips": same_trips,
    "one_row": one_row,
    "both": both,
    "branch": branch,
    "select": select,
}
