"""`clawver-orders config` as a person runs it, in a home folder of its own."""

import json
import shlex
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner
from mcp import Client, StdioServerParameters
from tests.cli.test_main import run, run_process
from tests.documents.bare_names import bare_names
from tests.install.test_hosts import understood

from clawver_orders.cli.main import commands
from clawver_orders.install import installation
from clawver_orders.install.hosts import HOSTS

KEY = "claw_sk_example_of_install"
SAFE = {"claude-desktop", "cursor", "gemini", "windsurf"}


def config(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run("config", *words, **environment)


def at_home(folder: Path) -> dict[str, str]:
    return {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / ".config")}


async def test_what_is_printed_starts_this_installation(tmp_path: Path) -> None:
    entry = json.loads(config("generic", "--sandbox").stdout)["mcpServers"]["clawver-orders"]
    server = StdioServerParameters(
        command=entry["command"],
        args=entry["args"],
        env=entry["env"] | {"CLAWVER_STATE_DIR": str(tmp_path)},
        cwd=tmp_path,
    )

    async with Client(server) as client:
        assert "get_order" in [tool.name for tool in (await client.list_tools()).tools]
    assert entry["command"] == str(Path(sys.executable).with_name("clawver-orders"))


def test_only_what_to_paste_is_on_stdout() -> None:
    for name, host in HOSTS.items():
        done = CliRunner().invoke(commands, ["config", name])

        assert done.exit_code == 0
        assert done.stdout.strip()
        assert done.stderr.startswith(host.where)
        assert host.key in done.stderr
        assert host.where not in done.stdout


def test_the_help_names_every_host_and_those_that_can_be_written() -> None:
    text = " ".join(run("config", "--help").stdout.split())

    assert f"one of {', '.join(HOSTS)}." in text.replace(" or ", ", ")
    assert {name for name, host in HOSTS.items() if host.file} == SAFE
    assert f"in the file of {', '.join(sorted(SAFE))}; with" in text.replace(" or ", ", ")


def test_the_key_of_the_environment_is_printed_only_on_demand() -> None:
    for name in HOSTS:
        quiet = config(name, CLAW_API_KEY=KEY)
        told = config(name, "--inline-key", CLAW_API_KEY=KEY)

        assert KEY not in quiet.stdout + quiet.stderr
        assert KEY in told.stdout
        assert KEY not in told.stderr


@pytest.mark.parametrize(
    ("words", "environment", "code", "why"),
    [
        (["emacs"], {}, 2, "Hosts: claude-desktop, "), (["--write"], {}, 2, "Which host?"), (["cursor", "--yes"], {}, 2, "go with --write"),
        (["cursor", "--file", "x"], {}, 2, "go with --write"),
        (["cursor", "--inline-key", "--sandbox"], {}, 2, "needs no key"),
        (["cursor", "--inline-key"], {}, 1, "CLAW_API_KEY is not set"),
        (["cursor", "--inline-key"], {"CLAW_API_KEY": "short"}, 1, "CLAW_API_KEY cannot be used"),
        (["goose", "--write"], {}, 2, "not safe to edit"), (["zed", "--write", "--yes"], {}, 2, "not safe"),
    ],
)  # fmt: skip
def test_misuse_is_answered_with_a_sentence(
    words: list[str], environment: dict[str, str], code: int, why: str
) -> None:
    done = config(*words, **environment)

    assert (done.returncode, done.stdout) == (code, "")
    assert why in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", sorted(SAFE))
def test_writing_is_a_dry_run_until_it_is_confirmed(name: str, tmp_path: Path) -> None:
    dry = config(name, "--write", **at_home(tmp_path))
    assert dry.returncode == 0
    assert '+    "command":' in dry.stdout
    assert "was not changed" in dry.stderr
    assert list(tmp_path.iterdir()) == []

    done = run_process("config", name, "--write", "--yes", **at_home(tmp_path))
    again = config(name, "--write", "--yes", **at_home(tmp_path))

    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    printed = config(name).stdout
    assert json.loads(file.read_text("utf-8")) == json.loads(printed)
    assert "Start " in done.stderr
    assert "What was there before" not in done.stderr
    assert "has it already" in again.stdout


