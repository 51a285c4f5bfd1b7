"""What hosts attach to a chat: orders, open refunds, the files of the skill, and completions."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    PromptReference,
    ResourceTemplateReference,
    TextResourceContents,
)
from tests.conftest import Configure, Connect, folder_of
from tests.tools.test_refunds import Time
from tests.tools.test_tools import call, failure

from clawver_orders import skill
from clawver_orders.serving.server import build_server
from clawver_orders.settings import Settings
from clawver_sandbox.shop import Shop

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "references"
SKILL = "skill://clawver-orders"


async def text_at(client: Client, uri: str) -> str:
    (contents,) = (await client.read_resource(uri)).contents
    assert isinstance(contents, TextResourceContents)
    return contents.text


async def test_every_file_of_the_skill_can_be_read(connect: Connect, era: str) -> None:
    async with connect(era) as client:
        templates = (await client.list_resource_templates()).resource_templates
        listed = [r for r in (await client.list_resources()).resources if r.uri.startswith(SKILL)]
        texts = {r.uri: await text_at(client, r.uri) for r in listed}

    assert texts == {
        f"{SKILL}/{page.relative_to(ROOT).as_posix()}": page.read_text("utf-8")
        for page in (ROOT / "SKILL.md", *PAGES.glob("*.md"))
    }
    assert {r.mime_type for r in listed} == {"text/markdown"}
    assert [each.uri_template for each in templates] == [ORDERS.uri, REFERENCES.uri]


async def test_the_list_says_of_each_page_when_to_open_it(connect: Connect, era: str) -> None:
    async with connect(era) as client:
        listed = {r.name: r for r in (await client.list_resources()).resources}

    for page in PAGES.glob("*.md"):
        title, _, opening, *_ = page.read_text("utf-8").splitlines()
        assert listed[page.stem].title == title.removeprefix("# ")
        assert listed[page.stem].description == opening
        assert opening.startswith("Open this ")
    about = yaml.safe_load((ROOT / "SKILL.md").read_text("utf-8").split("---\n")[1])
    assert listed["clawver-orders"].title == "Orders of a Clawver store"
    assert listed["clawver-orders"].description == about["description"]


def test_an_installed_package_reads_its_own_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "references").mkdir()
    (tmp_path / "references" / "only.md").write_bytes(b"# Only one\r\n")
    monkeypatch.setattr(skill, "_INSTALLED", tmp_path)

    assert skill.files() == ("SKILL.md", "references/only.md")
    assert skill.title("references/only.md") == "Only one"
    assert skill.read("references/only.md") == "# Only one\r\n"
    with pytest.raises(KeyError):
        skill.read("references/../README.md")


async def test_an_order_reads_as_the_tool_gives_it(connect: Connect, era: str) -> None:
    async with connect(era, pii="masked") as client:
        text = await text_at(client, "clawver://orders/ord_shirt")
        answer = await call(client, "get_order", order_id="ord_shirt")

    assert json.loads(text) == answer
    assert "…@…" in answer["orders"][0]["customer"]


async def test_open_refunds_read_with_what_to_do(connect: Connect, shop: Shop, era: str) -> None:
    sale = shop.sell(total_in_cents=2499)["id"]
    async with connect(era) as client:
        nothing = json.loads(await text_at(client, "clawver://refunds/open"))
        shop.add_fault("drop_before", method="POST")
        lost = await call(
            client, "refund_order", order_id=sale, amount_in_cents=700, reason="Smudged"
        )
        (row,) = json.loads(await text_at(client, "clawver://refunds/open"))["open_refunds"]

    assert nothing == {"open_refunds": []}
    assert (row["refund_id"], row["order_id"], row["amount"]) == (lost["refund_id"], sale, "$7.00")
    assert row["next_step"] == f"Call check_refund with refund_id {lost['refund_id']}."


async def test_the_sandbox_says_so_in_resources_too(tmp_path: Path) -> None:
    async with Client(build_server(Settings(sandbox=True, state_dir=tmp_path))) as client:
        for uri in ("clawver://orders/ord_shirt", "clawver://refunds/open"):
            assert "Sandbox store" in json.loads(await text_at(client, uri))["sandbox"]


@pytest.mark.parametrize(
    ("uri", "code", "says"),
    [
        ("clawver://orders/ord_nobody", INVALID_PARAMS, "Clawver knows no order ord_nobody"),
        ("clawver://orders/..%2Fstores", INVALID_PARAMS, "There is no such resource"),
        (f"{SKILL}/references/nothing.md", INVALID_PARAMS, "There is no such resource"),
        (f"{SKILL}/README.md", INVALID_PARAMS, "There is no such resource"),
        ("SKILL.md", INVALID_PARAMS, "There is no such resource"),
        ("clawver://elsewhere", INVALID_PARAMS, "There is no such resource"),
        ("file:///etc/passwd", INVALID_PARAMS, "There is no such resource"),
    ],
)
async def test_what_is_not_there_is_said(
    connect: Connect, era: str, uri: str, code: int, says: str
) -> None:
    async with connect(era) as client:
        with pytest.raises(MCPError, match=says) as refused:
            await client.read_resource(uri)

    assert refused.value.code == code


async def test_an_unknown_order_is_a_wrong_parameter_and_trouble_is_not(
    connect: Connect, era: str
) -> None:
    async with connect(era, api_key="claw_sk_test_example_wrong") as client:
        with pytest.raises(MCPError, match="does not accept the store's key") as unusable:
            await client.read_resource("clawver://orders/ord_shirt")
    async with connect(era) as client:
        said = await failure(client, "get_order", order_id="ord_nobody")
        with pytest.raises(MCPError) as unknown:
            await client.read_resource("clawver://orders/ord_nobody")

    assert f"get_order failed. {unknown.value.error.message}" == said
    assert unknown.value.code == INVALID_PARAMS
    assert unusable.value.code == INTERNAL_ERROR


async def test_a_damaged_ledger_is_said_and_the_rest_goes_on(
    configure: Configure, connect: Connect
) -> None:
    folder = folder_of(configure())
    folder.mkdir(parents=True, mode=0o700)
    (folder / "ledger.sqlite3").write_bytes(b"no database")
    async with connect() as client:
        with pytest.raises(MCPError, match="damaged"):
            await client.read_resource("clawver://refunds/open")
        assert await text_at(client, "clawver://orders/ord_shirt")


ORDERS = ResourceTemplateReference(uri="clawver://orders/{order_id}")
REFERENCES = ResourceTemplateReference(uri=f"{SKILL}/references/{{name}}.md")


async def test_order_ids_and_pages_complete(connect: Connect, shop: Shop, era: str) -> None:
    async with connect(era) as client:
        ids = await client.complete(ORDERS, {"name": "order_id", "value": "ord_sh"})
        same = await client.complete(
            PromptReference(name="wrong_size"), {"name": "order_id", "value": "ord_shirt"}
        )
        pages = await client.complete(REFERENCES, {"name": "name", "value": "ref"})
        nothing = await client.complete(
            PromptReference(name="wrong_size"), {"name": "wanted_size", "value": "X"}
        )

    known = {order["id"] for order in shop.orders()}
    assert ids.completion.values
    assert all(value in known and value.startswith("ord_sh") for value in ids.completion.values)
    assert same.completion.values == ["ord_shirt"]
    assert pages.completion.values == ["refunds"]
    assert nothing.completion.values == []
    assert len(shop.requests()) == 1


async def test_completions_are_read_anew_after_a_minute(configure: Configure, shop: Shop) -> None:
    time = Time()
    async with Client(build_server(configure(), now=lambda: time.at)) as client:
        typed: dict[str, Any] = {"name": "order_id", "value": "ord_shirt"}
        await client.complete(ORDERS, typed)
        time.pass_by(61)
        shop.add_fault("rate_limited", method="GET", retry_after=60)
        kept = await client.complete(ORDERS, typed)

    assert kept.completion.values == ["ord_shirt"]
    assert len(shop.requests()) == 2


async def test_a_long_search_says_how_far_it_is(connect: Connect, shop: Shop, era: str) -> None:
    said: list[tuple[float, float | None]] = []

    async def heard(
        progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        said.append((progress, total))

    async with connect(era) as client:
        await client.call_tool("summarize_orders", {}, progress_callback=heard)
        requests = len(shop.requests())
        await client.call_tool("list_orders", {"limit": 1}, progress_callback=heard)

    assert said
    assert said == [(n, said[0][1]) for n in range(1, len(said) + 1)]
    assert len(said) == requests - 1
    assert said[-1][0] == said[-1][1]
