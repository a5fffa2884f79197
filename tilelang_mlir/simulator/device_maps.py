"""Tensor maps that kernels make in memory. PTX ISA 8.7, sections 9.7.9.26 (tensormap.replace), 9.7.13.4
(fence.proxy.tensormap) and 9.7.13.6 (tensormap.cp_fenceproxy).

A descriptor is 128 bytes whose format the ISA does not tell; here they are `_FORMAT`, and a field is what
`tensormap.replace` last wrote. Copies read it through a proxy of its own: what was written reaches them when a thread
that released it wrote it, and the warp that copies has acquired it since.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tilelang_mlir.errors import Location, ProxyFenceError, RaceError, SimulationError, UninitializedReadError
from tilelang_mlir.isa.instruction import GLOBAL, SHARED
from tilelang_mlir.isa.nvidia.tensormap import BYTES
from tilelang_mlir.simulator.tensor_map import TensorMap

if TYPE_CHECKING:
    from tilelang_mlir.simulator.lanes import Lanes
    from tilelang_mlir.simulator.pending import Pending

# What is modelled of a descriptor: field, bytes of an element, how many.
_FIELDS = (
    ("global_address", 8, 1), ("global_stride", 8, 4), ("global_dim", 4, 5), ("box_dim", 4, 5),
    ("element_stride", 4, 5), ("rank", 1, 1), ("elemtype", 1, 1), ("interleave_layout", 1, 1), ("swizzle_mode", 1, 1),
    ("fill_mode", 1, 1),
)  # fmt: skip
_FORMAT = np.dtype([(name, f"<u{size}", (count,)) for name, size, count in _FIELDS])
# PTX ISA 8.7, table of elemtype values: bytes of each.
_ITEM_BYTES = (1, 2, 4, 4, 8, 8, 2, 4, 4, 8, 2, 4, 4)
_SWIZZLES = (0, 32, 64, 128)


@dataclass
class DeviceMaps:
    """What is known of the descriptors of a batch, by address: contents as they were released, contents as a warp
    acquired them, and the copies through them that are not over."""

    changed: dict[int, int] = field(default_factory=dict)  # the CTA whose thread wrote it last, not released yet
    released: dict[int, bytes] = field(default_factory=dict)
    acquired: dict[tuple[int, int, int], bytes] = field(default_factory=dict)  # by CTA, warp and address
    under_way: dict[int, list[Pending]] = field(default_factory=dict)
    sites: dict[int, int] = field(default_factory=dict)  # of what wrote it last


class MapAccess:
    """Descriptors in memory as one agent sees them."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes

    @property
    def _maps(self) -> DeviceMaps:
        return self._lanes.batch.device_maps

    def replace_field(self, space: int, place: Any, name: str, ordinal: int, value: Any) -> None:
        """tensormap.replace: one field of the descriptors that the active lanes name."""
        size = next(size for field_name, size, _ in _FIELDS if field_name == name)
        offset = int(_FORMAT.fields[name][1]) + ordinal * size if _FORMAT.fields is not None else 0
        if space == GLOBAL:
            for row, _, address in self._named(place):
                self._require_idle(row, address)
                self._maps.changed[address], self._maps.sites[address] = row, self._lanes.site
        stored = np.broadcast_to(np.asarray(value, np.int64), self._lanes.shape).astype(f"<u{size}")
        self._lanes.store(space, np.asarray(place) + offset, size, stored)

    def publish_map(self, target: Any, source: Any) -> None:
        """tensormap.cp_fenceproxy: 128 bytes to device memory, by the lanes of a warp together, and their release."""
        for row, _, address in self._named(target):
            if address % BYTES:
                raise SimulationError(f"tensormap.cp_fenceproxy writes to address {address}, not a multiple of {BYTES}")
            self._require_idle(row, address)
        step = self._lanes.laneid.astype(np.int64) * (BYTES // 32)
        self._lanes.store(GLOBAL, np.asarray(target) + step, 4, self._lanes.load(SHARED, np.asarray(source) + step, 4))
        for _, _, address in self._named(target):
            self._maps.changed.pop(address, None)
            self._maps.released[address], self._maps.sites[address] = self._bytes(address), self._lanes.site

    def release_maps(self) -> None:
        """fence.proxy.tensormap::generic.release: what threads of these CTAs have changed in place."""
        rows = {int(row) for row in np.nonzero(np.broadcast_to(self._mask().any(1), (self._lanes.batch.ctas,)))[0]}
        for address in [a for a, row in self._maps.changed.items() if row in rows]:
            del self._maps.changed[address]
            self._maps.released[address] = self._bytes(address)

    def acquire_map(self, place: Any) -> None:
        """fence.proxy.tensormap::generic.acquire of 128 bytes.

        Raises:
            ProxyFenceError: nobody has released what is there. UninitializedReadError: there is no map.
        """
        for row, warp, address in self._named(place):
            found, checked = self._bytes(address), self._lanes.batch.checker is not None
            if checked and address not in self._maps.sites:
                raise UninitializedReadError(
                    f"{self._who(row, warp)} acquires a tensor map at address {address}, where nobody has made one"
                )
            if checked and self._maps.released.get(address) != found:
                raise ProxyFenceError(
                    f"race: {self._who(row, warp)} acquires the tensor map at address {address}, which was not "
                    "released since it was written",
                    notes=self._written(address),
                    hint="fence.proxy.tensormap::generic.release after the writes, or tensormap.cp_fenceproxy",
                )
            self._maps.acquired[row, warp, address] = found

    def prefetch_map(self, place: Any) -> None:
        """prefetch.tensormap: the descriptor must exist."""
        if not isinstance(place, TensorMap):
            for _, _, address in self._named(place):
                self._bytes(address)

    def described(self, place: Any) -> list[tuple[TensorMap, int, np.ndarray]]:
        """The maps at the addresses that active lanes name: what each says, where it is, the lanes (C, T) that name it.

        Raises:
            ProxyFenceError: the warp has not acquired what is there.
            SimulationError: a field is missing or has no meaning.
        """
        known = self._lanes.batch.checker is not None
        for row, warp, address in self._named(place):
            if known and self._maps.acquired.get((row, warp, address)) != self._bytes(address):
                raise ProxyFenceError(
                    f"race: a copy by {self._who(row, warp)} through the tensor map at address {address}, which was "
                    "written and not acquired by this warp since",
                    notes=self._written(address),
                    hint="fence.proxy.tensormap::generic.acquire before the copy",
                )
        wide = np.broadcast_to(np.asarray(place, np.int64), self._lanes.shape)
        mask = self._mask()
        return [
            (decode(self._bytes(int(address))), int(address), mask & (wide == address))
            for address in np.unique(wide[mask])
        ]

    def used(self, address: int, copies: list[Pending]) -> None:
        """Copies through a descriptor have started: it may not change before they are over."""
        waiting = [copy for copy in self._maps.under_way.get(address, []) if not copy.done]
        self._maps.under_way[address] = [*waiting, *copies]

    def _require_idle(self, row: int, address: int) -> None:
        busy = [copy for copy in self._maps.under_way.get(address, []) if not copy.done]
        if busy and self._lanes.batch.checker is not None:
            raise RaceError(
                f"race: the tensor map at address {address} changes in CTA {self._lanes.batch.ids[row]} while "
                f"{busy[0].what} through it is under way",
                notes=((busy[0].what, self._where(busy[0].site)),),
                hint="wait for the copies that use it first",
            )

    def _written(self, address: int) -> tuple[tuple[str, Location | None], ...]:
        """A note of the last write to a map."""
        site = self._maps.sites.get(address)
        return () if site is None else (("the map is written", self._where(site)),)

    def _where(self, site: int) -> Location | None:
        checker = self._lanes.batch.checker
        return None if checker is None else checker.where(site)

    def _mask(self) -> np.ndarray:
        mask = self._lanes.mask
        return np.broadcast_to(np.bool_(True) if mask is None else mask, self._lanes.shape)

    def _named(self, place: Any) -> list[tuple[int, int, int]]:
        """CTA, warp and address of what active lanes name, each once."""
        mask = self._mask()
        wide = np.broadcast_to(np.asarray(place, np.int64), self._lanes.shape)
        rows, columns = np.nonzero(mask)
        found = np.stack((rows, self._lanes.warp[columns], wide[rows, columns]), axis=1)
        return [(int(a), int(b), int(c)) for a, b, c in np.unique(found, axis=0)]

    def _bytes(self, address: int) -> bytes:
        memory = self._lanes.batch.memory
        where = np.arange(address, address + BYTES, 4)[None]
        return memory.views[4].take(memory.index(where, 4)).tobytes()

    def _who(self, row: int, warp: int) -> str:
        return f"warp {warp} of CTA {self._lanes.batch.ids[row]}"


@lru_cache(maxsize=256)
def decode(content: bytes) -> TensorMap:
    """What 128 bytes say.

    Raises:
        SimulationError: a field has no meaning; of an interleaved layout, NaN outside, strides within the box.
    """
    found = np.frombuffer(content, _FORMAT, 1)[0]
    rank = int(found["rank"][0]) + 1
    kind, swizzle = int(found["elemtype"][0]), int(found["swizzle_mode"][0])
    if rank > 5 or kind >= len(_ITEM_BYTES) or swizzle >= len(_SWIZZLES):
        raise SimulationError(f"a tensor map of rank {rank}, element type {kind} and swizzle mode {swizzle}")
    if found["interleave_layout"][0] or found["fill_mode"][0]:
        raise SimulationError("a tensor map with an interleaved layout or with NaN outside of the tensor")
    box, sizes, steps = (found[name][:rank] for name in ("box_dim", "global_dim", "element_stride"))
    if (steps != 1).any():
        raise SimulationError(f"a tensor map with strides {steps.tolist()} between the elements of a box")
    if (box < 1).any() or (box > 256).any():
        raise SimulationError(f"a tensor map with a box of {box.tolist()}, sides are 1 to 256")
    if (sizes < 1).any() or (sizes >= 1 << 31).any():
        got = sizes.astype(np.int32).tolist()
        raise SimulationError(f"a tensor map of a tensor with sizes {got}, expected 1 or more")
    address = int(found["global_address"][0])
    if address % 16:
        raise SimulationError(f"a tensor map of a tensor at address {address}, which must be a multiple of 16")
    strides = tuple(int(x) for x in found["global_stride"][: rank - 1])
    return TensorMap(
        None, _ITEM_BYTES[kind], tuple(int(x) for x in sizes), strides, tuple(int(x) for x in box), _SWIZZLES[swizzle],
        address,
    )  # fmt: skip

