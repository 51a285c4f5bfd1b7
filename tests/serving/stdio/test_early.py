"""What a host hears, and what ends the server, while the SDK is still being loaded."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.cli.test_main import keyless
from tests.conftest import with_slow
from tests.hosts import (
    INITIALIZE,
    MODERN,
    HostProcess,
    hosting,
    known_from_before,
    patched,
    starting,
    surface_of,
    wait_for,
)
from tests.processes import UNPRIVILEGED, mode

from clawver_orders import skill
from clawver_orders.serving.stdio.surfaces import FOLDER, Surfaces
from clawver_orders.settings import Settings

LOADING = """
import sys
class Loading:
    def find_spec(self, name, *_):
        if name == "mcp":
            sys.meta_path.remove(self)
            {waits}
sys.meta_path.insert(0, Loading())
"""
WAITING = """
            import select
            gate = open({gate!r})
            while not select.select([gate], [], [], 0.05)[0]:
                pass
"""
"""A signal that comes just before a wait is heard after it, so each wait is short."""
LIST = {"id": 2, "method": "tools/list"}
CALL = {"id": 9, "method": "tools/call"}
NO_TOOL: dict[str, Any] = {"name": "no_such_tool", "arguments": {}}


class Held:
    """A server that doesn't load the SDK before it is told to."""

    def __init__(self, folder: Path) -> None:
        self._gate = folder / "gate"
        os.mkfifo(self._gate)
        self.command = patched(LOADING.format(waits=WAITING.format(gate=str(self._gate))))

    def wait(self) -> None:
        """Wait until it is about to load the SDK."""
        wait_for(self._is_there)

    def _is_there(self) -> bool:
        try:
            self._opened = os.open(self._gate, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody has opened it to read
            return False
        return True

    def leave(self) -> None:
        os.close(self._opened)

    def go_on(self) -> None:
        self.wait()
        self.leave()


@pytest.fixture
def held(tmp_path: Path) -> Held:
    return Held(tmp_path)


@pytest.fixture
def host(held: Held, live: dict[str, str]) -> Iterator[HostProcess]:
    with hosting(*held.command, **live) as process:
        yield process


def names(answer: dict[str, Any]) -> list[str]:
    return [tool["name"] for tool in answer["result"]["tools"]]


def test_before_the_first_answer_only_the_standard_library_is_loaded(live: dict[str, str]) -> None:
    code = (
        "import os, sys; before = {*sys.modules}\n"
        "from clawver_orders.serving.stdio.early import listen_early\n"
        "assert listen_early([])\n"
        "print(*{name.partition('.')[0] for name in {*sys.modules} - before}, file=sys.stderr)\n"
        "os._exit(0)"  # the thread that listens is never told to end, as in a server
    )
    source, host = os.pipe()  # held open: at the end of input the process would end without a word
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], env=keyless() | live,
            stdin=source, capture_output=True, text=True, check=True,
        )  # fmt: skip
    finally:
        os.close(source)
        os.close(host)
    loaded = set(done.stderr.split())

    assert "clawver_orders" in loaded
    assert loaded - {"clawver_orders"} <= sys.stdlib_module_names
    assert not loaded & {"logging", "asyncio", "dataclasses", "inspect", "ssl", "tempfile"}


def test_a_handshake_is_answered_while_the_sdk_is_loaded(host: HostProcess, held: Held) -> None:
    opened = host.ask(1, "initialize", **INITIALIZE)
    host.say({"method": "notifications/initialized"})
    listed = {
        method: host.ask(number, method)["result"]
        for number, method in enumerate(
            ("ping", "tools/list", "prompts/list", "resources/list", "resources/templates/list"), 2
        )
    }
    host.say(CALL | {"params": NO_TOOL})
    held.go_on()
    called = host.hear()

    assert opened["result"]["protocolVersion"] == INITIALIZE["protocolVersion"]
    assert opened["result"]["serverInfo"]["name"] == "clawver-orders"
    assert listed["ping"] == {}
    assert [len(value) > 0 for value in listed.values()] == [False, True, True, True, True]
    assert called["id"] == 9
    assert "There is no such tool" in called["result"]["content"][0]["text"]