def test_a_file_of_ones_own_choice_is_kept_beside_before_it_is_changed(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"mcpServers": {"other": {"env": {"TOKEN": "example"}}}}', "utf-8")

    words = ["cursor", "--write", "--file", str(file), "--inline-key"]
    dry = config(*words, CLAW_API_KEY=KEY)
    done = config(*words, "--yes", CLAW_API_KEY=KEY)
    rotated = config(*words, CLAW_API_KEY=f"{KEY}_new")

    servers = json.loads(file.read_text("utf-8"))["mcpServers"]
    assert servers["other"] == {"env": {"TOKEN": "example"}}
    assert servers["clawver-orders"]["env"] == {"CLAW_API_KEY": KEY}
    assert "mine.json.before-clawver-orders" in done.stderr
    assert "The store's key is in it, so it is for its owner alone (mode 600)." in done.stderr
    for each in (dry, done, rotated):
        assert "example" not in each.stdout + each.stderr
    assert rotated.stdout == "(only the key changes)\n"


def test_the_switch_to_the_sandbox_and_back_is_one_entry(tmp_path: Path) -> None:
    for words in (["--sandbox"], []):
        config("cursor", "--write", "--yes", *words, **at_home(tmp_path))

    entries = json.loads((tmp_path / ".cursor" / "mcp.json").read_text("utf-8"))["mcpServers"]
    assert list(entries) == ["clawver-orders"]
    assert entries["clawver-orders"]["args"] == []


def test_a_broken_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"mcpServers": {}, // mine\n}', "utf-8")

    done = config("cursor", "--write", "--yes", "--file", str(file))

    assert (done.returncode, done.stdout) == (1, "")
    assert "Nothing was changed" in done.stderr
    assert file.read_text("utf-8") == '{"mcpServers": {}, // mine\n}'
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("platform", "folder"), [("darwin", "Library/Application Support"), ("linux", "elsewhere")]
)
def test_claude_desktop_is_looked_for_where_it_looks_itself(
    platform: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))

    done = CliRunner().invoke(commands, ["config", "claude-desktop", "--write"])

    file = tmp_path / folder / "Claude" / "claude_desktop_config.json"
    assert f"{file} was not changed" in done.stderr


@pytest.mark.parametrize(
    ("suffix", "name"), [("", "clawver-orders"), (".exe", "clawver-orders.exe")]
)
def test_the_script_is_started_by_its_full_path_or_python_without_the_folder(
    suffix: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sysconfig, "get_path", {"scripts": str(tmp_path)}.__getitem__)
    monkeypatch.setattr(sysconfig, "get_config_var", {"EXE": suffix}.__getitem__)
    assert installation.running() == (sys.executable, "-E", "-P", "-m", "clawver_orders")

    (tmp_path / name).touch()
    assert installation.running() == (str(tmp_path / name),)


COMMIT = "fe26ac7b7cbd4aaf0f8cf2b189b72d2b5352bbbd"
GIT = {"vcs": "git", "commit_id": COMMIT, "requested_revision": "main"}


