"""What registries, marketplaces and one-click installs read: made from one place, and it starts."""

import io
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp_types import TextResourceContents
from tests.cli.test_main import run_process
from tests.conftest import offered_by_default
from tests.install.traps import sprung, trapped
from trove_classifiers import classifiers

from clawver_orders import __version__, skill
from clawver_orders.install import bundle, installation
from clawver_orders.install.installation import documented
from clawver_orders.setting_names import VARIABLES
from clawver_orders.settings import Settings

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MARKETPLACE = json.loads((ROOT / ".claude-plugin" / "marketplace.json").read_text("utf-8"))


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(bundle.packed())) as archive:
        archive.extractall(tmp_path / "bundle")
    return tmp_path / "bundle"


def answered(manifest: dict[str, Any]) -> dict[str, str]:
    """The environment as a host makes it where a person left every answer at its default."""
    words: dict[str, str] = {}
    for name, value in manifest["server"]["mcp_config"]["env"].items():
        field = value.removeprefix("${user_config.").removesuffix("}")
        given = manifest["user_config"][field]["default"]
        words[name] = given if isinstance(given, str) else json.dumps(given)
    return words


def on_the_sandbox(folder: Path) -> dict[str, str]:
    return {"CLAWVER_SANDBOX": "on", "CLAWVER_STATE_DIR": str(folder / "state")}


async def test_the_unpacked_bundle_starts_and_answers(unpacked: Path, tmp_path: Path) -> None:
    manifest = json.loads((unpacked / "manifest.json").read_text("utf-8"))
    command = manifest["server"]["mcp_config"]
    installed = {"UV_PROJECT_ENVIRONMENT": sys.prefix, "UV_NO_SYNC": "1"}  # nothing to download
    server = StdioServerParameters(
        command=command["command"],
        args=[word.replace("${__dirname}", str(unpacked)) for word in command["args"]],
        env=installed | answered(manifest) | on_the_sandbox(tmp_path),
        cwd=trapped(tmp_path / "work"),
    )

    async with Client(server) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        order = await client.call_tool("get_order", {"order_id": "ord_shirt"})
        page = (
            await client.read_resource("skill://clawver-orders/references/refunds.md")
        ).contents[0]
        wanted = {"order_id": "ord_digital", "amount_in_cents": 500, "reason": "Damaged"}
        preview = (await client.call_tool("refund_order", wanted)).structured_content
        assert preview is not None
        async with httpx2.AsyncClient(trust_env=False, follow_redirects=True) as browser:
            shown = await browser.get(preview["approve_at"])

    assert shown.status_code == 200, shown.text
    assert "PIN" in shown.text
    assert sprung(tmp_path) == []
    assert isinstance(page, TextResourceContents)
    assert page.text == (ROOT / "references" / "refunds.md").read_text("utf-8")
    assert names == [tool["name"] for tool in manifest["tools"]] == offered_by_default()
    assert order.structured_content is not None
    assert order.structured_content["orders"][0]["order_id"] == "ord_shirt"


def test_the_bundle_runs_its_own_source_and_not_what_is_installed(unpacked: Path) -> None:
    main = unpacked / "server" / "main.py"
    main.write_text(
        "import clawver_orders, clawver_sandbox\nprint(clawver_orders.__file__, clawver_sandbox.__file__)"
    )
    said = subprocess.run([sys.executable, str(main)], capture_output=True, text=True, check=True)

    assert [str(unpacked) in path for path in said.stdout.split()] == [True, True]


def test_the_bundle_holds_the_source_and_nothing_else(unpacked: Path) -> None:
    files = {
        p.relative_to(unpacked / "server").as_posix()
        for p in (unpacked / "server").rglob("*")
        if p.is_file()
    }
    source = {
        p.relative_to(ROOT / "server").as_posix()
        for p in (ROOT / "server").rglob("*") if p.suffix in {".py", ".html", ".css", ".js"} or p.name == "py.typed"
    }  # fmt: skip

    pages = {f"clawver_orders/skill/{path}" for path in skill.files()}

    assert files == source | pages | {"main.py"}
    assert {path.name for path in unpacked.iterdir()} == {
        "manifest.json",
        "pyproject.toml",
        "server",
    }


def test_the_bundles_own_project_wants_what_ours_wants(unpacked: Path) -> None:
    project = tomllib.loads((unpacked / "pyproject.toml").read_text("utf-8"))
    plain = {re.sub(r"[<>=].*", "", need) for need in project["project"]["dependencies"]}

    assert project["project"]["requires-python"] == PROJECT["requires-python"]
    assert plain == {re.sub(r"[<>=].*", "", need) for need in PROJECT["dependencies"]}
    assert project["tool"]["uv"] == {"package": False}
    assert "build-system" not in project


def test_the_same_source_makes_the_same_bundle() -> None:
    assert bundle.packed() == bundle.packed()


