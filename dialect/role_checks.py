"""What makes a schedule of warp roles inconsistent in itself, whatever the kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .role_schedule import OPENS, ROOT, WARPS_PER_GROUP, Schedule, Scope, Sync


def obstacle(schedule: Schedule) -> str:
    """What is wrong with a schedule, or an empty string."""
    checks: tuple[Callable[[Schedule], str], ...] = (_names, _roles, _registers, _pipelines, _references, _places)
    found = next((text for check in checks if (text := check(schedule))), "")
    return found or next(
        (text for scope in schedule.scopes for role in scope.bodies if (text := _spans(scope, role))), ""
    ) or _sides(schedule) or _balance(schedule)


def _twice(names: Iterable[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""


def _names(schedule: Schedule) -> str:
    for what, things in (("roles", schedule.roles), ("pipelines", schedule.pipelines), ("scopes", schedule.scopes)):
        if name := _twice(thing.name for thing in things):
            return f"two {what} are called {name!r}"
    return "" if schedule.scope(ROOT) else "there is no root scope: T.WSScope(T.WSScope.ROOT, ...)"


def _roles(schedule: Schedule) -> str:
    if schedule.warps < 1 or schedule.warps % WARPS_PER_GROUP:
        return f"num_warps is {schedule.warps}, expected a positive multiple of 4, whole warpgroups"
    if not schedule.roles:
        return "it has no roles"
    roles = sorted(schedule.roles, key=lambda role: role.first)
    for role in roles:
        if not 0 <= role.first < role.last <= schedule.warps:
            given = f"{role.first} to {role.last}"
            return f"role {role.name!r} has warps {given}, expected a range in 0 to {schedule.warps}"
        if len(role.groups) > 1 and not role.is_whole:
            return (
                f"role {role.name!r} has warps {role.first} to {role.last}, expected some of one warpgroup "
                "or whole warpgroups"
            )
    for before, after in zip(roles, roles[1:], strict=False):
        if after.first < before.last:
            return f"roles {before.name!r} and {after.name!r} share warp {after.first}"
    return ""


def _registers(schedule: Schedule) -> str:
    budgets: dict[int, tuple[str, int]] = {}
    for role in schedule.roles:
        if role.registers and (role.registers % 8 or not 24 <= role.registers <= 256):
            return f"max_nreg of role {role.name!r} is {role.registers}, expected 0 or a multiple of 8 from 24 to 256"
        for group in role.groups:
            other, registers = budgets.setdefault(group, (role.name, role.registers))
            if registers != role.registers:
                return (
                    f"roles {other!r} and {role.name!r} have warps of one warpgroup and ask for {registers} and "
                    f"{role.registers} registers; a warpgroup has one number"
                )
    return ""


def _pipelines(schedule: Schedule) -> str:
    for pipeline in schedule.pipelines:
        if pipeline.depth < 1:
            return f"pipeline {pipeline.name!r} has depth {pipeline.depth}, expected 1 or more"
    return ""


def _references(schedule: Schedule) -> str:
    """Names in bodies belong to roles and pipelines; scopes form a tree with the root on top."""
    roles, pipelines = {role.name for role in schedule.roles}, {p.name for p in schedule.pipelines}
    parents: dict[str, str] = {}
    for scope in schedule.scopes:
        for role, body in scope.bodies.items():
            if role not in roles:
                return f"scope {scope.name!r} has a body for {role!r}, which is no role"
            for step in body:
                if isinstance(step, Sync):
                    if step.pipeline not in pipelines:
                        return f"scope {scope.name!r} synchronises {step.pipeline!r}, which is no pipeline"
                    if step.stage < 0:
                        return f"the {step} in scope {scope.name!r} has stage {step.stage}, expected 0 or more"
                elif step == ROOT:
                    return f"scope {scope.name!r} contains the root scope"
                elif schedule.scope(step) and parents.setdefault(step, scope.name) != scope.name:
                    return f"scope {step!r} is in scope {parents[step]!r} and in scope {scope.name!r}"
    for scope in schedule.scopes:
        above, seen = scope.name, [scope.name]
        while above != ROOT:
            if above not in parents:
                return f"scope {scope.name!r} is in no other scope"
            above = parents[above]
            if above in seen:
                return f"scope {scope.name!r} contains itself"
            seen.append(above)
    return ""


def _places(schedule: Schedule) -> str:
    """An operation has its place in one scope, once per role."""
    places: dict[str, str] = {}
    for scope in schedule.scopes:
        for role, body in scope.bodies.items():
            steps = [step for step in body if isinstance(step, str)]
            if name := _twice(steps):
                return f"role {role!r} runs {name!r} twice in scope {scope.name!r}"
            for step in steps:
                if places.setdefault(step, scope.name) != scope.name:
                    return f"{step!r} has a place in scope {places[step]!r} and in scope {scope.name!r}"
    return ""


def _spans(scope: Scope, role: str) -> str:
    """What opens a version closes it in the same body and stage."""
    opened: dict[str, Sync] = {}
    where = f"in scope {scope.name!r} of role {role!r}"
    for step in scope.bodies[role]:
        if not isinstance(step, Sync):
            continue
        if step.opens:
            if step.pipeline in opened:
                return f"a second {step} {where}, before the first ended"
            opened[step.pipeline] = step
            continue
        first = opened.pop(step.pipeline, None)
        if first is None or OPENS[first.kind] != step.kind:
            needed = next(kind for kind, end in OPENS.items() if end == step.kind)
            return f"the {step} {where} has no {needed} before it"
        if first.stage != step.stage:
            return f"the {first} {where} has stage {first.stage}, its {step.kind} stage {step.stage}"
    left = next(iter(opened.values()), None)
    return f"the {left} {where} has no {OPENS[left.kind]} after it" if left else ""


def _sides(schedule: Schedule) -> str:
    """A pipeline has one role that produces and one that consumes."""
    for pipeline in schedule.pipelines:
        sides: dict[bool, list[str]] = {True: [], False: []}
        for _, role, step in schedule.steps():
            if isinstance(step, Sync) and step.pipeline == pipeline.name and role not in sides[step.is_producer]:
                sides[step.is_producer].append(role)
        for roles, what in ((sides[True], "produces"), (sides[False], "consumes")):
            if len(roles) != 1:
                got = f"{len(roles)} roles: {', '.join(roles)}" if roles else "no role"
                return f"pipeline {pipeline.name!r} needs one role that {what} it, got {got}"
        if sides[True] == sides[False]:
            return f"role {sides[True][0]!r} produces and consumes pipeline {pipeline.name!r}"
    return ""


def _balance(schedule: Schedule) -> str:
    """In every iteration as many versions are filled as are emptied, else the two sides drift apart."""
    for scope in schedule.scopes:
        for pipeline in schedule.pipelines if scope.name != ROOT else ():
            counts = [_count(scope, pipeline.name, kind) for kind in ("commit", "release")]
            if counts[0] != counts[1]:
                return (
                    f"an iteration of scope {scope.name!r} commits pipeline {pipeline.name!r} {_times(counts[0])} and "
                    f"releases it {_times(counts[1])}"
                )
    return ""


def _count(scope: Scope, pipeline: str, kind: str) -> int:
    bodies: Iterable[Sequence[object]] = scope.bodies.values()
    return sum(isinstance(s, Sync) and (s.pipeline, s.kind) == (pipeline, kind) for body in bodies for s in body)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
