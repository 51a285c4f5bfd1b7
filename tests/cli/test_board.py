"""The page from the command line, in processes of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import httpx2
import pytest
from tests.cli.test_main import keyless, run_process
from tests.documents.printed import block
from tests.terminals import at_terminal
from tests.test_store_file import TWO, Write, both, write
from tests.test_stores import Address, at
from tests.web.visitor import Forms

from clawver_orders.cli.board import NOT_KNOWN_YET, _page_of
from clawver_sandbox.shop import Shop

__all__ = ["at", "write"]


SAYS_WHERE = re.compile(
    r"The page is up at (http://127\.0\.0\.1:\d+)(?:/all)? \(stop it with Ctrl\+C\)\.\n"
)


@contextmanager
def board(live: dict[str, str], *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the address that it said."""
    with subprocess.Popen(
        [sys.executable, "-m", "clawver_orders", "board", *options],
        env=keyless() | live, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            found = SAYS_WHERE.fullmatch(process.stdout.readline())
            assert found, process.stderr and process.stderr.read()
            yield process, found[1]
        finally:
            process.kill()


def test_it_shows_the_page_until_it_is_told_to_stop(live: dict[str, str], shop: Shop) -> None:
    with board(live, "--port", "0") as (process, address):
        assert process.stdout is not None
        assert process.stderr is not None
        assert shop.details()["name"] in process.stdout.readline()
        assert "Sign in" in httpx2.get(address, trust_env=False).text
        second = run_process("board", **live)
        process.send_signal(signal.SIGINT)

        assert process.wait(20) == 0
        assert process.stderr.read() == ""
    assert (second.returncode, second.stderr) == (0, "")
    assert f"The page is up at {address} already, in another process.\n" in second.stdout


def test_a_port_that_is_taken_is_said(live: dict[str, str]) -> None:
    with board(live, "--port", "0") as (_, address):
        other = live | {"CLAWVER_STATE_DIR": f"{live['CLAWVER_STATE_DIR']}-2"}
        done = run_process("board", "--port", address.rsplit(":", 1)[1], **other)

    port = address.rsplit(":", 1)[1]
    assert done.returncode == 1
    assert done.stderr == (
        f"Port {port} is in use, so nothing was started. Choose another one with --port, or stop the program "
        "that uses it.\n"
    )


def test_without_settings_that_can_be_used_there_is_none(live: dict[str, str]) -> None:
    done = run_process("board", **live, CLAWVER_REFUND_LIMIT_CENTS="much")

    assert done.returncode == 1
    assert "CLAWVER_REFUND_LIMIT_CENTS cannot be used" in done.stderr


def test_a_program_is_signed_in_by_nothing(live: dict[str, str]) -> None:
    done = run_process("board", "--open", **live)

    assert done.returncode == 1
    assert "Nothing was opened: --open signs in whoever sits at this terminal" in done.stderr
    assert not list(Path(live["CLAWVER_STATE_DIR"]).rglob("board-*"))


def a_browser(folder: Path, *, opens: bool = True) -> tuple[Path, Path]:
    """A program in place of a browser, and where it writes the address that it is given."""
    seen, browser = folder / "seen", folder / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}\nexit {0 if opens else 1}\n')
    browser.chmod(0o700)
    return browser, seen


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("has_browser", [True, False])
def test_whoever_sits_at_the_terminal_is_signed_in(
    live: dict[str, str], tmp_path: Path, has_browser: bool
) -> None:
    browser, seen = a_browser(tmp_path, opens=has_browser)
    with board(live, "--port", "0") as (_, address):
        done = at_terminal(
            "board",
            "--open",
            environment=keyless() | live | {"BROWSER": f"{browser} %s", "PATH": str(tmp_path)},
        )
        while not seen.exists():
            time.sleep(0.01)
        file = Path(unquote(seen.read_text().strip().removeprefix("file://")))
        (form,) = Forms(file.read_text("utf-8")).found
        answer = httpx2.post(
            form.action, data=form.fields, headers={"Origin": "null"}, trust_env=False
        )

    assert done.returncode == 0, done.stdout
    assert form.action == f"{address}/signin"
    assert answer.status_code == 303
    assert form.fields["code"] not in done.stdout
    assert (f"Open this file in a browser within 2 minutes: {file}" in done.stdout) != has_browser


