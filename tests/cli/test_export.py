"""Orders, refunds and customers as a file."""

import csv
import io
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from tests.cli.test_main import keyless, run
from tests.history.conftest import order
from tests.spreadsheets import cells, needs_spreadsheet
from tests.terminals import at_terminal

from clawver_orders.cli import export as module
from clawver_orders.history import mirror as mirror_module
from clawver_orders.history.knowledge import Sighting, kept
from clawver_orders.history.mirror import HISTORY_FILE, Mirror
from clawver_orders.history.parts import PART
from clawver_orders.reports import sheet
from clawver_orders.storage import folders

posix = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
NOW = datetime.now(UTC)
THIN = {
    "id": "ord_thin",
    "totalInCents": 1,
    "createdAt": (NOW + timedelta(minutes=1)).isoformat(),
}
HOSTILE = [
    '=HYPERLINK("http://evil.example")',
    ' "=1+1',
    "@SUM(1)",
    "+1",
    "-1+1",
    "x;=1+1",
    "王=1",
    "'=2",
]


def keep(state: dict[str, str], sent: list[dict[str, Any]]) -> Mirror:
    """A history of the sandbox store with these orders."""
    path = Path(state["CLAWVER_STATE_DIR"]) / "stores" / "sandbox" / HISTORY_FILE
    mirror = Mirror(path, timedelta(days=400))
    mirror.note([Sighting(each["id"], kept(each), "read", NOW.timestamp()) for each in sent], NOW)
    return mirror


def some(number: int) -> Iterator[dict[str, Any]]:
    for n in range(number):
        yield order(
            f"ord_{n}", createdAt=(NOW - timedelta(minutes=n)).isoformat(), customerEmail=f"c{n % 7}@example.com"
        )  # fmt: skip


