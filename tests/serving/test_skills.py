"""The skill that the server serves: every file of it, with what a host checks before it trusts one."""

import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from mcp import Client, MCPError, StdioServerParameters
from mcp_types import INVALID_PARAMS, Request
from pydantic import RootModel
from tests.cli.test_main import keyless
from tests.conftest import Connect
from tests.serving.test_resources import text_at

ROOT = Path(__file__).parents[2]
FILES = {
    f"skill://clawver-orders/{path.relative_to(ROOT).as_posix()}": path.read_bytes()
    for path in (ROOT / "SKILL.md", *sorted((ROOT / "references").glob("*.md")))
}
MAIN = "skill://clawver-orders/SKILL.md"
ENTRY = {
    "uri": MAIN,
    "frontmatter": yaml.safe_load(FILES[MAIN].split(b"---\n")[1]),
    "resources": [
        {"uri": uri, "digest": f"sha256:{sha256(content).hexdigest()}", "size": len(content)}
        for uri, content in FILES.items()
    ],
}


async def ask(client: Client, method: str, **params: Any) -> Mapping[str, Any]:
    """What a request of the extension is answered, without what the protocol adds to all answers."""
    answer = await client.session.send_request(
        Request[dict[str, Any], str](method=method, params=params), RootModel[dict[str, Any]]
    )
    return {name: said for name, said in answer.root.items() if name not in {"_meta", "resultType"}}


async def test_the_skill_is_listed_with_its_front_matter_and_every_file(
    connect: Connect, era: str
) -> None:
    async with connect(era) as client:
        listed = await ask(client, "skills/list")
        got = await ask(client, "skills/get", uri=MAIN)
        capabilities = client.server_capabilities

    fresh = {"ttlMs": 0, "cacheScope": "private"}
    assert listed == {"skills": [ENTRY], **fresh}
    assert got == {"skill": ENTRY, **fresh}
    assert (capabilities.extensions or {})["io.modelcontextprotocol/skills"] == {}
    assert capabilities.resources is not None


@pytest.mark.parametrize(
    "uri", ["skill://other/SKILL.md", "skill://clawver-orders/references/refunds.md", ""]
)
async def test_there_is_no_other_skill(connect: Connect, era: str, uri: str) -> None:
    async with connect(era) as client:
        with pytest.raises(MCPError, match=f"There is no such skill. Use {MAIN}") as refused:
            await ask(client, "skills/get", uri=uri)

    assert refused.value.code == INVALID_PARAMS


async def test_a_skill_without_an_address_is_a_wrong_parameter(connect: Connect, era: str) -> None:
    async with connect(era) as client:
        with pytest.raises(MCPError) as refused:
            await ask(client, "skills/get")

    assert refused.value.code == INVALID_PARAMS


@pytest.mark.slow
async def test_over_stdio_each_file_is_what_its_digest_says(era: str, tmp_path: Path) -> None:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "clawver_orders", "serve", "--sandbox"],
        env=keyless() | {"CLAWVER_STATE_DIR": str(tmp_path / "state")},
    )
    async with Client(server, mode=era) as client:
        (entry,) = (await ask(client, "skills/list"))["skills"]
        addresses = [each["uri"] for each in entry["resources"]]
        texts = {uri: (await text_at(client, uri)).encode() for uri in addresses}
        listed = {each.uri for each in (await client.list_resources()).resources}
        extensions = client.server_capabilities.extensions or {}

    assert entry == ENTRY
    assert texts == FILES
    assert set(FILES) <= listed
    assert extensions["io.modelcontextprotocol/skills"] == {}
