"""The one lit configuration: `lit tests/lit` runs every test inside the workers of lit (tests/util/lit_format.py)."""

import os
import sys

root = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [root, os.path.join(root, "tests", "util")]

import lit_format

config.name = "tilelang_mlir"
config.test_format = lit_format.InProcessTest()
config.suffixes = [".mlir"]
# lit finds a test only when the source root is the folder of this file.
config.test_source_root = root
config.test_exec_root = os.path.join(root, "build", "lit")
config.excludes = [
    "build", "dist", "docs", "examples", "benchmarks", "tilelang_mlir", "unit",
    "numerics", "util", ".venv",
]  # fmt: skip
os.makedirs(config.test_exec_root, exist_ok=True)
