"""`tl.view`, and `tl.make_descriptor`: tensor maps that the warps of a kernel make for themselves.

A warp fills in 128 bytes of shared memory, zeroed first, copies them to a line of device memory that is its own,
releases them with that copy and acquires them at once (PTX ISA 8.7, section 9.7.13.6). The maps of one view differ in
box and swizzle only. Which lines a CTA has follows from its number in the grid; the launch plan allocates them.
"""

from __future__ import annotations

from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.isa.nvidia import tensormap, thread, tma, warp
from tilelang_mlir.mlir import ir

from ...dialect.location import python_location
from ...dialect.ops.descriptor import LINE, staging_of
from ..lowering.buffers import GlobalBuffer, SharedBuffer
from ..lowering.context import Context, rule
from ..lowering.memory import global_pointer
from ..raster import divisor
from ..walk import nested
from .maps import MapKey
from .reach import branch, reaching_threads

_DTYPES = {"f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64"}
_LOOPS = ("scf.for", "scf.while")


def lines_per_block(launch: ir.Operation, made: list[MapKey]) -> int:
    """How many tensor maps the warps of one CTA make."""
    return len(made) * _warps(launch) if made else 0


def _warps(launch: ir.Operation) -> int:
    placed = [s for op in nested(launch) if op.name == "tl.view" and (s := staging_of(op)) is not None]
    return max((ir.MemRefType(s.type).shape[0] for s in placed), default=0)


@rule("tl.make_descriptor")
def lower_make_descriptor(ctx: Context, op: ir.Operation) -> None:
    """Nothing where no copy goes through a map in the end."""
    view, staging = op.operands
    buffer, number = ctx.buffers[view], ir.IntegerAttr(view.owner.operation.attributes["id"]).value
    assert isinstance(buffer, GlobalBuffer)
    keys = [key for key in ctx.made_maps if key.param == number]
    if not keys:
        return
    reached = reaching_threads(ctx, op)
    if (reached.reshape(-1, 32) != reached.reshape(-1, 32)[:, :1]).any() or _in_one_thread(op):
        raise UnsupportedError(
            "T.make_tensor_descriptor where only some threads of a warp are",
            python_location(op.location),
            hint="whole warps make a tensor map together",
        )
    _Maker(ctx, op, buffer, staging).run(keys)


@rule("tl.view")
def lower_view(ctx: Context, op: ir.Operation) -> None:
    tensor = ctx.buffers[op.operands[0]]
    assert isinstance(tensor, GlobalBuffer)
    numbers, rank = list(op.operands)[1:], len(tensor.shape)
    pointer = global_pointer(ctx, tensor, [ctx.index(v) for v in numbers[:rank]])
    dynamic = iter(numbers[rank:])
    shape, strides = (
        [next(dynamic) if n == -1 else n for n in ir.DenseI64ArrayAttr(op.attributes[name])]
        for name in ("shape", "strides")
    )
    sizes, steps = (tuple(n if isinstance(n, int) else ctx.ssa(n) for n in ns) for ns in (shape, strides))
    row, *divisors = (n if isinstance(n, int) else divisor(n) for n in (shape[-1], *strides))
    safe = tensor.safe_value
    ctx.buffers[op.results[0]] = GlobalBuffer(pointer, tensor.element, sizes, steps, safe, row, tuple(divisors))


def _in_one_thread(op: ir.Operation) -> bool:
    """Whether it is in a role that one thread runs."""
    inner, parent = op, op.parent.operation
    while parent.name != "tl.launch":
        if parent.name in ("tl.specialize", "tl.tensor_roles"):
            last = list(parent.regions)[-1].blocks[0]
            return not any(o.operation == inner for o in last.operations)
        inner, parent = parent, parent.parent.operation
    return False


