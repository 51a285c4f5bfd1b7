"""What commands print: tables in a terminal, plain lines in a pipe, and JSON wherever that is asked for."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from rich.cells import cell_len
from tests.cli.test_events import arrive
from tests.cli.test_main import keyless, paths_of, run, run_process
from tests.commands import inside
from tests.conftest import with_slow
from tests.terminals import at_terminal

from clawver_orders.cli.drawing import Drawing
from clawver_orders.cli.main import commands
from clawver_orders.cli.output import encoded
from clawver_orders.tools import SURFACE
from clawver_orders.webhooks import parse, sign
from clawver_orders.webhooks.inbox import Delivery, Inbox

posix = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
COLOUR = re.compile(r"\x1b\[[0-9;?]*[a-z]")
PRINTS_NO_JSON = {
    "demo": "a walk for people to read",
    "digest": "it has --format",
    "export": "it has --format",
}
SECRET = "whsec_example_0123456789"
BODY = '{"event":"order.paid","data":{"orderId":"ord_1"}}'
LISTS = [
    ("refunds",), ("events",), ("config",), ("doctor",), ("call", "list_orders", "limit=5"),
    ("call", "get_order", "order_id=ord_hostile"), ("call", "summarize_orders"), ("call", "list_order_events"),
    ("call", "handle_wrong_size", "order_id=ord_shirt"), ("refunds", "check"), ("sync",),
]  # fmt: skip


def leaves() -> Iterator[tuple[str, ...]]:
    """Every command but the groups that only hold others."""
    for path in paths_of(commands):
        command: click.Command = commands
        for word in path:
            command = inside(command)[word]
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield path


@pytest.fixture
def sandbox(state: dict[str, str], inbox: Inbox) -> dict[str, str]:
    """A sandbox store with two refunds, of which one waits, and with events."""
    # So many commands use up the usual requests of a minute, and sync would wait for its share.
    many = {f"CLAWVER_REQUESTS_PER_{span}": "1000000" for span in ("MINUTE", "DAY")}
    state |= {"CLAWVER_REFUND_APPROVAL": "agent", "CLAWVER_WEBHOOK_SECRET": SECRET} | many
    for number in range(1, 4):
        arrive(inbox, number, "order.fulfillment_failed")
    run("approve", wanted(state, "ord_digital", "Torn"), "--yes", **state)
    wanted(state, "ord_shirt", "One sleeve is torn, and the customer wants it gone. " * 4)
    return state


def wanted(state: dict[str, str], order_id: str, reason: str) -> str:
    words = (f"order_id={order_id}", "amount_in_cents=500", f"reason={reason}")
    return str(json.loads(run("call", "refund_order", *words, **state).stdout)["refund_id"])


def shown(columns: int, *words: str, **environment: str) -> str:
    """What stands on a screen of so many columns in the end: what was taken back is gone."""
    done = at_terminal(*words, environment=keyless() | environment, columns=columns)
    assert done.returncode in {0, 1}, done.stdout
    return re.sub(r"[^\n]*\r", "", done.stdout)


def widest(text: str) -> int:
    return max(cell_len(COLOUR.sub("", line)) for line in text.splitlines())


@pytest.mark.parametrize("path", [*leaves()], ids=" ".join)
def test_every_command_that_prints_can_print_json(path: tuple[str, ...]) -> None:
    has_both = {"--json", "--pretty"} <= set(run(*path, "-h").stdout.split())

    assert has_both is (path[-1] not in PRINTS_NO_JSON)


def documents(state: dict[str, str], tmp_path: Path) -> dict[tuple[str, ...], Any]:
    """What each command that ends by itself prints as JSON, by its words."""
    waiting = json.loads(run("refunds", "--json", **state).stdout)[0]["refund_id"]
    words = [
        *LISTS, ("refunds", "show", waiting), ("config", "cursor"), ("config", "cursor", "--write"),
        ("config", "cursor", "--write", "--yes"), ("bundle", "--out", str(tmp_path / "out")),
        ("webhook", "verify", "--signature", sign(BODY.encode(), SECRET)), ("webhook", "delete", "whk_none", "--yes"),
        ("approve", waiting, "--yes"), ("decline", waiting, "--yes"),
    ]  # fmt: skip
    found = {}
    for each in words:
        done = run(*each, "--json", stdin=BODY, HOME=str(tmp_path), **state)
        assert done.returncode in {0, 1}, (each, done.stderr)
        assert done.stdout.count("\n") == 1, each
        assert "\x1b" not in done.stdout
        found[each] = json.loads(done.stdout)
    return found


def test_json_is_one_document_on_one_line_and_holds_what_is_shown(
    sandbox: dict[str, str], tmp_path: Path
) -> None:
    found = {" ".join(words[:2]): value for words, value in documents(sandbox, tmp_path).items()}

    assert [each["status"] for each in found["refunds"]] == ["waiting", "refunded"]
    assert [each["event"] for each in found["refunds show"]["history"]] == ["waiting"]
    assert found["refunds check"] == {"store": "the sandbox", "refunds": [], "open": 0}
    assert {each["event"] for each in found["events"]} == {"order.fulfillment_failed"}
    assert {each["subject"] for each in found["doctor"]} >= {"settings", "ledger", "refunds"}
    assert [each["host"] for each in found["config"]][:2] == ["claude-desktop", "claude-code"]
    assert found["config cursor"]["changed"] is True
    assert found["bundle --out"][0].endswith(".mcpb")
    assert found["webhook verify"] == {"genuine": True, "event": "order.paid", "order_id": "ord_1"}
    assert found["webhook delete"]["status"] == "not_registered"
    decided = [value for words, value in found.items() if words.startswith(("approve", "decline"))]
    assert [each["status"] for each in decided] == ["refunded", "refunded"]
    (schema,) = [tool.output_schema for tool in SURFACE if tool.name == "check_refund"]
    assert set(decided[0]) <= set(schema["properties"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (("sandbox", "--port", "0"), {"variables", "faults", "requests"}),
        (("board", "--port", "0"), {"url", "store", "already_up"}),
        (("serve", "--http", "--port", "0"), {"url", "read_only"}),
    ],
)
def test_what_goes_on_until_it_is_stopped_begins_with_a_document(
    sandbox: dict[str, str], words: tuple[str, ...], keys: set[str]
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "clawver_orders", *words, "--json"],
        env=keyless() | sandbox, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            said = json.loads(process.stdout.readline())
        finally:
            process.terminate()
            rest, _ = process.communicate(timeout=120)

    assert set(said) == keys
    assert rest == ""


def test_what_only_serves_through_a_pipe_prints_no_json_of_its_own() -> None:
    for words in (("serve", "--json"), ("serve", "--sandbox", "--pretty")):
        done = run(*words)

        assert (done.returncode, done.stdout) == (2, "")
        assert "belong to --http. Nothing was started." in done.stderr


@posix
@pytest.mark.slow
def test_the_demo_has_its_headings_in_bold(tmp_path: Path) -> None:
    text = shown(80, "demo", TMPDIR=str(tmp_path), TERM="xterm-256color")

    assert "\x1b[1mA wrong size\x1b[0m\n" in text
    assert widest(text) <= 80


def test_pretty_is_the_same_document_with_indentation(sandbox: dict[str, str]) -> None:
    for words in (("refunds",), ("doctor",), ("call", "get_order", "order_id=ord_shirt")):
        compact, pretty = (run(*words, form, **sandbox).stdout for form in ("--json", "--pretty"))

        assert json.loads(pretty) == json.loads(compact)
        assert compact.count("\n") == 1
        assert "\n  " in pretty


def test_a_question_and_what_else_is_said_do_not_get_into_the_json(
    sandbox: dict[str, str],
) -> None:
    waiting = json.loads(run("refunds", "--json", **sandbox).stdout)[0]["refund_id"]
    kept = run("decline", waiting, "--json", stdin="n\n", **sandbox)
    approved = run("approve", waiting, "--pretty", stdin="y\n", **sandbox)

    assert (kept.returncode, kept.stdout) == (1, "")
    assert "Decline this refund?" in kept.stderr
    assert json.loads(approved.stdout)["status"] == "refunded"
    assert "Refund $5.00 on order ord_shirt?" in approved.stderr


@posix
def test_a_person_is_asked_on_stderr_where_json_goes_to_a_file(
    sandbox: dict[str, str], tmp_path: Path
) -> None:
    """An output that is no terminal makes it a program's approval: the question is shown all the same."""
    waiting = json.loads(run("refunds", "--json", **sandbox).stdout)[0]["refund_id"]
    done = at_terminal(
        "approve",
        waiting,
        "--json",
        answers=["y"],
        is_piped_on=True,
        environment=keyless() | sandbox,
    )

    assert done.returncode == 0, done.stdout
    assert done.stdout.index("Send this refund? [y/N]: ") < done.stdout.index('"status":')


