"""Runs a pipeline: upstream and own passes in order, verified, timed, dumped, and reproducible when one fails."""

from __future__ import annotations

import contextlib
import io
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from tilelang_mlir import knobs
from tilelang_mlir.errors import Location, PassError, TileError
from tilelang_mlir.mlir import PassManager, ir
from tilelang_mlir.target import Target

from ..dialect import spec
from ..dialect.location import location_notes, python_location
from .pipeline_text import Element, print_element, print_pipeline

REPRODUCER_KEY = "// tl-opt-reproducer: "


@dataclass
class Timing:
    """Seconds per pass, in order of execution."""

    rows: list[tuple[str, float]] = field(default_factory=list)

    def report(self) -> str:
        """A table in the manner of `mlir-opt --mlir-timing`."""
        total = sum(seconds for _, seconds in self.rows)
        bar = "===" + "-" * 73 + "==="
        lines = [
            bar,
            f"{'... Execution time report ...':^79}".rstrip(),
            bar,
            f"  Total Execution Time: {total:.4f} seconds",
            "",
        ]
        lines.append("  ----Wall Time----  ----Name----")
        share = [
            (name, seconds, 100 * seconds / total if total else 0.0) for name, seconds in [*self.rows, ("Total", total)]
        ]
        return "\n".join(lines + [f"  {seconds:9.4f} ({part:5.1f}%)  {name}" for name, seconds, part in share])


@dataclass(frozen=True)
class RunOptions:
    """What to do around each pass.

    `verify_each` verifies after every pass of ours and, unless `verify_upstream` is off, of upstream's; without it
    what the stages of `verify_stages` leave is verified: what goes in, tracing or parsing has. `print_*` write
    IR to `stream` (standard error by default); `dump_dir` gets one file per pass. `debug` checks level specs even when
    the knob is off. `debug_info` prints locations. `reproducer` is where a failing pass leaves its input ("" : a file
    in the temporary folder, None: nowhere). `show` turns a module into the text that is printed.
    """

    print_before_all: bool = False
    print_after_all: bool = False
    print_after_change: bool = False
    verify_each: bool = True
    verify_stages: tuple[str, ...] = ()
    verify_upstream: bool = True
    debug: bool = False
    debug_info: bool = False
    timing: Timing | None = None
    dump_dir: str = ""
    reproducer: str | None = ""
    stream: TextIO | None = None
    show: Callable[[ir.Module], str] | None = None

    def text(self, module: ir.Module) -> str:
        if self.show:
            return self.show(module)
        # Printing must not verify: IR is printed in states that are under suspicion, and verifying costs time.
        return module.operation.get_asm(enable_debug_info=self.debug_info, assume_verified=False)


def run_pipeline(
    module: ir.Module, pipeline: Sequence[Element], target: Target, options: RunOptions | None = None
) -> None:
    """Run every element on the module, in place.

    Raises:
        PassError: a pass failed, or left IR that does not verify or breaks the spec of its level. The message names the
            pass, the location is the Python line, `reproducer` the command that shows it again.
        TileError: a pass reported a user error, which passes through unchanged.
    """
    _Run(module, list(pipeline), target, options or RunOptions()).run()


def run_stages(
    module: ir.Module, stages: Mapping[str, Sequence[Element]], target: Target, options: RunOptions | None = None,
    after: Callable[[str], None] | None = None,
) -> None:  # fmt: skip
    """`run_pipeline` on the elements of all stages; `after(stage)` is called when the last one of a stage is done."""
    whole = [element for elements in stages.values() for element in elements]
    run = _Run(module, whole, target, options or RunOptions())
    first = 0
    for stage, elements in stages.items():
        run.run(range(first, first + len(elements)), stage in run.options.verify_stages)
        first += len(elements)
        if after is not None:
            after(stage)


def _dump_dir(folder: str, module: ir.Module) -> Path | None:
    """Where the IR after each pass goes: the folder of the options, else one per kernel in that of the knob."""
    if folder or not knobs.DUMP_DIR.get():
        return Path(folder) if folder else None
    names = [
        ir.StringAttr(op.attributes["sym_name"]).value for op in module.body.operations if "sym_name" in op.attributes
    ]
    return Path(knobs.DUMP_DIR.get()) / (names[0] if names else "module")


