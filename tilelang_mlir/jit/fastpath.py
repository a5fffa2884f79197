"""Repeated calls of an eager kernel: from arguments to the compiled kernel without binding a signature.

A `CallForm` is made once per form of call (how many positional arguments, which keywords) after the slow path has
bound it. Then a call costs a few dictionary look-ups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tilelang_mlir.frontend.annot import Source
from tilelang_mlir.jit.eager import EagerFunction

_Reader = Callable[[tuple[Any, ...]], Any]


class CallForm:
    """Where the arguments of one form of call are, and the kernels that calls of this form have used."""

    def __init__(self, function: EagerFunction, count: int, keywords: tuple[str, ...]) -> None:
        given = [*function.binder.arg_names[:count], *keywords]
        defaults = {name: p.default for name, p in function.binder.sig.parameters.items()}
        self.function = function
        self.constants = [index for index, name in enumerate(given) if name not in function.runtime]
        self.runtime = [
            (given.index(name), None) if name in given else (-1, defaults[name]) for name in function.runtime
        ]
        positions = tuple(index for index, _ in self.runtime)
        # Of the run-time arguments in the kernel's order; none when a default stands in for one.
        self.positions = positions if min(positions, default=0) >= 0 else None
        self.in_order = [index for index, _ in self.runtime] == list(range(len(given)))
        self.places = {name: index for index, name in enumerate(given)}
        self.kernels: dict[Any, tuple[list[_Reader], dict[tuple[Any, ...], Any]]] = {}

    def find(self, values: tuple[Any, ...]) -> Any:
        """The kernel for the values of a call, or None when the slow path has to make it."""
        try:
            found = self.kernels.get(tuple((type(values[i]), values[i]) for i in self.constants))
        except TypeError:  # an argument that is not hashable
            return None
        if found is None:
            return None
        readers, kernels = found
        try:
            return kernels.get(tuple([reader(values) for reader in readers]))
        except (AttributeError, IndexError, TypeError):
            return None

    def arguments(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """The run-time arguments in the kernel's order."""
        if self.in_order:
            return values
        return tuple(values[index] if index >= 0 else default for index, default in self.runtime)

    def remember(
        self, values: tuple[Any, ...], constants: Mapping[str, Any], runtime: Mapping[str, Any],
        sizes: Mapping[str, int], kernel: Any,
    ) -> None:  # fmt: skip
        """Keep what the slow path found for these values."""
        sources = self.function.phase(dict(constants), runtime).sources
        opened = self.function.open_arguments()
        if not all(sources[name].argument in self.places for name in sizes) or set(opened) - set(self.places):
            return
        try:
            key = tuple((type(values[i]), values[i]) for i in self.constants)
            # Ranks come first: sizes are read with the places of those ranks.
            kinds = [_kind_reader(self.places[name]) for name in opened]
            known = self.kernels.get(key)
            readers = [*kinds, *(_reader(sources[name], self.places[sources[name].argument]) for name in sizes)]
            if known is not None and len(known[0]) != len(readers):
                return  # open arguments of another rank: such calls stay on the slow path
            kernels = self.kernels.setdefault(key, (readers, {}))[1]
            kernels[tuple(reader(values) for reader in readers)] = kernel
        except TypeError:  # not hashable: such calls stay on the slow path
            return


def _kind_reader(place: int) -> _Reader:
    return lambda values: (len(values[place].shape), values[place].dtype)


def _reader(source: Source, place: int) -> _Reader:
    if source.attribute == "shape":
        return lambda values: values[place].shape[source.dim]
    return lambda values: source.read(values[place])