def test_the_newer_protocol_is_answered_while_the_sdk_is_loaded(
    host: HostProcess, held: Held
) -> None:
    found = host.ask(1, "server/discover", **MODERN)
    listed = host.ask(2, "tools/list", **MODERN)
    host.say(CALL | {"params": NO_TOOL | MODERN})
    held.go_on()
    called = host.hear()

    assert "2026-07-28" in found["result"]["supportedVersions"]
    assert "get_order" in names(listed)
    assert "There is no such tool" in called["result"]["content"][0]["text"]


def test_after_an_early_probe_a_host_may_fall_back_while_the_sdk_is_loaded(
    host: HostProcess, held: Held
) -> None:
    host.ask(1, "server/discover", **MODERN)
    opened = host.ask(2, "initialize", **INITIALIZE)
    host.say({"method": "notifications/initialized"})
    held.go_on()
    host.wait_until_loaded()

    assert opened["result"]["protocolVersion"] == INITIALIZE["protocolVersion"]
    assert "get_order" in names(host.ask(3, "tools/list"))


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("seconds", with_slow([0], [1.5, 3]))
def test_what_is_said_at_once_is_answered_once_however_long_loading_takes(
    seconds: float, era: str, live: dict[str, str]
) -> None:
    command = patched(LOADING.format(waits=f"import time; time.sleep({seconds})"))
    about = MODERN if era == "modern" else {}
    hello: list[dict[str, Any]] = [{"id": 1, "method": "server/discover", "params": about}]
    if not about:
        hello = [
            {"id": 1, "method": "initialize", "params": INITIALIZE},
            {"method": "notifications/initialized"},
        ]
    asked = [*hello, LIST | {"params": about}, CALL | {"params": NO_TOOL | about}]
    with hosting(*command, **live) as host:
        host.say_raw(b"\n".join(json.dumps({"jsonrpc": "2.0"} | each).encode() for each in asked))
        answers = [host.hear() for _ in range(3)]
        host.ask(10, "tools/list", **about)
        said, complaints = host.end()

    assert {each["id"] for each in answers} == {1, 2, 9}
    assert not [each for each in answers if "error" in each]
    assert (said, complaints, host.process.returncode) == ([], "", 0)


def hang_up(host: HostProcess) -> None:
    assert host.process.stdin is not None
    host.process.stdin.close()
    host.process.stdin = None


def terminate(host: HostProcess) -> None:
    host.process.send_signal(signal.SIGTERM)


def interrupt(host: HostProcess) -> None:
    host.process.send_signal(signal.SIGINT)


Stop = Callable[[HostProcess], None]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as Unix sends them")
@pytest.mark.parametrize("is_greeted", [True, False])
@pytest.mark.parametrize("stop", with_slow([hang_up], [terminate, interrupt]))
def test_told_to_stop_while_the_sdk_is_loaded_it_ends_without_waiting_for_that(
    stop: Stop, is_greeted: bool, tmp_path: Path, live: dict[str, str]
) -> None:
    """The benchmark says how soon."""
    held = Held(tmp_path)
    with hosting(*held.command, **live) as host:
        if is_greeted:
            host.greet()
            host.ask(2, "tools/list")
        held.wait()
        stop(host)
        host.process.wait(timeout=120)  # what is loaded is held until it has ended
        said, complaints = host.end()
    held.leave()

    assert (host.process.returncode, said, complaints) == (0, [], "")


def test_who_hangs_up_with_a_question_open_is_answered_as_by_the_sdk_alone(
    host: HostProcess, held: Held
) -> None:
    host.greet()
    host.say(CALL | {"params": NO_TOOL})
    hang_up(host)
    held.go_on()
    said, complaints = host.end()

    assert [each["id"] for each in said] == [9]
    assert (host.process.returncode, complaints) == (0, "")


def test_a_host_that_does_not_listen_any_more_ends_it_while_the_sdk_is_loaded(
    host: HostProcess, held: Held
) -> None:
    host.greet()
    assert host.process.stdout is not None
    host.process.stdout.close()
    host.say(LIST)

    assert host.process.wait(timeout=120) == 0


def test_a_start_that_is_over_soon_keeps_what_the_next_one_says_early(
    held: Held, live: dict[str, str]
) -> None:
    with starting(**live) as first:
        first.greet()
        hang_up(first)
        first.process.wait(timeout=120)
    with starting(*held.command, **live) as second:
        second.greet()
        listed = names(second.ask(2, "tools/list"))

    assert first.process.returncode == 0
    assert "get_order" in listed