@posix
@pytest.mark.parametrize("columns", with_slow([80], [40, 120]))
@pytest.mark.parametrize("words", with_slow(LISTS[:3], LISTS[3:]))
def test_what_is_listed_fits_the_terminal_and_breaks_no_id(
    sandbox: dict[str, str], words: tuple[str, ...], columns: int
) -> None:
    text = shown(columns, *words, **sandbox)
    ids = set(re.findall(r"\b(?:ord|rfi|evt)_[a-z0-9_]+", run(*words, **sandbox).stdout))

    assert widest(text) <= columns
    assert [each for each in ids if each not in text] == []
    assert "Traceback" not in text


@posix
@pytest.mark.parametrize("columns", with_slow([80], [120]))
def test_one_refund_fits_with_its_history(sandbox: dict[str, str], columns: int) -> None:
    (waiting, done) = json.loads(run("refunds", "--json", **sandbox).stdout)
    for refund in (waiting, done):
        text = shown(columns, "refunds", "show", refund["refund_id"], **sandbox)

        assert widest(text) <= columns
        assert " ".join(refund["reason"].split()[:4]) in text
        assert re.search(
            r"^at \(UTC\) +event +(detail|through)", COLOUR.sub("", text), re.MULTILINE
        )


@posix
def test_the_help_of_every_tool_fits_the_terminal() -> None:
    for tool in SURFACE:
        assert widest(run("call", tool.name, "-h").stdout) <= 80


