"""The page from the command line, in processes of its own."""

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
from tests.terminals import at_terminal
from tests.web.visitor import Forms

from clawver_sandbox.shop import Shop


@contextmanager
def board(live: dict[str, str], *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the address that it said."""
    with subprocess.Popen(
        [sys.executable, "-m", "clawver_orders", "board", *options],
        env=keyless() | live, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            assert found, process.stderr and process.stderr.read()
            yield process, found[0]
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


def test_a_program_is_signed_in_by_nothing(live: dict[str, str]) -> None:
    done = run_process("board", "--open", **live)

    assert done.returncode == 1
    assert "Nothing was opened: --open signs in whoever sits at this terminal" in done.stderr
    assert not list(Path(live["CLAWVER_STATE_DIR"]).rglob("board-*"))


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("has_browser", [True, False])
def test_whoever_sits_at_the_terminal_is_signed_in(
    live: dict[str, str], tmp_path: Path, has_browser: bool
) -> None:
    seen = tmp_path / "seen"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}\nexit {0 if has_browser else 1}\n')
    browser.chmod(0o700)
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