def test_with_other_settings_it_answers_early_once_they_are_found_good(
    held: Held, live: dict[str, str]
) -> None:
    known_from_before(**live)
    other = live | {"CLAWVER_REFUND_LIMIT_CENTS": "700"}
    with starting(*held.command, **other) as host:
        host.greet()
        listed = names(host.ask(2, "tools/list"))
        held.go_on()
        host.wait_until_loaded()
        hang_up(host)
        host.process.wait(timeout=120)

    assert "get_order" in listed
    assert len(json.loads((folder_of(live) / "settings.json").read_text("utf-8"))) == 2


def test_with_settings_that_cannot_be_used_nothing_is_said_early(
    held: Held, live: dict[str, str]
) -> None:
    known_from_before(**live)
    with hosting(*held.command, **live | {"CLAWVER_REFUND_APPROVAL": "nobody"}) as host:
        host.say({"id": 1, "method": "initialize", "params": INITIALIZE})
        held.go_on()
        opened = host.hear()

    assert "CLAWVER_REFUND_APPROVAL cannot be used" in opened["result"]["instructions"]


def test_switched_off_it_says_nothing_early_and_keeps_nothing(
    held: Held, live: dict[str, str]
) -> None:
    with hosting(*held.command, **live, CLAWVER_OPENER="off") as host:
        host.say({"id": 1, "method": "initialize", "params": INITIALIZE})
        held.go_on()
        host.hear()
        host.say({"method": "notifications/initialized"})
        host.wait_until_loaded()
        _, complaints = host.end()

    assert complaints == ""
    assert not folder_of(live).exists()


@pytest.mark.parametrize("folder", ["state", ""])
def test_where_the_state_folder_is_none_or_nobodys_choice_it_starts_as_ever(
    folder: str, tmp_path: Path
) -> None:
    with starting(CLAWVER_STATE_DIR=folder, CLAWVER_SANDBOX="on") as host:
        host.greet()
        host.wait_until_loaded()
        said, complaints = host.end()

    assert said == []
    assert ("CLAWVER_STATE_DIR cannot be used" in complaints) == bool(folder)