@pytest.fixture
def two(at: Address, write: Write) -> dict[str, str]:
    """The variables of two stores; the key of a third is missing."""
    return both(at, lambda **more: write(f'{TWO}[stores.lost]\nkey_env = "NOWHERE"\n', **more))


def test_of_several_stores_it_says_where_each_is(two: dict[str, str]) -> None:
    first, *others = block("docs/stores.md", "The page of all stores").splitlines()
    with board(two, "--port", "0") as (process, address):
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(3)]
        second = run_process("board", "--json", **two)
        one = run_process("board", "--store", "photos", **two)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0

    assert said == [
        *(f"{each.replace('http://127.0.0.1:8790', address)}\n" for each in others),
        "lost: Nothing was sent: NOWHERE does not hold the key of the store lost. A person must put it there, "
        "then start this again.\n",
    ]
    assert SAYS_WHERE.fullmatch(f"{first}\n")
    document = json.loads(second.stdout)
    assert document["already_up"] is True
    assert document["stores"]["photos"] == {"url": f"{address}/photos"}
    assert one.stdout.startswith(
        f"The page is up at {address}/photos already, in another process.\n"
    )


def test_of_several_stores_a_program_is_told_where_each_is(two: dict[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "clawver_orders", "board", "--port", "0", "--json"],
        env=keyless() | two, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        found = json.loads(process.stdout.readline())
        assert json.loads(run_process("board", "--json", **two).stdout)["already_up"] is True
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0

    root = found["url"].removesuffix("/all")
    assert found["already_up"] is False
    assert found["stores"]["prints"] == {"url": f"{root}/prints"}
    assert found["stores"]["lost"]["problem"].startswith(
        "Nothing was sent: NOWHERE does not hold the key"
    )
    assert not list(Path(two["CLAWVER_STATE_DIR"]).rglob("board.json"))


def test_it_can_be_stopped_while_a_store_is_still_asked_who_it_is(
    two: dict[str, str], at: Address
) -> None:
    at.first.add_fault("hang_before", times=1000, seconds=600.0)
    with board(two, "--port", "0") as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert not list(Path(two["CLAWVER_STATE_DIR"]).rglob("board.json"))


def test_a_store_that_is_not_known_yet_is_said_to_be_none() -> None:
    assert _page_of(None) == {"problem": NOT_KNOWN_YET}


def test_of_several_stores_none_of_which_can_be_used_there_is_no_page(write: Write) -> None:
    done = run_process(
        "board", **write('[stores.a]\nkey_env = "NOWHERE"\n[stores.b]\nkey_env = "NOWHERE"\n')
    )

    assert done.returncode == 1
    assert "NOWHERE does not hold the key of the store a." in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_whoever_sits_at_the_terminal_is_signed_in_to_every_store(
    two: dict[str, str], tmp_path: Path
) -> None:
    browser, seen = a_browser(tmp_path)
    with board(two, "--port", "0") as (process, address):
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        there = keyless() | two | {"BROWSER": f"{browser} %s", "PATH": str(tmp_path)}
        done = at_terminal("board", "--open", environment=there)
        while not seen.exists():
            time.sleep(0.01)
        file = Path(unquote(seen.read_text().strip().removeprefix("file://")))
        (form,) = Forms(file.read_text("utf-8")).found
        with httpx2.Client(trust_env=False, follow_redirects=True) as http:
            shown = http.post(form.action, data=form.fields, headers={"Origin": "null"})

    assert done.returncode == 0, done.stdout
    assert form.action == f"{address}/all/signin"
    assert "Ada&#39;s Prints" in shown.text
    assert "You are signed in to 2 of 3 stores." in shown.text
