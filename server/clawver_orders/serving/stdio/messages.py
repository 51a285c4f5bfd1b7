"""Lines of JSON-RPC: each is a message, or refused with an error that says why. No I/O.

Halves of characters, which JSON can carry and text cannot, are replaced in both directions.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from mcp_types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json

from clawver_orders.serving.stdio.framing import LONGEST_LINE, TooLong

_ESCAPES = re.compile(
    r"\\\\"  # a backslash that is itself escaped: what follows is no escape
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # both halves of a character
    r"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"  # one half alone
)
# The short members of a request; they stand before its params, after them, or on both sides.
_MEMBER = rb'\s*"(?:jsonrpc|method|id)"\s*:\s*(?:-?\d{1,18}|"[^"\\]{0,200}")\s*'
_LEADING = re.compile(rb"\s*\{(%b(?:,%b){0,2})," % (_MEMBER, _MEMBER))
_TRAILING = re.compile(rb",(%b(?:,%b){0,2})\}\s*\Z" % (_MEMBER, _MEMBER))


@dataclass(frozen=True)
class Refusal:
    """What a line that is no message is answered with."""

    error: JSONRPCError


def parse_message(line: bytes | TooLong) -> JSONRPCMessage | Refusal | None:
    """What a line says.

    Args:
        line: A line without its end.

    Returns:
        The message; or the refusal to answer with, which carries the id of the request where it
        can be read; or None for an empty line.
    """
    if isinstance(line, TooLong):
        says = f"The line is longer than {LONGEST_LINE} bytes and was not read. Nothing was done."
        return _refusal(INVALID_REQUEST, says, _request_id(_short_members(line)))
    text = replace_lone_surrogates(line.decode("utf-8", errors="replace").removeprefix("\ufeff"))
    if not text.strip():
        return None
    message: JSONRPCMessage | None = None
    try:
        message = jsonrpc_message_adapter.validate_json(text, by_name=False)
        # To the SDK a request whose id is no id is a notification, which nobody answers.
        if not isinstance(message, JSONRPCNotification) or '"id"' not in text:
            return message
        value = from_json(text)
    except ValidationError:
        try:
            value = from_json(text)
        except ValueError:
            return _refusal(PARSE_ERROR, "The line is not JSON. Nothing was done.", None)
    if message is not None and "id" not in value:
        return message
    says = "The line is not a message of JSON-RPC 2.0. Nothing was done."
    return _refusal(INVALID_REQUEST, says, _request_id(value))


def encode_message(message: JSONRPCMessage) -> bytes:
    """A message as a line with its end. What no text can hold is replaced."""
    try:
        text = message.model_dump_json(by_alias=True, exclude_unset=True)
    except PydanticSerializationError:
        values = message.model_dump(by_alias=True, exclude_unset=True)
        text = replace_lone_surrogates(json.dumps(values, default=str, separators=(",", ":")))
    return text.encode() + b"\n"


def replace_lone_surrogates(line: str) -> str:
    """A line of JSON in which every escaped half of a character is the replacement character.

    With the half in it nobody can read the line. With the replacement it is read, and a tool
    can refuse the text.
    """
    return _ESCAPES.sub(lambda found: r"\ufffd" if found[1] else found[0], line)


def _refusal(code: int, says: str, request_id: RequestId | None) -> Refusal:
    error = ErrorData(code=code, message=says)
    return Refusal(JSONRPCError(jsonrpc="2.0", id=request_id, error=error))


def _request_id(value: object) -> RequestId | None:
    """The id of a request. That of an answer is not ours to use: it numbers our own requests."""
    given = value.get("id") if isinstance(value, dict) and "method" in value else None
    return given if type(given) in {int, str} else None


def _short_members(line: TooLong) -> dict[str, Any]:
    """The members that can be read at both ends of a line that was skipped."""
    members: dict[str, Any] = {}
    for found in (_LEADING.match(line.head), _TRAILING.search(line.tail)):
        members |= json.loads(b"{%b}" % found[1]) if found else {}
    return members
