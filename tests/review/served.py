"""A review server of its own process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

COMMAND = "import typer; from tagweave.review.commands import review; typer.run(review)"


class Served:
    """Start ``tagweave review`` on a run; ``next_link`` is good for one visit."""

    def __init__(self, run: Path, port: int = 0) -> None:
        words = [sys.executable, "-c", COMMAND, str(run), "--port", str(port)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.link = self.next_link()
        self.port = int(self.link.split(":")[2].split("/")[0])
        self._links = [self.link]

    def next_link(self) -> str:
        """Return the newest link; it is told as soon as the one before was used."""
        if getattr(self, "_links", None):
            return self._links.pop()
        line = self.process.stdout.readline()
        assert ": http://127.0.0.1:" in line, self.process.stderr.read()
        return line.split()[-1]

    def end(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server."""
        self.process.send_signal(how)
        self.process.wait(20)
