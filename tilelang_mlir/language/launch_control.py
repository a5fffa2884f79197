"""Cluster launch control: a running block takes over the work of one that has not started (Blackwell)."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.errors import TileTypeError
from tilelang_mlir.frontend.buffer import buffer_of, tile_of
from tilelang_mlir.frontend.builder import require
from tilelang_mlir.frontend.expr import INT32, Expr
from tilelang_mlir.language.sync import barrier_operands
from tilelang_mlir.mlir import ir


def _answer(what: str, result: Any) -> ir.Value:
    buffer = buffer_of(result, f"the answer of {what}")
    if buffer.memory != "shared":
        raise TileTypeError(f"{what} needs an answer in shared memory, got {buffer.memory} memory",
                            hint='allocate it with T.alloc_shared((4,), "uint32")')
    return tile_of(result, f"the answer of {what}")


def clc_try_cancel(result: Any, mbar: Any) -> None:
    """Ask for the work of a block that has not started; the answer's 16 bytes arrive as bytes of a barrier's phase.

        T.mbarrier_arrive_expect_tx(mbar, 16)
        T.clc_try_cancel(answer, mbar)

    Args:
        result: 16 bytes of shared memory, e.g. `T.alloc_shared((4,), "uint32")`. mbar: a barrier of `T.alloc_barrier`.

    Raises:
        TileTypeError: the answer is not in shared memory, or takes other than 16 bytes. UnsupportedError: on
            compilation, for a target without it.
    """
    what = "T.clc_try_cancel"
    builder, operands = barrier_operands(what, mbar)
    builder.emit("tl.clc_try_cancel", [_answer(what, result), *operands])


def clc_try_cancel_multicast(result: Any, mbar: Any) -> None:
    """`T.clc_try_cancel` by one block for its cluster: the answer arrives in every block of it, at the same places.

        T.mbarrier_arrive_expect_tx(mbar, 16)  # in every block
        if T.block_rank_in_cluster() == 0:
            T.clc_try_cancel_multicast(answer, mbar)

    Args:
        result: as for `T.clc_try_cancel`. mbar: a barrier of `T.alloc_cluster_barrier`.
    """
    what = "T.clc_try_cancel_multicast"
    builder, operands = barrier_operands(what, mbar)
    builder.emit("tl.clc_try_cancel", [_answer(what, result), *operands], [], {"multicast": ir.UnitAttr.get()})


def _query(what: str, result: Any, field: str) -> Expr:
    builder = require(what)
    builder.require_launch(what)
    answer = _answer(what, result)
    op = builder.emit("tl.clc_query", [answer], [builder.type(INT32)], {"field": ir.StringAttr.get(field)})
    builder.emit("tl.fence_proxy", [], [])  # the next answer is written where this one was read
    return Expr(INT32, value=op.results[0], frame=builder.frame)


def clc_is_canceled(result: Any) -> Expr:
    """1 when the answer names a block whose work is now this one's, else 0.

    As with every reading of an answer, a fence follows: threads that then meet may ask for the next one at its place.

        if T.clc_is_canceled(answer) != 0:
            bx = T.clc_get_first_ctaid_x(answer)
    """
    return _query("T.clc_is_canceled", result, "is_canceled")


def clc_get_first_ctaid_x(result: Any) -> Expr:
    """The x index of the block that the answer names; without one it has no value."""
    return _query("T.clc_get_first_ctaid_x", result, "x")


def clc_get_first_ctaid_y(result: Any) -> Expr:
    """The y index of the block that the answer names; without one it has no value."""
    return _query("T.clc_get_first_ctaid_y", result, "y")


def clc_get_first_ctaid_z(result: Any) -> Expr:
    """The z index of the block that the answer names; without one it has no value."""
    return _query("T.clc_get_first_ctaid_z", result, "z")