@posix
def test_sentences_break_between_words_and_what_is_to_be_pasted_does_not(
    sandbox: dict[str, str],
) -> None:
    said = shown(40, "call", "get_order", "order_id=ord_nobody", **sandbox)
    pasted = shown(40, "config", "claude-code", **sandbox)

    assert widest(said) <= 40
    assert "Clawver knows no order\nord_nobody in this store." in said
    assert run("config", "claude-code", **sandbox).stdout in pasted


def plain(*words: str, **environment: str) -> str:
    done = run_process(*words, **environment)
    assert "\x1b" not in done.stdout + done.stderr
    return done.stdout


def test_what_is_piped_has_one_line_for_each_row_and_no_drawing(sandbox: dict[str, str]) -> None:
    refunds = plain("refunds", **sandbox).splitlines()
    events = plain("events", **sandbox).splitlines()
    call = plain("call", "get_order", "order_id=ord_shirt", **sandbox)

    assert [line.split()[0] for line in refunds] == [
        "Store:",
        "refund",
        *(w.split()[0] for w in refunds[2:]),
    ]
    assert [line.startswith("rfi_") for line in refunds[2:]] == [True, True]
    assert [line.split()[0] for line in events[2:5]] == ["evt_3", "evt_2", "evt_1"]
    assert json.loads(call)["orders"][0]["order_id"] == "ord_shirt"
    assert not set("".join(refunds + events)) & set("─│┃━╭╰┌└")


@pytest.mark.slow
def test_colour_follows_the_environment(sandbox: dict[str, str]) -> None:
    forced = sandbox | {"FORCE_COLOR": "1"}
    drawn = run_process("refunds", **forced).stdout
    called = run_process("call", "get_order", "order_id=ord_shirt", **forced).stdout

    assert "\x1b[32mrefunded\x1b[0m" in drawn
    assert "\x1b" not in run_process("refunds", "--json", **forced).stdout + called
    assert json.loads(called)
    assert "\x1b[32m" not in run_process("refunds", NO_COLOR="1", **forced).stdout


@posix
@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "has_colour", "has_bold"),
    [({}, True, True), ({"NO_COLOR": "1"}, False, True), ({"TERM": "dumb"}, False, False)],
)
def test_colour_in_a_terminal_follows_it_too(
    sandbox: dict[str, str], change: dict[str, str], has_colour: bool, has_bold: bool
) -> None:
    text = shown(120, "refunds", **{"TERM": "xterm-256color"} | sandbox | change)

    assert ("\x1b[32mrefunded" in text) is has_colour
    assert ("\x1b[1m" in text) is has_bold
    assert ("\x1b" in text) is (has_colour or has_bold)


@posix
def test_a_terminal_shows_what_a_command_waits_for_and_a_pipe_does_not(
    sandbox: dict[str, str],
) -> None:
    words = ("call", "get_order", "order_id=ord_shirt")
    done = at_terminal(*words, environment=keyless() | sandbox)
    quiet = run_process(*words, **sandbox)

    assert done.stdout.startswith("Asking Clawver …\r                \r")
    assert quiet.stderr == ""


