"""A program's own schedule of warp roles, as data: which warps run what, and where they wait for each other.

A pipeline has `depth` versions of its buffers, and two mbarriers for each: the producer acquires a version (waits
until it is empty) and commits it (says that it is full), the consumer waits for it and releases it. A scope is a loop
of the kernel, or its top level; its bodies say role by role what runs in an iteration, in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tilelang_mlir.mlir import ir

ROOT = "tl.ws_scope_root"
MARK = "tl.ws_op"  # the attribute that names a scheduled operation
PIPELINE = "tl.ws_pipeline"  # that of an allocation with the pipeline that protects it
OPENS = {"acquire": "commit", "wait": "release"}
PRODUCER = ("acquire", "commit")
WARPS_PER_GROUP = 4


@dataclass(frozen=True)
class Role:
    """Warps `first` to `last - 1`; `registers` per thread, 0 for as many as there are."""

    name: str
    first: int
    last: int
    registers: int = 0

    @property
    def threads(self) -> int:
        return 32 * (self.last - self.first)

    @property
    def groups(self) -> range:
        """The warpgroups that the role has warps of."""
        return range(self.first // WARPS_PER_GROUP, -(-self.last // WARPS_PER_GROUP))

    @property
    def is_whole(self) -> bool:
        """Whether it has whole warpgroups, which can share the work of tile operations."""
        return self.first % WARPS_PER_GROUP == self.last % WARPS_PER_GROUP == 0


@dataclass(frozen=True)
class Pipeline:
    """`depth` versions of the buffers whose allocations name the pipeline."""

    name: str
    depth: int


@dataclass(frozen=True)
class Sync:
    """Acquire, commit, wait or release a version, `stage` iterations behind the first stage of the body."""

    kind: str
    pipeline: str
    stage: int = 0

    @property
    def opens(self) -> bool:
        return self.kind in OPENS

    @property
    def is_producer(self) -> bool:
        return self.kind in PRODUCER

    def __str__(self) -> str:
        return f"{self.kind} of {self.pipeline!r}"


Step = str | Sync  # an operation or a scope by its name, or a synchronisation


@dataclass(frozen=True)
class Scope:
    """The bodies of a loop by role; a role without one skips the loop."""

    name: str
    bodies: dict[str, tuple[Step, ...]]


@dataclass(frozen=True)
class Schedule:
    """The roles of a kernel's warps and what each runs."""

    warps: int
    roles: tuple[Role, ...]
    pipelines: tuple[Pipeline, ...]
    scopes: tuple[Scope, ...]

    def scope(self, name: str) -> Scope | None:
        return next((scope for scope in self.scopes if scope.name == name), None)

    def role(self, name: str) -> Role:
        return next(role for role in self.roles if role.name == name)

    def steps(self) -> Iterator[tuple[Scope, str, Step]]:
        """Every step with its scope and role."""
        for scope in self.scopes:
            for role, body in scope.bodies.items():
                for step in body:
                    yield scope, role, step

    def signaller(self, pipeline: str, kind: str) -> str:
        """The role that commits, or releases, a pipeline; empty when none does."""
        return next(
            (r for _, r, s in self.steps() if isinstance(s, Sync) and (s.pipeline, s.kind) == (pipeline, kind)), ""
        )


# -- as attributes -----------------------------------------------------------------------------------------------------
def attributes(schedule: Schedule) -> dict[str, ir.Attribute]:
    """The attributes of `tl.ws_schedule`."""
    scopes = [
        {"name": s.name, "bodies": {role: [_step(step) for step in body] for role, body in s.bodies.items()}}
        for s in schedule.scopes
    ]
    data = {
        "warps": schedule.warps,
        "roles": [vars(role) for role in schedule.roles],
        "pipelines": [vars(pipeline) for pipeline in schedule.pipelines],
        "scopes": scopes,
    }
    return {name: _attribute(value) for name, value in data.items()}


def from_attributes(given: Any) -> Schedule:
    """The schedule in the attributes of `tl.ws_schedule`.

    Raises:
        KeyError, TypeError, ValueError: they hold no schedule.
    """
    data = {name: _value(given[name]) for name in ("warps", "roles", "pipelines", "scopes")}
    scopes = tuple(
        Scope(s["name"], {role: tuple(_from_step(step) for step in body) for role, body in s["bodies"].items()})
        for s in data["scopes"]
    )
    roles = tuple(Role(**role) for role in data["roles"])
    return Schedule(data["warps"], roles, tuple(Pipeline(**p) for p in data["pipelines"]), scopes)


def _step(step: Step) -> Any:
    return step if isinstance(step, str) else vars(step)


def _from_step(step: Any) -> Step:
    return step if isinstance(step, str) else Sync(**step)


def _attribute(value: Any) -> ir.Attribute:
    if isinstance(value, dict):
        return ir.DictAttr.get({name: _attribute(item) for name, item in value.items()})
    if isinstance(value, list | tuple):
        return ir.ArrayAttr.get([_attribute(item) for item in value])
    if isinstance(value, str):
        return ir.StringAttr.get(value)
    return ir.IntegerAttr.get(ir.IntegerType.get_signless(64), value)


def _value(attribute: ir.Attribute) -> Any:
    if isinstance(attribute, ir.DictAttr):
        return {item.name: _value(item.attr) for item in attribute}
    if isinstance(attribute, ir.ArrayAttr):
        return [_value(item) for item in attribute]
    if isinstance(attribute, ir.StringAttr | ir.IntegerAttr):
        return attribute.value
    raise TypeError(f"a schedule has no {attribute}")
