"""Warns of fragments that no registers hold."""

from __future__ import annotations

from tilelang_mlir.dialect.location import python_location
from tilelang_mlir.dialect.products import PRODUCTS, factors
from tilelang_mlir.dialect.tl import FRAGMENT, scope_of
from tilelang_mlir.frontend.suspicion import Suspicion, issue
from tilelang_mlir.frontend.suspicions import name_of
from tilelang_mlir.mlir import ir
from tilelang_mlir.passes.fragment_demand import most_at_once, registers_of
from tilelang_mlir.passes.walk import launches, nested
from tilelang_mlir.target import Feature, Target

_NAMED = 3  # the largest fragments, by name
_CROWDED = 1.5  # times the registers of a thread: less is held at the price of a few spills


def warn(module: ir.Module, target: Target) -> None:
    """Issue a `TileWarning` for every kernel whose fragments are too many."""
    with module.context:
        for suspicion in crowded(module, target):
            issue(suspicion)


def crowded(module: ir.Module, target: Target) -> list[Suspicion]:
    """Kernels whose fragments take far more than the registers: they are compiled for long, and live in memory.

    Sums in tensor memory do not count.
    """
    found: list[Suspicion] = []
    for launch in launches(module):
        inside = list(nested(launch))
        if target.supports(Feature.TCGEN05):
            sums = [factors(op)[2] for op in inside if op.name in PRODUCTS]
            inside = [op for op in inside if op.name != "tl.alloc" or op.results[0] not in sums]
        most, least = target.thread_registers, int(_CROWDED * target.thread_registers)
        demand = most_at_once(inside, least)
        if demand > least:
            fragments = [op for op in inside if op.name == "tl.alloc" and scope_of(op.results[0]) == FRAGMENT]
            found.append(_crowd(launch, demand, most, fragments))
    return found


def _crowd(launch: ir.Operation, demand: int, most: int, fragments: list[ir.Operation]) -> Suspicion:
    by_size = sorted(fragments, key=lambda op: -registers_of(op))[:_NAMED]
    notes = tuple((f"{name_of(op.results[0])}: {4 * registers_of(op)} bytes per thread", python_location(op.location))
                  for op in by_size)  # fmt: skip
    return Suspicion(
        f"fragments in use at one time take {4 * demand} bytes per thread or more, its registers hold {4 * most}",
        python_location(launch.location),
        "more threads or smaller tiles: the rest lives in memory, and compiles slowly",
        notes,
    )
