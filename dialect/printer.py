"""Readable text of tile programs, one way: for people, not for parsing.

    kernel main(by, bx) grid (ceildiv(M, 128), 8) threads 128:
        A_shared = alloc shared [128x32xf16]
        acc = alloc fragment [128x128xf32]
        fill acc = 0.0
        for k in 0..32 (pipeline num_stages=3):
            copy A[by*128, k*32 : 128x32] -> A_shared
            acc += A_shared @ B_shared

Pure scalar ops are written where they are used, as C-like expressions; names come from the `NameLoc` of the values.
"""

from __future__ import annotations

from collections.abc import Callable

from tilelang_mlir.mlir import ir

from .expressions import Expressions, buffer_text, is_expression
from .layout.attrs import from_attr
from .location import name_of, python_location
from .tl import scope_of


def print_module(module: ir.Module, *, lines: bool = False) -> str:
    """The text of a module; `lines` appends the Python line of every statement as a comment."""
    printer = _Printer(lines)
    for op in module.body.operations:
        printer.statement(op.operation, 0)
    return "\n".join(printer.out) + "\n"


class _Printer:
    """Collects lines; `names` holds what the expressions call each value."""

    def __init__(self, lines: bool) -> None:
        self.out: list[str] = []
        self.lines = lines
        self.values = Expressions()

    def line(self, op: ir.Operation, depth: int, text: str) -> None:
        where = python_location(op.location) if self.lines else None
        comment = f"  # {where.file.rsplit('/', 1)[-1]}:{where.line}" if where else ""
        self.out.append("    " * depth + text + comment)

    def block(self, block: ir.Block, depth: int) -> None:
        for op in block.operations:
            self.statement(op.operation, depth)

    def statement(self, op: ir.Operation, depth: int) -> None:
        """Print one op, unless it is an expression that is written where it is used."""
        if op.name in _STRUCTURE:
            _STRUCTURE[op.name](self, op, depth)
        elif op.name in _STATEMENTS:
            self.line(op, depth, _STATEMENTS[op.name](self, op) + self.hints(op))
        elif is_expression(op):
            if not self.values.is_inline(op):
                self.line(op, depth, self.values.definition(op))
        else:
            self.line(op, depth, self.generic(op))
            for region in op.regions:
                for block in region.blocks:
                    self.block(block, depth + 1)

    def generic(self, op: ir.Operation) -> str:
        """`x = dialect.op(a, b) {attributes}` for what has no form of its own."""
        results = ", ".join(self.values.declare(result) for result in op.results)
        operands = ", ".join(self.values.text(value) for value in op.operands)
        return f"{f'{results} = ' if results else ''}{op.name}({operands}){self.hints(op, ())}"

    def hints(self, op: ir.Operation, hidden: tuple[str, ...] | None = None) -> str:
        """Attributes that the form of the op does not show."""
        shown = _SHOWN.get(op.name, ()) if hidden is None else hidden
        parts = [_attribute(name, op.attributes[name]) for name in op.attributes if name not in shown]
        return f" {{{', '.join(parts)}}}" if parts else ""

    def operands(self, op: ir.Operation) -> list[str]:
        return [self.values.text(value) for value in op.operands]


def _attribute(name: str, value: ir.Attribute) -> str:
    if isinstance(value, ir.UnitAttr):
        return name
    if isinstance(value, ir.IntegerAttr | ir.StringAttr | ir.FloatAttr):
        return f"{name}={value.value}"
    if isinstance(value, ir.DenseI32ArrayAttr | ir.DenseI64ArrayAttr):
        return f"{name}={list(value)}"
    if name == "layout":
        return str(value) if str(value).startswith("#tl.tmem") else str(from_attr(value))
    return f"{name}={value}"


def _string(op: ir.Operation, name: str) -> str:
    return ir.StringAttr(op.attributes[name]).value


def _flag(op: ir.Operation, name: str) -> bool:
    return name in op.attributes and bool(ir.BoolAttr(op.attributes[name]).value)


def _function(printer: _Printer, op: ir.Operation, depth: int) -> None:
    block = op.regions[0].blocks[0] if len(op.regions[0].blocks) else None
    names = _parameter_names(op)
    arguments: list[str] = []
    for index, argument in enumerate(block.arguments if block else ()):
        name = printer.values.declare(argument, names[index] if index < len(names) else name_of(argument.location))
        arguments.append(f"{name}: {argument.type}")
    printer.line(op, depth, f"func {_string(op, 'sym_name')}({', '.join(arguments)}):")
    if block:
        printer.block(block, depth + 1)