def test_the_bundle_asks_for_five_settings_and_hides_the_key() -> None:
    manifest = bundle.manifest()
    asked = manifest["user_config"]

    assert list(asked) == [
        "api_key", "refund_approval", "refund_limit_in_cents", "refund_daily_limit_in_cents", "read_only",
    ]  # fmt: skip
    assert set(manifest["server"]["mcp_config"]["env"]) == {VARIABLES[field] for field in asked}
    assert [field for field, about in asked.items() if about.get("sensitive")] == ["api_key"]
    assert all(about["default"] is not None for about in asked.values())
    assert asked["refund_limit_in_cents"] == {
        "type": "number",
        "title": "Refund limit in cents",
        "description": "The most a single refund may be, in cents.",
        "required": False,
        "default": 50000,
        "min": 1,
        "max": 100_000_000,
    }
    assert (asked["read_only"]["type"], asked["read_only"]["default"]) == ("boolean", False)
    assert asked["api_key"]["title"] == "API key"


def test_a_bundle_in_which_nothing_was_answered_has_the_defaults() -> None:
    assert Settings.from_environment(answered(bundle.manifest())) == Settings.from_environment({})


def test_the_registry_entry_says_what_the_package_says(published: None) -> None:
    entry = bundle.registry_entry()
    (package,) = entry["packages"]
    variables = {variable["name"]: variable for variable in package["environmentVariables"]}

    assert entry["$schema"].endswith("/2025-12-11/server.schema.json")
    assert entry["version"] == package["version"] == installation.PUBLISHED
    assert entry["name"] == installation.REGISTRY_NAME
    assert len(entry["description"]) <= 100
    assert set(variables) == set(VARIABLES.values())
    assert variables["CLAW_API_KEY"] == {
        "name": "CLAW_API_KEY", "description": Settings.model_fields["api_key"].description,
        "isRequired": False, "isSecret": True, "format": "string",
    }  # fmt: skip
    assert {name for name, about in variables.items() if about["isSecret"]} == {
        "CLAW_API_KEY", "CLAWVER_DATABASE_URL", "CLAWVER_HTTP_TOKEN", "CLAWVER_PROXY",
            "CLAWVER_SEAL_KEY", "CLAWVER_WEBHOOK_SECRET",
    }  # fmt: skip
    assert variables["CLAWVER_STATE_DIR"]["format"] == "filepath"
    assert variables["CLAWVER_READ_ONLY"]["default"] == "false"
    assert variables["CLAWVER_PII"]["choices"] == ["full", "masked"]
    given = {name: v["default"] for name, v in variables.items() if "default" in v}
    assert Settings.from_environment(given) == Settings.from_environment({})


def test_the_command_writes_the_bundle_and_says_where(tmp_path: Path) -> None:
    done = run_process("bundle", "--out", str(tmp_path / "dist"))
    written, *entry = [Path(line) for line in done.stdout.splitlines()]

    assert set((tmp_path / "dist").iterdir()) == {written, *entry}
    assert written.name == f"clawver-orders-{__version__}.mcpb"
    assert written.read_bytes() == bundle.packed()


@pytest.mark.parametrize("without", ["PUBLISHED", "REGISTRY_NAME"])
def test_the_registry_entry_is_written_once_there_is_something_to_enter(
    without: str, tmp_path: Path, published: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, entry = bundle.write(tmp_path)
    assert entry == tmp_path / "server.json"
    assert json.loads(entry.read_text("utf-8")) == bundle.registry_entry()

    monkeypatch.setattr(installation, without, None)
    assert len(bundle.write(tmp_path)) == 1


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    done = run_process("bundle", "--out", str(tmp_path / "file" / "dist"))

    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_marketplace_says_what_the_project_says() -> None:
    (plugin,) = MARKETPLACE["plugins"]
    (secret,) = plugin["userConfig"]
    (server,) = plugin["mcpServers"].values()

    assert MARKETPLACE["name"] == plugin["name"] == PROJECT["name"]
    assert MARKETPLACE["owner"] == plugin["author"] == PROJECT["authors"][0]
    assert (plugin["version"], plugin["license"]) == (__version__, PROJECT["license"])
    assert plugin["description"] == PROJECT["description"]
    assert plugin["keywords"] == PROJECT["keywords"]
    assert (plugin["strict"], plugin["skills"], plugin["source"]) == (False, ["./"], "./")
    assert plugin["userConfig"][secret]["sensitive"] is True
    own_copy = ("uvx", "--from", "${CLAUDE_PLUGIN_ROOT}", "clawver-orders")
    is_published = installation.PUBLISHED is not None
    assert (server["command"], *server["args"]) == (documented() if is_published else own_copy)
    assert server["env"] == {VARIABLES["api_key"]: f"${{user_config.{secret}}}"}
    assert not (ROOT / ".claude-plugin" / "plugin.json").exists()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="asks git about a checkout")
def test_what_is_published_on_clawhub_is_the_skill_and_no_code() -> None:
    left_out = subprocess.run(
        ["git", "ls-files", "--cached", "--ignored", "--exclude-from=.clawhubignore"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    references = {f"references/{path.name}" for path in (ROOT / "references").glob("*.md")}

    published = set(tracked) - set(left_out)
    assert published == {"SKILL.md", "README.md", "LICENSE"} | references & set(tracked)


def test_the_project_is_fit_for_a_release() -> None:
    about = metadata.metadata("clawver-orders")

    assert about["License-Expression"] == "MIT-0"
    assert about["Description-Content-Type"] == "text/markdown"
    assert set(PROJECT["classifiers"]) <= classifiers
    assert not any("License ::" in each for each in about.get_all("Classifier") or [])
    assert {"mcp", "agent-skill"} <= set(PROJECT["keywords"])
