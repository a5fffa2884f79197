"""Schedules of warp roles that the program writes itself."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tilelang_mlir.dialect import role_schedule as data
from tilelang_mlir.dialect.effects import root
from tilelang_mlir.dialect.role_checks import obstacle
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend.buffer import Buffer, memory_of
from tilelang_mlir.frontend.expr import describe
from tilelang_mlir.language.kernel import current_kernel
from tilelang_mlir.language.marks import WSID, ws_op
from tilelang_mlir.mlir import ir

__all__ = [
    "WSID", "WSInstr", "WSOpRef", "WSPipeline", "WSRole", "WSSchedule", "WSScope", "WSSync", "WSSyncKind",
    "annotate_ws_pipeline_depth", "annotate_ws_schedule", "ws_op",
]  # fmt: skip


class WSSyncKind(enum.Enum):
    """What a step waits for or says: the producer waits for an empty version and says that it is full, the consumer the
    other way round."""

    PRODUCER_ACQUIRE = "acquire"
    PRODUCER_COMMIT = "commit"
    CONSUMER_WAIT = "wait"
    CONSUMER_RELEASE = "release"


class WSInstr:
    """A step of a role: `T.WSOpRef` or `T.WSSync`."""


@dataclass(frozen=True)
class WSOpRef(WSInstr):
    """A step that runs an operation or a scope by its name; a string in a body is the same."""

    id: str


@dataclass(frozen=True)
class WSSync(WSInstr):
    """A step that synchronises with the other role of a pipeline.

    `stage` counts iterations: what lies between a wait and its release at stage s runs s iterations behind the steps of
    stage 0 (more exactly: behind those of the lowest stage in the body).
    """

    kind: WSSyncKind
    pipeline: str
    stage: int = 0

    @classmethod
    def producer_acquire(cls, pipeline: str, stage: int = 0) -> WSSync:
        """Wait for an empty version."""
        return cls(WSSyncKind.PRODUCER_ACQUIRE, pipeline, stage)

    @classmethod
    def producer_commit(cls, pipeline: str, stage: int = 0) -> WSSync:
        """Say that the version is full."""
        return cls(WSSyncKind.PRODUCER_COMMIT, pipeline, stage)

    @classmethod
    def consumer_wait(cls, pipeline: str, stage: int = 0) -> WSSync:
        """Wait for a full version."""
        return cls(WSSyncKind.CONSUMER_WAIT, pipeline, stage)

    @classmethod
    def consumer_release(cls, pipeline: str, stage: int = 0) -> WSSync:
        """Say that the version is empty."""
        return cls(WSSyncKind.CONSUMER_RELEASE, pipeline, stage)


@dataclass(frozen=True)
class WSRole:
    """Warps `warps_lo` to `warps_hi - 1`, with a duty of their own.

    A role is some warps of one warpgroup of four, or whole warpgroups, which products of warpgroups and loads of tensor
    memory need. `max_nreg` registers per thread, the same for all roles of a warpgroup; 0 leaves them as they are.
    """

    name: str
    warps_lo: int = field(kw_only=True)
    warps_hi: int = field(kw_only=True)
    max_nreg: int = field(default=0, kw_only=True)


@dataclass(frozen=True)
class WSPipeline:
    """`depth` versions of buffers in shared or tensor memory, with a barrier for full and one for empty each."""

    name: str
    buffers: Sequence[Any]
    depth: int


@dataclass(frozen=True)
class WSScope:
    """What each role runs in an iteration of the loop called `id`, or once in the kernel (`T.WSScope.ROOT`)."""

    id: str
    bodies: Mapping[str, Sequence[WSInstr | str]]
    ROOT: ClassVar[str] = data.ROOT


@dataclass(frozen=True)
class WSSchedule:
    """How a kernel without roles becomes one with roles; `num_warps` (a multiple of 4) replaces its threads."""

    num_warps: int
    roles: Sequence[WSRole]
    pipelines: Sequence[WSPipeline]
    scopes: Sequence[WSScope]


def annotate_ws_schedule(schedule: WSSchedule) -> None:
    """Split the kernel into warp roles as the schedule says.

    Every statement has a name (`annotations={T.WSID: name}` or `with T.ws_op(name)`) and a place in the body of at
    least one role; scalar arithmetic needs none. A copy that fills a pipeline's buffer becomes a bulk copy that
    completes at the barrier where it can, a product into tensor memory an asynchronous one. An operation may have
    several places only if it touches no pipeline's buffer.

        T.annotate_ws_schedule(T.WSSchedule(
            num_warps=8,
            roles=[T.WSRole("load", warps_lo=0, warps_hi=1), T.WSRole("use", warps_lo=4, warps_hi=8)],
            pipelines=[T.WSPipeline("tile", [A_shared], depth=2)],
            scopes=[
                T.WSScope("loop", {
                    "load": [T.WSSync.producer_acquire("tile"), "copy_in", T.WSSync.producer_commit("tile")],
                    "use": [T.WSSync.consumer_wait("tile"), "copy_out", T.WSSync.consumer_release("tile")],
                }),
                T.WSScope(T.WSScope.ROOT, {"load": ["loop"], "use": ["loop"]}),
            ],
        ))
        for k in T.serial(n, annotations={T.WSID: "loop"}):
            T.copy(A[k * 64, 0], A_shared, annotations={T.WSID: "copy_in"})
            T.copy(A_shared, B[k * 64, 0], annotations={T.WSID: "copy_out"})

    Raises:
        TileTypeError, TileValueError: the schedule is inconsistent in itself, as roles that overlap, a wait without
            release, a pipeline without producer. When compiled, TileValueError: it does not fit the kernel, as a
            statement without a place, a buffer used outside of its wait, a deadlock. UnsupportedError: what the roles
            cannot do.
    """
    builder, _ = current_kernel("T.annotate_ws_schedule")
    if not isinstance(schedule, WSSchedule):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TileTypeError(f"T.annotate_ws_schedule takes a T.WSSchedule, got {describe(schedule)}")
    launch = builder.require_launch("T.annotate_ws_schedule")
    if builder.frame is not launch:
        raise TileValueError("T.annotate_ws_schedule inside a loop or a branch",
                             hint="call it once, at the top of the kernel, after the allocations")
    if any(op.operation.name == "tl.ws_schedule" for op in launch.block.operations):
        raise TileValueError("a second T.annotate_ws_schedule in one kernel")
    described = _data(schedule)
    if text := obstacle(described):
        raise TileValueError(f"the schedule of warp roles is inconsistent: {text}",
                             hint="T.WSRole, T.WSPipeline and T.WSScope say what each part means")
    for pipeline in schedule.pipelines:
        for item in pipeline.buffers:
            _protect(pipeline, item)
    builder.emit("tl.ws_schedule", [], [], data.attributes(described))


def _protect(pipeline: WSPipeline, item: Any) -> None:
    """Note the pipeline at the buffer's allocation."""
    if not isinstance(item, Buffer) or item.memory not in ("shared", "tmem"):
        raise TileTypeError(
            f"pipeline {pipeline.name!r} protects buffers in shared or tensor memory, got {describe(item)}",
            hint="registers do not pass between roles: copy the fragment to T.alloc_shared",
        )
    allocation = root(memory_of(item)).owner.operation
    if data.PIPELINE in allocation.attributes:
        raise TileValueError(f"{item!r} is in two pipelines", hint="a buffer has one producer and one consumer")
    allocation.attributes[data.PIPELINE] = ir.StringAttr.get(pipeline.name)


