"""How wide the vectors of a freely chosen layout are on targets with 256-bit accesses to device memory.

Accesses to shared memory stay at 128 bits: threads 32 bytes apart would meet in its banks.
"""

from __future__ import annotations

from collections.abc import Sequence

from tilelang_mlir.mlir import ir

from ...dialect.effects import region_effects, root
from ...dialect.tl import GLOBAL, SHARED, scope_of
from .plan import VECTOR

_WIDE = 256
_USERS = ("tl.copy", "tl.parallel", "tl.reduce")


def touches(op: ir.Operation, fragment: ir.Value) -> bool:
    """Whether a tile operation or parallel loop reads or writes a fragment."""
    return op.name in _USERS and any(root(effect.value) == fragment for effect in region_effects(op))


def vector_bits(users: Sequence[ir.Operation]) -> int:
    """256 where these operations reach device memory and no shared memory, else 128."""
    scopes = {scope_of(effect.value) for op in users for effect in region_effects(op)}
    return _WIDE if GLOBAL in scopes and SHARED not in scopes else VECTOR
