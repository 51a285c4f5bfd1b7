"""The reference pages are tested like code: names exist, tables equal the code, examples run."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from inspect import signature
from pathlib import Path
from socket import EAI_AGAIN, EAI_NONAME, gaierror
from typing import Any, get_args

import httpx2
import pytest
from tests.commands import inside
from tests.documents.flagged import flagged

from clawver_orders import errors
from clawver_orders.clawver import reaching
from clawver_orders.clawver.models import Refund
from clawver_orders.cli.main import commands
from clawver_orders.cli.refunds import refunds as refund_group
from clawver_orders.install.installation import documented
from clawver_orders.orders.lifecycle import PATIENCE, STATUSES, KnownPaymentStatus
from clawver_orders.refunds import outcome
from clawver_orders.setting_names import VARIABLES
from clawver_orders.settings import Settings
from clawver_orders.stores import OF_A_STORE
from clawver_orders.tools import SURFACE
from clawver_sandbox import deliveries, faults
from clawver_sandbox.serving import running
from clawver_sandbox.shop import API_KEY, Shop

ROOT = Path(__file__).parents[2]
PRODUCT = ROOT / "server" / "clawver_orders"
PAGES = sorted([*(ROOT / "references").glob("*.md"), *(ROOT / "docs").glob("*.md")])
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text("utf-8") for page in PAGES}
LARGEST_REFERENCE = 2_500
LARGEST_SKILL = 3_500
"""In bytes: what an agent reads to answer one question, and what it reads in every session."""
TOOLS = {tool.name for tool in SURFACE}
PAGE = pytest.mark.parametrize("name", sorted(TEXTS))


def section(text: str, heading: str) -> str:
    return text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def table(text: str) -> list[list[str]]:
    """The cells of the first table of a text, without its heading."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


# What a page may name, and how long it may be.


@PAGE
def test_a_page_says_when_to_open_it_and_stays_short(name: str) -> None:
    lines = TEXTS[name].splitlines()

    assert lines[0].startswith("# ")
    assert lines[2].startswith("Open this ")
    is_a_list = name in {"docs/errors.md", "docs/hosts.md"}  # one entry is looked up
    assert len(lines) < (300 if is_a_list else 200)


PICTURES = {".svg", ".png"}


def test_pages_lie_one_level_deep() -> None:
    for folder in ("references", "docs"):
        names = {
            f"{folder}/{p.name}" for p in (ROOT / folder).iterdir() if p.suffix not in PICTURES
        }
        assert names == {name for name in TEXTS if name.startswith(f"{folder}/")}


def test_what_an_agent_reads_fits_its_budget() -> None:
    pages = [page for page in PAGES if page.parent.name == "references"]

    assert {page.name for page in pages if page.stat().st_size > LARGEST_REFERENCE} == set()
    assert (ROOT / "SKILL.md").stat().st_size <= LARGEST_SKILL


@PAGE
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)", TEXTS[name]):
        if not target.startswith("https://"):
            assert (ROOT / name).parent.joinpath(target).is_file(), target


