"""What a kernel takes of a multiprocessor, as ptxas reports it or a code object's metadata say."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from tilelang_mlir.compiler.toolchain.code_object import metadata
from tilelang_mlir.target import Target

_ENTRY = re.compile(r"Compiling entry function '([^']+)'")
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_REGISTERS = re.compile(r"Used (\d+) registers")
_BARRIERS = re.compile(r"used (\d+) barriers")
_SHARED = re.compile(r"(\d+) bytes smem")
_CONSTANT = re.compile(r"(\d+) bytes cmem\[0\]")
# Performance advice: (C7510) wgmma serialised, (C7508) setmaxnreg ignored, and kin.
_ADVICE = re.compile(r"^.*\(?\bC75\d\d\b\)?.*$", re.MULTILINE)


def _lds(target: Target) -> int:
    """Bytes of LDS where blocks share it: a work-group processor has twice what a block may use."""
    return target.max_shared_bytes * (1 if target.warp_size == 64 else 2)


@dataclass(frozen=True)
class Resources:
    """Per kernel: registers per thread; bytes of spills, stack and static shared memory; named barriers.

    `registers` are vector registers, those that matrix products accumulate in included; `scalar_registers` are those
    of a wave on machines that have them, `wave` its threads where the machine knows two sizes.
    `advice` holds ptxas' performance messages (for example C7510: wgmma was serialised).
    """

    registers: int = 0
    spill_stores: int = 0
    spill_loads: int = 0
    stack: int = 0
    shared: int = 0
    constant: int = 0
    barriers: int = 0
    scalar_registers: int = 0
    wave: int = 0
    advice: tuple[str, ...] = ()

    @property
    def spills(self) -> int:
        """Bytes written to and read from local memory because registers ran out."""
        return self.spill_stores + self.spill_loads

    def occupancy(self, target: Target, threads: int, dynamic_shared: int) -> int:
        """Blocks that fit on one multiprocessor, by registers, shared memory and threads (CUDA Programming Guide,
        "Occupancy Calculator": registers are handed out per warp in units of 256)."""
        warps = -(-threads // target.warp_size)
        if target.vendor == "hip":
            lds = -(-max(self.shared + dynamic_shared, 1) // 512) * 512
            return min(self._waves(target) // warps, _lds(target) // lds)
        per_warp = -(-max(self.registers, 1) * target.warp_size // 256) * 256
        limits = [target.registers // (per_warp * warps), 64 // warps, 32]
        block_shared = self.shared + dynamic_shared + 1024  # the driver keeps 1 KiB per block
        limits.append((target.max_shared_bytes + 1024) // block_shared)
        return max(0, min(limits))

    def _waves(self, target: Target) -> int:
        """Waves that fit on the four SIMDs of an AMD compute unit (a work-group processor where waves have 32 lanes).

        A SIMD has 512 registers for each of 64 lanes, handed out by 8, or 1536 for each of 32, by 24; and room for 8 or
        16 waves (ISA documents, section on wave state; AMD lab notes on register pressure).
        """
        unit, most = (8, 8) if target.warp_size == 64 else (24, 16)
        per_lane = target.registers // (4 * target.warp_size)
        return 4 * min(most, per_lane // (-(-max(self.registers, 1) // unit) * unit))

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "advice": list(self.advice)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Resources:
        numbers = {name: int(value) for name, value in data.items() if name != "advice"}
        return cls(**numbers, advice=tuple(data.get("advice", ())))


def parse_ptxas_log(log: str) -> dict[str, Resources]:
    """Resources by kernel name, from the output of `ptxas -v`."""
    parts = _ENTRY.split(log)
    advice = tuple(dict.fromkeys(line.strip() for line in _ADVICE.findall(log)))
    return {name: _parse_entry(body, advice) for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def read_code_object(code: bytes) -> dict[str, Resources]:
    """Resources by kernel name, from the metadata of an AMD code object; empty without one."""
    if not code:
        return {}
    return {kernel[".name"]: _from_metadata(kernel) for kernel in metadata(code)["amdhsa.kernels"]}


def _from_metadata(kernel: dict[str, Any]) -> Resources:
    """A spilled register is stored and loaded once at least; how often, the metadata do not say."""
    spilled = 4 * kernel[".vgpr_spill_count"]
    return Resources(
        registers=kernel[".vgpr_count"],
        spill_stores=spilled,
        spill_loads=spilled,
        stack=kernel[".private_segment_fixed_size"],
        shared=kernel[".group_segment_fixed_size"],
        constant=kernel[".kernarg_segment_size"],
        scalar_registers=kernel[".sgpr_count"],
        wave=kernel[".wavefront_size"],
    )


def _number(pattern: re.Pattern[str], text: str, group: int = 1) -> int:
    found = pattern.search(text)
    return int(found.group(group)) if found else 0


def _parse_entry(body: str, advice: tuple[str, ...]) -> Resources:
    return Resources(
        registers=_number(_REGISTERS, body),
        spill_stores=_number(_STACK, body, 2),
        spill_loads=_number(_STACK, body, 3),
        stack=_number(_STACK, body),
        shared=_number(_SHARED, body),
        constant=_number(_CONSTANT, body),
        barriers=_number(_BARRIERS, body),
        advice=advice,
    )
