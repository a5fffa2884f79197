"""How the body of a parallel loop indexes fragments."""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.mlir import ir

from ...dialect.effects import root
from ...dialect.layout import Digit, Fragment
from ...dialect.tl import FRAGMENT, scope_of


@dataclass(frozen=True)
class Access:
    """One access to a fragment: per dimension, the loop variable that indexes it, or None for anything else."""

    fragment: ir.Value
    variables: tuple[int | None, ...]
    is_store: bool
    op: ir.Operation

    def covers(self, rank: int) -> bool:
        """Every loop variable indexes some dimension, and no dimension is indexed otherwise."""
        return sorted(v for v in self.variables if v is not None) == list(range(rank)) and None not in self.variables


def loop_accesses(loop: ir.Operation) -> list[Access]:
    """All fragment accesses of a parallel loop, stores first."""
    variables = {v: i for i, v in enumerate(loop.regions[0].blocks[0].arguments)}
    found: list[Access] = []
    for op in _walk(loop):
        if op.name not in ("memref.load", "memref.store", "tl.reducer_update"):
            continue
        first = {"memref.load": 0, "memref.store": 1, "tl.reducer_update": 0}[op.name]
        buffer = op.operands[first]
        if scope_of(buffer) != FRAGMENT:
            continue
        skip = first + (2 if op.name == "tl.reducer_update" else 1)
        indices = tuple(variables.get(_strip(v)) for v in list(op.operands)[skip:])
        found.append(Access(root(buffer) if _is_plain(buffer) else buffer, indices, op.name != "memref.load", op))
    return sorted(found, key=lambda a: not a.is_store)


def _is_plain(buffer: ir.Value) -> bool:
    return buffer.owner.operation.name != "tl.reshape"


def _strip(value: ir.Value) -> ir.Value:
    """Look through index casts."""
    while not isinstance(value.owner, ir.Block) and value.owner.operation.name.startswith("arith.index_cast"):
        value = value.owner.operation.operands[0]
    return value


def _walk(op: ir.Operation) -> list[ir.Operation]:
    out: list[ir.Operation] = []
    for region in op.regions:
        for block in region.blocks:
            for inner in block.operations:
                out += [inner.operation, *_walk(inner.operation)]
    return out


def loop_layout_from(access: Access, fragment: Fragment) -> Fragment:
    """The loop layout in which every iteration runs where its element of a fully covered fragment lies."""
    place = {dim: variable for dim, variable in enumerate(access.variables) if variable is not None}
    shape = [0] * len(place)
    for dim, variable in place.items():
        shape[variable] = fragment.shape[dim]
    rename = lambda ds: tuple(Digit(d.size, place.get(d.dim, -1), d.stride) for d in ds)  # noqa: E731
    return Fragment(tuple(shape), rename(fragment.thread), rename(fragment.value))


def fragment_from_loop(access: Access, loop: Fragment, shape: tuple[int, ...]) -> Fragment | None:
    """The fragment whose elements lie where the loop's iterations use them; None when an index is no loop variable
    (dimensions of size one aside) or the loop covers less than the fragment."""
    dims = [v for v, size in zip(access.variables, shape, strict=True) if size != 1 or v is not None]
    if None in dims or len(set(dims)) != len(dims):
        return None
    kept = [v for v in dims if v is not None]
    if any(
        loop.shape[v] < size
        for v, size in zip(
            kept, (s for s, a in zip(shape, access.variables, strict=True) if s != 1 or a is not None), strict=True
        )
    ):
        return None
    projected = loop.project(kept)
    positions = [
        i for i, (v, size) in enumerate(zip(access.variables, shape, strict=True)) if size != 1 or v is not None
    ]
    return projected.with_dims(shape, positions)
