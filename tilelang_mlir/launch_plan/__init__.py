"""Everything the host does around a kernel, as plain data: no MLIR, no torch, JSON-serialisable.

A `LaunchPlan` says how to check arguments, which symbolic dimensions to read off which tensor, what to allocate, and
which kernels to launch with which grid. It is made by `compiler.build_plan` and carried out by `runtime`.
"""

from __future__ import annotations

from .expr import Expr, compile_exprs, format_expr, linear_form, names_in
from .plan import KernelSpec, LaunchPlan, ParamSpec, SolveStep, TensorMapSpec, WorkspaceSpec, mark_outputs
from .solve import plan_solving

__all__ = [
    "Expr",
    "KernelSpec",
    "LaunchPlan",
    "ParamSpec",
    "SolveStep",
    "TensorMapSpec",
    "WorkspaceSpec",
    "compile_exprs",
    "format_expr",
    "linear_form",
    "mark_outputs",
    "names_in",
    "plan_solving",
]
