"""The records of a launch plan and their JSON form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tilelang_mlir.errors import TileValueError

from .expr import Expr, format_expr

FORMAT = 1
KINDS = ("tensor", "scalar", "pointer", "symbol")


@dataclass(frozen=True)
class ParamSpec:
    """One argument of the host function, in kernel argument order.

    `shape` and `strides` (in elements) of a tensor are expressions. `output`: the callee allocates it. `used`: some
    kernel reads or writes it; an unused tensor may be passed as None. The data of a tensor starts at a multiple of
    `alignment` bytes, and takes at most `max_bytes` from its first to its last element, where that is not 0.
    """

    name: str
    kind: str
    dtype: str
    shape: tuple[Expr, ...] = ()
    strides: tuple[Expr, ...] = ()
    output: bool = False
    used: bool = True
    alignment: int = 16
    max_bytes: int = 0


@dataclass(frozen=True)
class SolveStep:
    """How to read one symbolic dimension.

    `coefficient * symbol + rest` is `weight` times element `axis` of the shape or strides of tensor `param`, plus those
    of `others` times theirs: (weight, parameter, shape or strides, axis).
    """

    symbol: str
    param: int
    field: str  # shape or strides
    axis: int
    coefficient: int = 1
    rest: Expr = 0
    weight: int = 1
    others: tuple[tuple[int, int, str, int], ...] = ()

    @property
    def sources(self) -> tuple[tuple[int, int, str, int], ...]:
        """All that is read."""
        return (self.weight, self.param, self.field, self.axis), *self.others


@dataclass(frozen=True)
class WorkspaceSpec:
    """Device memory that is allocated for a call and passed to every kernel after the parameters."""

    name: str
    dtype: str
    shape: tuple[Expr, ...]


@dataclass(frozen=True)
class TensorMapSpec:
    """A TMA descriptor passed by value after the workspaces (CUDA Driver API, cuTensorMapEncodeTiled).

    Describes parameter `param` with its plan's shape and strides; `box` in the tensor's dimension order. With `walk`
    one of im2col mode (cuTensorMapEncodeIm2col): lower corner, upper corner and step of the pixels, the same in all
    directions; `box` is then pixels and channels. `gaps` (e2m1, e2m3, e3m2): elements of fewer than 8 bits, of which 16
    come to the start of 16 bytes in shared memory.
    """

    param: int
    box: tuple[int, ...]
    swizzle: str = "none"  # none, 32B, 64B, 128B
    l2_promotion: str = "256B"
    nan_fill: bool = False
    walk: tuple[int, ...] = ()
    gaps: str = ""


@dataclass(frozen=True)
class KernelSpec:
    """One kernel launch: grid expressions, threads per block, dynamic shared bytes, cluster shape and attributes."""

    name: str
    grid: tuple[Expr, Expr, Expr]
    block: tuple[int, int, int]
    shared_bytes: int = 0
    cluster: tuple[int, int, int] | None = None
    cooperative: bool = False
    programmatic: bool = False  # programmatic dependent launch
    tensor_maps: tuple[TensorMapSpec, ...] = ()


@dataclass(frozen=True)
class LaunchPlan:
    """One host function. `asserts` are (condition, message) pairs checked at every call.

    `wide`: the kernels have indices of 64 bits, so that one dimension may have more than 2**31 - 1 elements.
    """

    name: str
    params: tuple[ParamSpec, ...]
    kernels: tuple[KernelSpec, ...]
    workspaces: tuple[WorkspaceSpec, ...] = ()
    solve: tuple[SolveStep, ...] = ()
    asserts: tuple[tuple[Expr, str], ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    wide: bool = False

    @property
    def user_params(self) -> tuple[ParamSpec, ...]:
        """What the user's signature has: everything but symbolic dimensions."""
        return tuple(param for param in self.params if param.kind != "symbol")

    @property
    def out_idx(self) -> tuple[int, ...]:
        """Positions in the user's signature that the callee allocates."""
        return tuple(index for index, param in enumerate(self.user_params) if param.output)

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> LaunchPlan:
        """Raises ValueError when the text is of another format."""
        data = json.loads(text)
        if data.pop("format", None) != FORMAT:
            raise ValueError("launch plan of another format")
        return cls(
            name=data["name"],
            params=tuple(ParamSpec(**_tuples(p)) for p in data["params"]),
            kernels=tuple(_kernel(k) for k in data["kernels"]),
            workspaces=tuple(WorkspaceSpec(**_tuples(w)) for w in data["workspaces"]),
            solve=tuple(SolveStep(**_tuples(s)) for s in data["solve"]),
            asserts=tuple((_tuple(condition), message) for condition, message in data["asserts"]),
            metadata=data["metadata"],
            wide=data["wide"],
        )

    def describe(self) -> str:
        """The plan as readable text: what a host function would do."""
        lines = [f"launch plan {self.name}({', '.join(p.name for p in self.user_params)})"]
        for param in self.params:
            lines.append(f"  {_describe_param(param)}")
        for step in self.solve:
            lines.append(f"  solve {_describe_step(step, self.params)}")
        lines += [f"  assert {format_expr(condition)}: {message}" for condition, message in self.asserts]
        for space in self.workspaces:
            lines.append(f"  workspace {space.name}: {space.dtype}{_list(space.shape)}")
        for kernel in self.kernels:
            cluster = f" cluster={list(kernel.cluster)}" if kernel.cluster else ""
            flags = " cooperative" * kernel.cooperative + " programmatic" * kernel.programmatic
            lines.append(f"  launch {kernel.name} grid={_list(kernel.grid)} block={list(kernel.block)} "
                         f"shared={kernel.shared_bytes}{cluster}{flags}")
            lines += [f"    tensor map of {self.params[m.param].name} box={list(m.box)} swizzle={m.swizzle}"
                      for m in kernel.tensor_maps]
        return "\n".join(lines)


