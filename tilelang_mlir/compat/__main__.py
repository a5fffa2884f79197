"""`python -m tilelang_mlir.compat [--simulate[=ARCH]] [-m MODULE | SCRIPT] [ARGS]`: run a TileLang program."""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tilelang_mlir.compat.imports import install
from tilelang_mlir.errors import TileError
from tilelang_mlir.target import DEFAULT_SIMULATED


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns an exit status."""
    parser = argparse.ArgumentParser(prog="python -m tilelang_mlir.compat", description=__doc__)
    parser.add_argument(
        "--simulate",
        nargs="?",
        const=DEFAULT_SIMULATED,
        metavar="ARCH",
        default=None,
        help=f"run kernels in the simulator of ARCH (default {DEFAULT_SIMULATED}); give it as --simulate=ARCH",
    )
    parser.add_argument("-m", dest="module", metavar="MODULE", help="run a module, as python -m does")
    given = list(sys.argv[1:] if argv is None else argv)
    own, rest = _split(given)
    options = parser.parse_args(own)
    if options.module is None and not rest:
        parser.error("no script given")
    install(simulate=options.simulate or False)
    if options.module is not None:
        sys.argv = [options.module, *rest]
        return _guarded(lambda: runpy.run_module(options.module, run_name="__main__", alter_sys=True))
    script = rest[0]
    sys.argv = rest
    sys.path.insert(0, str(Path(script).resolve().parent))
    return _guarded(lambda: runpy.run_path(script, run_name="__main__"))


def _split(given: list[str]) -> tuple[list[str], list[str]]:
    """Our options, and the script with its arguments. A bare `--simulate` takes no value from what follows."""
    own: list[str] = []
    rest = list(given)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        own.append(option)
        if option == "-m" and rest:
            own.append(rest.pop(0))
            break
    return own, rest


def _guarded(run: Callable[[], object]) -> int:
    """Errors of kernels are shown as they are meant to be read, without the frames of this package."""
    try:
        run()
    except TileError as error:
        if "--traceback" in sys.argv:
            raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
