"""Run every benchmark and print one JSON document; progress goes to stderr.

Each benchmark is a script of its own and runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from measure import print_json, run_script, say

SCRIPTS = ("embedding", "propagation", "training", "heads")
PACKAGES = (
    "tagweave", "numpy", "scipy", "numba", "faiss-cpu", "scikit-learn", "torch", "timm", "onnxruntime", "pillow",
)  # fmt: skip


def machine_facts() -> dict[str, Any]:
    """Return what the figures depend on besides the code."""
    from tagweave.threads import available_threads

    return {
        "python": platform.python_version(), "platform": platform.platform(), "processor": _processor(),
        "cores": os.cpu_count(), "threads": available_threads(), "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "packages": {name: version(name) for name in PACKAGES},
    }  # fmt: skip


def _processor() -> str:
    """Return the processor's name; Linux alone keeps it in a file."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def load_average() -> list[float]:
    """Return the machine's load over 1, 5 and 15 minutes; empty where the system does not say."""
    return [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else []


def run_all(quick: bool) -> dict[str, Any]:
    """Run the scripts one after another and join what they print."""
    began, before = time.perf_counter(), load_average()
    document: dict[str, Any] = {
        "command": "python benchmarks/run.py" + quick * " --quick",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine_facts(),
    }
    loads = {"before": before}
    for name in SCRIPTS:
        document[name] = run_script(name, *["--quick"] * quick)
        loads[f"after_{name}"] = load_average()
    return {**document, "load_average": loads, "seconds": round(time.perf_counter() - began, 1)}


def main() -> None:
    """Print the document, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, well under a minute")
    parser.add_argument("--out", type=Path, help="also write the document to this file")
    given = parser.parse_args()
    document = run_all(given.quick)
    print_json(document)
    if given.out:
        given.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    say(f"finished in {document['seconds']} s, load {document['load_average']['before']} before")


if __name__ == "__main__":
    main()
