"""Every line is a message, an error that says why not, or nothing at all because it was empty."""

import json
from typing import Any

import pytest
from mcp_types import JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from clawver_orders.serving.stdio.framing import TooLong
from clawver_orders.serving.stdio.messages import (
    Refusal,
    encode_message,
    parse_message,
    replace_lone_surrogates,
)

REQUEST = b'{"jsonrpc":"2.0","id":7,"method":"tools/list"}'


def refusal(line: bytes | TooLong) -> tuple[int, object]:
    heard = parse_message(line)
    assert isinstance(heard, Refusal)
    assert "Nothing was done." in heard.error.error.message
    return heard.error.error.code, heard.error.id


@pytest.mark.parametrize(
    ("head", "tail", "expected"),
    [
        (b'{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"id":9,', b'}}', 3),
        (b'{ "jsonrpc" : "2.0", "method" : "tools/call", "id" : "a-3", "params": {', b"}} ", "a-3"),
        (b'{"method":"tools/call","params":{"arguments":{', b'}},"jsonrpc":"2.0","id":3}', 3),
        (b'{"jsonrpc":"2.0","method":"x","params":{', b'"id":3}}', None),
        (b'{"jsonrpc":"2.0","method":"x","params":{', b'"text":",\\"id\\":3}', None),
        (b'{"jsonrpc":"2.0","id":3,"result":{"method":"x"', b'}}', None),
        (b'{"method":"x","id":null,"params":{', b'}}', None),
        (b"xxxxxxxx", b"xxxxxxx", None),
    ],
)  # fmt: skip
def test_a_line_that_is_too_long_is_refused_with_the_id_of_its_request(
    head: bytes, tail: bytes, expected: object
) -> None:
    assert refusal(TooLong(head, tail)) == (-32600, expected)


@pytest.mark.parametrize(
    "line",
    [
        b"hello", b"{", b'{"jsonrpc":"2.0","id":7,"method":"tools/list"', b"\xff\xfe\x00", b"[" * 100_000,
        b'{"id":1e', b"'",
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused(line: bytes) -> None:
    assert refusal(line) == (-32700, None)


@pytest.mark.parametrize(
    ("line", "request_id"),
    [
        (b"[]", None), (b"7", None), (b"null", None), (b'"text"', None), (b"{}", None), (b"[" + REQUEST + b"]", None),
        (b'{"id":7,"method":"tools/list"}', 7), (b'{"jsonrpc":"1.0","id":"7","method":"tools/list"}', "7"),
        (b'{"jsonrpc":"2.0","id":7,"method":"tools/list","params":[]}', 7),
        (b'{"jsonrpc":"2.0","id":7,"method":7}', 7),
        (b'{"jsonrpc":"2.0","id":null,"method":"tools/list"}', None),
        (b'{"jsonrpc":"2.0","id":true,"method":"tools/list"}', None),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"tools/list"}', None),
        (b'{"jsonrpc":"2.0","id":{},"method":"tools/list"}', None),
        (b'{"jsonrpc":"2.0","id":7,"result":null}', None),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused_with_the_id_of_its_request(
    line: bytes, request_id: object
) -> None:
    assert refusal(line) == (-32600, request_id)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (REQUEST, JSONRPCRequest), (REQUEST + b"\r", JSONRPCRequest), (b"\xef\xbb\xbf" + REQUEST, JSONRPCRequest),
        (b'{"jsonrpc":"2.0","method":"notifications/x","params":{"id":7}}', JSONRPCNotification),
        (b'{"jsonrpc":"2.0","method":"notifications/x"}', JSONRPCNotification),
        (b'{"jsonrpc":"2.0","id":7,"result":{}}', JSONRPCResponse),
    ],
)  # fmt: skip
def test_messages_are_understood(line: bytes, kind: type) -> None:
    assert isinstance(parse_message(line), kind)


@pytest.mark.parametrize("line", [b"", b"\r", b"  \t", b"\xef\xbb\xbf"])
def test_an_empty_line_is_nothing(line: bytes) -> None:
    assert parse_message(line) is None


def test_bytes_that_are_no_text_are_replaced_and_the_line_is_read() -> None:
    heard = parse_message(
        b'{"jsonrpc":"2.0","id":7,"method":"x","params":{"a":"\xff","b":"\\ud800"}}'
    )

    assert isinstance(heard, JSONRPCRequest)
    assert heard.params == {"a": "\ufffd", "b": "\ufffd"}


@pytest.mark.parametrize(
    ("line", "read"),
    [
        (r'"\ud83d\ude00"', r'"\ud83d\ude00"'), (r'"\ud83d"', r'"\ufffd"'), (r'"\ude00\uD83D"', r'"\ufffd\ufffd"'),
        (r'"\\ud83d"', r'"\\ud83d"'), (r'"\\\ud83d"', r'"\\\ufffd"'), (r'"\u00e9"', r'"\u00e9"'),
    ],
)  # fmt: skip
def test_only_lone_halves_are_replaced(line: str, read: str) -> None:
    assert replace_lone_surrogates(line) == read


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"a": "é\n😀"}, {"a": "é\n😀"}),
        ({"a": "x\ud800y"}, {"a": "x\ufffdy"}),
        ({"\udfff": ["\\ud800", "\ud83d", "😀"]}, {"\ufffd": ["\\ud800", "\ufffd", "😀"]}),
    ],
)
def test_what_is_said_is_one_line_whatever_it_holds(
    result: dict[str, Any], said: dict[str, Any]
) -> None:
    line = encode_message(JSONRPCResponse(jsonrpc="2.0", id=7, result=result))

    assert line.count(b"\n") == 1
    assert json.loads(line) == {"jsonrpc": "2.0", "id": 7, "result": said}
