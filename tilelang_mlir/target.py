"""Targets: which machine a kernel is compiled for, and what that machine can do.

Passes ask `target.supports(Feature.X)` or read a limit; they never compare architecture numbers. Facts live in the
tables below. A simulated target (`sim:sm_80`) has the features of the machine it simulates.

Sources: CUDA C++ Programming Guide, "Compute Capabilities"; PTX ISA 8.7 target notes; AMD ISA guides of CDNA2 to CDNA4,
RDNA3 and RDNA4.
"""

from __future__ import annotations

import enum
import re
from contextvars import ContextVar
from dataclasses import dataclass, replace

from tilelang_mlir.errors import TargetError


class Feature(enum.Enum):
    """A capability that lowering rules ask for."""

    BLOCK_VOTES = "barriers that count predicates"
    LDMATRIX = "ldmatrix"
    CP_ASYNC = "cp.async"
    MMA_F16 = "mma.sync f16"
    MMA_WIDE = "mma.sync of 32 bytes along K"
    MMA_BF16 = "mma.sync bf16 / tf32"
    MMA_INT8 = "mma.sync int8"
    MMA_F64 = "mma.sync f64"
    MMA_FP8 = "mma.sync fp8"
    MMA_SCALED = "mma.sync with block scales"
    FP8_CONVERT = "fp8 conversions"
    BF16_MATH = "packed bf16 arithmetic"
    F32_MATH = "packed f32 arithmetic"
    REDUX = "redux.sync"
    STMATRIX = "stmatrix"
    MBARRIER = "mbarrier"
    TMA = "tensor memory accelerator"
    WGMMA = "wgmma"
    CLUSTER = "thread block clusters"
    ELECT = "elect.sync"
    SETMAXNREG = "setmaxnreg"
    PDL = "programmatic dependent launch"
    TMA_GATHER = "tensor copies of four rows"
    TENSOR_MAPS = "tensor maps made by kernels"
    TCGEN05 = "tcgen05 and tensor memory"
    TCGEN05_INT8 = "tcgen05 int8"
    CVT_RS = "stochastic rounding"
    VECTOR_256 = "256-bit global accesses"
    BUFFERS = "device memory by buffers with offsets of 32 bits"
    MFMA = "mfma"
    MFMA_I8 = "mfma i8 32x32x16 and 16x16x32"
    MFMA_I8_NARROW = "mfma i8 32x32x8 and 16x16x16"
    MFMA_XF32 = "mfma xf32"
    MFMA_FP8 = "mfma fp8"
    MFMA_DOUBLE = "mfma f16 32x32x16 and kin"
    MFMA_SCALED = "mfma f8f6f4 with scales"
    WMMA = "wmma"
    WMMA_REPEATED = "wmma with repeated lanes"
    WMMA_FP8 = "wmma fp8"
    FP8_FNUZ = "fp8 without negative zero"
    LDS_TRANSPOSE = "transposing reads of shared memory"
    LDS_DMA = "loads from device to shared memory, 16 bytes per thread"
    PERMLANE_SWAP = "v_permlane32_swap"
    ROW_XMASK = "DPP row_xmask"
    PACKED_ATOMICS = "packed 16-bit atomic additions"
    PACKED_BF16_ATOMICS = "packed bfloat16 atomic additions"


@dataclass(frozen=True)
class _Facts:
    features: frozenset[Feature]
    warp_size: int
    max_shared: int  # bytes a block may use
    max_threads: int
    registers: int  # 32-bit registers a block may use
    multiprocessors: int
    thread_registers: int = 255


