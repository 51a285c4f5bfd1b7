"""The official conformance suite, over HTTP on the sandbox: `uv run python -m tests.instruments.conformance`.

Needs npm, which fetches the suite and the Node that it wants into a folder for the occasion. Exits
with 1 when a check fails that no exception names, or when an exception is no longer needed.

The suite is written for a server made for it, with tools, prompts and resources of given names.
This server is not that one, so the exceptions name what is not here, and why.
"""

import json
import re
import subprocess
import sys
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tests.clients.environments import node
from tests.serving.http.test_run import site

SUITES = {
    "2026-07-28": ("@modelcontextprotocol/conformance@0.2.0-alpha.12", ["--requirements", "2026-07-28"]),
    "2025-11-25": ("@modelcontextprotocol/conformance@0.1.16", ["--suite", "all", "--spec-version", "2025-11-25"]),
}  # fmt: skip
"""For each revision of the protocol the suite that knows it, and how to choose its scenarios."""

NO_SUCH_TOOL = "calls a tool of the suite's own server"
NO_SUCH_PROMPT = "reads a prompt of the suite's own server"
NO_SUCH_RESOURCE = "reads a resource of the suite's own server"
NOT_OFFERED = "an optional feature that this server neither has nor claims"

EXCEPTIONS = {
    "tools-call-image:*": NO_SUCH_TOOL,
    "tools-call-audio:*": NO_SUCH_TOOL,
    "tools-call-embedded-resource:*": NO_SUCH_TOOL,
    "tools-call-mixed-content:*": NO_SUCH_TOOL,
    "tools-call-with-progress:*": NO_SUCH_TOOL,
    "tools-call-with-logging:*": NO_SUCH_TOOL,
    "tools-call-sampling:*": NO_SUCH_TOOL,
    "tools-call-elicitation:*": NO_SUCH_TOOL,
    "elicitation-sep*:*": NO_SUCH_TOOL,
    "json-schema-2020-12:*": NO_SUCH_TOOL,
    "input-required-result-*:*": NO_SUCH_TOOL,
    "server-stateless:sep-2575-server-rejects-undeclared-capability": NO_SUCH_TOOL,
    "server-stateless:sep-2575-missing-capability-http-400": NO_SUCH_TOOL,
    "http-custom-header-server-validation:*": NO_SUCH_TOOL,
    "prompts-*:*": NO_SUCH_PROMPT,
    "resources-*:*": NO_SUCH_RESOURCE,
    "logging-set-level:*": NOT_OFFERED,
    "tasks-*:*": "tests an extension that this server neither has nor claims",
}
"""What may fail, as scenario:check, and why."""


def main() -> int:
    """Run both suites and compare what failed with the exceptions."""
    failed: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="conformance-of-clawver-orders-") as folder:
        for revision, (suite, choice) in SUITES.items():
            checks = run(Path(folder) / revision, suite, choice)
            bad = {name for name, check in checks if check["status"] == "FAILURE"}
            passed = sum(check["status"] == "SUCCESS" for _, check in checks)
            unexpected = sorted(bad - {name for name in bad if reasons(name)})
            print(
                f"{revision}: {passed} checks passed, {len(bad) - len(unexpected)} failed as expected"
            )
            for name, check in checks:
                if name in unexpected:
                    print(f"  UNEXPECTED {name}: {check.get('errorMessage')}")
            failed |= bad
    unneeded = [p for p in EXCEPTIONS if not any(fnmatchcase(name, p) for name in failed)]
    for pattern in unneeded:
        print(f"NO LONGER NEEDED: {pattern}")
    return 1 if unneeded or any(not reasons(name) for name in failed) else 0


def reasons(name: str) -> list[str]:
    """Why a check may fail."""
    return [reason for pattern, reason in EXCEPTIONS.items() if fnmatchcase(name, pattern)]


def run(folder: Path, suite: str, choice: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """Every check of a suite by its scenario and its id.

    The exit code of the suite says only that something failed, which is certain.
    """
    folder.mkdir()
    interpreter = node(folder, (suite,)).interpreter
    program = (
        folder / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    )
    results = folder / "results"
    with site({"CLAWVER_STATE_DIR": str(folder / "state")}, "--sandbox") as server:
        command = [
            str(interpreter),
            str(program),
            "server",
            "--url",
            server.url,
            "-o",
            str(results),
            *choice,
        ]
        subprocess.run(command, check=False, capture_output=True, timeout=900)
        assert server.process.poll() is None, server.end()
    checks = []
    for path in sorted(results.glob("*/checks.json")):
        scenario = re.sub(r"^server-(.*?)-\d{4}-\d\d-\d\dT.*$", r"\1", path.parent.name)
        checks += [(f"{scenario}:{check['id']}", check) for check in json.loads(path.read_text())]
    assert checks, "the suite did not run"
    return checks


if __name__ == "__main__":
    sys.exit(main())
