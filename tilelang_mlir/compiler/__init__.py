"""From a `tl` module to device code: pass stages, the code generation workers, launch plans and artifacts.

Importing this package imports neither MLIR nor LLVM; the modules below do when they are used.

* `pipeline`  runs the pass stages and code generation and returns an `Artifact`.
* `build_plan` reads the launch plan off the host function.
* `pool` / `worker` isolate LLVM in worker processes: LLVM may abort its process on input it cannot handle.
* `device_ir`, `math_calls`, `float_literals`, `nvptx` are the steps inside a worker.
* `toolchain` finds ptxas, nvdisasm and cuobjdump.
"""
