"""Which machine to compile for when the user does not say."""

from __future__ import annotations

from dataclasses import replace

from tilelang_mlir import knobs
from tilelang_mlir.errors import TargetError
from tilelang_mlir.target import DEFAULT_SIMULATED, Target, parse_target


def resolve_target(target: str | Target | dict[str, object] | None = None) -> Target:
    """A target; `auto` is that of a `with target:` around, else the first CUDA device, else the first AMD device, else
    the simulator.

    None is TILELANG_DEFAULT_TARGET. `cuda` and `hip` without an architecture are those of the device where there is
    one. With TILELANG_SIMULATE every target is simulated.

    Raises:
        TargetError: the target is not known.
    """
    text = target
    if text is None or text == "auto":
        text = Target.entered() or text or knobs.DEFAULT_TARGET.get()
    if text == "cutedsl":
        text = "cuda"  # another generator of the same machine code
    if knobs.SIMULATE.get():
        return _simulated(text, knobs.SIMULATE.get())
    wanted = text.strip() if isinstance(text, str) else ""
    if wanted in ("auto", "cuda", "hip", "rocm"):
        for vendor, find in (("cuda", _cuda_arch), ("hip", _hip_arch)):
            if wanted in ("auto", vendor) or (wanted, vendor) == ("rocm", "hip"):
                arch = find()
                if arch:
                    return _target_of(vendor, arch)
        return parse_target(f"sim:{DEFAULT_SIMULATED}" if wanted == "auto" else wanted)
    return parse_target(text)


def _simulated(text: str | Target | dict[str, object], arch: str) -> Target:
    """The simulated form of a target; one without an architecture is `arch`."""
    bare = isinstance(text, str) and text.strip() in ("auto", "cuda", "hip", "rocm", "sim", "cutedsl")
    return replace(parse_target(f"sim:{arch}" if bare else text), simulated=True)


def _cuda_arch() -> str:
    """The architecture of the current CUDA device; empty without one."""
    from tilelang_mlir.runtime.cuda.device import device, device_count

    return device(_current_device()).arch if device_count() else ""


def _hip_arch() -> str:
    from tilelang_mlir.runtime.hip.device import device, device_count

    return device(_current_device()).arch if device_count() else ""


def _target_of(vendor: str, arch: str) -> Target:
    try:
        return parse_target(f"{vendor}:{arch}")
    except TargetError as error:
        message = f"this machine's GPU is {arch}, for which there is no code generator"
        raise TargetError(message, hint=error.hint) from error


def _current_device() -> int:
    """Torch's current device when torch is in use, else the first."""
    import sys

    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return int(torch.cuda.current_device())
    return 0
