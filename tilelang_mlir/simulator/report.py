"""What a simulation tells besides its results."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tilelang_mlir.errors import Location


@dataclass
class AccessReport:
    """Memory requests of one Python line in one space, counted on the first CTA of every batch.

    A request is one access instruction of one warp. Shared: `cost` are wavefronts, `ideal` those without bank
    conflicts. Global: `cost` are 32-byte sectors touched, `ideal` the sectors that the same bytes fill when
    contiguous.
    """

    location: Location | None
    space: str
    requests: int = 0
    cost: int = 0
    ideal: int = 0

    @property
    def excess(self) -> int:
        """Extra wavefronts (bank conflicts) or sectors (uncoalesced access)."""
        return self.cost - self.ideal


@dataclass
class SimulationReport:
    """Counters of one launch; `instructions` and `accesses` are filled in checked mode only.

    `instructions` counts warp instructions by op name, `seconds` is the simulator's own run time.
    """

    kernel: str
    ctas: int
    seconds: float = 0.0
    batches: int = 0
    printed: list[str] = field(default_factory=list)
    instructions: Counter[str] = field(default_factory=Counter)
    accesses: list[AccessReport] = field(default_factory=list)

    @property
    def bank_conflicts(self) -> int:
        """Extra shared-memory wavefronts over all lines."""
        return sum(a.excess for a in self.accesses if a.space == "shared")

    @property
    def excess_sectors(self) -> int:
        """Extra global-memory sectors over all lines."""
        return sum(a.excess for a in self.accesses if a.space == "global")

    def __str__(self) -> str:
        lines = [f"{self.kernel}: {self.ctas} CTAs in {self.batches} batches, {self.seconds * 1e3:.1f} ms"]
        for access in sorted(self.accesses, key=lambda a: -a.excess):
            unit = "wavefronts" if access.space == "shared" else "sectors"
            lines.append(
                f"  {access.location}: {access.space}, {access.requests} requests, "
                f"{access.cost} {unit} (ideal {access.ideal})"
            )
        return "\n".join(lines)
