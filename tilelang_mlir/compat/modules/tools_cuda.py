"""`tilelang.tools.cuda`: events for a profiler that rewrites CUDA C++, which kernels here never are."""

from __future__ import annotations

from tilelang_mlir.compat.modules.absent import Absent

iket = Absent(
    "iket",
    "tilelang.tools.cuda.iket puts events into CUDA C++ for an external profiler; kernels are not compiled through it",
    "leave the events out, and profile the kernel with Nsight Compute",
)
