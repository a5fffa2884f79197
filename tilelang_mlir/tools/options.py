"""The command line of `tl-opt`, in the spelling of `mlir-opt`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field

from tilelang_mlir.errors import TileValueError
from tilelang_mlir.passes.pipeline_text import Element, parse_element, parse_pipeline
from tilelang_mlir.target import Target, parse_target

EMIT = ("mlir", "llvm", "ptx", "cubin", "sass", "amdgcn", "hsaco")


@dataclass
class Options:
    """What one run of `tl-opt` does. `pipeline` holds the passes in command-line order."""

    file: str = "-"
    output: str = "-"
    target: Target = field(default_factory=lambda: parse_target("cuda"))
    pipeline: list[Element] = field(default_factory=list)
    stage: str = ""
    emit: str = "mlir"
    check_level: str = ""
    split_input_file: bool = False
    verify_diagnostics: bool = False
    verify_each: bool = True
    print_before_all: bool = False
    print_after_all: bool = False
    print_after_change: bool = False
    timing: bool = False
    debug_info: bool = False
    pretty: bool = False
    debug: bool = False
    reproducer: str | None = None
    run_reproducer: bool = False
    list_passes: bool = False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tl-opt", allow_abbrev=False, description="Runs passes on a module and prints the result.",
        epilog="Any other --NAME or --NAME=OPTION=VALUE runs the pass of that name; order counts. See --list-passes.",
    )  # fmt: skip
    add = parser.add_argument
    add("file", nargs="?", default="-", help="the input; - is standard input")
    add("-o", dest="output", default="-", metavar="FILE", help="the output; - is standard output")
    add("--target", default="cuda", help="what to compile for, as tilelang_mlir.target spells it (default cuda)")
    add("--pass-pipeline", default="", metavar="TEXT", help="passes as text, e.g. builtin.module(canonicalize,cse)")
    add("--stage", default="", help="run everything up to a named stage of the compiler, e.g. laid-out or lowered")
    add("--emit", default="mlir", choices=EMIT, help="what to print")
    add(
        "--check-level", default="", metavar="LEVEL", help="check the result against a level's spec, e.g. tl or lowered"
    )
    add("--split-input-file", action="store_true", help="treat parts between // ----- lines as separate inputs")
    add("--verify-diagnostics", action="store_true", help="compare errors with expected-error@... {{...}} comments")
    add("--verify-each", default="true", choices=("true", "false"), nargs="?", const="true", help="verify after passes")
    add("--print-ir-before-all", dest="print_before_all", action="store_true", help="print the IR before every pass")
    add("--print-ir-after-all", dest="print_after_all", action="store_true", help="print the IR after every pass")
    add("--print-ir-after-change", dest="print_after_change", action="store_true", help="print it where it changed")
    add("--mlir-timing", dest="timing", action="store_true", help="print how long each pass took")
    add("--mlir-print-debuginfo", dest="debug_info", action="store_true", help="print locations")
    add("--show-pretty", dest="pretty", action="store_true", help="print in the readable one-way form")
    add("--check-specs", dest="debug", action="store_true", help="check the spec of each level between passes")
    add("--mlir-pass-pipeline-crash-reproducer", dest="reproducer", metavar="FILE", help="write a failing pass's input")
    add("--run-reproducer", action="store_true", help="take the options from the first line of the input")
    add("--list-passes", action="store_true", help="list the passes of this project")
    return parser


def parse_options(argv: Sequence[str]) -> Options:
    """Parse a command line (without the program name).

    Raises:
        TileValueError: an option, pass or target is unknown.
        SystemExit: after `--help`, or when an option's value is missing or not one of its choices.
    """
    parser = _parser()
    # The names argparse knows; everything else that looks like a flag is a pass.
    known = {name for action in parser._actions for name in action.option_strings}
    passes = [arg for arg in argv if arg.startswith("--") and arg.split("=", 1)[0] not in known and arg != "--"]
    space = parser.parse_args([arg for arg in argv if arg not in passes])
    values = vars(space)
    text = values.pop("pass_pipeline")
    if text and passes:
        raise TileValueError(f"--pass-pipeline and {passes[0]} cannot be used together")
    values["target"] = parse_target(values["target"])
    values["verify_each"] = values["verify_each"] == "true"
    pipeline = parse_pipeline(text) if text else [_pass_flag(flag) for flag in passes]
    return Options(pipeline=pipeline, **values)


def _pass_flag(flag: str) -> Element:
    """`--name` or `--name=option=value ...` as a pipeline element."""
    name, _, options = flag.removeprefix("--").partition("=")
    return parse_element(f"{name}{{{options}}}" if options else name)