_F = Feature
# Its mma.sync has the shapes m16n8k8 (f16) and m8n8k16 (int8).
_SM75 = {_F.BLOCK_VOTES, _F.LDMATRIX, _F.MMA_F16, _F.MMA_INT8}
_SM80 = _SM75 | {_F.CP_ASYNC, _F.MMA_WIDE, _F.MMA_BF16, _F.MMA_F64, _F.REDUX}
_SM89 = _SM80 | {_F.MMA_FP8, _F.FP8_CONVERT}
_SM90 = _SM89 | {_F.STMATRIX, _F.MBARRIER, _F.TMA, _F.CLUSTER, _F.ELECT, _F.PDL, _F.BF16_MATH}
_SM90A = _SM90 | {_F.WGMMA, _F.SETMAXNREG, _F.TENSOR_MAPS}
_SM100A = _SM90 | {_F.SETMAXNREG, _F.TENSOR_MAPS, _F.TMA_GATHER, _F.TCGEN05, _F.VECTOR_256, _F.CVT_RS, _F.F32_MATH}
_SM120A = _SM90 | {_F.SETMAXNREG, _F.TENSOR_MAPS, _F.VECTOR_256, _F.MMA_SCALED}


def _nv(features: set[Feature], shared_kib: int, sms: int) -> _Facts:
    return _Facts(frozenset(features), 32, shared_kib * 1024, 1024, 65536, sms)


_CDNA2 = {_F.MFMA, _F.MFMA_I8_NARROW, _F.PACKED_ATOMICS}
_CDNA3 = {
    _F.MFMA, _F.MFMA_I8, _F.MFMA_XF32, _F.MFMA_FP8, _F.FP8_CONVERT, _F.FP8_FNUZ, _F.PACKED_ATOMICS,
    _F.PACKED_BF16_ATOMICS,
}  # fmt: skip
_CDNA4 = (_CDNA3 - {_F.FP8_FNUZ, _F.MFMA_XF32}) | {
    _F.MFMA_DOUBLE, _F.MFMA_SCALED, _F.LDS_TRANSPOSE, _F.LDS_DMA, _F.PERMLANE_SWAP,
}  # fmt: skip
_RDNA3 = {_F.WMMA, _F.WMMA_REPEATED, _F.ROW_XMASK}
_RDNA4 = {_F.WMMA, _F.WMMA_FP8, _F.FP8_CONVERT, _F.ROW_XMASK, _F.PACKED_ATOMICS, _F.PACKED_BF16_ATOMICS}


def _amd(features: set[Feature], wave: int, shared_kib: int, units: int) -> _Facts:
    """Vector registers are counted per compute unit: four times 512 (of 64 lanes) or 1536 (of 32 lanes)."""
    registers = 4 * (512 * 64 if wave == 64 else 1536 * 32)
    return _Facts(frozenset(features | {_F.BUFFERS}), wave, shared_kib * 1024, 1024, registers, units, 8 * wave)


_ARCHS: dict[str, tuple[str, _Facts]] = {
    "sm_75": ("cuda", _nv(_SM75, 64, 40)),
    "sm_80": ("cuda", _nv(_SM80, 163, 108)),
    "sm_86": ("cuda", _nv(_SM80, 99, 84)),
    "sm_89": ("cuda", _nv(_SM89, 99, 128)),
    "sm_90": ("cuda", _nv(_SM90, 227, 132)),
    "sm_90a": ("cuda", _nv(_SM90A, 227, 132)),
    "sm_100a": ("cuda", _nv(_SM100A | {_F.TCGEN05_INT8}, 227, 148)),
    "sm_103a": ("cuda", _nv(_SM100A, 227, 148)),
    "sm_120a": ("cuda", _nv(_SM120A, 99, 188)),
    "gfx90a": ("hip", _amd(_CDNA2, 64, 64, 110)),
    "gfx942": ("hip", _amd(_CDNA3, 64, 64, 304)),
    "gfx950": ("hip", _amd(_CDNA4, 64, 160, 256)),
    "gfx1100": ("hip", _amd(_RDNA3, 32, 64, 96)),
    "gfx1201": ("hip", _amd(_RDNA4, 32, 64, 64)),
}
_DEFAULT_ARCH = {"cuda": "sm_90a", "hip": "gfx942"}
DEFAULT_SIMULATED = "sm_90a"


