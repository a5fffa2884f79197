"""Changes to the thread program that the AMDGPU back end needs before it is converted."""

from __future__ import annotations

from tilelang_mlir.compiler.device_ir import COUNTED
from tilelang_mlir.compiler.find import Census
from tilelang_mlir.mlir import ir

ABI_VERSION = 5
"""Of the object code; ROCm has read it since 5.7."""
_WMMA = "rocdl.wmma."
_PRODUCTS = ("rocdl.mfma.", _WMMA)
_LOOP = "llvm.loop_annotation"
_ARENA = "smem"
_ACQUIRE, _RELEASE = 4, 5  # LLVM::AtomicOrdering
_LOG2_E = 1.4426950408889634


def set_abi_version(device: ir.Operation, census: Census) -> None:
    """Ask for objects of the ABI version that older ROCm releases load, too."""
    flag = f'#llvm.mlir.module_flag<error, "amdhsa_code_object_version", {100 * ABI_VERSION} : i32>'
    with ir.InsertionPoint.at_block_begin(device.regions[0].blocks[0]), device.location:
        ir.Operation.create("llvm.module_flags", attributes={"flags": ir.Attribute.parse(f"[{flag}]")})


def place_shared_memory(device: ir.Operation, census: Census) -> None:
    """Give every kernel its arena as an array of its own size: the code object's metadata then says what it takes.

    Level 4 has one external array without a size, as the launch decides how much there is on other machines.
    """
    block = device.regions[0].blocks[0]
    arenas = [op.operation for op in block.operations if op.operation.name == "llvm.mlir.global"]
    arena = next((op for op in arenas if ir.StringAttr(op.attributes["sym_name"]).value == _ARENA), None)
    if arena is None:
        return
    kernels = [op.operation for op in block.operations if op.operation.name == "llvm.func"]
    for kernel in kernels:
        uses = [op for op in census.named("llvm.mlir.addressof") if _is_inside(op, kernel)]
        if not uses:
            continue
        size = ir.IntegerAttr(kernel.attributes["tl.shared_bytes"]).value
        name = f"{_ARENA}.{ir.StringAttr(kernel.attributes['sym_name']).value}"
        attributes = {
            "sym_name": ir.StringAttr.get(name),
            "global_type": ir.TypeAttr.get(ir.Type.parse(f"!llvm.array<{size} x i8>")),
            "linkage": ir.Attribute.parse("#llvm.linkage<internal>"),
            "addr_space": arena.attributes["addr_space"],
            "alignment": arena.attributes["alignment"],
        }
        with ir.InsertionPoint(arena), arena.location:
            ir.Operation.create("llvm.mlir.global", attributes=attributes, regions=1)
        for use in uses:
            use.attributes["global_name"] = ir.FlatSymbolRefAttr.get(name)
    arena.erase()


def _is_inside(op: ir.Operation, kernel: ir.Operation) -> bool:
    parent = op.parent
    while parent is not None and parent.operation != kernel:
        parent = parent.operation.parent
    return parent is not None


def place_private_arrays(device: ir.Operation, census: Census) -> None:
    """Arrays of a thread are in the private address space, 5; the program has generic pointers to them."""
    for op in census.take("llvm.alloca"):
        attributes = {name: op.attributes[name] for name in ("elem_type", "alignment")}
        with op.location, ir.InsertionPoint(op):
            private = ir.Type.parse("!llvm.ptr<5>")
            array = ir.Operation.create("llvm.alloca", [private], list(op.operands), attributes).result
            generic = ir.Operation.create("llvm.addrspacecast", results=[op.results[0].type], operands=[array]).result
        op.results[0].replace_all_uses_with(generic)
        op.erase()


def fence_waves(device: ir.Operation, census: Census) -> None:
    """No access to memory moves across a barrier of a wave.

    It touches no memory for LLVM, which could use again what a lane has loaded before it. The fences are no
    instructions: they say that other lanes may have written.
    """
    for op in census.named("rocdl.wave.barrier"):
        for place, order in ((ir.InsertionPoint(op), _RELEASE), (ir.InsertionPoint.after(op), _ACQUIRE)):
            ordering = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), order)
            with place, op.location:
                attributes = {"ordering": ordering, "syncscope": ir.StringAttr.get("wavefront")}
                ir.Operation.create("llvm.fence", attributes=attributes)


