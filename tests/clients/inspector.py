"""The official Inspector's command line, in front of a server on the sandbox store."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.cli.test_main import keyless
from tests.clients.command import INSTALLED
from tests.clients.environments import Environment


def inspected(inspector: Environment, folder: Path, era: str, *words: str) -> list[dict[str, Any]]:
    """What it says of the server, a document a line; it has to find nothing wrong.

    Args:
        inspector: Where it is installed.
        folder: For its file and the server's state.
        era: "legacy" or "modern".
        words: What it is asked to do.
    """
    entry = {
        "command": str(INSTALLED),
        "args": ["serve", "--sandbox"],
        "env": {"CLAWVER_STATE_DIR": str(folder / "state")},
    }
    file = folder / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {"clawver-orders": entry}}), "utf-8")
    bin_folder = inspector.interpreter.parent
    environment = keyless()
    done = subprocess.run(
        [
            str(bin_folder / "mcp-inspector"), "--cli", "--config", str(file),
            "--server", "clawver-orders", "--protocol-era", era, *words,
        ],
        env=environment | {"PATH": f"{bin_folder}:{environment['PATH']}"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