@pytest.fixture
def thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment in a cache, as uv makes one for a single run, and a uvx to start it again."""
    (tmp_path / "CACHEDIR.TAG").touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "archive-v0" / "x1"))
    uvx = tmp_path / "bin" / "uvx"
    uvx.parent.mkdir()
    uvx.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(uvx.parent))
    return uvx


def made_from(monkeypatch: pytest.MonkeyPatch, noted: object) -> None:
    """Let the environment have been made from this, in the form of PEP 610."""
    text = None if noted is None else json.dumps(noted)
    monkeypatch.setattr(metadata.PathDistribution, "read_text", lambda *_: text)


@pytest.mark.parametrize(
    ("noted", "source"),
    [
        ({"url": "file:///home/ada/my%20checkout", "dir_info": {}}, "/home/ada/my checkout"),
        ({"url": "file:///home/ada/x.whl", "archive_info": {}}, "/home/ada/x.whl"),
        (
            {"url": "https://orders.example/x.whl", "archive_info": {}},
            "clawver-orders @ https://orders.example/x.whl",
        ),
        (
            {"url": "https://orders.example/x", "vcs_info": GIT},
            f"clawver-orders @ git+https://orders.example/x@{COMMIT}",
        ),
        (
            {"url": "file:///home/ada/x", "vcs_info": GIT, "subdirectory": "deep"},
            f"clawver-orders @ git+file:///home/ada/x@{COMMIT}#subdirectory=deep",
        ),
    ],
)
def test_what_uvx_ran_from_somewhere_is_started_from_there_again(
    noted: object, source: str, thrown_away: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_from(monkeypatch, noted)

    assert installation.lasting() == (str(thrown_away), "--from", source, "clawver-orders")


def test_what_uv_installed_as_a_tool_lasts_even_in_a_folder_for_caches(
    thrown_away: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = Path(sys.prefix)
    prefix.mkdir(parents=True)
    (prefix / "uv-receipt.toml").touch()
    made_from(monkeypatch, {"url": "file:///home/ada/x", "dir_info": {}})

    assert installation.lasting() == installation.running()


def test_what_came_from_the_index_is_started_at_the_published_version(
    thrown_away: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_from(monkeypatch, None)
    monkeypatch.setattr(installation, "PUBLISHED", "0.1.0")

    assert installation.lasting()[1:] == ("--from", "clawver-orders==0.1.0", "clawver-orders")


def test_a_host_is_known_by_its_other_name_too() -> None:
    assert config("gemini-cli").stdout == config("gemini").stdout


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("options", [(), ("--sandbox",)], ids=["live", "sandbox"])
def test_once_published_config_pins_the_version_for_every_host(
    host: str,
    options: tuple[str, ...],
    thrown_away: Path,
    published: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made_from(monkeypatch, None)
    printed = run("config", host, *options).stdout
    words, _ = understood(HOSTS[host], printed)
    start = (str(thrown_away), "--from", "clawver-orders==0.1.0", "clawver-orders")

    assert tuple(words) == (*start, *(("serve", "--sandbox") if options else ()))
    assert bare_names(printed) == []


@pytest.mark.parametrize(
    ("noted", "path"),
    [
        (None, None),  # from an index, where nothing of ours is
        ({"url": "file:///home/ada/x", "dir_info": {}}, ""),  # without uvx
        ({"url": "file:///home/ada/x", "dir_info": {}}, "bin"),  # a uvx of the current folder
    ],
)
def test_without_a_command_that_lasts_nothing_is_printed_and_the_way_is_named(
    noted: object, path: str | None, thrown_away: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_from(monkeypatch, noted)
    monkeypatch.setattr(installation, "PUBLISHED", None)
    monkeypatch.chdir(thrown_away.parent.parent)
    if path is not None:
        monkeypatch.setenv("PATH", path)
    done = CliRunner().invoke(commands, ["config", "generic"])

    assert (done.exit_code, done.stdout) == (1, "")
    assert "Nothing was changed" in done.stderr
    assert (
        "run `uv tool install .` in your copy of the repository of clawver-orders, then"
        in done.stderr
    )


def test_once_published_no_checkout_is_needed_to_install_it(
    thrown_away: Path, published: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(
        installation.TemporaryError, match=r"run `uv tool install clawver-orders==0.1.0`, then"
    ):
        installation.lasting()


def test_a_printed_command_is_one_that_a_shell_takes_apart_again() -> None:
    printed = config("claude-code").stdout
    said = subprocess.run(
        ["sh", "-c", f"set -- {printed.strip()}; printf '%s\\n' \"$@\""],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip

    assert said == shlex.split(printed)
    assert "CLAW_API_KEY=${CLAW_API_KEY}" in said