def keep_product_loops(device: ir.Operation, census: Census) -> None:
    """Loops around matrix products stay as they are: LLVM would repeat their bodies for the last iteration, in which
    no tiles are left to load."""
    annotation = ir.Attribute.parse("#llvm.loop_annotation<unroll = <disable = true>>")
    for parent in {op.parent.operation for op in census.starting(*_PRODUCTS)}:
        around = parent
        while around.name not in ("llvm.func", "gpu.module"):
            if around.name == "scf.for" and not any(hint in around.attributes for hint in ("tl.unroll", _LOOP)):
                around.attributes[_LOOP] = annotation
            around = around.parent.operation


def test_for_equality(device: ir.Operation, census: Census) -> None:
    """Loops around WMMA between constants end when the variable equals the bound, if it ever does.

    Compared with "less than", LLVM tests the value before the step, which then stays in a register beside the one after
    it; its pass that sees to it is not among those that these kernels get.
    """
    if not census.starting(_WMMA):
        return
    mark = ir.Attribute.parse("#llvm.zero")
    for loop in census.named("scf.for"):
        first, bound, step = (_constant(value) for value in list(loop.operands)[:3])
        if first is None or bound is None or not step:
            continue
        if first < bound and (bound - first) % step == 0:
            loop.attributes[COUNTED] = mark


def _constant(value: ir.Value) -> int | None:
    if isinstance(value.owner, ir.Block) or value.owner.name not in ("arith.constant", "llvm.mlir.constant"):
        return None
    return ir.IntegerAttr(value.owner.attributes["value"]).value


def separate_loads_into_shared_memory(device: ir.Operation, census: Census) -> None:
    """Loads from LDS do not wait for loads into LDS: the program itself waits for these. Alias scopes tell LLVM so."""
    direct = census.named("rocdl.raw.ptr.buffer.load.lds")
    if not direct:
        return
    reads = [op for op in census.named("llvm.load") if str(op.operands[0].type) == "!llvm.ptr<3>"]
    domain = "#llvm.alias_scope_domain<id = distinct[0]<>>"
    scopes = [ir.Attribute.parse(f"[#llvm.alias_scope<id = distinct[{i}]<>, domain = {domain}>]") for i in (1, 2)]
    for ops, own, other in ((direct, *scopes), (reads, *scopes[::-1])):
        for op in ops:
            op.attributes["alias_scopes"], op.attributes["noalias_scopes"] = own, other


def expand_tanh(device: ir.Operation, census: Census) -> None:
    """tanh x = 1 - 2 / (exp2(2 x log2 e) + 1): there is no instruction for it. Both ends saturate as they should."""
    for op in census.take("math.tanh"):
        with op.location, ir.InsertionPoint(op):
            op.results[0].replace_all_uses_with(_tanh(op.operands[0], census))
        op.erase()


def _tanh(x: ir.Value, census: Census) -> ir.Value:
    fast = {"fastmath": ir.Attribute.parse("#arith.fastmath<afn,arcp>")}
    kind = x.type

    def splat(value: float) -> ir.Value:
        element = kind.element_type if isinstance(kind, ir.VectorType) else kind
        scalar = ir.FloatAttr.get(element, value)
        attribute = ir.DenseElementsAttr.get_splat(kind, scalar) if isinstance(kind, ir.VectorType) else scalar
        return ir.Operation.create("arith.constant", results=[kind], attributes={"value": attribute}).result

    def apply(name: str, *operands: ir.Value) -> ir.Value:
        return ir.Operation.create(name, results=[kind], operands=list(operands), attributes=fast).result

    grown = apply("math.exp2", apply("arith.mulf", x, splat(2 * _LOG2_E)))
    census.add(grown.owner.operation)
    one = splat(1.0)
    return apply("arith.subf", one, apply("arith.divf", splat(2.0), apply("arith.addf", grown, one)))
