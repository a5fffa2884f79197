"""What a caller may choose about code generation. Plain data: it travels to the workers and into cache keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tilelang_mlir.errors import TileValueError

_PTXAS_PREFIXES = (
    "-O", "--opt-level", "-maxrregcount", "--maxrregcount", "--register-usage-level", "-lineinfo",
    "--generate-line-info", "-warn", "--warn", "-v", "--verbose", "--def-", "-dlcm", "--fmad", "--allow-expensive",
)  # fmt: skip
_FRONTEND_FLAGS = {"--use_fast_math", "-use_fast_math"}
# Flags of nvcc's C++ front end and of its driver, which have nothing to act on here.
_CXX_FLAGS = (
    "-I", "-D", "-U", "-W", "-w", "-std=", "--std=", "-Xcompiler", "-Xcudafe", "--expt-", "-expt-", "--diag-",
    "-diag-", "--extended-lambda", "-extended-lambda", "-include", "--keep", "-keep", "--threads", "-t=", "-fPIC",
    "--source-in-ptx", "-src-in-ptx", "--relaxed-constexpr", "--extra-device-vectorization", "--resource-usage",
)  # fmt: skip
# Of these the ones whose value may be the next word.
_WITH_VALUE = frozenset((
    "-I", "-D", "-U", "-include", "--include-path", "--define-macro", "-Xcompiler", "-Xcudafe", "-diag-suppress",
    "--diag-suppress", "--threads",
))  # fmt: skip


@dataclass(frozen=True)
class CodegenOptions:
    """Options of the LLVM and ptxas stages.

    `ptxas_flags` are appended to the ptxas command line; `line_info` adds `.loc` directives that map the code to
    Python lines without changing it; `opt_level` is that of LLVM's passes (0 to 3): measured kernels gain nothing
    above 1, since the passes before LLVM have folded, unrolled and vectorised.
    """

    opt_level: int = 1
    line_info: bool = False
    ptxas_flags: tuple[str, ...] = ()

    def describe(self) -> dict[str, object]:
        """The options as JSON-able data, for cache keys and metadata."""
        return {"opt_level": self.opt_level, "line_info": self.line_info, "ptxas_flags": list(self.ptxas_flags)}

    def with_effort(self, level: int | None) -> CodegenOptions:
        """With the optimisation level of ptxas that a kernel is worth, unless the caller has chosen one."""
        if level is None or any(flag.startswith(("-O", "--opt-level")) for flag in self.ptxas_flags):
            return self
        return replace(self, ptxas_flags=(f"-O{level}", *self.ptxas_flags))

    @classmethod
    def restore(cls, data: Mapping[str, Any]) -> CodegenOptions:
        """The options that `describe` gave the data of."""
        return cls(data["opt_level"], data["line_info"], tuple(data["ptxas_flags"]))


@dataclass(frozen=True)
class CompileOptions:
    """What decides the code besides module and target.

    `out_idx` overrides which parameters the callee allocates; `pass_configs` maps TileLang's `tl.*` keys to values and
    is handed to the passes.
    """

    out_idx: tuple[int, ...] | None = None
    pass_configs: Mapping[str, object] = field(default_factory=dict)
    codegen: CodegenOptions = CodegenOptions()

    def describe(self) -> dict[str, object]:
        """The options as JSON-able data, for cache keys and metadata."""
        configs = {key: repr(value) for key, value in sorted(self.pass_configs.items())}
        return {"out_idx": self.out_idx, "pass_configs": configs, "codegen": self.codegen.describe()}


def codegen_options(
    compile_flags: str | Sequence[str] | None = None, pass_configs: Mapping[str, object] | None = None
) -> CodegenOptions:
    """Options from TileLang's `compile_flags` and `pass_configs`.

    nvcc spellings are accepted: `-Xptxas=...` and `--ptxas-options=...` are unwrapped; flags of the C++ front end that
    mean nothing here (`-I`, `-D`, `-std=`, `-Wno-...`) are dropped.

    Raises:
        TileValueError: a flag that neither ptxas nor this compiler has.
    """
    configs = pass_configs or {}
    level = configs.get("tl.ptxas_register_usage_level")
    flags: list[str] = [] if level is None else [f"--register-usage-level={level}"]
    for source in (configs.get("tl.device_compile_flags"), compile_flags):
        flags += _split(source)
    line_info = bool(configs.get("tl.emit_line_directives", False)) or "-lineinfo" in flags
    kept = tuple(f for f in flags if f not in ("-lineinfo", "--generate-line-info", "-v", "--verbose"))
    return CodegenOptions(line_info=line_info, ptxas_flags=kept)


def wants_fast_math(compile_flags: str | Sequence[str] | None) -> bool:
    """Whether the flags ask for fast math, which the passes decide and ptxas never sees."""
    words = compile_flags.split() if isinstance(compile_flags, str) else list(compile_flags or ())
    return any(word in _FRONTEND_FLAGS for word in words)


def _split(source: Any) -> list[str]:
    """The words of flags given as one text or as many."""
    if source is None:
        return []
    words = source.split() if isinstance(source, str) else [str(word) for word in source]
    flags: list[str] = []
    for before, word in zip(("", *words), words, strict=False):
        if before in _WITH_VALUE or word in _WITH_VALUE:
            continue
        for prefix in ("-Xptxas=", "--ptxas-options=", "-Xptxas"):
            if word.startswith(prefix):
                word = word[len(prefix) :]
                break
        flags += [part for part in word.split(",") if part]
    return [flag for flag in flags if _known(flag)]


def _known(flag: str) -> bool:
    if flag.startswith(_PTXAS_PREFIXES):
        return True
    if flag in _FRONTEND_FLAGS or flag.startswith(_CXX_FLAGS):
        return False
    raise TileValueError(
        f"unknown compile flag {flag!r}",
        hint="ptxas flags are passed on, e.g. -maxrregcount=128 or --register-usage-level=8",
    )