def test_certificates_of_a_file_are_looked_at_before_anything_is_said(
    live: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    known_from_before(**live, CLAWVER_CA_FILE=str(file))

    assert not (folder_of(live) / "settings.json").exists()
    assert (folder_of(live) / "live-writing.json").exists()


def test_an_inbox_that_came_since_is_seen_before_anything_is_said(
    held: Held, live: dict[str, str]
) -> None:
    settings = Settings.from_environment(live)
    for _ in range(2):
        known_from_before(**live)
        settings.origin_dir.mkdir(parents=True, exist_ok=True)
        (settings.origin_dir / "inbox.sqlite3").touch()
    with hosting(*held.command, **live) as host:
        host.greet()
        listed = names(host.ask(2, "tools/list"))

    assert "list_order_events" in listed


def folder_of(variables: dict[str, str]) -> Path:
    return Path(variables["CLAWVER_STATE_DIR"]) / FOLDER


def poisoned(kept: bytes) -> bytes:
    """What a surface looks like that tells a model something else."""
    return kept.replace(b"Find orders", b"POISON").replace(b"orders", b"POISON")


def stale(file: Path) -> None:
    kept = json.loads(poisoned(file.read_bytes()))
    file.write_text(json.dumps(kept | {"made_with": "something else"}), "utf-8")


def cut(file: Path) -> None:
    kept = poisoned(file.read_bytes())
    file.write_bytes(kept[: len(kept) // 2])


def of_another_form(file: Path) -> None:
    file.write_text('{"made_with": [], "surface": {"initialize": 1}}', "utf-8")


def writable_by_others(file: Path) -> None:
    file.write_bytes(poisoned(file.read_bytes()))
    file.chmod(0o666)


def of_somebody_else(file: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    file.write_bytes(poisoned(file.read_bytes()))
    os.chown(file, UNPRIVILEGED, UNPRIVILEGED)


def a_link(file: Path) -> None:
    elsewhere = file.with_name("elsewhere")
    elsewhere.write_bytes(poisoned(file.read_bytes()))
    elsewhere.chmod(0o600)
    file.unlink()
    file.symlink_to(elsewhere)


def gone(file: Path) -> None:
    file.unlink()


Harm = Callable[[Path], None]


@pytest.mark.parametrize(
    "harm",
    with_slow(
        [writable_by_others],
        [stale, cut, of_another_form, of_somebody_else, a_link, gone],
    ),
)
@pytest.mark.parametrize("file", ["live-writing.json", "settings.json"])
def test_a_file_that_is_damaged_stale_or_not_this_users_alone_says_nothing(
    file: str, harm: Harm, held: Held, live: dict[str, str]
) -> None:
    known_from_before(**live)
    harm(folder_of(live) / file)
    with starting(*held.command, **live) as host:
        host.say({"id": 1, "method": "initialize", "params": INITIALIZE})
        host.say({"method": "notifications/initialized"})
        host.say(LIST)
        held.go_on()
        said = [host.hear(), host.hear()]
        host.wait_until_loaded()
        _, complaints = host.end()

    assert [each["id"] for each in said] == [1, 2]
    assert "POISON" not in json.dumps(said)
    assert complaints == ""
    if harm is not writable_by_others or file != "settings.json":
        assert mode(folder_of(live) / file) == 0o600  # made again


def test_where_nothing_can_be_kept_it_serves_all_the_same(
    live: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    folder_of(live).write_bytes(b"this is no folder")
    with starting(**live) as host:
        host.greet()
        host.wait_until_loaded()
        _, complaints = host.end()

    assert complaints == ""


def test_an_early_answer_that_was_wrong_is_logged_and_kept_right(
    held: Held, live: dict[str, str]
) -> None:
    lenient = live | {"CLAWVER_OPENER": "on"}
    known_from_before(**lenient)
    file = folder_of(live) / "live-writing.json"
    right = file.read_bytes()
    file.write_bytes(poisoned(right))
    with hosting(*held.command, **lenient) as host:
        host.greet()
        held.go_on()
        host.wait_until_loaded()
        wait_for(lambda: file.read_bytes() == right)
        _, complaints = host.end()

    assert "An early answer to the host was not what this server says." in complaints


def test_an_early_answer_that_was_wrong_ends_a_strict_server(
    held: Held, live: dict[str, str]
) -> None:
    known_from_before(**live)
    file = folder_of(live) / "live-writing.json"
    file.write_bytes(poisoned(file.read_bytes()))
    with hosting(*held.command, **live) as host:
        host.greet()
        held.go_on()

        assert host.process.wait(timeout=120) == 70


COMBINATIONS = [
    {"sandbox": sandbox, "api_key": key, "read_only": read_only, "refund_approval": approval, "toolsets": toolsets, "webhook_secret": secret}
    for sandbox in (False, True)
    for key in (None, "claw_sk_test_example_of_tests")
    for read_only in (False, True)
    for approval in ("agent", "chat", "off")
    for toolsets in ("", "orders", "refunds,orders", "all")
    for secret in ("", "example-secret-of-a-test")
]  # fmt: skip


def test_one_file_holds_what_is_said_with_all_settings_that_it_is_for(tmp_path: Path) -> None:
    for combination in COMBINATIONS:
        settings = Settings(**combination, state_dir=tmp_path)
        surfaces = Surfaces(tmp_path, {}, [])
        surface = surface_of(settings)
        known = surfaces.of(settings)
        if known is None:
            surfaces.keep(settings, surface)
        else:
            assert known == surface, combination

    assert len(list((tmp_path / FOLDER).iterdir())) > 20


@pytest.mark.parametrize("path", ["SKILL.md", "references/refunds.md"])
def test_nothing_is_said_early_of_a_skill_that_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    copied = tmp_path / "skill"
    shutil.copytree(skill.folder() / "references", copied / "references")
    shutil.copy(skill.folder() / "SKILL.md", copied)
    monkeypatch.setattr(skill, "_INSTALLED", copied)
    settings = Settings(sandbox=True, state_dir=tmp_path)
    Surfaces(tmp_path, {}, []).keep(settings, surface_of(settings))
    before = Surfaces(tmp_path, {}, []).of(settings)
    (copied / path).write_text((copied / path).read_text("utf-8") + "One line more.\n", "utf-8")

    assert before is not None
    assert Surfaces(tmp_path, {}, []).of(settings) is None