class _Run:
    """One execution of a pipeline."""

    def __init__(self, module: ir.Module, pipeline: list[Element], target: Target, options: RunOptions) -> None:
        self.module = module
        self.pipeline = pipeline
        self.target = target
        self.options = options
        self.dump_dir = _dump_dir(options.dump_dir, module)
        self.check_specs = options.debug or knobs.VERIFY_SPECS.get()
        self.watches = options.print_after_change
        # Only a failure needs the input of the failing pass, so keep the compact form of the pipeline's input and
        # replay.
        self.snapshot = _bytecode(module) if options.reproducer is not None else b""

    def run(self, positions: range | None = None, verify_last: bool = False) -> None:
        """Run the elements at these positions of the pipeline, all by default, and verify what the last one leaves."""
        chosen = range(len(self.pipeline)) if positions is None else positions
        if self.options.verify_each and chosen.start == 0:
            with _failures("the input of the pipeline"):
                self.module.operation.verify()
        for position in chosen:
            self._run_one(position, self.pipeline[position])
        if verify_last and not self.options.verify_each and chosen:
            with _failures(f"what the passes up to {print_element(self.pipeline[chosen.stop - 1])} left"):
                self.module.operation.verify()

    def _run_one(self, position: int, element: Element) -> None:
        options, name = self.options, print_element(element)
        before = options.text(self.module) if self.watches or options.print_before_all else ""
        if options.print_before_all:
            self._print(f"IR Dump Before {name}", before)
        start = time.perf_counter()
        try:
            self._execute(element)
        except PassError as error:
            error.reproducer = error.reproducer or self._reproduce(position)
            if error.reproducer:
                error.notes += ((f"reproduce with: {error.reproducer}", None),)
            raise
        if options.timing is not None:
            options.timing.rows.append((name, time.perf_counter() - start))
        self._show_after(position, name, before)

    def _execute(self, element: Element) -> None:
        if isinstance(element, str):
            with _failures(f"pass {element!r}"):
                manager = PassManager.parse(f"builtin.module({element})")
                manager.enable_verifier(self.options.verify_each and (self.options.verify_upstream or self.check_specs))
                manager.run(self.module.operation)
            return
        with _failures(f"pass {element.name!r}"):
            if self.check_specs and element.input_level:
                spec.check(element.input_level, self.module)
            with _errors_of(self.module.context):
                element.run(self.module, self.target)
            if self.options.verify_each and not self.module.operation.verify():
                raise PassError("left IR that does not verify")
            if self.check_specs and element.output_level:
                spec.check(element.output_level, self.module)

    def _show_after(self, position: int, name: str, before: str) -> None:
        options = self.options
        if not (options.print_after_all or self.watches or self.dump_dir):
            return
        after = options.text(self.module)
        if options.print_after_all or (self.watches and after != before):
            self._print(f"IR Dump After {name}", after)
        if self.dump_dir:
            self.dump_dir.mkdir(parents=True, exist_ok=True)
            label = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:60]
            (self.dump_dir / f"{position:02d}-{label}.mlir").write_text(after)

    def _print(self, header: str, text: str) -> None:
        print(f"// -----// {header} //----- //\n{text.rstrip()}\n", file=self.options.stream or sys.stderr)

    def _reproduce(self, position: int) -> str:
        """Write the failing pass and its input to a file; returns the command that runs it."""
        if self.options.reproducer is None:
            return ""
        with self.module.context:
            module = ir.Module.parse(self.snapshot)
            pipeline, quiet = self.pipeline[position : position + 1], RunOptions(verify_each=False, reproducer=None)
            try:
                with knobs.overrides({knobs.DUMP_DIR.name: "", knobs.VERIFY_SPECS.name: False}):
                    run_pipeline(module, self.pipeline[:position], self.target, quiet)
            except TileError:
                # The earlier passes are not deterministic: keep the whole pipeline and its input.
                module, pipeline = ir.Module.parse(self.snapshot), self.pipeline[: position + 1]
        return write_reproducer(module, pipeline, self.target, self.options.reproducer)


def write_reproducer(module: ir.Module, pipeline: Sequence[Element], target: Target, path: str = "") -> str:
    """Write a module and the pipeline to run on it as one file; returns the `tl-opt` command that runs it."""
    text = module.operation.get_asm(enable_debug_info=True)
    arguments = shlex.join([f"--target={target}", f"--pass-pipeline={print_pipeline(pipeline)}"])
    content = f"{REPRODUCER_KEY}{arguments}\n{text}"
    if path:
        Path(path).write_text(content)
    else:
        with tempfile.NamedTemporaryFile("w", prefix="tilelang-reproducer-", suffix=".mlir", delete=False) as file:
            file.write(content)
        path = file.name
    return f"tl-opt --run-reproducer {shlex.quote(path)}"


def read_reproducer(text: str) -> list[str] | None:
    """The command-line arguments in a reproducer's first line, or None when the text is no reproducer."""
    first = text.split("\n", 1)[0]
    return shlex.split(first[len(REPRODUCER_KEY) :]) if first.startswith(REPRODUCER_KEY) else None


class _failures:
    """Turns what goes wrong in its block into a `PassError` that says in what; user errors pass through."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, PassError):
            error.message = f"{self.what} failed: {error.message}"
        elif isinstance(error, ir.MLIRError):
            raise self._from_diagnostics(error) from None
        elif isinstance(error, Exception) and not isinstance(error, TileError):
            raise PassError(f"{self.what} failed: {type(error).__name__}: {error}") from error

    def _from_diagnostics(self, error: ir.MLIRError) -> PassError:
        found = error.error_diagnostics
        if not found:
            return PassError(f"{self.what} failed")
        notes: list[tuple[str, Location | None]] = []
        for diagnostic in found[1:]:
            notes.append((diagnostic.message, python_location(diagnostic.location)))
        for note in found[0].notes:
            # MLIR's note with the whole op repeats what the reproducer holds.
            if not note.message.startswith("see current operation"):
                notes.append((note.message, python_location(note.location)))
        where = found[0].location
        message = f"{self.what} failed: {found[0].message}"
        return PassError(message, python_location(where), notes=(*notes, *location_notes(where)))


@contextlib.contextmanager
def _errors_of(context: ir.Context) -> Generator[None, None, None]:
    """Errors that a pass of ours emits as MLIR diagnostics fail it, as they do in C++ passes."""
    found: list[PassError] = []

    def collect(item: ir.Diagnostic) -> bool:
        if item.severity != ir.DiagnosticSeverity.ERROR:
            return False
        found.append(PassError(item.message, python_location(item.location), notes=location_notes(item.location)))
        return True

    handler = context.attach_diagnostic_handler(collect)
    try:
        yield
    finally:
        handler.detach()
    if found:
        raise found[0]


def _bytecode(module: ir.Module) -> bytes:
    buffer = io.BytesIO()
    module.operation.write_bytecode(buffer)
    return buffer.getvalue()
