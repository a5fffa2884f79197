"""The one lit configuration: `lit tests/lit` runs every test inside the workers of lit (tests/util/lit_format.py)."""

import os
import sys

root = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [root, os.path.join(root, "tests", "util")]

import lit_format  # noqa: E402

config.name = "tilelang_mlir"  # noqa: F821
config.test_format = lit_format.InProcessTest()  # noqa: F821
config.suffixes = [".mlir"]  # noqa: F821
# lit finds a test only when the source root is the folder of this file.
config.test_source_root = root  # noqa: F821
config.test_exec_root = os.path.join(root, "build", "lit")  # noqa: F821
config.excludes = [  # noqa: F821
    "build", "dist", "docs", "examples", "benchmarks", "tilelang_mlir", "unit",
    "numerics", "util", ".venv",
]  # fmt: skip
os.makedirs(config.test_exec_root, exist_ok=True)  # noqa: F821
