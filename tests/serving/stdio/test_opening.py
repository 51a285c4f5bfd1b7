"""Whatever a host says first: it hears what it would hear from the SDK alone."""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio.lowlevel import checkpoint
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage
from tests.conftest import long, slow
from tests.hosts import INITIALIZE, surface_of
from tests.serving.stdio.conversations import Conversation

from clawver_orders.serving.server import build_server
from clawver_orders.serving.stdio.connection import serve_client
from clawver_orders.serving.stdio.framing import Line
from clawver_orders.serving.stdio.freezing import Comparison
from clawver_orders.serving.stdio.messages import Refusal, encode_message, parse_message
from clawver_orders.serving.stdio.opening import Opening, Surface
from clawver_orders.settings import Settings

Batches = Sequence[Sequence[Line]]
SETTINGS = Settings(sandbox=True, state_dir=Path("/nowhere"), read_only=True)


class Listener:
    """Takes what is said to a host."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, str]] = Counter()

    async def send(self, message: SessionMessage) -> None:
        self.hear(encode_message(message.message))

    def hear(self, line: bytes) -> None:
        answer = json.loads(line)
        if "method" not in answer:
            said = json.dumps(answer, sort_keys=True)
            self.answers[json.dumps(answer.get("id")), said] += 1


async def from_sdk(server: Server[Any], batches: Batches, heard: Listener, client: Any) -> None:
    """Serve a host that waits for all answers before it says the next batch."""

    async def arriving() -> AsyncIterator[list[SessionMessage]]:
        for lines in batches:
            messages = []
            for line in lines:
                message = parse_message(line)
                if isinstance(message, Refusal):
                    heard.hear(encode_message(message.error))
                elif message is not None:
                    messages.append(SessionMessage(message))
            yield messages
            for _ in range(60):  # far more turns than an answer takes
                await checkpoint()

    await serve_client(server, arriving(), client)


@pytest.fixture
def server() -> Server[Any]:
    return build_server(SETTINGS)


@pytest.fixture
def surface() -> Surface:
    return surface_of(SETTINGS)


def hello(**changed: Any) -> bytes:
    params = INITIALIZE | changed
    return json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    ).encode()


@pytest.mark.parametrize(
    "capabilities",
    [
        {"roots": {"listChanged": True}, "sampling": {}, "elicitation": {"form": {}, "url": {}}},
        {"extensions": {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html"]}}},
        {"experimental": {"anything": {"at": ["all", 1, None]}}},
        {"tasks": {"requests": {"elicitation": {"create": {}}}}},
    ],
)
def test_hosts_as_they_are_are_greeted_early(
    capabilities: dict[str, Any], surface: Surface
) -> None:
    opening = Opening(surface)
    _, answer = opening.take(hello(capabilities=capabilities), [])
    _, listed = opening.take(b'{"jsonrpc":"2.0","id":2,"method":"tools/list"}', [])

    assert json.loads(answer)["result"]["protocolVersion"] == INITIALIZE["protocolVersion"]
    assert json.loads(listed)["id"] == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"capabilities": {"extensions": {"x": True}}}, {"capabilities": {"roots": {"listChanged": 1}}},
        {"capabilities": {"elicitation": {"form": True}}}, {"capabilities": {"sampling": True}}, {"capabilities": []}, {"clientInfo": None},
        {"clientInfo": {"name": "a host"}}, {"protocolVersion": 1}, {"_meta": {"progressToken": 1.5}},
        {"_meta": []}, {"cursor": "x"},
    ],
)  # fmt: skip
def test_what_a_greeting_in_doubt_opens_is_left_to_the_sdk(
    changed: dict[str, Any], surface: Surface
) -> None:
    opening = Opening(surface)
    line = hello(**changed)

    assert opening.take(line, []) == (line, b"")
    assert opening.take(hello(), []) == (hello(), b"")


def answered(opening: Opening) -> dict[str, str]:
    opening.take(hello(), [])
    return opening.answers


def test_what_goes_on_to_the_sdk_has_an_id_that_no_host_can_guess(surface: Surface) -> None:
    ids = [next(iter(answered(Opening(surface)))) for _ in range(2)]

    assert ids[0] != ids[1]
    assert all(re.fullmatch(r"opener-[0-9a-f]{12}-0", each) for each in ids)


@pytest.mark.parametrize("is_slow", [False, True], ids=["pipelined", "slow"])
@pytest.mark.parametrize("first", [0, slow(1000), *map(long, (2000, 3000, 4000))])
async def test_a_made_up_conversation_hears_what_the_sdk_says_alone(
    first: int, is_slow: bool, server: Server[Any], surface: Surface
) -> None:
    answered_early = 0
    for seed in range(first, first + (1000 if first else 60)):
        made_up = Conversation(seed)
        lines = made_up.lines
        batches = [[line] for line in lines] if is_slow else [lines]
        alone, together = Listener(), Listener()
        await from_sdk(server, batches, alone, alone)

        opening = Opening(surface)
        while_loading = seed % (len(batches) + 1)
        passed_on: list[Line] = []
        for batch in batches[:while_loading]:
            for place, line in enumerate(batch):
                passed, answer = opening.take(line, batch[place + 1 :])
                passed_on.append(passed)
                if answer:
                    together.hear(answer)
        answered_early += together.answers.total()
        wrong: list[int] = []
        client = Comparison(together, opening.answers, partial(wrong.append, seed))
        await from_sdk(server, [passed_on, *batches[while_loading:]], together, client)

        # What a host gave up may be answered or not.
        given_up = made_up.cancelled | (made_up.probes if is_slow else set())
        missing = {key for key, _ in alone.answers - together.answers}
        added = {key for key, _ in together.answers - alone.answers}
        assert not wrong, lines
        assert missing <= given_up, (seed, lines)
        assert added <= made_up.cancelled, (seed, lines)
    assert answered_early > (300 if first else 20)
