"""An environment of its own for each client, made by the registries' ordinary tools."""

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

NODE = "node@22"
UNREACHABLE = re.compile(
    r"dns error|failed to lookup|could not resolve|ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ETIMEDOUT"
    r"|network is unreachable|connection refused|network connectivity|tcp connect error",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Environment:
    """Where a client is installed.

    Attributes:
        folder: Its own folder; a driver in JavaScript runs there.
        interpreter: What runs its drivers.
        versions: What was really installed.
    """

    folder: Path
    interpreter: Path
    versions: dict[str, str]

    def summary(self, requirements: Sequence[str]) -> str:
        """What was asked for and the protocol's own packages, with their versions."""
        asked = {_name(requirement) for requirement in requirements} | {"mcp", "node"}
        return ", ".join(f"{name} {v}" for name, v in self.versions.items() if name in asked)


def python(folder: Path, requirements: Sequence[str]) -> Environment:
    """A virtual environment with these packages and nothing else."""
    interpreter = folder / "venv" / "bin" / "python"
    _install(["uv", "venv", "--quiet", str(folder / "venv")], folder)
    _install(["uv", "pip", "install", "--quiet", "--python", str(interpreter), *requirements], folder)  # fmt: skip
    listed = ["uv", "pip", "list", "--quiet", "--format", "json", "--python", str(interpreter)]
    packages = json.loads(subprocess.run(listed, capture_output=True, check=True).stdout)
    return Environment(folder, interpreter, {each["name"]: each["version"] for each in packages})


def node(folder: Path, packages: Sequence[str]) -> Environment:
    """A folder of modules, with the Node that they are made for."""
    (folder / "package.json").write_text('{"name": "client", "private": true}', "utf-8")
    quiet = ["--no-audit", "--no-fund", "--no-package-lock", "--loglevel", "error"]
    _install(["npm", "install", *quiet, NODE, *packages], folder)
    versions = {}
    for name in map(_name, (NODE, *packages)):
        about = folder / "node_modules" / name / "package.json"
        versions[name] = json.loads(about.read_text("utf-8"))["version"]
    return Environment(folder, folder / "node_modules" / ".bin" / "node", versions)


def _name(requirement: str) -> str:
    """A package's name without its version or extras."""
    return re.sub(r"(?<=.)[@\[<>=].*", "", requirement)


def _install(command: list[str], folder: Path) -> None:
    """Without a registry there is nothing to test, and the report says so; anything else fails."""
    for _ in range(2):  # registries have bad moments
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)  # fmt: skip
        except FileNotFoundError:
            pytest.skip(f"{command[0]} is not on this machine")
        if done.returncode == 0:
            return
    complaint = done.stdout + done.stderr
    if UNREACHABLE.search(complaint):
        pytest.skip(f"no registry: {complaint.strip().splitlines()[-1]}")
    pytest.fail(complaint)