@dataclass(frozen=True)
class Target:
    """One machine. `vendor` is "cuda" or "hip"; `simulated` runs the lowered program without the device.

    `with target:` makes it the target of what is compiled inside without naming one.
    """

    vendor: str
    arch: str
    simulated: bool = False

    def __enter__(self) -> Target:
        _ENTERED.set((*_ENTERED.get(), self))
        return self

    def __exit__(self, *error: object) -> None:
        _ENTERED.set(_ENTERED.get()[:-1])

    @staticmethod
    def entered() -> Target | None:
        """The target of the innermost `with` around."""
        return _ENTERED.get()[-1] if _ENTERED.get() else None

    @property
    def _facts(self) -> _Facts:
        return _ARCHS[self.arch][1]

    def supports(self, feature: Feature) -> bool:
        return feature in self._facts.features

    @property
    def warp_size(self) -> int:
        return self._facts.warp_size

    @property
    def max_shared_bytes(self) -> int:
        return self._facts.max_shared

    @property
    def max_threads(self) -> int:
        return self._facts.max_threads

    @property
    def registers(self) -> int:
        return self._facts.registers

    @property
    def thread_registers(self) -> int:
        """32-bit registers that a thread may use at most."""
        return self._facts.thread_registers

    @property
    def multiprocessors(self) -> int:
        return self._facts.multiprocessors

    def device(self) -> Target:
        """The real machine behind a simulated target."""
        return replace(self, simulated=False)

    def __str__(self) -> str:
        return f"sim:{self.arch}" if self.simulated else f"{self.vendor}:{self.arch}"


def targets_with(feature: Feature) -> list[str]:
    """Names of the architectures that have a feature, for error messages."""
    return [arch for arch, (_, facts) in _ARCHS.items() if feature in facts.features]


def targets_of_warps(lanes: int) -> list[str]:
    """Names of the architectures whose warps have so many lanes or more, for error messages."""
    return [arch for arch, (_, facts) in _ARCHS.items() if facts.warp_size >= lanes]


_ENTERED: ContextVar[tuple[Target, ...]] = ContextVar("_ENTERED", default=())


def parse_target(text: str | Target | dict[str, object]) -> Target:
    """Parse `cuda`, `cuda:sm_80`, `cuda -arch=sm_80`, `sm_90a`, `hip:gfx942`, `sim`, `sim:sm_80`, or a dictionary.

    Architectures that are known with their own instructions only (`sm_100a`) may be named without the letter.
    `auto` needs to look for devices and is resolved by the caller (`tilelang_mlir.jit.resolve_target`).

    Raises:
        TargetError: the vendor or architecture is not known.
    """
    if isinstance(text, Target):
        return text
    if isinstance(text, dict):
        kind = str(text.get("kind", "cuda"))
        arch = text.get("arch") or text.get("mcpu")
        return parse_target(f"{kind}:{arch}" if arch else kind)
    match = re.fullmatch(r"\s*(cuda|hip|rocm|sim)?\s*[: ]?\s*(?:-arch=|-mcpu=)?([a-z]+_?\d+[a-z]?)?\s*", text)
    if not text.strip() or match is None:
        raise TargetError(f"unknown target {text!r}", hint=_known())
    vendor, arch = match[1], match[2]
    vendor = "hip" if vendor == "rocm" else vendor
    if arch is None:
        simulated = vendor == "sim"
        arch = DEFAULT_SIMULATED if simulated else _DEFAULT_ARCH[vendor or "cuda"]
        return Target(_ARCHS[arch][0], arch, simulated)
    arch = arch if arch in _ARCHS else f"{arch}a" if f"{arch}a" in _ARCHS else arch
    if arch not in _ARCHS:
        raise TargetError(f"unknown architecture {arch!r} in target {text!r}", hint=_known())
    owner = _ARCHS[arch][0]
    if vendor not in (None, "sim", owner):
        raise TargetError(f"target {text!r} asks for {vendor}, but {arch} is a {owner} architecture", hint=_known())
    return Target(owner, arch, vendor == "sim")


def _known() -> str:
    return f"targets are auto, cuda, hip, sim, each optionally with an architecture of {', '.join(_ARCHS)}"