def mark_outputs(params: Sequence[ParamSpec], out_idx: Sequence[int]) -> tuple[ParamSpec, ...]:
    """The parameters with other outputs. Positions count the user's signature, negative ones from its end.

    Raises:
        TileValueError: a position is out of range, or names a parameter that is no tensor.
    """
    users = [p for p in params if p.kind != "symbol"]
    chosen: set[str] = set()
    for index in out_idx:
        if not -len(users) <= index < len(users):
            raise TileValueError(f"out_idx {index} is out of range for {len(users)} parameters",
                                 hint="positions count from 0, negative ones from the end")
        if users[index].kind != "tensor":
            raise TileValueError(f"out_idx {index} is {users[index].name}, a {users[index].kind}; outputs are tensors",
                                 hint=f"tensors are {', '.join(p.name for p in users if p.kind == 'tensor')}")
        chosen.add(users[index].name)
    return tuple(replace(p, output=p.kind != "symbol" and p.name in chosen) for p in params)


def _kernel(data: dict[str, Any]) -> KernelSpec:
    maps = tuple(TensorMapSpec(**_tuples(m)) for m in data["tensor_maps"])
    return replace(KernelSpec(**_tuples({**data, "tensor_maps": ()})), tensor_maps=maps)


def _tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {name: _tuple(value) for name, value in data.items()}


def _tuple(value: Any) -> Any:
    return tuple(_tuple(item) for item in value) if isinstance(value, list) else value


def _list(exprs: tuple[Expr, ...]) -> str:
    return f"[{', '.join(format_expr(e) for e in exprs)}]"


def _describe_param(param: ParamSpec) -> str:
    out = " (output)" if param.output else "" if param.used else " (unused)"
    shape = f"{_list(param.shape)} strides {_list(param.strides)}" if param.kind == "tensor" else ""
    return f"{param.kind} {param.name}: {param.dtype}{shape}{out}"


def _describe_step(step: SolveStep, params: tuple[ParamSpec, ...]) -> str:
    terms = [(weight, f"{params[param].name}.{field}[{axis}]") for weight, param, field, axis in step.sources]
    source = " + ".join(name if weight == 1 else f"{weight} * {name}" for weight, name in terms)
    if step.others:
        source = f"({source})"
    if step.rest != 0:
        source = f"({source} - {format_expr(step.rest)})"
    return f"{step.symbol} = {source}" + (f" / {step.coefficient}" if step.coefficient != 1 else "")
