"""Warp roles."""

from typing import Any

from tilelang_mlir.mlir import dialect, int_array, ir

from ..role_checks import obstacle
from ..role_schedule import from_attributes
from ..tl import TL
from ..verify import enum_attr, fail, structure, typed

ext = dialect("ext")


class SpecializeOp(TL.Operation, name="specialize", traits=[ir.NoTerminatorTrait]):
    """Splits the CTA: the first `consumers` threads run the second region, one thread of the rest runs the first.

    Inside the second region the CTA has `consumers` threads: barriers, layouts and thread indices count those only.
    `registers` (optional) gives registers per thread of producer and consumers. With `groups` (optional) so many
    groups of `consumers` threads run the second region on their own; its argument is the number of the group.
    """

    consumers: Any
    producer: ext.Region
    consumer: ext.Region

    @structure(0, regions=2, attributes={"consumers": "an integer", "?groups": "an integer"})
    def verify_invariants(self) -> bool:
        count = ir.IntegerAttr(self.operation.attributes["consumers"]).value
        if count > 0 and count % 128 == 0:
            return True
        return fail(self, f"attribute 'consumers' is {count}, expected whole warpgroups of 128 threads")

    def verify_region_invariants(self) -> bool:
        arguments = list(self.operation.regions[1].blocks[0].arguments)
        if len(arguments) != int("groups" in self.operation.attributes):
            return fail(self, f"the consumers' region has {len(arguments)} arguments, expected one with 'groups' only")
        return all(typed(self, argument, "i32", "group number") for argument in arguments)


class TurnOp(TL.Operation, name="turn"):
    """Consumer warpgroups of `tl.specialize`, those of all groups, that act one after the other, in a ring.

    `action`: `open` gives the first warpgroup the turn, once, before the first `take`; `take` waits for the turn of the
    warpgroup that runs it; `pass` gives the turn to the next warpgroup without waiting. Every warpgroup takes and
    passes equally often.
    """

    action: Any

    @structure(0, attributes={"action": "a string"})
    def verify_invariants(self) -> bool:
        if not enum_attr(self, "action", ("open", "take", "pass")):
            return False
        parent = self.operation.parent
        while parent is not None and parent.name != "tl.specialize":
            parent = parent.operation.parent
        return parent is not None or fail(self, "occurs outside of tl.specialize")


class WarpGroupsOp(TL.Operation, name="warpgroups", traits=[ir.NoTerminatorTrait]):
    """Code of some warpgroups only: `"tl.warpgroups"() ({ ... }) {groups = array<i32: 0>}`.

    `groups` are consecutive warpgroups of 128 threads, counted from the first of the CTA; with `warps`, warps of 32
    threads. Inside, the CTA has their threads only: barriers, layouts and thread numbers count those. A region in
    another one, also counted from the first thread of the CTA, is for some of its threads. Regions of different groups
    run at the same time; what one writes and another reads is ordered by the program, with mbarriers.
    """

    groups: Any
    body: ext.Region

    @structure(0, regions=1, attributes={"groups": "array<i32>"})
    def verify_invariants(self) -> bool:
        groups = list(self.operation.attributes["groups"])
        if not groups or groups[0] < 0 or groups != list(range(groups[0], groups[0] + len(groups))):
            return fail(self, f"attribute 'groups' is {groups}, expected consecutive warpgroups")
        around = self.operation.parent
        while around is not None and around.operation.name != "tl.warpgroups":
            around = around.operation.parent
        inner, outer = _span(self.operation), None if around is None else _span(around.operation)
        if outer is not None and not (outer.start <= inner.start and inner.stop <= outer.stop):
            threads = [f"{r.start} to {r.stop - 1}" for r in (inner, outer)]
            return fail(self, f"is for threads {threads[0]}, the tl.warpgroups around it for {threads[1]}")
        return True


def _span(op: ir.Operation) -> range:
    """The threads of a `tl.warpgroups`."""
    groups, size = int_array(op.attributes["groups"]), 32 if "warps" in op.attributes else 128
    return range(groups[0] * size, (groups[-1] + 1) * size)


class WsScheduleOp(TL.Operation, name="ws_schedule"):
    """A schedule of warp roles that the program gives, see `dialect/role_schedule.py`.

    `warps` replaces the kernel's threads, `roles` have ranges of warps, `pipelines` versions of their buffers (those
    whose allocation has the attribute `tl.ws_pipeline`), `scopes` (loops with the attribute `tl.ws_op`, and the kernel
    itself) a list of steps per role. `materialize-schedule` writes the roles out.
    """

    warps: Any
    roles: Any
    pipelines: Any
    scopes: Any

    @structure(0, attributes={"warps": "an integer"})
    def verify_invariants(self) -> bool:
        op = self.operation
        try:
            schedule = from_attributes(op.attributes)
        except (KeyError, TypeError, ValueError, AttributeError):
            return fail(self, "attributes hold no schedule, expected 'warps', 'roles', 'pipelines' and 'scopes'")
        text = obstacle(schedule)
        return not text or fail(self, text)
