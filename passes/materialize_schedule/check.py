"""Whether a schedule fits its kernel: buffers are used while they are held, and nobody waits for ever."""

from __future__ import annotations

from collections import Counter

from tilelang_mlir.mlir import ir

from ...dialect.effects import root
from ...dialect.role_schedule import ROOT, Role, Step, Sync
from ...dialect.tl import FRAGMENT, scope_of
from .kernel import Kernel, condition_buffers, is_buffer

_MODELLED = 2  # iterations of a loop in the model: what is balanced in each repeats


def check(kernel: Kernel) -> None:
    """All checks.

    Raises:
        TileValueError: naming the operation, or where the roles wait for each other.
    """
    for name, loop in kernel.loops.items():
        held = {kernel.protected[b] for b in _conditions(kernel, name) if b in kernel.protected}
        if held:
            raise kernel.error(f"the condition of scope {name!r} reads a buffer of pipeline {sorted(held)[0]!r}",
                               loop.op, "all roles evaluate it, without waiting for the buffer")
    for group in kernel.groups.values():
        roles = [role for _, role, step in kernel.schedule.steps() if step == group.name]
        touched = {kernel.protected[b] for b in group.touched() if b in kernel.protected}
        if len(roles) > 1 and touched:
            raise kernel.error(f"roles {', '.join(roles)} all run {group.name!r}, which uses a buffer of pipeline "
                               f"{sorted(touched)[0]!r}", _first(kernel, group.name))
        written = {kernel.protected[b] for b in group.accesses("write") if b in kernel.protected}
        if len(written) > 1:
            raise kernel.error(f"{group.name!r} writes buffers of pipelines {' and '.join(sorted(written))}",
                               _first(kernel, group.name), "split it: an operation completes for one pipeline")
    for role in kernel.schedule.roles:
        _spans(kernel, role, ROOT, set())
    _registers(kernel)
    _deadlock(kernel)


def _first(kernel: Kernel, name: str) -> ir.Operation | None:
    ops = kernel.groups[name].ops
    return ops[0] if ops else None


def _conditions(kernel: Kernel, name: str) -> set[ir.Value]:
    loop = kernel.loops[name]
    found: set[ir.Value] = set(condition_buffers(loop.guards))
    if loop.op.name == "scf.while":
        found |= {root(op.operation.operands[0]) for op in loop.op.regions[0].blocks[0].operations
                  if op.operation.name == "memref.load"}
    return found


def _spans(kernel: Kernel, role: Role, scope: str, outer: set[str]) -> None:
    """Every operation runs while its role holds a version of the buffers it touches."""
    found = kernel.schedule.scope(scope)
    held = set(outer)
    for step in found.bodies.get(role.name, ()) if found else ():
        if isinstance(step, Sync):
            if step.opens and step.pipeline in held:
                raise kernel.error(f"role {role.name!r} has a second {step} in scope {scope!r}, inside of another")
            (held.add if step.opens else held.discard)(step.pipeline)
        elif step in kernel.loops:
            _spans(kernel, role, step, held)
        elif missing := kernel.pipelines_of(role.name, step) - held:
            kind = "acquire" if kernel.schedule.signaller(sorted(missing)[0], "commit") == role.name else "wait"
            raise kernel.error(
                f"role {role.name!r} runs {step!r}, which uses a buffer of pipeline {sorted(missing)[0]!r}, "
                "without holding a version of it", _first(kernel, str(step)),
                f"put it between the {kind} and the {'commit' if kind == 'acquire' else 'release'} of the pipeline",
            )


def _registers(kernel: Kernel) -> None:
    """Fragments stay in the role that writes them."""
    for role in kernel.schedule.roles:
        names = [s for _, r, s in kernel.schedule.steps() if isinstance(s, str) and r == role.name]
        mine = [kernel.groups[name] for name in names if name in kernel.groups]
        written = {b for group in mine for b in group.accesses("write")}
        for group in mine:
            for buffer in group.accesses("read"):
                if is_buffer(buffer) and scope_of(buffer) == FRAGMENT and buffer not in written:
                    raise kernel.error(f"role {role.name!r} reads a fragment in {group.name!r} that it never writes",
                                       _first(kernel, group.name),
                                       "registers do not pass between roles: copy it through T.alloc_shared")


# -- stages ------------------------------------------------------------------------------------------------------------
def delays(kernel: Kernel, role: str, scope: str) -> list[int]:
    """How many iterations each step of a body runs behind the first ones.

    Raises:
        TileValueError: a step uses two pipelines that are held at different stages.
    """
    found = kernel.schedule.scope(scope)
    body: tuple[Step, ...] = found.bodies.get(role, ()) if found else ()
    first = min((step.stage for step in body if isinstance(step, Sync)), default=0)
    held: dict[str, int] = {}
    result: list[int] = []
    for step in body:
        if isinstance(step, Sync):
            result.append(step.stage - first)
            if step.opens:
                held[step.pipeline] = step.stage
            else:
                held.pop(step.pipeline, None)
            continue
        stages = {held[p] for p in kernel.pipelines_of(role, step) if p in held}
        if len(stages) > 1:
            raise kernel.error(f"{step!r} uses pipelines that role {role!r} holds at stages {sorted(stages)}",
                               hint="give them one stage, or split the operation")
        result.append(max(stages, default=first) - first)
    return result


def _events(kernel: Kernel, role: str, scope: str) -> list[Sync]:
    """The synchronisations of a role in order, with two iterations of each loop."""
    found = kernel.schedule.scope(scope)
    body: tuple[Step, ...] = found.bodies.get(role, ()) if found else ()
    behind = delays(kernel, role, scope)
    trips = 1 if scope == ROOT else _MODELLED
    events: list[Sync] = []
    for turn in range(trips + max(behind, default=0)):
        for step, delay in zip(body, behind, strict=True):
            if not delay <= turn < delay + trips:
                continue
            if isinstance(step, Sync):
                events.append(step)
            elif step in kernel.loops:
                events += _events(kernel, role, step)
    return events


def _deadlock(kernel: Kernel) -> None:
    """Let every role go as far as it can: a step that may happen stays possible, so any order shows the same end."""
    waiting = {role.name: _events(kernel, role.name, ROOT)[::-1] for role in kernel.schedule.roles}
    done: Counter[tuple[str, str]] = Counter()
    depth = {p.name: p.depth for p in kernel.schedule.pipelines}

    def may(event: Sync) -> bool:
        count = done[event.pipeline, event.kind]
        if event.kind == "acquire":
            return count < depth[event.pipeline] + done[event.pipeline, "release"]
        return event.kind != "wait" or count < done[event.pipeline, "commit"]

    moved = True
    while moved:
        moved = False
        for events in waiting.values():
            while events and may(events[-1]):
                event = events.pop()
                done[event.pipeline, event.kind] += 1
                moved = True
    stuck = {role: events[-1] for role, events in waiting.items() if events}
    if stuck:
        text = ", ".join(f"{role!r} at the {event}" for role, event in stuck.items())
        raise kernel.error(f"the roles of the schedule wait for each other for ever: {text}",
                           hint="order waits as the versions are filled, or give the pipeline a larger depth")
