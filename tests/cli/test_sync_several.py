"""A sync of several stores: one after the other, each by its name, and none held up by another."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from filelock import FileLock
from tests.cli.test_history import FREELY
from tests.cli.test_main import keyless, run
from tests.documents.printed import PAGES
from tests.terminals import at_terminal
from tests.test_store_file import TWO, both, write
from tests.test_stores import OTHER_KEY, ROTATED_KEY, Address, at

from clawver_orders.cli.history import LOCK_FILE
from clawver_orders.settings import Settings
from clawver_orders.storage import scopes

__all__ = ["at", "write"]
Write = Callable[..., dict[str, str]]
KEPT = r"Orders kept here since \d{4}-\d\d-\d\d: 120\. \d+ paid ones match Clawver's own count of \S+\."


def results(told: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What came of each store, in words that the page has."""
    (row,) = (line for line in PAGES["docs/history.md"].splitlines() if " in `result` " in line)
    named = {each["result"] for each in told}
    assert named <= {*re.findall("`([a-z]+)`", row.partition("what came of it: ")[2])}
    return [(each["store"], each["result"]) for each in told]


def test_each_store_is_synced_by_its_name(at: Address, write: Write) -> None:
    variables = both(at, write) | FREELY
    done = run("sync", **variables)
    told = json.loads(run("sync", "--json", **variables).stdout)

    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(f"prints: {KEPT}\nphotos: {KEPT}\n", done.stdout)
    assert results(told) == [("prints", "done"), ("photos", "done")]
    assert [each["orders"] for each in told] == [120, 120]
    assert told[0]["title"].startswith('"Ada\'s Prints" (')
    assert told[1]["title"] == at.title(at.second)
    assert told[0]["seconds_to_wait"] is None


def test_a_store_that_fails_holds_up_none_of_the_others(at: Address, write: Write) -> None:
    text = TWO + '\n[stores.copy]\nkey_env = "PRINTS_KEY"\n'
    variables = both(at, lambda **_: write(text)) | FREELY | {"PRINTS_KEY": ""}
    at.asked.clear()
    done = run("sync", **variables)
    told = json.loads(run("sync", "--json", **variables).stdout)

    assert done.returncode == 1
    assert re.fullmatch(f"photos: {KEPT}\n", done.stdout)
    assert [line[:60] for line in done.stderr.splitlines()] == [
        "prints: Nothing was sent: PRINTS_KEY does not hold the key o",
        "copy: Nothing was sent: PRINTS_KEY does not hold the key of ",
    ]
    assert results(told) == [
        ("prints", "failed"), ("photos", "done"), ("copy", "failed"),
    ]  # fmt: skip
    assert told[0]["error"].startswith("Nothing was sent: PRINTS_KEY does not hold the key of the")


def test_a_store_that_does_not_answer_and_a_key_of_another_store_fail_alone(
    at: Address, write: Write
) -> None:
    third = "[stores.away]\nkey_env = 'AWAY_KEY'\napi_url = 'http://127.0.0.1:1/v1'\n"
    text = TWO.replace("[stores.photos]", f"{third}[stores.photos]")
    variables = both(at, lambda **_: write(text)) | FREELY | {"AWAY_KEY": ROTATED_KEY}
    assert run("doctor", "--store", "prints", **variables).returncode == 0
    swapped = run("sync", **variables | {"PRINTS_KEY": OTHER_KEY})

    assert swapped.returncode == 1
    assert swapped.stdout.startswith("photos: Orders kept here since ")
    assert swapped.stdout.count("\n") == 1
    prints, away = swapped.stderr.splitlines()
    assert prints.startswith(
        "prints: Nothing was sent: the key of the store prints opens another store than before."
    )
    assert away.startswith(
        "away: Nothing was sent: Clawver did not say which store this key opens."
    )


