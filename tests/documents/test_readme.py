"""What documents show of the code is made from it; `UPDATE_README=1` writes it anew."""

import json
import os
import re
import shlex
from importlib import metadata
from pathlib import Path

import pytest
from tests.cli.test_main import run
from tests.commands import inside
from tests.documents.made import README as FILE
from tests.documents.made import ROOT, as_made, documents

from clawver_orders.cli.main import commands
from clawver_orders.install import installation
from clawver_orders.install.hosts import HOSTS
from clawver_orders.setting_names import VARIABLES
from clawver_orders.settings import Settings

HOSTS_PAGE = ROOT / "docs" / "hosts.md"
ORDER = [
    "Requirements", "Try it", "Install", "Connect a host", "Check it", "What you approve", "Settings", "Tools", "Safety",
    "The sandbox", "Troubleshooting", "Develop",
]  # fmt: skip
LINES_BEFORE_SETTINGS = 120


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.name))
def test_the_made_parts_are_as_the_code_says(path: Path) -> None:
    fresh = as_made(path)
    if os.environ.get("UPDATE_README") and fresh != path.read_text("utf-8"):
        # In one step: other tests read the file at the same time.
        draft = path.with_name(f"{path.name}.draft")
        draft.write_text(fresh, "utf-8")
        draft.replace(path)

    assert path.read_text("utf-8") == fresh


def test_the_chapters_are_in_the_order_that_readers_expect() -> None:
    text = FILE.read_text("utf-8")

    assert re.findall("^## (.+)$", text, re.MULTILINE) == ORDER
    assert text.index("Ask your agent things like") < text.index("<!-- buttons -->")
    assert text.index("<!-- buttons -->") < text.index("## Requirements")


def test_what_comes_before_the_settings_fits_a_first_look() -> None:
    before = FILE.read_text("utf-8").split("\n## Settings\n")[0]

    assert len(before.splitlines()) <= LINES_BEFORE_SETTINGS


def test_the_first_lines_say_whose_it_is_and_which_skill_it_takes_the_place_of() -> None:
    first = FILE.read_text("utf-8").split("\n- ")[0]

    assert "independent of Clawver" in first
    assert "takes the place of the published skill of the same name" in first
    assert "delete that skill's folder after you install this" in first


def test_the_python_that_is_required_is_the_one_that_the_package_asks_for() -> None:
    required = metadata.metadata(installation.NAME)["Requires-Python"].removeprefix(">=")

    assert f"Python {required} or newer" in FILE.read_text("utf-8")


def test_what_is_asked_about_is_in_the_sandbox_and_can_be_done(tmp_path: Path) -> None:
    asked = FILE.read_text("utf-8").split("Ask your agent things like:")[1].split("<!--")[0]
    here = {"CLAWVER_STATE_DIR": str(tmp_path)}

    def called(tool: str, *given: str) -> str:
        done = run("call", tool, *given, "--sandbox", **here)
        assert done.returncode == 0, done.stderr
        return done.stdout

    whose, ada = re.findall(r"[\w.]+@example\.com", asked)
    (order,) = set(re.findall(r"ord_\w+", asked))
    assert "ord_" in called("list_orders", f"customer_email={whose}")
    (download,) = re.findall("ord_digital", called("list_orders", f"customer_email={ada}"))
    assert "download_url" in called("generate_download_link", f"order_id={download}")
    assert called("handle_wrong_size", f"order_id={order}")


def test_the_ways_to_approve_are_those_of_the_default() -> None:
    chapter = FILE.read_text("utf-8").split("\n## What you approve\n")[1].split("\n## ")[0]

    assert (
        f"`{Settings.model_fields['refund_approval'].default}`, the default, takes all of them"
        in chapter
    )


def test_the_options_that_are_named_exist() -> None:
    chapter = HOSTS_PAGE.read_text("utf-8")
    known = {option for each in inside(commands)["config"].params for option in each.opts}

    prose = re.sub(r"```.*?```", "", chapter, flags=re.DOTALL)
    assert set(re.findall(r"`(--[a-z-]+)`", prose)) <= known
    market = json.loads((FILE.parent / ".claude-plugin" / "marketplace.json").read_text("utf-8"))
    (plugin,) = market["plugins"]
    assert "`/plugin marketplace add ./`" in prose
    assert f"`/plugin install {plugin['name']}@{market['name']}`" in prose
    written = re.search(r"in the file of (.*?)\.", prose)
    assert written is not None
    assert set(re.split(", | or ", written[1])) == {h.title for h in HOSTS.values() if h.file}


def test_docker_gets_what_the_image_needs() -> None:
    chapter = (ROOT / "docs" / "docker.md").read_text("utf-8")
    (block,) = re.findall(r"```json\n(.*?)```", chapter, re.DOTALL)
    entry = json.loads(block)["mcpServers"]["clawver-orders"]
    dockerfile = (FILE.parent / ".docker" / "Dockerfile").read_text("utf-8")
    build, of_a_person = re.findall(r"```sh\n(.*?)\n```", chapter, re.DOTALL)

    assert entry["command"] == "docker"
    assert entry["args"][:4] == ["run", "-i", "--rm", "--pull=never"]
    assert entry["args"][4:6] == ["-e", VARIABLES["api_key"]]
    volume = entry["args"][entry["args"].index("-v") + 1].split(":")[1]
    assert f"{VARIABLES['state_dir']}={volume}" in dockerfile
    assert f"VOLUME {volume}" in dockerfile
    words = shlex.split(build)
    assert words[:2] == ["docker", "build"]
    assert words[words.index("-t") + 1] == entry["args"][-1]
    assert (FILE.parent / words[words.index("-f") + 1]).is_file()
    for line in of_a_person.splitlines():
        words = shlex.split(line)
        assert words[:4] == ["docker", "run", "-it", "--rm"]
        assert words[4 : 1 + len(entry["args"])] == entry["args"][3:]
        assert words[1 + len(entry["args"])] in inside(commands)


def test_windows_is_told_what_its_shell_wants(tmp_path: Path) -> None:
    chapter = (ROOT / "docs" / "windows.md").read_text("utf-8")
    found = re.fullmatch(
        r"[^`]*(?:`[^`]+`[^`]*)*```powershell\n\$env:(\w+) = \"(\w+)\"\nclawver-orders (.*)\n```\n",
        chapter,
    )

    assert found is not None
    done = run(*shlex.split(found[3]), HOME=str(tmp_path), **{found[1]: found[2]})
    assert (done.returncode, done.stderr) == (0, "")
    assert found[1] in VARIABLES.values()
    assert "PowerShell 7" in chapter


@pytest.mark.parametrize("name", ["CLAWVER_READ_ONLY", "CLAWVER_LOG_LEVEL", "CLAW_API_KEY"])
def test_troubleshooting_names_real_settings(name: str) -> None:
    chapter = FILE.read_text("utf-8").split("## Troubleshooting")[1].split("\n## ")[0]

    assert name in chapter
    assert set(re.findall(r"CLAW[A-Z_]+", chapter)) <= set(VARIABLES.values())
