"""Ask a running ``tagweave serve`` for labels: python serve_client.py photo.jpg another.png [--url http://...]."""

from __future__ import annotations

import argparse
import base64
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

TRIES = 5


def predict(url: str, paths: list[Path]) -> list[dict[str, Any]]:
    """Return one result per image; waits and asks again while the server is busy."""
    images = [{"name": str(path), "data": base64.b64encode(path.read_bytes()).decode()} for path in paths]
    body = json.dumps({"images": images}).encode()
    request = urllib.request.Request(f"{url}/predict", body, {"Content-Type": "application/json"})
    for _ in range(TRIES):
        status, answer, wait = _ask(request)
        if status != 503:
            break
        time.sleep(wait)
    if "results" not in answer:
        raise SystemExit(f"{status} {answer['error']['code']}: {answer['error']['message']}")
    results: list[dict[str, Any]] = answer["results"]
    return results


def _ask(request: urllib.request.Request) -> tuple[int, dict[str, Any], float]:
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response), 0.0
    except urllib.error.HTTPError as error:
        return error.code, json.load(error), float(error.headers.get("Retry-After", 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    arguments = parser.parse_args()
    for result in predict(arguments.url, arguments.images):
        told = ";".join(result["labels"]) if "labels" in result else f"not scored: {result['error']['message']}"
        print(result["name"], told, sep="\t")


if __name__ == "__main__":
    main()