def _parameter_names(op: ir.Operation) -> list[str]:
    """Names of the arguments; that of a tensor belongs to its `tl.tensor`, its pointer is `&name`."""
    names: list[str] = []
    for entry in ir.ArrayAttr(op.attributes["tl.params"]) if "tl.params" in op.attributes else ():
        name, kind = (ir.StringAttr(ir.DictAttr(entry)[key]).value for key in ("name", "kind"))
        names.append(f"&{name}" if kind == "tensor" else name)
    return names


def _module(printer: _Printer, op: ir.Operation, depth: int) -> None:
    for block in op.regions[0].blocks:
        printer.block(block, depth)


def _launch(printer: _Printer, op: ir.Operation, depth: int) -> None:
    block = op.regions[0].blocks[0]
    grid = ", ".join(printer.operands(op))
    names = ", ".join(printer.values.declare(argument) for argument in block.arguments)
    threads = "x".join(str(size) for size in ir.DenseI32ArrayAttr(op.attributes["threads"]) if size != 1) or "1"
    title = _string(op, "name") if "name" in op.attributes else ""
    head = f"kernel {title}({names}) grid ({grid}) threads {threads}"
    printer.line(op, depth, f"{head}{printer.hints(op, ('threads', 'name'))}:")
    printer.block(block, depth + 1)


def _parallel(printer: _Printer, op: ir.Operation, depth: int) -> None:
    block = op.regions[0].blocks[0]
    dynamic = iter(printer.operands(op))
    extents = [next(dynamic) if e == -1 else str(e) for e in ir.DenseI64ArrayAttr(op.attributes["extents"])]
    names = ", ".join(printer.values.declare(argument) for argument in block.arguments)
    printer.line(op, depth, f"parallel {names} in {' x '.join(extents)}{printer.hints(op, ('extents',))}:")
    printer.block(block, depth + 1)


def _for(printer: _Printer, op: ir.Operation, depth: int) -> None:
    block = op.regions[0].blocks[0]
    low, high, step = printer.operands(op)[:3]
    name = printer.values.declare(block.arguments[0])
    by = "" if step == "1" else f" step {step}"
    printer.line(op, depth, f"for {name} in {low}..{high}{by}{printer.hints(op, ('operandSegmentSizes',))}:")
    printer.block(block, depth + 1)


def _if(printer: _Printer, op: ir.Operation, depth: int) -> None:
    printer.line(op, depth, f"if {printer.operands(op)[0]}:")
    printer.block(op.regions[0].blocks[0], depth + 1)
    if len(op.regions) > 1 and len(op.regions[1].blocks):
        printer.line(op, depth, "else:")
        printer.block(op.regions[1].blocks[0], depth + 1)


def _while(printer: _Printer, op: ir.Operation, depth: int) -> None:
    before, after = (region.blocks[0] for region in op.regions)
    *head, condition = before.operations
    simple = all(printer.values.is_inline(other.operation) or other.operation.name == "memref.load" for other in head)
    if simple:
        for other in head:
            if other.operation.name == "memref.load":
                printer.values.inline(other.operation)
        printer.line(op, depth, f"while {printer.values.text(condition.operation.operands[0])}:")
    else:
        printer.line(op, depth, "while true:")
        for other in head:
            printer.statement(other.operation, depth + 1)
        printer.line(op, depth + 1, f"break unless {printer.values.text(condition.operation.operands[0])}")
    printer.block(after, depth + 1)


def _specialize(printer: _Printer, op: ir.Operation, depth: int) -> None:
    registers = list(ir.DenseI32ArrayAttr(op.attributes["registers"])) if "registers" in op.attributes else []
    count = f"{ir.IntegerAttr(op.attributes['consumers']).value} threads"
    if "groups" in op.attributes:
        group = printer.values.declare(op.regions[1].blocks[0].arguments[0], "group")
        count = f"{ir.IntegerAttr(op.attributes['groups']).value} groups of {count}, {group}"
    roles = ("producer", f"consumers, {count}")
    for position, (role, region) in enumerate(zip(roles, op.regions, strict=True)):
        limit = f", {registers[position]} registers per thread" if registers else ""
        printer.line(op, depth, f"{role}{limit}:")
        printer.block(region.blocks[0], depth + 1)


def _warpgroups(printer: _Printer, op: ir.Operation, depth: int) -> None:
    groups = ", ".join(str(g) for g in ir.DenseI32ArrayAttr(op.attributes["groups"]))
    printer.line(op, depth, f"{'warps' if 'warps' in op.attributes else 'warpgroups'} {groups}:")
    printer.block(op.regions[0].blocks[0], depth + 1)


def _intrinsic(printer: _Printer, op: ir.Operation) -> str:
    result = f"{printer.values.declare(op.results[0])} = " if len(op.results) else ""
    return f"{result}{_string(op, 'name')}({', '.join(printer.operands(op))})"


