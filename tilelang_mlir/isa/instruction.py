"""What a table entry is, and what it may ask of the machine that runs it.

Lanes and shapes: a batch of C CTAs with T threads each runs in lock step. A scalar operand is an array of shape (C,
T), where either extent may be 1 (the value does not vary along it), or a Python scalar when it is the same everywhere;
a vector operand has a trailing axis of its elements; a struct is a tuple. i1 is bool, bf16 is carried as float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, Flag
from typing import Any, Protocol

import numpy as np

from tilelang_mlir.mlir import ContextTable, ir
from tilelang_mlir.target import Feature

GLOBAL, SHARED, PRIVATE, TENSOR, CLUSTER = 1, 3, 0, 6, 7
"""Address spaces of the thread program (the numbers of `!llvm.ptr<n>`)."""
WARP, WARPGROUP = 32, 128
DEVICE_DONE = "device done"
"""The scope of a fence that waits for a warp's own accesses to device memory (S_WAITCNT vmcnt(0), vscnt(0))."""
_PARSED = ContextTable()


class Access(Enum):
    """How an instruction touches memory or orders others."""

    READ = "read"
    WRITE = "write"
    ATOMIC = "atomic"
    BARRIER = "barrier"
    COMMIT = "commit"
    WAIT = "wait"
    FENCE = "fence"
    TAKE_OVER = "take over"  # CTAs that have not started


class MemoryOrder(Flag):
    """What an atomic access or a fence orders besides itself (PTX ISA 8.7, section 8.4)."""

    RELAXED = 0
    ACQUIRE = 1
    RELEASE = 2
    BOTH = 3


@dataclass(frozen=True)
class Effect:
    """One effect of an instruction, as data.

    `operand` is the index of the pointer operand, `size` the bytes per accessing lane (0: given by an operand),
    `value` the operand whose type has this size, `group` the asynchronous queue whose wait completes the effect (""
    when it is complete at once); of a barrier, the only counter that it waits for.
    """

    access: Access
    space: int = -1
    operand: int = -1
    size: int = 0
    group: str = ""
    value: int = -1


class Machine(Protocol):
    """The lanes an instruction runs on: the services semantics may use. Implemented by the simulator.

    Every service checks bounds, alignment, initialisation and ordering where the simulator runs in checked mode,
    so semantics contain values only.
    """

    mask: np.ndarray | None
    whole: bool  # whether the lanes are whole warps
    site: int  # of the instruction, for reports
    shape: tuple[int, int]
    laneid: np.ndarray
    threads: np.ndarray  # the numbers of a CTA's threads
    engine: Any  # mbarriers, bulk copies and warpgroup products: `simulator.engine.Engine`

    def special(self, name: str) -> np.ndarray: ...
    def load(self, space: int, address: Any, size: int) -> np.ndarray: ...
    def store(self, space: int, address: Any, size: int, value: np.ndarray) -> None: ...
    def atomic(
        self, space: int, address: Any, dtype: np.dtype[Any], update: Callable[..., Any], *values: Any
    ) -> Any: ...
    def read_rows(self, address: np.ndarray, size: int, rows: np.ndarray) -> np.ndarray: ...
    def write_rows(self, address: np.ndarray, size: int, rows: np.ndarray, value: np.ndarray) -> None: ...
    def warps(self, value: Any) -> np.ndarray: ...
    def unwarp(self, value: np.ndarray) -> np.ndarray: ...
    def first_columns(self, count: int) -> np.ndarray: ...
    def active(self) -> np.ndarray: ...
    def copy_async(self, shared: Any, source: Any, size: int, valid: Any) -> None: ...
    def commit_async(self) -> None: ...
    def wait_async(self, pending: int) -> None: ...
    def barrier(self, number: Any, threads: int | None, wait: bool) -> object: ...
    def barrier_reduce(self, number: int, threads: int | None, kind: str, predicate: Any) -> object: ...
    def grid_barrier(self) -> object: ...
    def existing(self) -> np.ndarray: ...
    def require_whole_warps(self, what: str) -> None: ...
    def require_warps(self, what: str) -> None: ...
    def sync_warp(self, members: Any) -> None: ...
    def fence(self, scope: str, order: MemoryOrder = MemoryOrder.BOTH) -> None: ...


Run = Callable[..., Any]
Semantics = Callable[[ir.Operation], Run]


@dataclass(frozen=True)
class Grid:
    """Lets an executor run independent matrix instructions as one batched product.

    `split(op)` returns the operands of a as a tuple, of b and of c; `run(op)` returns a function
    (machine, [a, ...], [b, ...], [c, ...]) -> [d, ...] for len(a) x len(b) instructions, row by row.
    """

    split: Callable[[ir.Operation], tuple[tuple[ir.Value, ...], tuple[ir.Value, ...], tuple[ir.Value, ...]]]
    run: Semantics


