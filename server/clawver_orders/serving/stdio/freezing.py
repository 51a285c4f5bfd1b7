"""Asks the SDK what it says to a host before the first call, and holds early answers against it."""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import anyio
from anyio import to_thread
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCRequest
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from clawver_orders.serving.card import EXTENSION, MIME_TYPE
from clawver_orders.serving.stdio.connection import Speaker, answer_apart
from clawver_orders.serving.stdio.opening import LISTS, META, MODERN, Surface
from clawver_orders.serving.stdio.surfaces import Surfaces
from clawver_orders.settings import Settings

_HOST = {"name": "a host", "version": "1"}
_ENVELOPE: dict[str, Any] = {f"{META}protocolVersion": MODERN, f"{META}clientInfo": _HOST}
_WITH_CARDS = {"extensions": {EXTENSION: {"mimeTypes": [MIME_TYPE]}}}

log = logging.getLogger(__name__)


async def frozen(server: Server[Any]) -> Surface:
    """All that a host may be answered early, in the words of the SDK.

    Args:
        server: The server; nothing of its lifespan is needed for these answers.
    """
    initialize = {}
    for version in (*HANDSHAKE_PROTOCOL_VERSIONS, ""):
        said = await _said(server, {"initialize": _handshake(version, {})})
        initialize[version] = said["initialize"]
    legacy, modern = await _lists(server, {})
    return Surface(initialize, legacy, modern, *await _lists(server, _WITH_CARDS))


async def _lists(
    server: Server[Any], able: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, str]]:
    """What a host with these capabilities is told after a handshake, and where each request has its envelope."""
    methods = ("ping", *LISTS)
    asked = {"initialize": _handshake("", able), **{each: {} for each in methods}}
    legacy = await _said(server, asked)
    del legacy["initialize"]
    envelope = {"_meta": _ENVELOPE | {f"{META}clientCapabilities": able}}
    modern = await _said(server, dict.fromkeys(("server/discover", *LISTS), envelope))
    return legacy, modern


def _handshake(version: str, able: Mapping[str, Any]) -> dict[str, Any]:
    return {"protocolVersion": version, "capabilities": able, "clientInfo": _HOST}


async def _said(server: Server[Any], asked: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The result of each method as JSON, on a connection of their own."""
    heard = _Heard()
    requests = [
        SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=method, method=method, params={**params}))
        for method, params in asked.items()
    ]
    await answer_apart(server, requests, heard)
    return heard.results


class _Heard:
    """Takes answers, each by its id."""

    def __init__(self) -> None:
        self.results: dict[str, str] = {}

    async def send(self, message: SessionMessage) -> None:
        """Take one."""
        answer = message.message.model_dump(by_alias=True)
        result = json.dumps(answer.get("result"), ensure_ascii=False)
        self.results |= {answer["id"]: result} if "result" in answer else {}


class Comparison:
    """Drops what was answered early, and notices where that was not what the SDK says.

    Args:
        client: Takes everything else.
        answers: The results that were given early, by the ids that the SDK answers to.
        on_difference: Is called for each that was wrong.
    """

    def __init__(
        self, client: Speaker, answers: dict[str, str], on_difference: Callable[[], None]
    ) -> None:
        self._client, self._answers, self._on_difference = client, answers, on_difference

    async def send(self, message: SessionMessage) -> None:
        """Carry one to the client, unless it was answered."""
        key = getattr(message.message, "id", None)
        given = self._answers.pop(key, None) if isinstance(key, str) else None
        if given is None:
            await self._client.send(message)
        elif getattr(message.message, "result", None) != json.loads(given):
            self._on_difference()


async def keep_surface(
    server: Server[Any], settings: Settings, surfaces: Surfaces, is_wrong: anyio.Event
) -> None:
    """Keep what the next start answers from: now, where it is not kept yet, and once it was wrong.

    A start that is over soon keeps it too. Where it cannot be kept, the next start has no early answers.
    """
    if surfaces.of_these_settings() is None:
        await _keep(server, settings, surfaces, surfaces.of(settings))
    await is_wrong.wait()
    await _keep(server, settings, surfaces, None)


async def _keep(
    server: Server[Any], settings: Settings, surfaces: Surfaces, surface: Surface | None
) -> None:
    with anyio.CancelScope(shield=True):
        try:
            made = surface or await frozen(server)
            await to_thread.run_sync(surfaces.keep, settings, made)
        except OSError as error:
            log.info("what is answered early could not be kept: %s", type(error).__name__)
