"""A compiled kernel: call it, look at its code, measure it."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilelang_mlir.compiler.artifact import Artifact
from tilelang_mlir.compiler.options import CodegenOptions
from tilelang_mlir.compiler.resources import Resources
from tilelang_mlir.errors import TileValueError, UnsupportedError
from tilelang_mlir.frontend.typename import to_dtype
from tilelang_mlir.launch_plan import LaunchPlan, ParamSpec
from tilelang_mlir.target import Target, parse_target

if TYPE_CHECKING:
    from tilelang_mlir.passes.remarks import Remark

_IR_LEVELS = ("tl", "laid_out", "scheduled", "lowered", "llvm", "ptx", "sass", "amdgcn")


class JITKernel:
    """A kernel compiled for one target.

    Call it with the parameters that are not outputs; it returns the outputs (one tensor, a list, or None). Attributes
    `latency`, `config` and `ref_latency` are filled in by the autotuner.
    """

    def __init__(
        self, artifact: Artifact | Any, prim_func: Any = None, options: Any = None,
        traced: Callable[[], tuple[Any, Any]] | None = None, **compile_options: Any,
    ) -> None:  # fmt: skip
        """A kernel from what the compiler made; from a `PrimFunc` with the options of `tilelang.compile`.

        `traced` gives function and options of a kernel that was found without tracing.
        """
        if not isinstance(artifact, Artifact):
            self.__dict__.update(vars(self.from_tilelang_function(artifact, **compile_options)))
            return
        self.artifact = artifact
        self._prim_func, self._traced = prim_func, traced
        self.target: Target = parse_target(artifact.target)
        self.latency: float | None = None
        self.config: dict[str, Any] | None = None
        self.ref_latency: float | None = None
        self._options = options

    @classmethod
    def from_database(cls, data: bytes) -> JITKernel:
        """A kernel from `serialize`'s bytes. Raises CacheError when they are of another version."""
        return cls(Artifact.from_bytes(data))

    @classmethod
    def from_tilelang_function(cls, tilelang_func: Any, **options: Any) -> JITKernel:
        """A kernel from a `PrimFunc`, with the options of `tilelang.compile`."""
        from tilelang_mlir.jit.compile import compile_prim_func

        return compile_prim_func(tilelang_func, **options)

    def export_library(self, path: str | Path) -> None:
        """Write the kernel to a file, which `from_database(Path(path).read_bytes())` reads on any machine."""
        Path(path).write_bytes(self.serialize())

    def serialize(self) -> bytes:
        """The kernel as relocatable bytes: device code and launch plan."""
        return self.artifact.to_bytes()

    if TYPE_CHECKING:

        def __call__(self, *args: Any, stream: Any = None) -> Any:
            """Run the kernel; on CUDA, on the current torch stream unless `stream` is given.

            Raises:
                ArgumentError: an argument does not match its parameter.
                DriverError, SimulationError: the launch or the simulated program failed.
            """

    else:
        # No Python frame between the caller and the launcher: it would cost as much as reading two tensors.
        __call__ = property(operator.attrgetter("run"))

    @functools.cached_property
    def run(self) -> Any:
        """What calling the kernel calls."""
        return getattr(self.adapter, "launch", self.adapter)

    @functools.cached_property
    def adapter(self) -> Any:
        """What runs the kernel: a `CudaKernel`, a `HipKernel` or a `SimulatedKernel`."""
        if self.target.simulated:
            from tilelang_mlir.jit.simulated import SimulatedKernel

            return SimulatedKernel(self.plan, self.artifact.lowered, self._widened)
        if self.target.vendor == "cuda":
            from tilelang_mlir.runtime.cuda.kernel import CudaKernel

            code = self.artifact.binary or self.artifact.assembly.encode()
            return CudaKernel(self.plan, code, arch=self.target.arch, widened=self._widened)
        from tilelang_mlir.runtime.hip.kernel import HipKernel

        return HipKernel(self.plan, self.artifact.binary, widened=self._widened)

    @functools.cached_property
    def _wide(self) -> JITKernel | None:
        from tilelang_mlir.jit.compile import widened

        return widened(self.prim_func, self.target, self._options)

    def _widened(self) -> Callable[..., Any] | None:
        """What takes calls with dimensions of more than 2**31 - 1 elements, if there can be such a kernel."""
        return None if self._wide is None or not self._wide.plan.wide else self._wide.run

    @property
    def prim_func(self) -> Any:
        """The traced function, None where the kernel was loaded without it. One from the cache is traced here."""
        if self._prim_func is None and self._traced is not None:
            self._prim_func, self._options = self._traced()
        return self._prim_func

    @property
    def torch_function(self) -> Any:
        return self.run

    @property
    def plan(self) -> LaunchPlan:
        """The launch plan: argument checks, grids, workspaces."""
        return self.artifact.plan

    @property
    def params(self) -> tuple[ParamSpec, ...]:
        """The parameters of the user's signature, with dtypes as kernels use them."""
        return tuple(replace(param, dtype=to_dtype(param.dtype)) for param in self.plan.user_params)

    @property
    def out_idx(self) -> list[int]:
        """Positions in the signature that the kernel allocates and returns."""
        return list(self.plan.out_idx)

    @property
    def timings(self) -> dict[str, float]:
        """Milliseconds by compilation stage; of the original compilation when it came from the cache."""
        return self.artifact.timings

    # Code ---------------------------------------------------------------------------------------------------------

    def get_kernel_source(self, kernel_only: bool = True) -> str:
        """The assembly (PTX, AMDGCN), preceded by the launch plan unless `kernel_only`."""
        return self._ptx if kernel_only else f"{self.get_host_source()}\n{self._ptx}"

    def get_host_source(self) -> str:
        """The launch plan as text."""
        return self.plan.describe()

    kernel_source = property(get_kernel_source)
    host_source = property(get_host_source)

    def ir(self, level: str = "tl") -> str:
        """The program at a level: tl, laid_out, scheduled, lowered, llvm, and the assembly: ptx or sass, amdgcn.

        Raises:
            TileValueError: another level.
            UnsupportedError: the kernel was loaded without its source, and the level is above `lowered`.
        """
        if level not in _IR_LEVELS:
            raise TileValueError(f"no IR level {level!r}", hint=f"levels are {', '.join(_IR_LEVELS)}")
        if level == "sass":
            return self._get_sass()
        if level in ("ptx", "amdgcn"):
            return self._ptx if level == self._text_kind else str(self._emit(level))
        if level == "llvm":
            return str(self._emit("llvm"))
        if level == "lowered":
            return str(self._lowered_module().operation)
        return self._stage(level)

    def show_source(self, which: str = "kernel") -> None:
        """Print the `kernel` or `host` source, or `both`."""
        if which in ("host", "both"):
            print(self.get_host_source())
        if which in ("kernel", "both"):
            print(self.get_kernel_source())

    def print_source_code(self) -> None:
        self.show_source()

    def export_sources(self, kernel_path: str | Path | None = None, host_path: str | Path | None = None) -> None:
        """Write the PTX and the launch plan's text to files."""
        if kernel_path is not None:
            Path(kernel_path).write_text(self.get_kernel_source())
        if host_path is not None:
            Path(host_path).write_text(self.get_host_source())

    def show_ptx(self) -> None:
        print(self._ptx)

    def export_ptx(self, path: str | Path) -> None:
        Path(path).write_text(self._ptx)

    def show_sass(self) -> None:
        print(self._get_sass())

    def export_sass(self, path: str | Path) -> None:
        Path(path).write_text(self._get_sass())

    def _get_ptx(self) -> str:
        return self._ptx

    @functools.cached_property
    def _ptx(self) -> str:
        return self.artifact.assembly or str(self._emit(self._text_kind))

    @property
    def _text_kind(self) -> str:
        from tilelang_mlir.compiler.backends import backend_for

        return backend_for(self.target.arch).text

    def _get_sass(self) -> str:
        from tilelang_mlir.compiler.toolchain.disasm import disassemble

        return disassemble(self.artifact.binary) if self.artifact.binary else str(self._emit("sass"))

    def _emit(self, kind: str) -> str | bytes:
        from tilelang_mlir.compiler.codegen import emit

        return emit(self._lowered_module(), self.target.device(), kind, self._codegen)

    @property
    def _codegen(self) -> CodegenOptions:
        return CodegenOptions.restore(self.artifact.metadata["options"]["codegen"])

    def _lowered_module(self) -> Any:
        from tilelang_mlir.compiler.device_ir import parse

        return parse(self.artifact.lowered)

    def _stage(self, level: str) -> str:
        from tilelang_mlir.compiler.pipeline import stage_texts

        if self.prim_func is None:
            raise UnsupportedError(f"the level {level} of a kernel that was loaded without its source")
        return stage_texts(self.prim_func.module, self.target, self._options, (level,))[level]

    @functools.cached_property
    def remarks(self) -> list[Remark]:
        """What the compiler left undone, with the reason and the line: copies that could not be bulk copies.

        Raises:
            UnsupportedError: the kernel was loaded without its source.
        """
        from tilelang_mlir.compiler.pipeline import remarks_on

        if self.prim_func is None:
            raise UnsupportedError("remarks on a kernel that was loaded without its source")
        return remarks_on(self.prim_func.module, self.target, self._options)

    # Resources ----------------------------------------------------------------------------------------------------

    @functools.cached_property
    def resources(self) -> dict[str, Resources]:
        """What ptxas reports, by kernel name; assembled on demand where the compilation did not.

        Raises:
            ToolchainError: there is no ptxas.
        """
        if self.artifact.resources or self.target.vendor != "cuda":
            return self.artifact.resources
        from tilelang_mlir.compiler.codegen import generate

        return generate(self._lowered_module(), self.target.arch, self._codegen, emit=("cubin",)).resources

    @property
    def resource_usage(self) -> dict[str, Resources]:
        return self.resources

    @property
    def n_regs(self) -> int:
        """Registers per thread, the most of any kernel."""
        return max((r.registers for r in self.resources.values()), default=0)

    @property
    def n_spills(self) -> int:
        """Bytes of register spills, of all kernels."""
        return sum(r.spills for r in self.resources.values())

    @property
    def n_max_threads(self) -> int:
        """Threads per block, the most of any kernel."""
        return max(kernel.block[0] * kernel.block[1] * kernel.block[2] for kernel in self.plan.kernels)

    @property
    def shared_bytes(self) -> int:
        """Shared memory per block, static and dynamic, the most of any kernel."""
        static = {name: r.shared for name, r in self.artifact.resources.items()}
        if self.target.vendor == "hip":  # what the plan says is static in a code object
            return max((static.get(k.name) or k.shared_bytes for k in self.plan.kernels), default=0)
        return max((k.shared_bytes + static.get(k.name, 0) for k in self.plan.kernels), default=0)

    # Measuring ----------------------------------------------------------------------------------------------------

    def get_profiler(self, tensor_supply_type: Any = None) -> Any:
        """A profiler that makes inputs of the given kind (`TensorSupplyType`, Auto by default)."""
        from tilelang_mlir.jit.profiler import Profiler, TensorSupplyType

        return Profiler(self, tensor_supply_type or TensorSupplyType.Auto)

    def run_once(self, func: Any = None) -> Any:
        """Run once on made-up inputs."""
        return self.get_profiler().run_once(func)

    def update_tuner_result(self, latency: float, config: dict[str, Any], ref_latency: float | None) -> JITKernel:
        """Note what the autotuner found; returns self."""
        self.latency, self.config, self.ref_latency = latency, config, ref_latency
        return self

    def get_tuner_result(self) -> dict[str, Any]:
        """The autotuner's findings. Raises TileValueError when the kernel was not tuned."""
        if self.latency is None:
            raise TileValueError("this kernel was not tuned")
        return {"latency": self.latency, "config": self.config, "ref_latency": self.ref_latency}

    def __repr__(self) -> str:
        return f"<JITKernel {self.artifact.name} for {self.target}>"
