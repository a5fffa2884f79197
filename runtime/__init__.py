"""Running compiled kernels: argument checks, parameter packing, and the CUDA driver.

Sees plain data only (launch plans, cubins): neither MLIR nor the compiler is needed to run a kernel.
"""
