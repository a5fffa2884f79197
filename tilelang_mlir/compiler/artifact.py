"""The result of a compilation: device code plus launch plan. Plain data; running it needs no MLIR and no LLVM."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any

from tilelang_mlir.compiler.resources import Resources
from tilelang_mlir.errors import CacheError
from tilelang_mlir.launch_plan import LaunchPlan

_MAGIC = b"TLK2"
_LENGTH = struct.Struct(">Q")
_BLOBS = ("assembly", "binary", "lowered")


@dataclass
class Artifact:
    """One compiled host function.

    `assembly` (PTX, AMDGCN) and `binary` (cubin, HSACO) may be empty (simulated targets; no ptxas), `lowered` is the
    level-4 module as MLIR bytecode.
    `resources` is by kernel name, `timings` in milliseconds by stage.
    """

    name: str
    target: str
    plan: LaunchPlan
    lowered: bytes
    assembly: str = ""
    binary: bytes = b""
    resources: dict[str, Resources] = field(default_factory=dict)
    log: str = ""
    timings: dict[str, float] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The artifact as one relocatable block."""
        blobs = (self.assembly.encode(), self.binary, self.lowered)
        header = json.dumps({
            "name": self.name, "target": self.target, "plan": self.plan.to_json(), "log": self.log,
            "resources": {name: r.to_json() for name, r in self.resources.items()}, "timings": self.timings,
            "metadata": self.metadata, "sizes": [len(blob) for blob in blobs],
        }).encode()  # fmt: skip
        return b"".join((_MAGIC, _LENGTH.pack(len(header)), header, *blobs))

    @classmethod
    def from_bytes(cls, data: bytes) -> Artifact:
        """Raises CacheError when the data is no artifact of this version."""
        try:
            if data[:4] != _MAGIC:
                raise ValueError("wrong magic number")
            start = 4 + _LENGTH.size
            end = start + _LENGTH.unpack(data[4:start])[0]
            header = json.loads(data[start:end])
            blobs: dict[str, bytes] = {}
            for name, size in zip(_BLOBS, header.pop("sizes"), strict=True):
                blobs[name], end = data[end : end + size], end + size
            if end != len(data):
                raise ValueError("wrong length")
            resources = {name: Resources.from_json(r) for name, r in header.pop("resources").items()}
            plan = LaunchPlan.from_json(header.pop("plan"))
            return cls(**header, plan=plan, resources=resources, assembly=blobs["assembly"].decode(),
                       binary=blobs["binary"], lowered=blobs["lowered"])
        except (ValueError, KeyError, TypeError, struct.error) as error:
            raise CacheError(f"not a compiled kernel of this version: {error}") from error
