"""Nothing is published yet: nothing starts the package by its name, or claims a home for it."""

import base64
import io
import json
import re
import zipfile
from pathlib import Path
from urllib.parse import unquote

import click
import pytest
import yaml
from click.testing import CliRunner
from tests.commands import inside
from tests.documents.bare_names import bare_names, homes
from tests.documents.made import as_made, documents, made
from tests.documents.test_references import LARGEST_SKILL

from clawver_orders.cli.main import commands
from clawver_orders.install import bundle, installation
from clawver_orders.install.hosts import HOSTS

ROOT = Path(__file__).parents[2]
USER_PAGES = ["README.md", "SKILL.md", "SECURITY.md", *(f"{folder}/{p.name}" for folder in ("references", "docs") for p in (ROOT / folder).glob("*.md"))]  # fmt: skip
FILES = [
    *USER_PAGES, "CONTRIBUTING.md", "CHANGELOG.md", "pyproject.toml", ".claude-plugin/marketplace.json",
    ".docker/Dockerfile", ".clawhubignore",
]  # fmt: skip


def linked(text: str) -> str:
    """What the install links in a text carry, readable."""
    carried = unquote(text)
    for packed in re.findall(r"config=([\w+/]+=*)", carried):
        carried += base64.b64decode(packed).decode()
    return carried


def helps(command: click.Command, name: str) -> str:
    said = command.get_help(click.Context(command, info_name=name, **commands.context_settings))
    return "\n".join([said, *(helps(each, word) for word, each in inside(command).items())])


@pytest.mark.parametrize("name", FILES)
def test_no_document_starts_a_bare_name_or_claims_a_home(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")

    assert bare_names(text + linked(text)) == []
    assert homes(text) == []


def test_nothing_in_the_bundle_starts_a_bare_name_or_claims_a_home() -> None:
    with zipfile.ZipFile(io.BytesIO(bundle.packed())) as archive:
        for name in archive.namelist():
            text = archive.read(name).decode()
            assert (bare_names(text), homes(text)) == ([], []), name


@pytest.mark.parametrize("name", HOSTS)
@pytest.mark.parametrize("options", [[], ["--sandbox"], ["--inline-key"]])
def test_config_prints_no_bare_name(name: str, options: list[str]) -> None:
    done = CliRunner(env={"CLAW_API_KEY": "claw_sk_example_of_published"}).invoke(
        commands, ["config", name, *options]
    )

    assert done.exit_code == 0
    assert bare_names(done.output + linked(done.output)) == []
    assert homes(done.output) == []


def test_no_help_names_a_bare_name() -> None:
    assert bare_names(helps(commands, "clawver-orders")) == []


@pytest.mark.parametrize(
    "text",
    [
        "uvx clawver-orders demo", "`uvx clawver-orders`", "uvx clawver-orders@latest", "uvx -q clawver-orders",
        "uvx --from clawver-orders==0.0.1 clawver-orders", "uv tool install clawver-orders",
        "uv tool run clawver-orders", "uv add clawver-orders", "pipx run clawver-orders",
        "python3 -m pip install --user clawver-orders", "pip install 'clawver-orders[x]>=0.1'",
        "pip install clawver_orders", "npx -y clawver-orders", "docker run -i --rm -e CLAW_API_KEY clawver-orders",
        "docker pull clawver-orders:latest",
        '"command": "uvx",\n  "args": [\n "clawver-orders"\n ]', '{"command": "uvx", "args": ["clawver-orders", "serve"]}',
        'command = "uvx"\nargs = ["clawver-orders"]', 'cmd: "uvx"\n    args: ["clawver-orders"]',
        "openclaw mcp add clawver-orders --command uvx --arg clawver-orders", "- kind: uv\n  package: clawver-orders",
        'StdioTransport(command="uvx", args=["clawver-orders"])', "claude mcp add x -- uvx clawver-orders",
    ],
)  # fmt: skip
def test_a_bare_name_is_found_in_every_form(text: str) -> None:
    assert bare_names(text) != []


@pytest.mark.parametrize(
    "text",
    [
        "`uv tool install .` puts the command `clawver-orders` on the PATH", "uv run clawver-orders demo",
        '"command": "uvx", "args": ["--from", "${CLAUDE_PLUGIN_ROOT}", "clawver-orders"]',
        "uvx --from /home/ada/clawver-orders clawver-orders", "docker build -t clawver-orders .",
        '"command": "docker", "args": ["run", "--pull=never", "-v", "clawver-orders:/state", "clawver-orders"]',
    ],
)  # fmt: skip
def test_what_is_ours_is_not_taken_for_a_bare_name(text: str) -> None:
    assert bare_names(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/anybody/clawver-orders", "mcp-name: io.github.anybody/clawver-orders",
        "ghcr.io/anybody/x", "/plugin marketplace add anybody/clawver-orders", "install @clawver-orders/x",
    ],
)  # fmt: skip
def test_a_home_is_found_in_every_form(text: str) -> None:
    assert homes(text) != []


