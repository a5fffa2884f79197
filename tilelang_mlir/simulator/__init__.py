"""The simulator of thread programs (level 4): what the lowered program does, with checks no GPU makes.

    report = simulate(module, "kernel", (grid_x, 1, 1), [a, b, c, n])

`Program` keeps generated code for several launches, `GlobalMemory` keeps device memory between them.
"""

from __future__ import annotations

from tilelang_mlir.simulator.arguments import AddressTable
from tilelang_mlir.simulator.launch import Program, simulate
from tilelang_mlir.simulator.memory import GlobalMemory
from tilelang_mlir.simulator.report import AccessReport, SimulationReport
from tilelang_mlir.simulator.tensor_map import TensorMap

__all__ = ["AccessReport", "AddressTable", "GlobalMemory", "Program", "SimulationReport", "TensorMap", "simulate"]
