"""Updating and uninstalling an installation, with the lines that the page prints."""

import subprocess
from pathlib import Path

import pytest
from tests.clients.command import newcomer
from tests.clients.test_checkout import said
from tests.documents.test_running import block

pytestmark = pytest.mark.clients


def git(*words: str, folder: Path) -> None:
    someone = ["-c", "user.name=Example", "-c", "user.email=somebody@example.com"]
    subprocess.run(["git", *someone, *words], cwd=folder, check=True, capture_output=True)


def test_a_checkout_is_updated_and_uninstalled_with_the_lines_of_the_page(
    checkout: Path, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    home = newcomer(tmp_path / "home")
    home["PATH"] = f"{tmp_path / 'home' / '.local' / 'bin'}:{home['PATH']}"
    home["CLAWVER_STATE_DIR"] = str(tmp_path / "state")
    for words in (("init",), ("add", "--all"), ("commit", "--message", "As it was")):
        git(*words, folder=checkout)
    mine = tmp_path / "mine"
    git("clone", str(checkout), str(mine), folder=tmp_path)
    said(["uv", "tool", "install", "."], mine, home)
    version = checkout / "server" / "clawver_orders" / "__init__.py"
    old = said(["clawver-orders", "--version"], mine, home).split()[-1]
    version.write_text(version.read_text("utf-8").replace(f'"{old}"', '"99.0.0"'), "utf-8")
    git("commit", "--all", "--message", "Newer", folder=checkout)

    assert "99.0.0" in said(["sh", "-ec", block("Update")], mine, home)

    (_, uninstall) = block("Uninstall").splitlines()
    said(["sh", "-ec", uninstall], mine, home)
    assert list((tmp_path / "home" / ".local" / "bin").iterdir()) == []
