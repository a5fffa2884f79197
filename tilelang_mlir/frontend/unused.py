"""Leaving out the tensor parameters that no kernel of a function touches."""

from __future__ import annotations

from tilelang_mlir.frontend.expr import Expr
from tilelang_mlir.frontend.primfunc import PrimFunc
from tilelang_mlir.mlir import ir


def without_unused(func: PrimFunc) -> PrimFunc:
    """The function without tensor parameters that nothing reads or writes, or the function itself where all are used.

    Sizes that are known at launch only are read off the arguments, so tensors that have one stay.
    """
    if func.out_idx:
        return func
    with func.context, ir.Location.unknown():
        module = ir.Module.parse(func.module.operation.get_asm(enable_debug_info=True, print_generic_op_form=True))
        host = module.body.operations[0].operation
        block = host.regions[0].blocks[0]
        described = list(ir.ArrayAttr(host.attributes["tl.params"]))
        dropped = [
            index
            for index, param in enumerate(func.params)
            if param.kind == "tensor"
            and not any(isinstance(size, Expr) for size in (*param.shape, *param.strides))
            and _is_unused(block.arguments[index])
        ]
        if not dropped:
            return func
        for index in reversed(dropped):
            for use in list(block.arguments[index].uses):
                use.owner.operation.erase()
            block.erase_argument(index)
            described.pop(index)
        host.attributes["tl.params"] = ir.ArrayAttr.get(described)
        kinds = [argument.type for argument in block.arguments]
        host.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(kinds, []))
        module.operation.verify()
    kept = [param for index, param in enumerate(func.params) if index not in dropped]
    return PrimFunc(func.name, module, func.context, kept, {"layouts": func.layouts, **func.attrs})


def _is_unused(argument: ir.Value) -> bool:
    """Whether nothing but a description of it as a tensor uses an argument."""
    owners = [use.owner.operation for use in argument.uses]
    return all(op.name == "tl.tensor" and not list(op.results[0].uses) for op in owners)
