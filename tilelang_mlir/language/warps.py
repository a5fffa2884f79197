"""Code of some warpgroups only, and how registers are shared between them."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from tilelang_mlir.errors import TileError, TileTypeError, TileValueError
from tilelang_mlir.frontend.builder import Frame, require
from tilelang_mlir.frontend.expr import describe
from tilelang_mlir.language.kernel import current_kernel
from tilelang_mlir.mlir import ir

WARPGROUP = 128


class WarpSpecialize:
    """`with T.ws(0):` the body runs in the given warpgroups of 128 threads only.

    Inside, tile operations, layouts and `T.sync_threads` count those threads. Regions of different warpgroups run at
    the same time; what one writes and another reads is ordered by mbarriers.

        with T.ws(1):
            T.dec_max_nreg(24)
            T.tma_copy(A[0, 0], A_shared, barrier=full)
        with T.ws(0):
            T.mbarrier_wait_parity(full, 0)

    Raises:
        TileValueError: a warpgroup that the block does not have, or warpgroups that do not follow each other.
        TileError: nested regions.
    """

    def __init__(self, *warp_group_idx: Any) -> None:
        builder, kernel = current_kernel("T.ws")
        groups = sorted(set(warp_group_idx))
        if not groups:
            raise TileTypeError("T.ws needs at least one warpgroup: T.ws(0)")
        for group in groups:
            if isinstance(group, bool) or not isinstance(group, int) or group < 0:
                raise TileTypeError(f"T.ws: a warpgroup is a Python integer of 0 or more, got {describe(group)}")
        total = kernel.threads[0] * kernel.threads[1] * kernel.threads[2]
        if kernel.threads[1:] != (1, 1) or (groups[-1] + 1) * WARPGROUP > total:
            raise TileValueError(
                f"T.ws: a block of {total} threads has no warpgroup {groups[-1]}",
                hint=f"T.Kernel(..., threads={(groups[-1] + 1) * WARPGROUP})",
            )
        if groups != list(range(groups[0], groups[-1] + 1)):
            raise TileValueError(f"T.ws: warpgroups {groups} do not follow each other", hint="use one T.ws each")
        if any(frame.kind == "ws" for frame in builder.frames):
            raise TileError("T.ws inside another T.ws")
        self.groups = groups
        self.frame: Frame | None = None

    def __enter__(self) -> None:
        builder = require("T.ws")
        attributes = {"groups": ir.DenseI32ArrayAttr.get(self.groups)}
        op = builder.emit("tl.warpgroups", [], [], attributes, regions=1)
        self.frame = builder.push("ws", op.regions[0].blocks.append())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None and self.frame is not None:
            require("T.ws").pop(self.frame)


ws = WarpSpecialize
WarpSpecializeFrame = WarpSpecialize


def annotate_producer_reg_dealloc(reg_count: int = 24) -> None:
    """Registers per thread that the producer keeps when the compiler splits the kernel into roles."""
    _annotate("T.annotate_producer_reg_dealloc", "producer_registers", reg_count)


def annotate_consumer_reg_alloc(reg_count: int = 240) -> None:
    """Registers per thread that the consumers get when the compiler splits the kernel into roles."""
    _annotate("T.annotate_consumer_reg_alloc", "consumer_registers", reg_count)


def no_set_max_nreg() -> None:
    """Leave the registers of the roles as they are: no `setmaxnreg` from the compiler."""
    _launch("T.no_set_max_nreg").attributes["keep_registers"] = ir.UnitAttr.get()


def disable_warp_group_reg_alloc() -> None:
    """The same as `T.no_set_max_nreg`."""
    _launch("T.disable_warp_group_reg_alloc").attributes["keep_registers"] = ir.UnitAttr.get()


def _annotate(what: str, name: str, number: Any) -> None:
    if isinstance(number, bool) or not isinstance(number, int) or number % 8 or not 24 <= number <= 256:
        raise TileValueError(f"{what} needs a multiple of 8 from 24 to 256, got {describe(number)}")
    _launch(what).attributes[name] = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), number)


def _launch(what: str) -> ir.Operation:
    return require(what).require_launch(what).block.owner