def export(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run("export", *words, **environment)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_everything_that_is_kept_is_exported_and_said_how_much_that_is(
    state: dict[str, str],
) -> None:
    keep(state, [*some(3), THIN])

    found = export("orders", **state)
    customers = export("customers", **state)
    documents = export("orders", "--format", "jsonl", **state)

    assert found.returncode == 0
    listed = [(each["order_id"], each["is_thin"]) for each in rows(found.stdout)]
    assert [each[0] for each in listed] == ["ord_thin", "ord_0", "ord_1", "ord_2"]
    assert found.stderr.startswith("Exported: 4 orders. Orders kept here since ")
    assert [each["orders"] for each in rows(customers.stdout)] == ["1", "1", "1"]
    assert customers.stderr.startswith("Exported: 3 customers. Orders kept here since ")
    ids = [json.loads(each)["order_id"] for each in documents.stdout.splitlines()]
    assert ids == ["ord_thin", "ord_0", "ord_1", "ord_2"]


def test_a_store_of_which_nothing_is_kept_has_a_line_of_columns(state: dict[str, str]) -> None:
    for what in ("orders", "customers", "refunds"):
        done = export(what, **state)

        assert done.returncode == 0
        assert done.stdout.count("\n") == 1
        assert f"Exported: 0 {what}." in done.stderr


def test_a_span_leaves_out_what_is_older_or_later(state: dict[str, str]) -> None:
    keep(state, list(some(5)))

    def time(minutes: float) -> str:
        return (NOW - timedelta(minutes=minutes)).isoformat()

    done = export("orders", "--since", time(3), "--until", time(0.5), **state)

    assert [each["order_id"] for each in rows(done.stdout)] == ["ord_1", "ord_2", "ord_3"]


def test_a_day_is_one_of_the_merchants(state: dict[str, str]) -> None:
    times = ["2026-11-01T04:30:00Z", "2026-11-01T03:30:00Z", "2026-11-02T04:30:00Z"]
    keep(state, [order(f"ord_{n}", createdAt=time) for n, time in enumerate(times)])
    words = ("orders", "--since", "2026-11-01", "--until", "2026-11-02")

    done = export(*words, CLAWVER_TIME_ZONE="America/New_York", **state)

    # The clock goes back that day, so it has 25 hours.
    assert [each["order_id"] for each in rows(done.stdout)] == ["ord_2", "ord_0"]


def test_refunds_come_from_the_ledger_with_who_approved_them(state: dict[str, str]) -> None:
    state |= {"CLAWVER_REFUND_APPROVAL": "agent"}
    ids = []
    for name in ("ord_digital", "ord_shirt"):
        words = (f"order_id={name}", "amount_in_cents=500", "reason=Torn")
        ids.append(json.loads(run("call", "refund_order", *words, **state).stdout)["refund_id"])
    run("approve", ids[0], "--yes", **state)
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()

    done = export("refunds", "--until", later, **state)
    none = export("refunds", "--until", "2026-01-01", **state)

    found = rows(done.stdout)
    assert [(each["refund_id"], each["status"]) for each in found] == [
        (ids[1], "waiting"),
        (ids[0], "refunded"),
    ]
    assert (found[1]["amount_in_cents"], found[1]["currency"], found[1]["grade"]) == ("500", "USD", "agent")  # fmt: skip
    assert (found[1]["channel"], found[1]["decided_by"]) == ("terminal", "program in the terminal")
    assert rows(none.stdout) == []


def test_a_masked_export_names_nobody(state: dict[str, str]) -> None:
    keep(state, [order(shippingAddress={"name": "Ada Lovelace", "city": "Springfield"})])

    for what in ("orders", "customers"):
        for form in ("csv", "jsonl"):
            done = export(what, "--format", form, CLAWVER_PII="masked", **state)

            assert "a…@….com" in done.stdout
            assert not re.search("ada@|Lovelace|Springfield", done.stdout)


def test_a_file_is_private_and_whole_and_never_replaces_another(
    state: dict[str, str], tmp_path: Path
) -> None:
    keep(state, list(some(3)))
    path = tmp_path / "orders.csv"

    first = export("orders", "--output", str(path), **state)
    content = path.read_bytes()
    keep(state, [order("ord_new")])
    second = export("orders", "--output", str(path), **state)

    assert (first.returncode, first.stdout) == (0, "")
    assert f"Exported: 3 orders to {path}." in first.stderr
    assert len(rows(content.decode())) == 3
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert second.returncode == 1
    assert "exists already, so nothing was written" in second.stderr
    assert path.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["orders.csv"]


def test_a_dash_is_stdout_and_no_file(state: dict[str, str], tmp_path: Path) -> None:
    keep(state, list(some(2)))
    done = export("orders", "--output", "-", **state)

    assert len(rows(done.stdout)) == 2
    assert done.stdout == export("orders", **state).stdout
    assert not Path("-").exists()


def test_a_file_that_appears_meanwhile_stays(
    state: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(state, list(some(1)))
    path = tmp_path / "orders.csv"
    made_whole = folders.made_whole
    monkeypatch.setattr(
        folders, "made_whole", lambda name: (path.write_text("another"), made_whole(name))[1]
    )
    done = export("orders", "--output", str(path), **state)

    assert done.returncode == 1
    assert "exists already" in done.stderr
    assert path.read_text() == "another"
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["orders.csv"]


def test_half_a_file_is_no_file(
    state: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(state, list(some(3)))
    path = tmp_path / "orders.csv"
    line, written = sheet.line, list[object]()

    def full(*given: Any) -> bytes:
        written.append(given)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        return line(*given)

    monkeypatch.setattr(sheet, "line", full)
    done = export("orders", "--output", str(path), **state)

    assert done.returncode == 1
    assert (
        done.stderr == f"{path} could not be written: No space left on device. It was not made.\n"
    )
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == []


def test_a_history_that_cannot_be_read_makes_no_file(state: dict[str, str], tmp_path: Path) -> None:
    mirror = keep(state, list(some(3)))
    (mirror.folder / HISTORY_FILE).write_bytes(b"damaged")

    done = export("orders", "--output", str(tmp_path / "orders.csv"), **state)

    assert (done.returncode, done.stdout) == (1, "")
    assert "The file of the order history is damaged" in done.stderr
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == []


@posix
@pytest.mark.slow
def test_an_export_that_is_killed_leaves_nothing_with_the_name(
    state: dict[str, str], tmp_path: Path
) -> None:
    keep(state, list(some(5)))
    path = tmp_path / "orders.csv"
    slowly = (
        "import os, signal\n"
        "from clawver_orders.reports import sheet\n"
        "line = sheet.line\n"
        "def dying(row, form):\n"
        "    if row['order_id'] == 'ord_3':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return line(row, form)\n"
        "sheet.line = dying\n"
        "from clawver_orders.cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", slowly, "export", "orders", "--output", str(path)],
        env=keyless() | state, capture_output=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode < 0
    assert not path.exists()
    left = [each for each in tmp_path.iterdir() if each.is_file()]
    assert [each.suffix for each in left] == [".draft"]
    assert {stat.S_IMODE(each.stat().st_mode) for each in left} == {0o600}


@pytest.mark.parametrize("name", ["none/orders.csv", ".", "none/\x1b[31m.csv"])
def test_a_place_where_no_file_can_be_is_an_error(
    state: dict[str, str], tmp_path: Path, name: str
) -> None:
    done = export("orders", "--output", str(tmp_path / name), **state)

    assert done.returncode == 1
    assert "It was not made." in done.stderr or "exists already" in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--since", "last week"), ("--until", "24.11.2026"), ("--since", "2026-11-24", "--until", "2026-11-23"),
        ("--since", "2999-01-01"), ("--format", "jsonl", "--bom"), ("--format", "xml"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_writes_nothing(
    state: dict[str, str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    path = tmp_path / "orders.csv"

    done = export("orders", *words, "--output", str(path), **state)

    assert (done.returncode, done.stdout) == (2, "")
    assert not path.exists()


def test_where_no_history_is_kept_there_are_refunds_only(state: dict[str, str]) -> None:
    for what, code in (("orders", 1), ("customers", 1), ("refunds", 0)):
        done = export(what, CLAWVER_HISTORY="off", **state)

        assert done.returncode == code
        assert ("CLAWVER_HISTORY is off" in done.stderr) is (code == 1)


@pytest.mark.slow
@pytest.mark.parametrize("words", [("orders",), ("customers",)])
def test_no_more_orders_are_in_memory_than_one_part(
    state: dict[str, str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    keep(state, list(some(3 * PART)))
    read, passed, most = 0, 0, 0
    make, add = mirror_module._kept, module_row(words[0])

    def counting(row: Any) -> Any:
        nonlocal read, most
        read += 1
        most = max(most, read - passed)
        return make(row)

    def passing(*given: Any) -> Any:
        nonlocal passed
        passed += 1
        return add[1](*given)

    monkeypatch.setattr(mirror_module, "_kept", counting)
    monkeypatch.setattr(add[0], add[2], passing)
    done = export(*words, **state)

    assert done.returncode == 0
    assert passed == read == 3 * PART
    assert 0 < most <= PART + 1


def module_row(what: str) -> tuple[object, Callable[..., Any], str]:
    """Where an order has served its purpose."""
    from clawver_orders.reports import rows as made

    if what == "orders":
        return made, made.order_row, "order_row"
    return made._Sum, made._Sum.add, "add"


def test_a_spreadsheet_is_told_that_it_is_utf8_where_that_is_wanted(
    state: dict[str, str], tmp_path: Path
) -> None:
    keep(state, [order(shippingAddress={"name": "王伟"})])
    path = tmp_path / "orders.csv"

    export("orders", "--bom", "--output", str(path), **state)

    assert path.read_bytes().startswith(b"\xef\xbb\xbforder_id,")
    assert rows(path.read_text("utf-8-sig"))[0]["name"] == "王伟"


@pytest.mark.slow
@needs_spreadsheet
def test_a_real_spreadsheet_calculates_nothing_that_a_customer_wrote(
    state: dict[str, str], tmp_path: Path
) -> None:
    keep(
        state, [order(f"ord_{n}", shippingAddress={"name": name}) for n, name in enumerate(HOSTILE)]
    )
    path, unsafe = tmp_path / "orders.csv", tmp_path / "unsafe.csv"
    unsafe.write_text("a\n=1+1\n")

    export("orders", "--bom", "--output", str(path), **state)

    assert cells(unsafe, tmp_path)[1] == [("=1+1", True)]
    read = cells(path, tmp_path)
    assert len(read) == 1 + len(HOSTILE)
    assert read[0][0] == ("order_id", False)
    assert not [cell for row in read for cell in row if cell[1]]
    shown = {text.lstrip("'") for row in read for text, _ in row}
    assert {"王=1", '=HYPERLINK("http://evil.example")'} <= shown


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("into", ["> /dev/full", ">&-", "| head -c 1"])
def test_a_reader_that_takes_nothing_is_named(state: dict[str, str], into: str) -> None:
    keep(state, list(some(2000)))

    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m clawver_orders export orders {into}"],
        env=keyless() | state, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "could not be written" in done.stderr or "stdout is closed" in done.stderr


@posix
@pytest.mark.slow
def test_at_a_terminal_it_shows_how_far_it_is_but_not_between_the_rows(
    state: dict[str, str], tmp_path: Path
) -> None:
    keep(state, list(some(600)))
    words = ("export", "orders", "--output", str(tmp_path / "orders.csv"))

    to_file = at_terminal(*words, environment=keyless() | state)
    to_screen = at_terminal("export", "orders", environment=keyless() | state)

    assert "Exported: 500 orders …" in to_file.stdout
    assert "Exported: 500 orders" not in to_screen.stdout
    assert to_screen.stdout.count("ada@") == 0
    assert to_screen.stdout.count("\n") >= 600


def test_no_tool_exports(state: dict[str, str]) -> None:
    assert isinstance(module.export, click.Command)
    assert "export" not in run("call", "--help", **state).stdout