def test_a_store_that_is_synced_elsewhere_is_told_by_its_name(at: Address, write: Write) -> None:
    variables = both(at, write) | FREELY
    run("doctor", **variables)
    scope = scopes.known(Settings.from_environment(variables, store="prints"))
    assert scope is not None
    scope.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(scope.folder / LOCK_FILE):
        done = run("sync", "--json", **variables)

    busy = "Another sync of this store is running. Nothing was done."
    assert (done.returncode, done.stderr) == (1, f"prints: {busy}\n")
    told = json.loads(done.stdout)
    assert told[0] == {"store": "prints", "result": "failed", "error": busy}
    assert told[1]["result"] == "done"


def test_a_store_that_keeps_no_history_is_named_and_no_failure(at: Address, write: Write) -> None:
    text = TWO.replace("[stores.photos]", "[stores.photos]\nhistory = false")
    variables = both(at, lambda **_: write(text)) | FREELY
    done = run("sync", **variables)
    told = json.loads(run("sync", "--json", **variables).stdout)

    assert done.returncode == 0
    assert re.fullmatch(f"prints: {KEPT}\n", done.stdout)
    assert done.stderr == (
        "photos: history of the store photos is off, so nothing is kept. Nothing was asked.\n"
    )
    assert results(told) == [("prints", "done"), ("photos", "off")]
    assert at.second.requests() == []


def test_where_no_store_keeps_a_history_it_fails(at: Address, write: Write) -> None:
    done = run("sync", **both(at, write), CLAWVER_HISTORY="off")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("CLAWVER_HISTORY is off, so nothing is kept. Nothing was asked.") == 2
    assert at.asked == []


def test_each_store_has_a_request_allowance_of_its_own(at: Address, write: Write) -> None:
    at.first.add_fault("page_thin", path="/orders$", times=-1)
    text = TWO.replace("[stores.prints]", "[stores.prints]\nrequests_per_day = 40")
    variables = both(at, lambda **_: write(text)) | FREELY
    del variables["CLAWVER_REQUESTS_PER_DAY"]
    done = run("sync", **variables)
    told = json.loads(run("sync", "--json", **variables).stdout)

    assert done.returncode == 1
    assert re.search(f"^photos: {KEPT}$", done.stdout, re.MULTILINE)
    assert re.fullmatch(
        r"prints: Half of the requests .* Run it again in 24 hours: it goes on where it ended\.\n",
        done.stderr,
    )
    assert results(told) == [("prints", "unfinished"), ("photos", "done")]
    assert told[0]["seconds_to_wait"] > 0


def test_a_variable_that_is_no_setting_is_warned_of_once(at: Address, write: Write) -> None:
    done = run("sync", **both(at, write), CLAWVER_VENV="example", CLAWVER_HISTORY="off")

    assert done.stderr.count("CLAWVER_VENV is no setting of this server, so it is ignored.") == 1


def test_one_that_is_named_is_synced_alone(at: Address, write: Write) -> None:
    done = run("sync", "--store", "photos", **both(at, write), **FREELY)
    told = json.loads(
        run("sync", "--store", "photos", "--json", **both(at, write), **FREELY).stdout
    )

    assert done.returncode == 0
    assert next(iter(told)) == "store"
    assert told["store"] == at.title(at.second)
    assert {"result", "title"}.isdisjoint(told)
    assert re.fullmatch(f"Store: {re.escape(at.title(at.second))}\n{KEPT}\n", done.stdout)
    assert at.first.requests() == []


@pytest.mark.slow
def test_at_a_terminal_it_shows_how_far_it_is_with_which_store(at: Address, write: Write) -> None:
    done = at_terminal("sync", environment=keyless() | both(at, write) | FREELY)

    assert done.returncode == 0
    assert re.search(
        r"prints: Asking Clawver.*prints: Reading orders.*100%", done.stdout, re.DOTALL
    )
    assert re.search(
        r"photos: Asking Clawver.*photos: Reading orders.*100%", done.stdout, re.DOTALL
    )