def _nothing(printer: _Printer, op: ir.Operation, depth: int) -> None:
    """Terminators say nothing."""


def _alloc(printer: _Printer, op: ir.Operation) -> str:
    result = op.results[0]
    kind = "reducer" if op.name == "tl.alloc_reducer" else scope_of(result)
    return f"{printer.values.declare(result)} = alloc {kind} {buffer_text(result.type)}"


def _alloc_barrier(printer: _Printer, op: ir.Operation) -> str:
    return f"{printer.values.declare(op.results[0])} = alloc barrier {list(op.attributes['counts'])}"


def _tensor(printer: _Printer, op: ir.Operation) -> str:
    dynamic = iter(printer.operands(op)[1:])
    shape, strides = (
        [next(dynamic) if s == -1 else str(s) for s in ir.DenseI64ArrayAttr(op.attributes[name])]
        for name in ("shape", "strides")
    )
    element = ir.MemRefType(op.results[0].type).element_type
    name = printer.values.declare(op.results[0])
    return (
        f"{name} = tensor {printer.operands(op)[0]} [{', '.join(shape)}] of {element}, strides [{', '.join(strides)}]"
    )


def _view(printer: _Printer, op: ir.Operation) -> str:
    tensor, *places = printer.operands(op)
    name = printer.values.declare(op.results[0])
    shape = ", ".join("?" if s == -1 else str(s) for s in ir.DenseI64ArrayAttr(op.attributes["shape"]))
    return f"{name} = view [{shape}] of {tensor} at ({', '.join(places)})"


def _gemm(printer: _Printer, op: ir.Operation) -> str:
    a, b, c, *clear = printer.operands(op)
    a, b = (f"{x}.T" if _flag(op, f"transpose_{n}") else x for x, n in ((a, "a"), (b, "b")))
    sign = "=" if _flag(op, "clear") else "+="
    return f"{c} {sign} {a} @ {b}{f' clear if {clear[0]}' if clear else ''}"


def _reduce(printer: _Printer, op: ir.Operation) -> str:
    source, target = printer.operands(op)
    sign = "=" if _flag(op, "clear") else f"= {target} {_string(op, 'kind')}"
    dim = ir.IntegerAttr(op.attributes["dim"]).value
    return f"{target} {sign} {_string(op, 'kind')} of {source} over dimension {dim}"


def _turn(printer: _Printer, op: ir.Operation) -> str:
    return f"{_string(op, 'action')} turn"


def _scan(printer: _Printer, op: ir.Operation) -> str:
    source, target = printer.operands(op)
    back = " from the end" if _flag(op, "reverse") else ""
    dim = ir.IntegerAttr(op.attributes["dim"]).value
    return f"{target} = running {_string(op, 'kind')} of {source} along dimension {dim}{back}"


def _store(printer: _Printer, op: ir.Operation) -> str:
    value, buffer, *index = printer.operands(op)
    return f"{printer.values.element(op.operands[1], buffer, index)} = {value}"


def _load(printer: _Printer, op: ir.Operation, depth: int) -> None:
    """A load is written where it is used when nothing happens in between, else as a statement of its own."""
    if printer.values.inline_load(op):
        return
    buffer, *index = printer.operands(op)
    element = printer.values.element(op.operands[0], buffer, index)
    printer.line(op, depth, f"{printer.values.declare(op.results[0])} = {element}{printer.hints(op)}")


_STRUCTURE: dict[str, Callable[[_Printer, ir.Operation, int], None]] = {
    "builtin.module": _module, "func.func": _function, "tl.launch": _launch, "tl.parallel": _parallel, "scf.for": _for,
    "scf.if": _if, "scf.while": _while, "scf.yield": _nothing, "func.return": _nothing, "scf.condition": _nothing,
    "memref.load": _load, "tl.specialize": _specialize,
    "tl.warpgroups": _warpgroups,
}  # fmt: skip


def _atomic(printer: _Printer, op: ir.Operation) -> str:
    buffer, value, *index = printer.operands(op)
    result = f"{printer.values.declare(op.results[0])} = " if len(op.results) else ""
    place = printer.values.element(op.operands[0], buffer, index)
    return f"{result}atomic {_string(op, 'kind')} {place}, {value} ({_string(op, 'order')})"


def _words(text: str) -> Callable[[_Printer, ir.Operation], str]:
    """A statement whose text names its operands {0}, {1}, ..."""

    def show(printer: _Printer, op: ir.Operation) -> str:
        result = f"{printer.values.declare(op.results[0])} = " if len(op.results) else ""
        operands = printer.operands(op)
        return result + text.format(*operands, all=", ".join(operands))

    return show