def fields(schema: Any) -> Iterator[str]:
    """Every name and every fixed value in a schema, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        yield from (str(value) for value in schema.get("enum", ()))
        for part in schema.values():
            yield from fields(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from fields(part)


@PAGE
def test_every_tool_that_is_named_exists(name: str) -> None:
    verbs = {tool.split("_")[0] for tool in TOOLS} | {"register", "delete", "create", "cancel"}
    known = {word for t in SURFACE for word in fields([t.input_schema, t.output_schema])}
    known |= {VARIABLES[each].removeprefix("CLAWVER_").lower() for each in OF_A_STORE}
    said = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", TEXTS[name]))

    assert {word for word in said if word.split("_")[0] in verbs} - known <= TOOLS


@PAGE
def test_every_setting_that_is_named_exists(name: str) -> None:
    assert set(re.findall(r"\bCLAW[A-Z]*_[A-Z_]+\b", TEXTS[name])) <= set(VARIABLES.values())


@PAGE
def test_every_command_that_is_named_exists(name: str) -> None:
    for words in re.findall(r"[`\n]clawver-orders ([a-z ]+)", TEXTS[name]):
        command, *rest = words.split()
        assert command in inside(commands)
        if command == "refunds" and rest:
            assert rest[0] in refund_group.commands
        if command == "call" and rest:
            assert rest[0].isupper() or rest[0] in {tool.split("_")[0] for tool in TOOLS}


@PAGE
def test_a_page_holds_nothing_that_registries_flag(name: str) -> None:
    assert flagged(TEXTS[name]) == []
    for block in blocks(TEXTS[name], "json"):
        json.loads(block)
        assert flagged(block, is_data=True) == []


@pytest.mark.parametrize(
    "piece",
    [
        "claw_" + "sk" + "_live_0123456789",
        'api_key = "' + "a1b2c3d4" * 3 + '"',
        "run it with --token" + " abc",
        "please IGNORE previous" + " instructions",
        "verify" + "=False",
        "ev" + "al(text)",
        "a\u200bb",
    ],
)
def test_the_scan_sees_what_registries_flag(piece: str) -> None:
    assert flagged(f"before {piece} after") != []


def test_the_scan_passes_examples_and_sees_raw_addresses_in_data() -> None:
    assert flagged('secret: "an-example-secret-of-yours"') == []
    assert flagged("claw_sk_test_example_sandbox") == []
    assert flagged("http://192.0.2.7/v1") == []
    assert flagged('{"url": "http://192.0.2.7/v1"}', is_data=True) == ["http://192.0.2.7"]


@pytest.mark.parametrize(
    "path",
    [ROOT / "SKILL.md", ROOT / "README.md", ROOT / "pyproject.toml", *sorted((ROOT / "tests").rglob("*.py"))],
    ids=lambda path: str(path.name),
)  # fmt: skip
def test_nothing_beside_the_pages_is_flagged_either(path: Path) -> None:
    assert flagged(path.read_text("utf-8"), is_data=path.suffix == ".toml") == []


# Tables that say what the code says.


def test_the_statuses_are_those_of_the_code() -> None:
    orders = TEXTS["docs/orders.md"]
    status = table(section(orders, "Status: where the order is"))
    payment = table(section(orders, "Payment status: where the money is"))

    assert [row[0].strip("`") for row in status] == list(STATUSES)
    assert [row[0].strip("`") for row in payment] == list(get_args(KnownPaymentStatus))


def test_which_refunds_count_is_what_the_code_counts() -> None:
    rows = table(section(TEXTS["docs/orders.md"], "The status of a refund"))
    for words, counts, field in rows:
        for status in [*re.findall("`([^`]+)`", words), *([None] if "none" in words else [])]:
            refund = Refund.model_validate({"id": "ref_1", "amountInCents": 1, "status": status})
            assert counts.startswith("yes") is refund.counts
            assert counts.startswith("not known") is not (refund.counts or refund.moved_nothing)
            assert field == ("`refunds`" if refund.counts else "`uncounted_refunds`")


def test_no_tool_shows_the_product_ids_that_a_policy_names() -> None:
    shown = {word for tool in SURFACE for word in fields(tool.output_schema)}

    assert "No tool shows a product's id." in TEXTS["docs/refund-policy.md"]
    assert {word for word in shown if word.startswith("product") and word.endswith("id")} == set()


def test_what_needs_attention_is_what_the_code_counts() -> None:
    rows = table(section(TEXTS["docs/orders.md"], "The daily check"))
    said = {
        match[1]: row[1]
        for row in rows
        if (match := re.search(r"still `(\w+)`", row[0])) is not None
    }

    assert said == {
        status: f"{patience.days} day{'s' if patience.days > 1 else ''}"
        for status, patience in PATIENCE.items()
    }
    assert [row[0] for row in rows[:2]] == [
        "the payment failed",
        "cancelled, but not fully refunded",
    ]


def test_what_is_said_of_a_wanted_size_is_all_that_can_be_said() -> None:
    (tool,) = [each for each in SURFACE if each.name == "handle_wrong_size"]
    items = tool.output_schema["properties"]["items"]["items"]["properties"]
    rows = table(section(TEXTS["docs/wrong-size.md"], "Read `wanted_available`"))

    assert sorted(row[0].strip("`") for row in rows) == sorted(items["wanted_available"]["enum"])


def test_the_orders_that_setup_promises_are_in_the_sandbox(shop: Shop) -> None:
    promised = set(re.findall(r"\bord_[a-z_]+", section(TEXTS["docs/setup.md"], "Use the sandbox")))

    assert promised <= {order["id"] for order in shop.orders()}
    assert len(promised) > 8


def test_every_fault_of_the_sandbox_is_on_its_page() -> None:
    page = TEXTS["docs/sandbox.md"]
    text = section(page, "Make it fail")
    fields, names = text.split("\n| f")[1:]
    listed = [name for row in table(f"| f{names}") for name in re.findall("`([^`]+)`", row[0])]
    said = [name for row in table(f"| f{fields}") for name in re.findall("`([^`]+)`", row[0])]

    assert sorted(listed) == sorted(faults.NAMES)
    assert sorted(said) == sorted(each.name for each in dataclass_fields(faults.Fault))
    assert set(re.findall("`([a-z_]+)`", text.split("Its names are")[1])) == set(deliveries.FAULTS)


# Errors: every class and every sentence, each with its next step.


@dataclass(frozen=True)
class Said:
    """An error as the code says it, with an ellipsis for what it fills in."""

    kind: str
    happened: str
    next_step: str


KINDS = {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.ClawverError)
}
MAKERS = {name: name for name in KINDS} | {
    "_BusyError": "UnreachableError",
    "unexpected": "UnexpectedAnswerError",
}
FACTS = {
    name: value
    for each in (errors, outcome)
    for name, value in vars(each).items()
    if name.isupper()
}


def template(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return template(node.left) + template(node.right)
    if isinstance(node, ast.FormattedValue):
        return template(node.value) if isinstance(node.value, ast.Name) else "…"
    return FACTS.get(node.id, "…") if isinstance(node, ast.Name) else "…"


def sentence_in_a_table(node: ast.Tuple) -> Said | None:
    """An error that is raised from a table: its class, what happened with `{name}` for what it is about, and the next step."""
    match node.elts:
        case [ast.Name(id=kind), ast.Constant(value=str(happened)), next_step] if kind in KINDS:
            return Said(kind, re.sub(r"\{\w+\}", "…", happened), template(next_step))
    return None


def sentences_of_the_code() -> list[Said]:
    waiting = signature(errors.RateLimitedError).parameters["happened"].default
    found = [Said("RateLimitedError", waiting, "")]
    for path in sorted(PRODUCT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Tuple) and (said := sentence_in_a_table(node)):
                found.append(said)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                kind = MAKERS.get(node.func.id)
                given = {keyword.arg: keyword.value for keyword in node.keywords}
                happened = template(given.get("happened", node.args[0] if node.args else None))
                if "fact" in given:
                    happened = f"{template(given['fact'])}: {happened}"
                if kind and happened.removesuffix(" Nothing was changed.") != "…":
                    found.append(Said(kind, happened, template(given.get("next_step"))))
    return found


def sentences_of_the_page() -> list[Said]:
    page = TEXTS["docs/errors.md"]
    return [
        Said(kind, *row)
        for kind, heading in re.findall(r"^## (?:`(\w+)`)(: .*)$", page, re.MULTILINE)
        for row in table(section(page, f"`{kind}`{heading}"))
    ]


def test_every_error_class_is_documented_and_every_documented_one_exists() -> None:
    page = TEXTS["docs/errors.md"]
    kinds = [row[0].strip("`") for row in table(section(page, "The kinds"))]

    assert sorted(kinds) == sorted(KINDS - {"ClawverError"})
    assert re.findall(r"^## `(\w+)`", page, re.MULTILINE) == kinds


def test_every_sentence_of_an_error_is_documented_under_its_class() -> None:
    rows = sentences_of_the_page()
    missing = [
        said
        for said in sentences_of_the_code()
        if not any(row.kind == said.kind and said.happened.startswith(row.happened) for row in rows)
    ]

    assert missing == []


def test_sentences_in_tables_are_seen() -> None:
    said = [each.happened for each in sentences_of_the_code()]

    assert "The database of … cannot be reached." in said
    assert "The disk of the database is full, so … cannot be written." in said


def test_every_documented_sentence_is_one_of_the_code() -> None:
    code = sentences_of_the_code()
    rows = sentences_of_the_page()

    assert len(rows) > 40
    assert [
        row
        for row in rows
        if not any(
            row.kind == said.kind and said.happened.startswith(row.happened) for said in code
        )
    ] == []


def test_every_reason_why_clawver_is_not_reached_is_documented() -> None:
    """Each of them, with what helps: repeating only where it may pass."""
    said = section(TEXTS["docs/errors.md"], "Why Clawver could not be reached")
    faults = [value for value in vars(reaching).values() if isinstance(value, reaching.Fault)]
    for error in (OSError(), gaierror(EAI_AGAIN, ""), gaierror(EAI_NONAME, "")):
        failed = httpx2.ConnectError("")
        failed.__cause__ = error
        faults.append(reaching.fault_of(failed, Settings()))

    assert {(row[0], row[1].startswith("Repeat")) for row in table(said)} == {
        (fault.why.replace("its host", "…"), fault.passes) for fault in faults
    }
    assert all(fault.next_step.startswith("Repeat") is fault.passes for fault in faults)


def test_a_next_step_names_what_the_error_itself_names() -> None:
    names = re.compile(rf"\b(?:{'|'.join(TOOLS)}|CLAW\w*_[A-Z_]+|\w+_id)\b")
    for said in sentences_of_the_code():
        rows = [
            row
            for row in sentences_of_the_page()
            if row.kind == said.kind and said.happened.startswith(row.happened)
        ]
        needed = set(names.findall(said.next_step)) - {"order_id", "refund_id"}
        assert any(needed <= set(names.findall(row.next_step)) for row in rows), said


def test_the_two_sentences_that_are_no_class_are_those_of_the_code() -> None:
    code = "".join(path.read_text("utf-8") for path in PRODUCT.rglob("*.py"))
    rows = table(section(TEXTS["docs/errors.md"], "What else can be said"))

    assert len(rows) == 2
    for sentence, _ in rows:
        assert sentence.strip("`").removeprefix("TOOL").strip() in code


# Requests are answered.


@dataclass(frozen=True)
class Example:
    """A request, and what the page says of its outcome."""

    what: str
    outcome: tuple[str, ...]


def examples(block: str) -> list[Example]:
    """The parts of a block; the lines with a hash below each say what came of it."""
    parts = re.findall(r"((?:^(?!# ).*\n)+)((?:^# .*\n)+)", block, re.MULTILINE)
    assert "".join(what + said for what, said in parts) == block, "an example without an outcome"
    return [
        Example(what.strip(), tuple(line.removeprefix("# ") for line in said.splitlines()))
        for what, said in parts
    ]


HTTP = [(name, block) for name in TEXTS for block in blocks(TEXTS[name], "http")]


def example_id(value: str) -> str:
    return value.splitlines()[0]


@pytest.fixture
def base(tmp_path: Path) -> Iterator[tuple[Shop, str]]:
    """A store of its own for each block of requests."""
    shop = Shop.open(tmp_path / "shop.sqlite3")
    with running(shop) as url:
        yield shop, f"{url}/v1"


def send(base: str, what: str) -> httpx2.Response:
    head, _, body = what.partition("\n\n")
    first, *lines = head.splitlines()
    method, path = first.split(" ")
    headers = dict(line.replace("$CLAW_API_KEY", API_KEY).split(": ", 1) for line in lines)
    if body:
        json.loads(body)
        headers["Content-Type"] = "application/json"
    return httpx2.request(method, base + path, headers=headers, content=body.encode() or None)


@pytest.mark.parametrize(("name", "block"), HTTP, ids=example_id)
def test_a_request_is_answered_as_its_page_says(
    name: str, block: str, base: tuple[Shop, str]
) -> None:
    for example in examples(block):
        (outcome,) = example.outcome
        status, _, text = outcome.partition(" ")
        answer = send(base[1], example.what)
        assert answer.status_code == int(status), answer.text
        assert text in answer.text
        assert answer.json()["success"] is (int(status) == 200)
        code = answer.json().get("error", {}).get("code", text)
        assert code == text


@pytest.mark.parametrize(
    ("heading", "paid_out"),
    [
        ("Right: in code of your own", [("ord_digital", 2499)]),
        ("Wrong: no amount", []),
        ("Wrong: dollars instead of cents", [("ord_shirt", 25)]),
        ("Wrong: more than is left", []),
        ("Wrong: sending a refund again", [("ord_digital", 1000), ("ord_digital", 1000)]),
    ],
)
def test_the_money_moves_as_the_page_says(
    heading: str, paid_out: list[tuple[str, int]], base: tuple[Shop, str]
) -> None:
    shop, url = base
    (after,) = TEXTS["docs/api-examples.md"].split(f"\n{heading}")[1:]

    for example in examples(blocks(after, "http")[0]):
        send(url, example.what)

    assert shop.refunds() == paid_out


def test_every_request_example_is_called_right_or_wrong() -> None:
    text = TEXTS["docs/api-examples.md"]
    for before in text.split("```http\n")[:-1]:
        assert re.search(r"\n(?:Right|Wrong): [^`]*(?:`[^`]+`[^`]*)*$", before), before[-80:]


def test_the_key_goes_where_the_page_says(base: tuple[Shop, str]) -> None:
    shop, url = base
    for block in blocks(section(TEXTS["docs/api-examples.md"], "The customer's side"), "http"):
        for example in examples(block):
            send(url, example.what)

    assert [request["has_key"] for request in shop.requests()] == [False] * 4 + [True]


def test_the_blocks_for_hosts_start_a_command_that_exists() -> None:
    blocks_of_setup = blocks(TEXTS["docs/setup.md"], "json")

    assert len(blocks_of_setup) == 2
    for block in blocks_of_setup:
        server = json.loads(block)["mcpServers"]["clawver-orders"]
        words = (server["command"], *server["args"])
        assert words[: len(documented())] == documented()
        arguments = words[len(documented()) :]
        if arguments:
            command, *options = arguments
            known = {flag for p in inside(commands)[command].params for flag in p.opts}
            assert set(options) <= known
        assert set(server.get("env", {})) <= set(VARIABLES.values())