def test_what_a_customer_wrote_does_nothing_to_a_terminal(
    state: dict[str, str], inbox: Inbox
) -> None:
    evil = b'{"event":"a.\\u001b[2Jb[red]","data":{"note":"\\u009b2J\\u202e"}}'
    inbox.note("r", [Delivery(evil, parse(evil), datetime.now(UTC))])
    as_json = run("events", "--json", **state).stdout
    (event,) = json.loads(as_json)

    assert event["body"]["data"]["note"] == "\x9b2J\u202e"
    assert as_json.isascii()
    for text in (as_json, run("events", FORCE_COLOR="1", TERM="dumb", **state).stdout):
        assert not set("\x1b\x9b\u202e") & set(text)
    assert "a.b[red]" in run("events", FORCE_COLOR="1", TERM="dumb", **state).stdout


def test_options_of_the_list_are_not_lost_on_what_comes_after(sandbox: dict[str, str]) -> None:
    for option in ("--sandbox", "--json", "--open", "--limit=5"):
        done = run("refunds", option, "check", **sandbox)

        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "Options of check come after that word.\n"


# The drawing alone, at any width.


def drawn(
    width: int, *rows: tuple[str, ...], headings: tuple[str, ...] = ("id", "text", "none")
) -> str:
    return Drawing(width).table(headings, rows)


def test_a_column_without_values_takes_no_room() -> None:
    assert drawn(20, ("a", "b", ""), ("c", "d", "")).split() == ["id", "text", "a", "b", "c", "d"]


def test_room_goes_to_the_columns_that_need_it_and_no_word_is_broken() -> None:
    text = drawn(30, ("ord_0123456789", "a long text that needs more lines", "9"))

    assert "ord_0123456789" in text
    assert text.split() == [
        "id", "text", "none", "ord_0123456789", "a", "long", "9", "text", "that", "needs", "more", "lines",
    ]  # fmt: skip
    assert widest(text) == 30


def test_where_the_words_do_not_fit_beside_each_other_each_row_is_a_block() -> None:
    text = drawn(20, ("ord_0123456789", "abcdefgh", "x"), ("ord_1", "", "y"))

    assert [line.rstrip() for line in text.splitlines()] == [
        "id    ord_0123456789", "text  abcdefgh", "none  x", "", "id    ord_1", "none  y",
    ]  # fmt: skip


def test_no_cell_can_make_a_terminal_do_anything() -> None:
    evil = "a\x1b[2J\x9b2J\a\u202eb [red]c[/red] :boom:"
    for text in (
        drawn(80, (evil, "", "")),
        Drawing(80).pairs([("id", evil)]),
        Drawing(80).heading(evil),
    ):
        assert not set("\x1b\x9b\a\u202e") & set(text)
        assert "ab [red]c[/red] :boom:" in text


def test_wide_letters_count_twice() -> None:
    assert widest(drawn(24, ("ord_1", "深海 深海 深海 深海 深海", "x"))) <= 24


def test_an_answer_is_drawn_with_all_that_is_in_it() -> None:
    answer = {
        "status": "ok", "complete": False, "none_of_them": [], "notes": ["one", "two"], "columns": ["a", "b"],
        "rows": [["1", "2"]], "pairs": [["x", "y", "z"]], "inner": {"deep": "value", "columns": ["c"], "more": [["3"]]},
        "items": [{"name": "first"}, {"name": "second"}],
    }  # fmt: skip
    text = Drawing(60).answer(answer)

    for words in (
        "complete +false",
        "none_of_them +none",
        "a +b\n +1 +2",
        "x +y +z",
        "deep +value",
        "c\n +3",
        "name +second",
    ):
        assert re.search(words, text), words
    assert Drawing(60).answer({"rows": [["1"]]}).split() == ["rows", "1"]


def test_what_cannot_be_seen_is_escaped_in_json_and_stays_the_same() -> None:
    value = {"text": "Grüße 深海 \x1b\x7f\x9b\u202e\u2028\U000e0041 👩\u200d👩"}

    assert json.loads(encoded(value)) == json.loads(encoded(value, indented=True)) == value
    assert not set("\x1b\x7f\x9b\u202e\u2028\U000e0041") & set(encoded(value))
    assert "Grüße 深海" in encoded(value)