def test_python_and_uv_read_a_folder_only_where_that_is_the_checkout() -> None:
    for name in USER_PAGES:
        text = (ROOT / name).read_text("utf-8")
        reading = re.findall(r"\bpy(?:thon3?)? -m .*|uv (?:run|sync|pip) .*", text)
        in_checkout = re.findall(
            r"(?:in its folder, and run:|of this repository)\n\n```sh\n(.+)\n```", text
        )
        assert set(reading) <= set(in_checkout), name


@pytest.mark.parametrize("name", ["README.md", "SKILL.md", "references/setup.md", "docs/setup.md"])
def test_the_way_to_install_is_named(name: str) -> None:
    assert installation.to_install() in (ROOT / name).read_text("utf-8")


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "SKILL.md",
        "references/setup.md",
        "docs/setup.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ],
)
def test_a_page_says_that_the_package_is_on_no_index_exactly_while_that_is_so(name: str) -> None:
    says_so = "is on no package index" in (ROOT / name).read_text("utf-8")

    assert says_so is (installation.PUBLISHED is None)


def test_once_published_the_readme_pins_the_version(published: None) -> None:
    parts = made()
    (entry,) = json.loads(parts["standard"].split("```")[1].removeprefix("json"))["mcpServers"].values()  # fmt: skip

    assert (entry["command"], *entry["args"]) == ("uvx", "clawver-orders==0.1.0")
    assert "uv tool install clawver-orders==0.1.0" in parts["install"]
    assert linked(parts["buttons"]).count('"args":["clawver-orders==0.1.0"') == 4
    assert f"<!-- mcp-name: {installation.REGISTRY_NAME} -->" in parts["buttons"]
    for text in parts.values():
        assert bare_names(text + linked(text)) == []


@pytest.mark.parametrize("name", [*USER_PAGES, ".claude-plugin/marketplace.json"])
def test_once_published_no_document_starts_or_installs_anything_but_the_version(
    name: str, published: None
) -> None:
    path = ROOT / name
    text = as_made(path) if path in documents() else path.read_text("utf-8")

    assert bare_names(text + linked(text)) == []
    assert not re.search(
        "package index|uv tool install [.]|never install a package", text, re.IGNORECASE
    )
    assert ("clawver-orders==0.1.0" in text) is (path in documents() and name != "SECURITY.md")
    if path.suffix == ".json":
        assert json.loads(text)["plugins"][0]["mcpServers"]["orders"]["args"] == [
            "clawver-orders==0.1.0"
        ]


def test_once_published_the_skill_says_how_it_is_installed_and_is_short_enough(
    published: None,
) -> None:
    text = as_made(ROOT / "SKILL.md")
    about = yaml.safe_load(text.split("---\n")[1])["metadata"]["openclaw"]

    assert about["install"] == [{"kind": "uv", "package": "clawver-orders==0.1.0"}]
    assert about["requires"] == {"anyBins": ["clawver-orders"]}
    assert len(text.encode()) <= LARGEST_SKILL


def test_there_is_no_name_in_a_registry_without_a_home(
    published: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "REGISTRY_NAME", None)

    assert "mcp-name" not in made()["buttons"]
