"""`tl-opt`: runs passes on IR text, in the manner of `mlir-opt`.

    tl-opt kernel.mlir --target=sm_80 --layout-inference --canonicalize
    tl-opt kernel.mlir --pass-pipeline='builtin.module(canonicalize,layout-inference)' --print-ir-after-change
    tl-opt kernel.mlir --stage=lowered --show-pretty
    tl-opt invalid.mlir --split-input-file --verify-diagnostics

Errors go to standard error as `file:line:column: error: message` and make the exit code 1.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tilelang_mlir.dialect import context, printer, spec
from tilelang_mlir.dialect.location import python_location
from tilelang_mlir.errors import TileError, TileValueError, UnsupportedError
from tilelang_mlir.mlir import ir
from tilelang_mlir.passes import registry
from tilelang_mlir.passes.manager import RunOptions, Timing, read_reproducer, run_pipeline
from tilelang_mlir.passes.pipeline_text import Element
from tilelang_mlir.passes.walk import launches
from tilelang_mlir.tools import diagnostics
from tilelang_mlir.tools.diagnostics import Diagnostic
from tilelang_mlir.tools.options import Options, parse_options

_SEPARATOR = re.compile(r"^// -----.*\n", re.MULTILINE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `tl-opt` on a command line (default: the process's). Returns the exit code: 0, or 1 after an error."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        options = parse_options(arguments)
        if options.list_passes:
            print(list_passes(), end="")
            return 0
        text = _read(options.file)
        if options.run_reproducer:
            options = _reproducer_options(text, options)
    except SystemExit as stop:
        return 1 if stop.code else 0
    except TileError as error:
        _report(diagnostics.from_tile_error(error), "tl-opt")
        return 1
    except OSError as error:
        print(f"tl-opt: cannot open input: {error}", file=sys.stderr)
        return 1
    timing = Timing() if options.timing else None
    outputs, failed = _process_all(text, options, timing)
    if timing:
        print(timing.report(), file=sys.stderr)
    if not options.verify_diagnostics:
        _write(outputs, options.output)
    return int(failed)


def _process_all(text: str, options: Options, timing: Timing | None) -> tuple[list[str | bytes], bool]:
    """Process every part of the input; one part's error does not stop the next."""
    outputs: list[str | bytes] = []
    failed = False
    file = "<stdin>" if options.file == "-" else options.file
    for part in split_input(text) if options.split_input_file else [text]:
        output, found = _process(part, options, timing)
        if options.verify_diagnostics:
            problems = diagnostics.verify(part, file, found)
            print("".join(f"{problem}\n" for problem in problems), end="", file=sys.stderr)
            failed |= bool(problems)
            continue
        _report(found, file)
        if output is None:
            failed = True
        else:
            outputs.append(output)
    return outputs, failed


def split_input(text: str) -> list[str]:
    """The parts between `// -----` lines, each led by blank lines so that line numbers stay those of the file."""
    parts: list[str] = []
    start = 0
    for match in [*_SEPARATOR.finditer(text), None]:
        end = match.start() if match else len(text)
        parts.append("\n" * text.count("\n", 0, start) + text[start:end])
        start = match.end() if match else end
    return parts


def _process(text: str, options: Options, timing: Timing | None) -> tuple[str | bytes | None, list[Diagnostic]]:
    """Parse, run and print one module; the output is None after an error."""
    found: list[Diagnostic] = []

    def collect(item: ir.Diagnostic) -> bool:
        found.append(diagnostics.from_mlir(item))
        return True

    with context() as ctx, ir.Location.unknown():
        # Errors are captured into exceptions; the handler sees warnings and remarks.
        handler = ctx.attach_diagnostic_handler(collect)
        try:
            module = ir.Module.parse(text)
            run_pipeline(module, _pipeline(options), options.target, _run_options(options, timing))
            if options.check_level:
                spec.check(options.check_level, module)
            return _emit(module, options), found
        except ir.MLIRError as error:
            found.extend(diagnostics.from_mlir_error(error))
        except TileError as error:
            found.extend(diagnostics.from_tile_error(error))
        finally:
            handler.detach()
    return None, found


def _pipeline(options: Options) -> list[Element]:
    """The passes of the command line, after those of the stage it names."""
    if not options.stage:
        return options.pipeline
    from tilelang_mlir.passes.pipelines import stages

    table = stages()
    if options.stage.replace("-", "_") not in table:
        hint = f"stages for {options.target}: {', '.join(table)}"
        raise TileValueError(f"unknown stage {options.stage!r}", hint=hint)
    names = list(table)
    chosen = names[: names.index(options.stage.replace("-", "_")) + 1]
    return [element for name in chosen for element in table[name]] + options.pipeline


def _run_options(options: Options, timing: Timing | None) -> RunOptions:
    return RunOptions(
        print_before_all=options.print_before_all, print_after_all=options.print_after_all,
        print_after_change=options.print_after_change, verify_each=options.verify_each, debug=options.debug,
        debug_info=options.debug_info, timing=timing, reproducer=options.reproducer,
        show=printer.print_module if options.pretty else None,
    )  # fmt: skip


def _emit(module: ir.Module, options: Options) -> str | bytes:
    if options.emit != "mlir":
        for launch in launches(module):
            message = f"--emit={options.emit} takes a lowered module, and this one still has a tl.launch"
            hint = "--stage=lowered runs the passes up to there"
            raise TileValueError(message, python_location(launch.location), hint=hint)
        return _codegen(options.emit)(module, options)
    if options.pretty:
        return printer.print_module(module)
    return module.operation.get_asm(enable_debug_info=options.debug_info)


def _codegen(kind: str) -> Callable[[ir.Module, Options], str | bytes]:
    """The code generator for an output kind; needs the compiler, which most runs of this tool do not."""
    try:
        from tilelang_mlir.compiler import codegen
    except ImportError as error:
        raise UnsupportedError(f"--emit={kind} needs the code generator: {error}") from error
    return lambda module, options: codegen.emit(module, options.target, kind)


def _reproducer_options(text: str, outer: Options) -> Options:
    """The options in a reproducer's first line; output and printing options stay those of the command line."""
    arguments = read_reproducer(text)
    if arguments is None:
        raise TileValueError(f"{outer.file} is no reproducer: its first line names no options")
    inner = parse_options(arguments)
    outer.target, outer.pipeline, outer.stage = inner.target, inner.pipeline, inner.stage
    return outer


def list_passes() -> str:
    """The registered passes with the first sentence of their documentation and their options."""
    from tilelang_mlir.tools.gen_docs import pass_options, summary

    lines: list[str] = []
    for name in registry.names():
        kind = registry.load(name)
        lines.append(f"--{name}  {summary(kind)}\n")
        lines.extend(f"    {option}={default}\n" for option, default in pass_options(kind))
    return "".join(lines)


def _report(found: Sequence[Diagnostic], file: str) -> None:
    print("".join(f"{item.render(file)}\n" for item in found), end="", file=sys.stderr)


def _read(path: str) -> str:
    return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")


def _write(outputs: Sequence[str | bytes], path: str) -> None:
    if outputs and isinstance(outputs[0], bytes):
        data = b"".join(o if isinstance(o, bytes) else o.encode() for o in outputs)
        sys.stdout.buffer.write(data) if path == "-" else Path(path).write_bytes(data)
        return
    text = "// -----\n".join(f"{str(output).rstrip()}\n" for output in outputs)
    if path == "-":
        sys.stdout.write(text)
    else:
        Path(path).write_text(text)


if __name__ == "__main__":
    sys.exit(main())
