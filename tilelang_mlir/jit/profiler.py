"""Measuring and checking kernels on made-up inputs."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import ArgumentError, TileValueError
from tilelang_mlir.launch_plan import ParamSpec, compile_exprs
from tilelang_mlir.profiler import do_bench
from tilelang_mlir.runtime.storage import storage_dtype, storage_shape

if TYPE_CHECKING:
    from tilelang_mlir.jit.kernel import JITKernel


class TensorSupplyType(enum.Enum):
    """What made-up inputs hold: small integers, uniform in [-1, 1), normal around -1 or (Randn) 0, zeros or ones.

    Auto is Integer for integer tensors and Uniform for the others.
    """

    Integer = 1
    Uniform = 2
    Normal = 3
    Randn = 4
    Zero = 5
    One = 6
    Auto = 7


class Profiler:
    """Runs a kernel on inputs of its own making. Needs torch."""

    def __init__(self, kernel: JITKernel, tensor_supply_type: TensorSupplyType = TensorSupplyType.Auto) -> None:
        self.kernel = kernel
        self.tensor_supply_type = tensor_supply_type

    def __call__(self, *args: Any) -> Any:
        return self.kernel(*args)

    @property
    def func(self) -> JITKernel:
        """The kernel that is measured."""
        return self.kernel

    adapter = func

    def _get_inputs(self, with_output: bool = False, dynamic_symbolic_constraints: Mapping[str, int] | None = None,
                    ) -> list[Any]:  # fmt: skip
        """Arguments for a call; symbolic dimensions take the values given, by name."""
        dims = dict(dynamic_symbolic_constraints or {})
        missing = [p.name for p in self.kernel.plan.params if p.kind == "symbol" and p.name not in dims]
        if missing:
            raise TileValueError(f"the dimension {', '.join(missing)} has no value",
                                hint="pass input_tensors, or dynamic_symbolic_constraints={'m': 1024}")
        wanted = [p for p in self.kernel.params if with_output or not p.output]
        return [make_input(p, dims, self.tensor_supply_type, self._device()) for p in wanted]

    def _device(self) -> str:
        return "cpu" if self.kernel.target.simulated else "cuda"

    def do_bench(
        self,
        func: Callable[..., Any] | None = None,
        warmup: float = 25,
        rep: float = 100,
        n_warmup: int = 0,
        n_repeat: int = 0,
        input_tensors: Sequence[Any] | None = None,
        backend: str = "event",
        quantiles: Sequence[float] | None = None,
        return_mode: str = "mean",
        dynamic_symbolic_constraints: Mapping[str, int] | None = None,
        device: Any = None,
        early_stop_baseline: float | None = None,
    ) -> Any:
        """Milliseconds per call of `func` (the kernel by default) on `input_tensors`; see `profiler.do_bench`."""
        call = func or self.kernel
        if input_tensors is None:
            inputs = self._get_inputs(dynamic_symbolic_constraints=dynamic_symbolic_constraints)
        else:
            inputs = list(input_tensors)
        return do_bench(
            lambda: call(*inputs), warmup=warmup, rep=rep, _n_warmup=n_warmup, _n_repeat=n_repeat, quantiles=quantiles,
            backend="host" if self.kernel.target.simulated else backend, return_mode=return_mode, device=device,
            early_stop_baseline=early_stop_baseline,
        )  # fmt: skip

    def run_once(self, func: Callable[..., Any] | None = None) -> Any:
        """One call on fresh inputs."""
        return (func or self.kernel)(*self._get_inputs())

    def assert_allclose(
        self,
        reference_program: Callable[..., Any],
        input_tensors: Sequence[Any] | None = None,
        atol: float = 1e-2,
        rtol: float = 1e-2,
        max_mismatched_ratio: float = 0.01,
    ) -> None:
        """Compare the kernel with a reference on the same inputs.

        A kernel without outputs of its own is compared through its arguments, which the reference must then fill too.
        At most `max_mismatched_ratio` of the elements may differ by more than `atol + rtol * |reference|`.

        Raises:
            AssertionError: more elements differ; the message has the numbers.
        """

        def check(ours: Sequence[Any], theirs: Sequence[Any]) -> None:
            for index, (got, want) in enumerate(zip(ours, theirs, strict=True)):
                _compare(f"output {index}", got, want, atol, rtol, max_mismatched_ratio)

        self.manual_assert_close(reference_program, input_tensors, check)

    def manual_assert_close(
        self,
        reference_program: Callable[..., Any],
        input_tensors: Sequence[Any] | None = None,
        manual_check_prog: Callable[[Sequence[Any], Sequence[Any]], None] | None = None,
    ) -> None:
        """Hand the kernel's and the reference's outputs to `manual_check_prog`, which raises if they differ."""
        if manual_check_prog is None:
            raise TileValueError("manual_assert_close needs manual_check_prog")
        inputs = list(input_tensors) if input_tensors is not None else self._get_inputs()
        copies = [x.clone() if hasattr(x, "clone") else x for x in inputs]
        theirs = _as_list(reference_program(*copies))
        ours = _as_list(self.kernel(*inputs))
        if not self.kernel.out_idx:
            ours, theirs = inputs, theirs or copies
            if len(theirs) < len(ours):
                ours = ours[-len(theirs) :]  # the reference returns what the last parameters hold
        manual_check_prog(ours, theirs)

    def assert_consistent(self, repeat: int = 10) -> None:
        """Run several times on the same inputs. Raises AssertionError when results differ in any bit."""
        import torch

        inputs = self._get_inputs()
        first = [x.clone() for x in _as_list(self.kernel(*inputs))]
        for number in range(1, repeat):
            for index, (got, want) in enumerate(zip(_as_list(self.kernel(*inputs)), first, strict=True)):
                same = torch.equal(got.contiguous().view(torch.uint8), want.contiguous().view(torch.uint8))
                assert same, f"output {index} of run {number} differs from the first run"


def make_input(param: ParamSpec, dims: Mapping[str, int], supply: TensorSupplyType, device: str) -> Any:
    """A torch tensor (or a number, for a scalar) that fits a parameter.

    Raises:
        ArgumentError: the parameter is a pointer, which nothing can be made up for.
    """
    import torch

    kind = DType(param.dtype)
    if param.kind == "scalar":
        return dims.get(param.name, 1)
    if param.kind != "tensor":
        raise ArgumentError(f"{param.name}: cannot make up a value for a {param.kind}", hint="pass input_tensors")
    exprs = compile_exprs((*param.shape, *param.strides), tuple(dims))(*dims.values())
    shape = storage_shape(kind, exprs[: len(param.shape)])
    dtype = getattr(torch, storage_dtype(kind))
    if supply in (TensorSupplyType.Zero, TensorSupplyType.One):
        value: Any = torch.full(shape, float(supply is TensorSupplyType.One), device=device).to(dtype)
    elif not kind.is_float or supply is TensorSupplyType.Integer:
        low, high = (0, 2) if kind.kind == "bool" else (0, 3) if kind.is_unsigned else (-2, 3)
        value = torch.randint(low, high, shape, device=device).to(dtype)
    elif supply in (TensorSupplyType.Uniform, TensorSupplyType.Auto):
        value = (torch.rand(shape, device=device) * 2 - 1).to(dtype)
    else:
        mean = -1.0 if supply is TensorSupplyType.Normal else 0.0
        value = (torch.randn(shape, device=device) + mean).to(dtype)
    return _with_strides(value, exprs[len(param.shape) :]) if kind.bits >= 8 else value


def _with_strides(value: Any, strides: tuple[int, ...]) -> Any:
    import torch

    if value.stride() == strides or value.numel() == 0:
        return value
    result = torch.empty_strided(value.shape, strides, dtype=value.dtype, device=value.device)
    return result.copy_(value)


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _compare(name: str, got: Any, want: Any, atol: float, rtol: float, ratio: float) -> None:
    import torch

    got, want = torch.as_tensor(got).double(), torch.as_tensor(want).double().to(torch.as_tensor(got).device)
    assert got.shape == want.shape, f"{name}: shape {list(got.shape)}, the reference has {list(want.shape)}"
    wrong = ~torch.isclose(got, want, rtol=rtol, atol=atol, equal_nan=True)
    count = int(wrong.sum())
    if count > ratio * got.numel():
        worst = int((got - want).abs().nan_to_num(float("inf")).argmax())
        raise AssertionError(
            f"{name}: {count} of {got.numel()} elements differ by more than {atol} + {rtol} * |reference|; the worst, "
            f"at flat index {worst}, is {got.flatten()[worst]:.6g} instead of {want.flatten()[worst]:.6g}"
        )
