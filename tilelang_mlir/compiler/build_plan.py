"""Reads the launch plan off a `tl` module: what its host function declares, and which kernels it launches.

The host function is straight-line code (docs/architecture.md, level 1), so its integer arithmetic turns into
expressions over the arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tilelang_mlir.compiler.device_ir import device_module
from tilelang_mlir.compiler.failures import find_location
from tilelang_mlir.dtypes import from_mlir
from tilelang_mlir.errors import CompileError, UnsupportedError
from tilelang_mlir.isa.kernels import block_size
from tilelang_mlir.launch_plan import (
    Expr,
    KernelSpec,
    LaunchPlan,
    ParamSpec,
    TensorMapSpec,
    WorkspaceSpec,
    mark_outputs,
    plan_solving,
)
from tilelang_mlir.launch_plan.expr import simplify
from tilelang_mlir.mlir import ADVANCE, int_array, ir

_OPERATORS = {
    "arith.addi": "add", "arith.subi": "sub", "arith.muli": "mul", "arith.floordivsi": "floordiv",
    "arith.ceildivsi": "ceildiv", "arith.ceildivui": "ceildiv", "arith.divui": "floordiv", "arith.divsi": "truncdiv",
    "arith.remui": "mod", "arith.remsi": "rem", "arith.minsi": "min", "arith.minui": "min", "arith.maxsi": "max",
    "arith.maxui": "max", "arith.shli": "shl", "arith.shrsi": "shr", "arith.shrui": "shr", "arith.andi": "and",
    "arith.ori": "or", "arith.xori": "xor", "arith.select": "select",
}  # fmt: skip
_MAP_BYTES = 128
_PREDICATES = ("eq", "ne", "lt", "le", "gt", "ge", "lt", "le", "gt", "ge")  # order of arith.cmpi's enumeration
_SAME_VALUE = ("arith.extsi", "arith.extui", "arith.trunci", "arith.index_cast", "arith.index_castui", "tl.cast")


def build_plan(module: ir.Module, function: str = "", out_idx: Sequence[int] | None = None) -> LaunchPlan:
    """The launch plan of a host function (the first, unless named). Run it before the module is lowered in place.

    `out_idx` overrides the outputs the function declares; positions in the user's signature, negative from its end.
    Block sizes and shared bytes are those of the source; `complete_plan` replaces them after lowering.

    Raises:
        UnsupportedError: the host function computes something that is no integer expression of its arguments.
        TileValueError: a symbolic dimension cannot be read off any argument, or an output position does not exist.
    """
    host = _host_function(module, function)
    name = str(ir.StringAttr(host.attributes["sym_name"]).value)
    reader = _HostReader(host)
    params = tuple(reader.params) if out_idx is None else mark_outputs(reader.params, out_idx)
    return LaunchPlan(
        name=name,
        params=params,
        kernels=tuple(reader.kernel(op, kernel_name(name, index)) for index, op in enumerate(reader.launches)),
        workspaces=tuple(reader.workspaces),
        solve=plan_solving(params),
        asserts=tuple(reader.asserts),
        wide="tl.wide_indices" in host.attributes,
    )


def kernel_name(function: str, index: int) -> str:
    """The symbol of the i-th launch of a host function, at every level."""
    return f"{function}_kernel" if index == 0 else f"{function}_kernel_{index}"


def complete_plan(plan: LaunchPlan, lowered: ir.Module) -> LaunchPlan:
    """The plan with what lowering decided: block sizes, shared bytes, clusters, launch attributes, tensor maps.

    Raises:
        CompileError: the lowered module lacks one of the plan's kernels.
    """
    with lowered.context:
        functions = {str(ir.StringAttr(op.attributes["sym_name"]).value): op for op in _functions(lowered)}
        missing = [kernel.name for kernel in plan.kernels if kernel.name not in functions]
        if missing:
            raise CompileError(f"the lowered module lacks {', '.join(missing)}; it has {', '.join(functions)}")
        used = [functions[kernel.name] for kernel in plan.kernels]
        kernels = tuple(_complete(kernel, function) for kernel, function in zip(plan.kernels, used, strict=True))
        workspaces = (*plan.workspaces, *_map_memory(kernels, used))
        return replace(plan, kernels=kernels, workspaces=workspaces, params=_aligned(plan.params, used))


def _map_memory(kernels: Sequence[KernelSpec], lowered: Sequence[ir.Operation]) -> list[WorkspaceSpec]:
    """The workspace in which CTAs keep the tensor maps that they make, where some kernel makes any."""
    lines, blocks = 0, None
    for kernel, op in zip(kernels, lowered, strict=True):
        if "tl.made_maps" in op.attributes:
            lines = max(lines, ir.IntegerAttr(op.attributes["tl.made_maps"]).value)
            count = simplify("mul", simplify("mul", kernel.grid[0], kernel.grid[1]), kernel.grid[2])
            blocks = count if blocks is None else simplify("max", blocks, count)
    return [] if blocks is None else [WorkspaceSpec("tensor_maps", "uint8", (blocks, lines * _MAP_BYTES))]


def _aligned(params: tuple[ParamSpec, ...], kernels: Sequence[ir.Operation]) -> tuple[ParamSpec, ...]:
    """The parameters, where some are accessed 32 bytes at a time, or with offsets of 32 bits."""
    wide, small = (
        {n for op in kernels if name in op.attributes for n in int_array(op.attributes[name])}
        for name in ("tl.wide_arguments", "tl.small_arguments")
    )
    made = (replace(p, alignment=32) if n in wide else p for n, p in enumerate(params))
    return tuple(replace(p, max_bytes=2**31 - 1) if n in small else p for n, p in enumerate(made))


def _is_touched(view: ir.Operation) -> bool:
    """Whether anything but tensors of other shapes that nothing uses is made of a tensor."""
    owners = [use.owner.operation for use in view.results[0].uses]
    return any(op.name != "tl.reshape" or _is_touched(op) for op in owners)


def _functions(lowered: ir.Module) -> Iterator[ir.Operation]:
    for op in device_module(lowered).regions[0].blocks[0].operations:
        if op.operation.name == "llvm.func":
            yield op.operation


def _complete(kernel: KernelSpec, function: ir.Operation) -> KernelSpec:
    attributes = function.attributes
    block, cluster = block_size(function) or kernel.block, kernel.cluster
    if "nvvm.cluster_dim" in attributes:
        cluster = _three(int_array(attributes["nvvm.cluster_dim"]))
    shared = ir.IntegerAttr(attributes["tl.shared_bytes"]).value if "tl.shared_bytes" in attributes else 0
    maps = ir.ArrayAttr(attributes["tl.tensor_maps"]) if "tl.tensor_maps" in attributes else ()
    grid = kernel.grid
    if "tl.persistent_blocks" in attributes:
        tiles = simplify("mul", simplify("mul", grid[0], grid[1]), grid[2])
        most = ir.IntegerAttr(attributes["tl.persistent_blocks"]).value
        grid = (simplify("min", tiles, most), 1, 1)
    return replace(
        kernel, grid=grid, block=block, cluster=cluster, shared_bytes=shared,
        cooperative=kernel.cooperative or "tl.cooperative" in attributes,
        programmatic=kernel.programmatic or "tl.programmatic" in attributes,
        tensor_maps=tuple(_tensor_map(ir.DictAttr(entry)) for entry in maps),
    )  # fmt: skip


def _tensor_map(entry: ir.DictAttr) -> TensorMapSpec:
    """From `{param = 0 : i64, box = array<i64: 64, 128>, swizzle = "128B", l2_promotion = "256B", nan_fill}`."""

    def text(name: str, default: str) -> str:
        return str(ir.StringAttr(entry[name]).value) if name in entry else default

    box = tuple(int(size) for size in int_array(entry["box"]))
    param = ir.IntegerAttr(entry["param"]).value
    walk = tuple(int(x) for x in int_array(entry["walk"])) if "walk" in entry else ()
    modes = text("swizzle", "none"), text("l2_promotion", "256B"), "nan_fill" in entry
    return TensorMapSpec(param, box, *modes, walk, text("gaps", ""))


def _three(sizes: list[int]) -> tuple[int, int, int]:
    padded = [int(size) for size in sizes] + [1] * (3 - len(sizes))
    return padded[0], padded[1], padded[2]


def _host_function(module: ir.Module, name: str) -> ir.Operation:
    for op in module.body.operations:
        operation = op.operation
        if operation.name == "func.func" and name in ("", ir.StringAttr(operation.attributes["sym_name"]).value):
            return operation
    raise CompileError(f"the module has no host function {name}".rstrip())


class _HostReader:
    """Walks one host function; the lists hold what it found, in order."""

    def __init__(self, host: ir.Operation) -> None:
        self.workspaces: list[WorkspaceSpec] = []
        self.launches: list[ir.Operation] = []
        self.asserts: list[tuple[Expr, str]] = []
        self._block = host.regions[0].blocks[0]
        self._values: dict[ir.Value, Expr] = {}
        self.params = self._declared(host)
        for op in self._block.operations:
            self._visit(op.operation)
        self._find_workspaces(host)

    def _declared(self, host: ir.Operation) -> list[ParamSpec]:
        entries = [ir.DictAttr(entry) for entry in ir.ArrayAttr(host.attributes["tl.params"])]
        arguments = list(self._block.arguments)
        if len(entries) != len(arguments):
            raise CompileError(f"tl.params has {len(entries)} entries for {len(arguments)} arguments")
        params: list[ParamSpec] = []
        taken: set[str] = set()
        for entry, argument in zip(entries, arguments, strict=True):
            name, kind, dtype = (str(ir.StringAttr(entry[key]).value) for key in ("name", "kind", "dtype"))
            name = _unique(name, taken)
            alignment = 8 if (kind, dtype) == ("tensor", "handle") else 16  # an array of addresses may be a part of one
            params.append(ParamSpec(name, kind, dtype, used=any(True for _ in argument.uses), alignment=alignment))
            if kind in ("scalar", "symbol"):
                self._values[argument] = name
        if "tl.out_idx" in host.attributes:
            declared = [int(index) for index in int_array(host.attributes["tl.out_idx"])]
            params = list(mark_outputs(params, declared))
        return params

    def _visit(self, op: ir.Operation) -> None:
        name = op.name
        if name == "tl.tensor":
            self._tensor(op)
        elif name == "tl.launch":
            self.launches.append(op)
        elif name == "tl.assert":
            self.asserts.append((self._expr(op.operands[0]), str(ir.StringAttr(op.attributes["message"]).value)))
        elif name.startswith(("scf.", "cf.")):
            raise UnsupportedError(f"{name} in the host function: kernels are launched in straight-line code",
                                   find_location(str(op.location)))

    def _tensor(self, op: ir.Operation) -> None:
        index = _argument_number(op.operands[0], self._block)
        if index is None:
            raise UnsupportedError("a tensor that is not a parameter of the kernel", find_location(str(op.location)))
        dynamic = iter([self._expr(value) for value in list(op.operands)[1:]])
        fields: list[tuple[Expr, ...]] = []
        for key in ("shape", "strides"):
            sizes = [int(size) for size in int_array(op.attributes[key])]
            fields.append(tuple(next(dynamic) if size == -1 else size for size in sizes))
        if "view" in op.attributes:
            return  # the argument has the shape of another tl.tensor
        used = any(use.owner.name != "tl.tensor" or _is_touched(use.owner.operation) for use in op.operands[0].uses)
        self.params[index] = replace(self.params[index], shape=fields[0], strides=fields[1], used=used)

    def _find_workspaces(self, host: ir.Operation) -> None:
        def visit(op: ir.Operation) -> ir.WalkResult:
            if op.name == "tl.alloc" and _is_global(op.results[0].type):
                self.workspaces.append(self._workspace(op))
            return ADVANCE

        host.walk(visit)

    def _workspace(self, op: ir.Operation) -> WorkspaceSpec:
        kind = ir.MemRefType(op.results[0].type)
        dynamic = iter([self._expr(value) for value in op.operands])
        shape = tuple(
            next(dynamic) if kind.is_dynamic_dim(axis) else kind.get_dim_size(axis) for axis in range(kind.rank)
        )
        return WorkspaceSpec(f"workspace{len(self.workspaces)}", str(from_mlir(str(kind.element_type))), shape)

    def kernel(self, op: ir.Operation, name: str) -> KernelSpec:
        grid: list[Expr] = [self._expr(value) for value in op.operands]
        grid += [1] * (3 - len(grid))
        threads = _three(int_array(op.attributes["threads"]))
        cluster = None
        if "cluster" in op.attributes:
            cluster = _three([int(size) for size in _integers(op.attributes["cluster"])])
        return KernelSpec(name, (grid[0], grid[1], grid[2]), threads, cluster=cluster, cooperative=_synchronises(op))

    def _expr(self, value: ir.Value) -> Expr:
        if value in self._values:
            return self._values[value]
        if isinstance(value.owner, ir.Block):
            raise UnsupportedError(f"{value} in host arithmetic: only scalars and dimensions can be computed with")
        expr = self._values[value] = self._computed(value.owner)
        return expr

    def _computed(self, op: ir.Operation) -> Expr:
        name = op.name
        if name == "arith.constant":
            constant = op.attributes["value"]
            if isinstance(constant, ir.BoolAttr | ir.IntegerAttr):
                return int(constant.value)
        elif name in _OPERATORS:
            return simplify(_OPERATORS[name], *(self._expr(operand) for operand in op.operands))
        elif name == "arith.cmpi":
            predicate = _PREDICATES[ir.IntegerAttr(op.attributes["predicate"]).value]
            return simplify(predicate, *(self._expr(operand) for operand in op.operands))
        elif name in _SAME_VALUE:
            return self._expr(op.operands[0])
        raise UnsupportedError(f"{name} in the host function: sizes and grids are integer expressions of the arguments",
                               find_location(str(op.location)))


def _unique(name: str, taken: set[str]) -> str:
    candidate, count = name, 0
    while candidate in taken:
        count += 1
        candidate = f"{name}_{count}"
    taken.add(candidate)
    return candidate


def _argument_number(value: ir.Value, block: ir.Block) -> int | None:
    for index, argument in enumerate(block.arguments):
        if argument == value:
            return index
    return None


def _is_global(kind: ir.Type) -> bool:
    return isinstance(kind, ir.MemRefType) and '"global"' in str(kind.memory_space)


def _integers(attribute: Any) -> list[int]:
    if isinstance(attribute, ir.ArrayAttr):
        return [ir.IntegerAttr(item).value for item in attribute]
    return [int(item) for item in attribute]


def _synchronises(op: ir.Operation) -> bool:
    """A grid-wide barrier needs all blocks resident: a cooperative launch."""
    found = False

    def visit(inner: ir.Operation) -> ir.WalkResult:
        nonlocal found
        found = found or inner.name == "tl.sync_grid"
        return ADVANCE

    op.walk(visit)
    return found