@dataclass(frozen=True)
class Instruction:
    """One instruction. `name` is the op name or the `tl.instr` name; `section` cites the vendor's ISA document.

    `semantics(op)` reads the op's attributes once and returns `fn(machine, *operands)`, which returns the result, a
    tuple for a struct, or None. A `blocking` instruction's function returns a wait object, whose `outcome()` is the
    result in the end, or None when complete with the result true.
    `together` is the number of neighbouring threads that must execute it together: 0, a warp or a warpgroup. The result
    of a `view` is an address made of its first operand.
    """

    name: str
    ptx: str
    section: str
    semantics: Semantics
    emit: Callable[..., Any] | None = None
    feature: Feature | None = None
    effects: tuple[Effect, ...] = field(default=())
    blocking: bool = False
    together: int = 0
    grid: Grid | None = None
    view: bool = False


def flags(op: ir.Operation, name: str) -> str:
    """The text of an attribute, or an empty string when the op has none of that name."""
    return str(op.attributes[name]) if name in op.attributes else ""


def integer(op: ir.Operation, name: str, default: int = 0) -> int:
    """The value of an integer attribute."""
    return int(ir.IntegerAttr(op.attributes[name]).value) if name in op.attributes else default


def create(name: str, operands: Sequence[ir.Value] = (), results: Sequence[ir.Type] = (), **attributes: Any) -> Any:
    """Create an op at the insertion point; returns its only result, the op when it has none.

    Attributes given as text are parsed; a trailing underscore of a keyword is dropped.
    """
    parsed = {
        key.rstrip("_"): _parsed(value) if isinstance(value, str) else value for key, value in attributes.items()
    }
    op = ir.Operation.create(name, results=list(results), operands=list(operands), attributes=parsed)
    return op.result if len(results) == 1 else op


def _parsed(text: str) -> ir.Attribute:
    known = _PARSED.of(ir.Context.current)
    if (attribute := known.get(text)) is None:
        attribute = known[text] = ir.Attribute.parse(text)
    return attribute


def type_of(text: str) -> ir.Type:
    """A type by its spelling; parsing takes as long as making an op, so what was parsed is kept."""
    known = _PARSED.of(ir.Context.current)
    if (kind := known.get(("type", text))) is None:
        kind = known["type", text] = ir.Type.parse(text)
    return kind


def inline_ptx(
    instr: str,
    text: str,
    reads: Sequence[ir.Value] = (),
    results: Sequence[ir.Type] = (),
    attributes: Mapping[str, ir.Attribute] | None = None,
) -> Any:
    """Create an `nvvm.inline_ptx` marked with its table entry. Placeholders are {$rN} for reads, {$wN} for results.

    `attributes` are what the semantics need to know beside the operands.
    """
    segments = ir.DenseI32ArrayAttr.get([len(reads), 0, 0])  # reads, read-writes, predicate
    op = ir.Operation.create(
        "nvvm.inline_ptx",
        results=list(results),
        operands=list(reads),
        attributes={
            "ptxCode": ir.StringAttr.get(text),
            "operandSegmentSizes": segments,
            "tl.instr": ir.StringAttr.get(instr),
            **(attributes or {}),
        },
    )
    return op.results[0] if len(results) == 1 else list(op.results)


def grid_barrier(op: ir.Operation) -> Run:
    """Semantics of a barrier of all CTAs of a grid."""
    del op

    return lambda machine: machine.grid_barrier()


def constant(value: int, bits: int = 32) -> ir.Value:
    """An integer constant at the insertion point."""
    kind = ir.IntegerType.get_signless(bits)
    return ir.Operation.create(
        "arith.constant", results=[kind], attributes={"value": ir.IntegerAttr.get(kind, value)}
    ).result


def unpack(struct: ir.Value, count: int, kind: ir.Type) -> list[ir.Value]:
    """The fields of a struct value of `count` fields of one type."""
    results, operands = [kind], [struct]
    known = _PARSED.of(ir.Context.current)
    if (positions := known.get("positions")) is None or len(positions) < count:
        positions = known["positions"] = [{"position": ir.DenseI64ArrayAttr.get([i])} for i in range(max(count, 8))]
    return [
        ir.Operation.create("llvm.extractvalue", results, operands, attributes).result
        for attributes in positions[:count]
    ]


def bitcast(value: ir.Value, kind: ir.Type) -> ir.Value:
    """The value reinterpreted as another type of the same width."""
    return value if value.type == kind else create("llvm.bitcast", [value], [kind])