def _copy(printer: _Printer, op: ir.Operation) -> str:
    source, target, *when = printer.operands(op)
    return f"copy {source} -> {target}" + (f" when {when[0]}" if when else "")


_STATEMENTS: dict[str, Callable[[_Printer, ir.Operation], str]] = {
    "tl.alloc": _alloc, "tl.alloc_reducer": _alloc, "tl.alloc_barrier": _alloc_barrier, "tl.tensor": _tensor,
    "tl.view": _view, "tl.make_descriptor": _words("describe {0} through {1}"),
    "tl.copy": _copy, "tl.fill": _words("fill {0} = {1}"), "tl.transpose": _words("{1} = {0}.T"),
    "tl.gemm_sp": _words("{3} += sparse({0}, {1}) @ {2}"),
    "tl.gemm": _gemm, "tl.reduce": _reduce, "tl.scan": _scan, "memref.store": _store, "tl.atomic": _atomic,
    "tl.sync_threads": _words("sync_threads"), "tl.sync_warp": _words("sync_warp {all}"),
    "tl.sync_grid": _words("sync_grid"), "tl.commit_group": _words("commit_group"),
    "tl.wait_group": _words("wait_group"), "tl.mbarrier_arrive": _words("arrive {0}[{1}]"),
    "tl.mbarrier_wait": _words("wait {0}[{1}] parity {2}"), "tl.mbarrier_expect": _words("expect {0}[{1}] bytes {2}"),
    "tl.tma_load": _words("load {0} -> {1} arriving at {2}[{3}]"), "tl.tma_store": _words("store {0} -> {1}"),
    "tl.cluster_copy": _words("copy {0} -> {1} of CTA {4} arriving at {2}[{3}]"),
    "tl.cluster_store": _words("store {0} -> {1} of CTA {2}"),
    "tl.bulk_words": _words("load {0} -> {1} at {all} arriving at {2}[{3}]"), "tl.prefetch": _words("prefetch {0}"),
    "tl.im2col": _words("im2col {0} at tile ({2}, {3}) -> {1}"),
    "tl.im2col_load": _words("im2col {0} at tile ({4}, {5}) -> {1} arriving at {2}[{3}]"),
    "tl.tma_gather4": _words("gather {0} at {all} -> {1} arriving at {2}[{3}]"),
    "tl.tma_scatter4": _words("scatter {0} -> {1} at {all}"),
    "tl.mbarrier_meet": _words("meet {0}[{1}]"), "tl.mbarrier_state": _words("arrive {0}[{1}]"),
    "tl.mbarrier_test": _words("test {0}[{1}] phase {2}"),
    "tl.staged_store": _words("store {0} -> {2} through {1}"),
    "tl.tma_wait": _words("wait_stores"), "tl.wait_products": _words("wait_products {all}"),
    "tl.load_operand": _words("load operand {0} -> {1}"),
    "tl.fence_proxy": _words("fence_proxy"), "tl.print": _words("print {all}"), "tl.assert": _words("assert {0}"),
    "tl.assume": _words("assume {0}"), "tl.intrinsic": _intrinsic, "tl.store_words": _words("store_words {all}"),
    "tl.shuffle": _words("shuffle({0}, {1})"), "tl.vote": _words("vote({all})"),
    "tl.box_load": _words("load_box {all}"), "tl.box_store": _words("store_box {all}"),
    "tl.shared_address": _words("address of {all}"),
    "tl.address": _words("address of {all}"), "tl.call_extern": _words("call({all})"),
    "tl.load_matrix": _words("load_matrix({all})"), "tl.store_matrix": _words("store_matrix {all}"),
    "tl.warpgroup_mma": _words("warpgroup_mma {all}"),
    "tl.warp_mma": _words("mma({all})"), "tl.load_words": _words("load_words({all})"),
    "tl.warp_reduce": _words("warp_reduce({0})"), "tl.reducer_init": _words("start {all}"),
    "tl.turn": _turn, "tl.outgrows": _words("{0} outgrows {1}"),
    "tl.reducer_update": _words("update {all}"), "tl.finalize_reducer": _words("finish {0} -> {1}"),
}  # fmt: skip
_SHOWN: dict[str, tuple[str, ...]] = {
    "tl.tensor": ("shape", "strides"), "tl.view": ("shape", "strides"),
    "tl.alloc_barrier": ("counts",), "tl.reduce": ("kind", "dim", "clear"),
    "tl.gemm": ("transpose_a", "transpose_b", "clear"), "tl.scan": ("kind", "dim", "reverse"),
    "tl.atomic": ("kind", "order"), "tl.load_operand": ("side",), "tl.turn": ("action",),
}  # fmt: skip