def _data(schedule: WSSchedule) -> data.Schedule:
    for part, kind in (("roles", WSRole), ("pipelines", WSPipeline), ("scopes", WSScope)):
        for item in getattr(schedule, part):
            if not isinstance(item, kind):
                raise TileTypeError(f"the {part} of a T.WSSchedule are T.{kind.__name__}, got {describe(item)}",
                                    hint="T.annotate_ws_schedule has an example")
    roles = tuple(
        data.Role(r.name, *(_whole(f"{name} of role {r.name!r}", getattr(r, name)) for name in _NUMBERS))
        for r in schedule.roles
    )
    pipelines = tuple(
        data.Pipeline(p.name, _whole(f"the depth of pipeline {p.name!r}", p.depth)) for p in schedule.pipelines
    )
    scopes = tuple(
        data.Scope(s.id, {role: tuple(_step(s, step) for step in body) for role, body in s.bodies.items()})
        for s in schedule.scopes
    )
    return data.Schedule(_whole("num_warps", schedule.num_warps), roles, pipelines, scopes)


_NUMBERS = ("warps_lo", "warps_hi", "max_nreg")


def _whole(what: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TileTypeError(f"{what} must be a Python integer, got {describe(value)}",
                            hint="the roles of a kernel are fixed when it is compiled")
    return value


def _step(scope: WSScope, step: Any) -> data.Step:
    if isinstance(step, WSOpRef):
        return step.id
    if isinstance(step, WSSync):
        if not isinstance(step.kind, WSSyncKind):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TileTypeError(f"the kind of a T.WSSync is a T.WSSyncKind, got {describe(step.kind)}",
                                hint='as in T.WSSync.consumer_wait("tile")')
        return data.Sync(step.kind.value, step.pipeline, _whole(f"the stage of {step.pipeline!r}", step.stage))
    if not isinstance(step, str):
        raise TileTypeError(f"a step of scope {scope.id!r} is a name or a T.WSSync, got {describe(step)}",
                            hint='as in ["load", T.WSSync.producer_commit("tile")]')
    return step


def annotate_ws_pipeline_depth(depths: Mapping[Any, int]) -> None:
    """How many versions of buffers are in flight when the compiler splits the kernel into roles: `{buffer: depth}`.

    For a tile that a pipelined loop loads it takes the place of the loop's `num_stages`; all tiles of one loop have one
    depth. For a sum in tensor memory it says how many output tiles are under way; the sum starts from zero in each.

        T.annotate_ws_pipeline_depth({A_shared: 4, B_shared: 4, C_tmem: 2})

    Raises:
        TileTypeError: no buffer in shared or tensor memory. TileValueError: no depth of 1 or more.
    """
    current_kernel("T.annotate_ws_pipeline_depth")
    for buffer, depth in depths.items():
        if not isinstance(buffer, Buffer) or buffer.memory not in ("shared", "tmem"):
            raise TileTypeError(f"T.annotate_ws_pipeline_depth: versions are of buffers in shared or tensor memory, "
                                f"got {describe(buffer)}")
        if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TileValueError(f"T.annotate_ws_pipeline_depth needs a positive number, got {describe(depth)}")
        kind = ir.IntegerType.get_signless(32)
        memory_of(buffer).owner.attributes["tl.versions"] = ir.IntegerAttr.get(kind, depth)
