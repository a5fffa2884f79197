"""Tensor maps of the tensor memory accelerator: which bytes a box covers. CUDA driver API, cuTensorMapEncodeTiled;
PTX ISA 8.7, section 5.5 (tensors): boxes, swizzle modes, out-of-bounds fill.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tilelang_mlir.errors import SimulationError

_SWIZZLE_BITS = {0: 0, 32: 1, 64: 3, 128: 7}


@dataclass(frozen=True)
class TensorMap:
    """A descriptor as a launch argument.

    Args:
        tensor: a numpy array, or an address in the arena.
        itemsize: bytes of an element: 1, 2, 4 or 8.
        shape: extents in elements, innermost first.
        strides: bytes between neighbours of dimensions 1, 2, ... (the innermost is dense); multiples of 16.
        box: extents of a copied box, innermost first.
        swizzle: 0, 32, 64 or 128 bytes; the inner extent of the box may not exceed it.
        walk: of im2col mode (cuTensorMapEncodeIm2col), for images [N, H, W, C]: lower and upper corner of the box that
            the first pixels of windows walk through, relative to the edges of the image, and the step, in both
            directions. `box` is then channels and pixels.
        bits: 4 or 6 of 16U4_ALIGN16B or 16U6_ALIGN16B, whose shape and box count elements: 16 of them come to the start
            of 16 bytes in shared memory; what is behind them is left alone. 0 of other types.
    """

    tensor: Any
    itemsize: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    box: tuple[int, ...]
    swizzle: int = 0
    address: int = field(default=0)
    walk: tuple[int, ...] = ()
    bits: int = 0

    def __post_init__(self) -> None:
        if len(self.box) != (2 if self.walk else len(self.shape)) or len(self.strides) != len(self.shape) - 1:
            raise SimulationError("a tensor map needs as many box extents as dimensions, and one stride less")
        if self.swizzle not in _SWIZZLE_BITS or (self.swizzle and self.box[0] * self.itemsize > self.swizzle):
            raise SimulationError(
                f"a box of {self.box[0] * self.itemsize} inner bytes does not fit swizzle {self.swizzle}"
            )
        if any(stride % 16 for stride in self.strides) or self.box[0] * self.itemsize % 16:
            raise SimulationError("strides and the inner bytes of the box of a tensor map are multiples of 16")

        if self.bits and (self.box[0] != 128 or self.shape[0] % 128 or any(stride % 32 for stride in self.strides)):
            raise SimulationError(
                "a tensor map of elements with gaps has rows of multiples of 128 elements, strides of multiples of 32 "
                f"bytes and a box of 128 elements, got {self.shape}, {self.strides} and {self.box}"
            )

    @property
    def nbytes(self) -> int:
        """Bytes that a box reports to its mbarrier, filled parts included: all that it takes there but gaps."""
        return int(np.prod(self.box)) * (self.bits or 8 * self.itemsize) // 8

    def places(
        self, shared: np.ndarray, coordinates: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Of boxes at shared addresses (K) and coordinates (K each, innermost first): (shared, global, inside, unit).

        The arrays are (K, units), with units of 16 bytes where the tensor's edge allows, else of an element. In im2col
        mode the offsets of the tap follow the coordinates.

        Raises:
            SimulationError: other coordinates than the mode of the map has, an innermost one that is no multiple of 16
                bytes, or pixels outside of the walk.
        """
        directions = len(self.shape) - 2 if self.walk else 0
        if len(coordinates) != len(self.shape) + directions:
            raise SimulationError(f"a copy with {len(coordinates)} coordinates and offsets, not those of its map")
        if self.bits:
            return self._with_gaps(shared, coordinates)
        self._require_aligned(coordinates[0])
        unit = 16 if self.shape[0] * self.itemsize % 16 == 0 else self.itemsize
        inner = self.box[0] * self.itemsize // unit
        extents = (*reversed(self.box[1:]), inner)
        index = np.indices(extents).reshape(len(extents), -1)[::-1]  # innermost first
        offset = np.arange(index.shape[1]) * unit
        place = shared[:, None] + offset
        place = place ^ ((place >> 7 & _SWIZZLE_BITS[self.swizzle]) << 4)
        first = coordinates[0][:, None] * self.itemsize + index[0] * unit
        inside = (first >= 0) & (first < self.shape[0] * self.itemsize)
        source = self.address + first
        positions = self._walked(coordinates, index[1]) if self.walk else [
            coordinates[axis][:, None] + index[axis] for axis in range(1, len(self.shape))
        ]  # fmt: skip
        for axis, position in enumerate(positions, 1):
            inside &= (position >= 0) & (position < self.shape[axis])
            source = source + position * self.strides[axis - 1]
        return place, source, inside, unit

    def _with_gaps(
        self, shared: np.ndarray, coordinates: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Boxes of packed elements: of every 16 bytes in shared memory the first 2 * `bits` are copied."""
        if (coordinates[0] % 128).any():
            raise SimulationError("a tensor copy of elements with gaps starts at no multiple of 128 elements")
        used = 2 * self.bits
        unit = used & -used  # 8 bytes of 16 elements of 4 bits, 4 of 6 bits
        extents = (*reversed(self.box[1:]), self.box[0] // 16, used // unit)
        part, group, *others = np.indices(extents).reshape(len(extents), -1)[::-1]
        row = np.ravel_multi_index(others[::-1], extents[:-2]) if others else np.zeros_like(group)
        place = shared[:, None] + row * self.box[0] + group * 16 + part * unit
        place = place ^ ((place >> 7 & _SWIZZLE_BITS[self.swizzle]) << 4)
        first = coordinates[0][:, None] + group * 16
        inside = (first >= 0) & (first < self.shape[0])
        source = self.address + first * self.bits // 8 + part * unit
        for axis, index in enumerate(others, 1):
            position = coordinates[axis][:, None] + index
            inside &= (position >= 0) & (position < self.shape[axis])
            source = source + position * self.strides[axis - 1]
        return place, source, inside, unit

    def _require_aligned(self, inner: np.ndarray) -> None:
        """Hardware (measured on an H200) ends other copies as illegal instructions."""
        start = inner * self.itemsize
        if (start % 16).any():
            raise SimulationError(
                f"a tensor copy starts at byte {int(start[(start % 16).argmax()])} of the innermost dimension, not "
                "at a multiple of 16"
            )

    def _walked(self, coordinates: list[np.ndarray], pixel: np.ndarray) -> list[np.ndarray]:
        """Pixels and image of each unit in im2col mode (PTX ISA 8.7, section 5.5.4): the first pixels of windows follow
        each other with a step through the box, rows after rows and images after images; the tap's offset comes on top.
        """
        lower, upper, step = self.walk
        directions = len(self.shape) - 2
        counts = [(size - 1 + upper - lower) // step + 1 for size in self.shape[1:-1]]
        starts = [(c - lower) // step for c in coordinates[1 : 1 + directions]]
        for start, count, c in zip(starts, counts, coordinates[1 : 1 + directions], strict=True):
            if ((start < 0) | (start >= count) | ((c - lower) % step != 0)).any():
                raise SimulationError(f"a copy in im2col mode starts at a pixel outside of its walk: {c.tolist()}")
        number = coordinates[1 + directions]
        for start, count in zip(reversed(starts), reversed(counts), strict=True):
            number = number * count + start
        number = number[:, None] + pixel
        positions: list[np.ndarray] = []
        for count, tap in zip(counts, coordinates[2 + directions :], strict=True):
            positions.append(lower + number % count * step + (tap[:, None] & 0xFFFF))
            number = number // count
        return [*positions, number]

    def rows(
        self, shared: np.ndarray, column: np.ndarray, rows: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Of gathered rows (tile::gather4): as `places`, for rows that lie one after the other in shared memory.

        Raises:
            SimulationError: the tensor has other than two dimensions, the box more than one row, or the column is no
                multiple of 16 bytes.
        """
        if len(self.box) != 2 or self.box[1] != 1:
            raise SimulationError(f"a gather of rows needs a tensor map with boxes of one row, got {list(self.box)}")
        self._require_aligned(column)
        unit = 16 if self.shape[0] * self.itemsize % 16 == 0 else self.itemsize
        inner = np.arange(self.nbytes // unit) * unit
        offset = (np.arange(len(rows))[:, None] * self.nbytes + inner).reshape(-1)
        place = shared[:, None] + offset
        place = place ^ ((place >> 7 & _SWIZZLE_BITS[self.swizzle]) << 4)
        first = np.tile(column[:, None] * self.itemsize + inner, (1, len(rows)))
        row = np.repeat(np.stack(rows, axis=1), len(inner), axis=1)
        inside = (first >= 0) & (first < self.shape[0] * self.itemsize) & (row >= 0) & (row < self.shape[1])
        return place, self.address + first + row * self.strides[0], inside, unit
