"""Fragments that no registers hold: a warning, and far beyond them an error.

Programs of TileLang that spill a little run well. What takes many times the registers runs out of device memory and
compiles for minutes; hardly anybody means it.
"""

from __future__ import annotations

from collections.abc import Mapping

from tilelang_mlir.dialect.location import python_location
from tilelang_mlir.dialect.products import PRODUCTS, factors
from tilelang_mlir.dialect.tl import FRAGMENT, scope_of
from tilelang_mlir.errors import ResourceError
from tilelang_mlir.frontend.suspicion import Suspicion, issue
from tilelang_mlir.frontend.suspicions import name_of
from tilelang_mlir.mlir import ir
from tilelang_mlir.passes.fragment_demand import most_at_once, registers_of
from tilelang_mlir.passes.walk import launches, nested
from tilelang_mlir.target import Feature, Target

_NAMED = 3  # the largest fragments, by name
_CROWDED = 1.5  # times the registers of a thread: less is held at the price of a few spills
_HOPELESS = 5  # times: an error from there on


def check(module: ir.Module, target: Target, configs: Mapping[str, object], *, quietly: bool = False) -> None:
    """A `TileWarning` for every kernel whose fragments are too many, unless `quietly`.

    Raises:
        ResourceError: they take more than five times a thread's registers, and the pass configs do not allow it.
    """
    allowed = bool(configs.get("tl.allow_register_spills"))
    with module.context:
        for suspicion, times in crowded(module, target):
            if times > _HOPELESS and not allowed:
                raise ResourceError(
                    suspicion.message, suspicion.location, notes=suspicion.notes,
                    hint="more threads or smaller tiles; pass_configs={'tl.allow_register_spills': True} compiles it "
                    "all the same",
                )  # fmt: skip
            if not quietly:
                issue(suspicion)


def crowded(module: ir.Module, target: Target) -> list[tuple[Suspicion, float]]:
    """Kernels whose fragments take far more than the registers, and how many times those: they are compiled for long,
    and live in memory.

    Sums in tensor memory do not count.
    """
    found: list[tuple[Suspicion, float]] = []
    for launch in launches(module):
        inside = list(nested(launch))
        if target.supports(Feature.TCGEN05):
            sums = [factors(op)[2] for op in inside if op.name in PRODUCTS]
            inside = [op for op in inside if op.name != "tl.alloc" or op.results[0] not in sums]
        most, least = target.thread_registers, int(_CROWDED * target.thread_registers)
        demand = most_at_once(inside, least)
        if demand > least:
            fragments = [op for op in inside if op.name == "tl.alloc" and scope_of(op.results[0]) == FRAGMENT]
            found.append((_crowd(launch, demand, most, fragments), demand / most))
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