class _Maker:
    """The code of one warp that makes the maps of a view."""

    def __init__(self, ctx: Context, op: ir.Operation, view: GlobalBuffer, staging: ir.Value) -> None:
        self.ctx, self.op, self.view = ctx, op, view
        self.unsigned = "unsigned" in op.operands[0].owner.operation.attributes
        buffer = ctx.buffers[staging]
        assert isinstance(buffer, SharedBuffer)
        self.warps = buffer.shape[0]
        own = ctx.ix.add(ctx.ix.scale(ctx.group, ctx.num_threads // 32), ctx.ix.divide(ctx.thread, 32))
        self.warp = ctx.ix.scalar(own)
        arena = ctx.e.gep(ctx.hardware_arena(), buffer.offset, ctx.e.i8)
        self.place = ctx.e.gep(arena, ctx.ix.scalar(ctx.ix.scale(own, LINE)), ctx.e.i8)

    def run(self, keys: list[MapKey]) -> None:
        ctx = self.ctx
        if self._is_repeated():
            tma.wait(0, read=False)  # stores through the maps that were here
        lane = thread.emit("laneid")
        word = ctx.e.gep(self.place, lane, ctx.e.i32)
        ctx.e.store(ctx.e.constant(ctx.e.i32, 0), word, 4)
        first = ctx.e.compare("eq", lane, 0)
        for position, key in enumerate(keys):
            warp.sync()
            with branch(ctx, first):
                if position == 0:
                    self._describe()
                self._set_box(key)
            warp.sync()
            line = self._line(key)
            tensormap.copy_and_release(line, self.place)
            tensormap.acquire(line)
            ctx.tensor_maps[key] = tensormap.generic(line)

    def _is_repeated(self) -> bool:
        parent = self.op.parent.operation
        while parent.name != "tl.launch":
            if parent.name in _LOOPS:
                return True
            parent = parent.parent.operation
        return "persistent" in parent.attributes

    def _line(self, key: MapKey) -> ir.Value:
        """Where this warp's map lies in device memory."""
        ctx, e = self.ctx, self.ctx.e
        assert ctx.map_memory is not None
        total = len(ctx.made_maps) * self.warps
        x, y, z = (thread.ctaid(a) for a in "xyz")
        nx, ny = (thread.emit(f"nctaid.{a}") for a in "xy")
        block = e.binary("addi", e.binary("muli", e.binary("addi", e.binary("muli", z, ny), y), nx), x)
        lines = ir.Type.parse(f"!llvm.array<{total * LINE} x i8>")
        start = e.gep(ctx.map_memory, block, lines)
        own = e.add(ctx.made_maps.index(key) * self.warps, self.warp)
        return e.gep(start, e.mul(own, LINE), e.i8)

    def _describe(self) -> None:
        """What all maps of the view have in common."""
        e = self.ctx.e
        size = self.view.element.width // 8
        address = e.pure("llvm.ptrtoint", e.i64, [self.view.pointer])
        tensormap.replace(self.place, "global_address", address)
        tensormap.replace(self.place, "rank", len(self.view.shape) - 1)
        for dim, (extent, stride) in enumerate(zip(self.view.shape[::-1], self.view.strides[::-1], strict=True)):
            tensormap.replace(self.place, "global_dim", self._word(extent), dim)
            tensormap.replace(self.place, "element_stride", 1, dim)
            if dim:
                step = e.value(e.mul(e.extend(stride), size), e.i64)
                tensormap.replace(self.place, "global_stride", step, dim - 1)
        tensormap.replace(self.place, "elemtype", self._element_type())
        tensormap.replace(self.place, "interleave_layout", 0)
        tensormap.replace(self.place, "fill_mode", 0)

    def _set_box(self, key: MapKey) -> None:
        for dim, side in enumerate(reversed(key.box)):
            tensormap.replace(self.place, "box_dim", side, dim)
        tensormap.replace(self.place, "swizzle_mode", tensormap.SWIZZLES[key.swizzle])

    def _word(self, number: int | ir.Value) -> int | ir.Value:
        """A size as 32 bits."""
        if isinstance(number, int) or str(number.type) == "i32":
            return number
        return self.ctx.e.pure("arith.trunci", self.ctx.e.i32, [number])

    def _element_type(self) -> int:
        name, width = str(self.view.element), self.view.element.width
        if width == 8:
            return tensormap.ELEMENT_TYPES["uint8"]
        sign = "u" if self.unsigned or width == 16 else ""
        return tensormap.ELEMENT_TYPES[_DTYPES.get(name, f"{sign}int{width}")]
