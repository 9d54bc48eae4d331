"""Talking to the driver's processes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.commands import ROOT


@dataclass(frozen=True)
class Driver:
    process: subprocess.Popen[str]

    def tell(self, **command: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


@contextmanager
def driver(url: str, *more: str, module: str = "driver") -> Iterator[Driver]:
    """A driver process that is ready; its error output is the test's."""
    with subprocess.Popen(
        [sys.executable, "-m", f"tests.faults.{module}", url, *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        made = Driver(process)
        assert made.answer() == "ready"
        yield made
