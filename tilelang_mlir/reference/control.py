"""Control flow: kernels, parallel loops, and the structured ops of scf and func."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.reference.machine import Cta, Frame, integer, join, run, run_ctas
from tilelang_mlir.reference.program import Code, Instruction, Run
from tilelang_mlir.reference.types import Value

# Iterations of a while loop between two chances for other CTAs to run.
_SPIN = 64


def _nothing(op: Instruction, frame: Frame) -> None:
    """Terminators and ops whose meaning is already in the order of evaluation."""


def _launch(op: Instruction, frame: Frame) -> None:
    """tl.launch: every CTA of the grid, the first dimension fastest."""
    if "entry" in op.attributes:
        raise UnsupportedError(f"the reference evaluator does not run device code: {op.attributes['entry']}")
    sizes = [integer(frame.env[slot], "a grid size") for slot in op.operands]
    machine = frame.machine
    machine.grid_size, machine.grid_arrived = int(np.prod(sizes)), 0
    starts: Iterator[Callable[[], Iterator[str]]] = (
        _start(op, frame, reverse[::-1]) for reverse in itertools.product(*(range(size) for size in reversed(sizes)))
    )
    run_ctas(machine, starts)


def _start(op: Instruction, frame: Frame, index: tuple[int, ...]) -> Callable[[], Iterator[str]]:
    return lambda: _cta(op, frame, index)


def _cta(op: Instruction, frame: Frame, index: tuple[int, ...]) -> Iterator[str]:
    """One CTA with values of its own."""
    cta = Cta(frame.machine, op.attributes["threads"], index, cluster=op.attributes.get("cluster", (1, 1, 1)))
    env = list(frame.env)
    body = op.regions[0]
    for slot, value in zip(body.arguments, index, strict=True):
        env[slot] = np.int32(value)
    yield from run(body, Frame(env, frame.machine, cta, (int(np.prod(cta.threads)),)))
    yield from join(cta)


def _parallel(op: Instruction, frame: Frame) -> Iterator[str] | None:
    """tl.parallel: all iterations at once."""
    dynamic = [integer(frame.env[slot], "an extent") for slot in op.operands]
    extents = tuple(max(0, dynamic.pop(0)) if size == -1 else size for size in op.attributes["extents"])
    if 0 in extents or (frame.mask is not None and not frame.mask.any()):
        return None
    for slot in op.captures:
        if np.ndim(frame.env[slot]):
            raise UnsupportedError(
                "a parallel loop uses a value that differs between threads, and which thread runs an iteration is the "
                "layout's choice",
                hint="use the loop's own variables, or leave T.Parallel and compute per thread",
            )
    body = op.regions[0]
    for position, slot in enumerate(body.arguments):
        shape = [1] * len(extents)
        shape[position] = -1
        frame.env[slot] = np.arange(extents[position], dtype=np.int32).reshape(shape)
    inner = Frame(frame.env, frame.machine, frame.cta, extents, None, True, frame.aside)
    yield from run(body, inner)
    for buffer in inner.private:
        # Which thread ran the last iteration is the layout's choice, so the contents are nobody's.
        assert buffer.written is not None
        buffer.written[...] = False


def _if(op: Instruction, frame: Frame) -> Iterator[str] | None:
    if op.results:
        raise UnsupportedError("scf.if with results: mutable state lives in buffers at this level")
    condition = frame.env[op.operands[0]]
    if np.ndim(condition) == 0:
        if condition:
            return run(op.regions[0], frame)
        return run(op.regions[1], frame) if len(op.regions) > 1 else None
    return _divergent(op, condition, frame)


def _divergent(op: Instruction, condition: Value, frame: Frame) -> Iterator[str]:
    """Both branches under masks. One that waits for a barrier runs beside the rest of the program."""
    for code, taken in zip(op.regions, (condition, ~condition), strict=False):
        yield from _beside(op, code, taken, frame)


def _beside(op: Instruction, code: Code, taken: Value, frame: Frame) -> Iterator[str]:
    """Code that only some threads run; set aside when it waits, and run beside what was set aside before."""
    inner = frame.under(taken)
    if not inner.active().any():
        return
    if frame.aside or frame.cta is None or not (op.waits or frame.cta.waiting):
        yield from run(code, inner)
        return
    # A copy of the values: the program goes on and may reach the same code again.
    branch = Frame(
        list(frame.env), frame.machine, frame.cta, frame.lanes, inner.mask, frame.parallel, True, frame.private
    )
    task = run(code, branch)
    if next(task, None) is not None:
        frame.cta.waiting.append(task)


def _warpgroups(op: Instruction, frame: Frame) -> Iterator[str]:
    """tl.warpgroups: the threads of some warpgroups; beside the rest of the program when they wait."""
    size = 32 if "warps" in op.attributes else 128
    groups = op.attributes["groups"]
    return _beside(op, op.regions[0], np.isin(np.arange(frame.lanes[0]) // size, groups), frame)


def _for(op: Instruction, frame: Frame) -> Iterator[str]:
    if op.results:
        raise UnsupportedError("scf.for with results: mutable state lives in buffers at this level")
    low, high, step = (frame.env[slot] for slot in op.operands)
    body = op.regions[0]
    slot = body.arguments[0]
    if not (np.ndim(low) or np.ndim(high) or np.ndim(step)):
        kind = type(low)
        for value in range(int(low), int(high), int(step)):
            frame.env[slot] = kind(value)
            yield from run(body, frame)
        return
    value = low
    while (active := (value < high) & frame.active()).any():
        frame.env[slot] = value
        yield from run(body, frame.under(active))
        value = value + step


def _while(op: Instruction, frame: Frame) -> Iterator[str]:
    """scf.while without values: test, body, test, ... in every lane until its test fails."""
    if op.results or op.operands:
        raise UnsupportedError("scf.while with values: mutable state lives in buffers at this level")
    before, after = op.regions
    test = before.instructions[-1].operands[0]
    inner = frame
    for count in itertools.count():
        yield from run(before, inner)
        going = frame.env[test]
        if np.ndim(going) == 0:
            if not going:
                return
        else:
            inner = inner.under(going)
            if not inner.active().any():
                return
        if count >= _SPIN:
            yield "a while loop"
        yield from run(after, inner)


CONTROL: dict[str, Run] = {
    "tl.launch": _launch, "tl.parallel": _parallel, "tl.warpgroups": _warpgroups, "scf.if": _if,
    "scf.for": _for, "scf.while": _while,
    "scf.yield": _nothing, "scf.condition": _nothing, "func.return": _nothing, "tl.assume": _nothing,
}  # fmt: skip
