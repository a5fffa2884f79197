"""The lit test format of this project: `RUN:` lines without new processes (see lit_runner)."""

from __future__ import annotations

from pathlib import Path

import lit.formats
import lit.Test
import lit_runner


class InProcessTest(lit.formats.FileBasedTest):
    """Runs a test file through `lit_runner`."""

    def execute(self, test: lit.Test.Test, lit_config: object) -> tuple[object, str]:
        outcome = lit_runner.run_test(Path(test.getSourcePath()))
        return (lit.Test.PASS if outcome.passed else lit.Test.FAIL), outcome.text
