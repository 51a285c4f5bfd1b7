"""The rules of a delivery: what is signed, what is believed, and what is read from it."""

import hashlib
import hmac
import json
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawver_orders import webhooks
from clawver_orders.webhooks import MalformedEventError, parse, sign, verify

SECRET = "whsec_example_0123456789"
OTHER = "whsec_example_9876543210"
BODY = (
    b'{"event":"order.paid","timestamp":"2026-03-14T15:09:26.535Z",'
    b'"data":{"orderId":"ord_example","totalInCents":2499,"items":[]}}'
)
# printf '%s' "$BODY" | openssl dgst -sha256 -hmac "$SECRET"
BY_OPENSSL = "sha256=7c31a59daf5d0e1ee69846169f0262711a0b7a38f20fc468fce14b85274acd52"
# "sha256=" + crypto.createHmac("sha256", SECRET).update(body).digest("hex"), in Node
NODE_BODY = (
    '{"event":"order.refunded","timestamp":"2026-03-14T15:09:26Z","data":{"orderId":"ord_zoë 🦀"}}'
)
BY_NODE = "sha256=5493974112737b45daab0646cee602efc462ea336a4df8415f78d565a5eeda92"
secrets = st.text(st.characters(codec="utf-8"), min_size=16, max_size=40)


def test_a_signature_is_the_one_that_openssl_makes() -> None:
    assert sign(BODY, SECRET) == BY_OPENSSL
    assert verify(BODY, BY_OPENSSL, [SECRET])


def test_a_signature_is_the_one_that_node_makes() -> None:
    assert sign(NODE_BODY.encode(), SECRET) == BY_NODE
    assert verify(NODE_BODY.encode(), BY_NODE, [SECRET])


@given(st.binary(max_size=300), secrets)
def test_what_was_signed_is_genuine(body: bytes, secret: str) -> None:
    assert verify(body, sign(body, secret), [secret])
    assert (
        sign(body, secret)
        == "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    )


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_signature_covers_every_byte(body: bytes, data: st.DataObject) -> None:
    signature = sign(body, SECRET)
    place = data.draw(st.integers(0, len(body) - 1))
    other = data.draw(st.integers(1, 255))
    changed = body[:place] + bytes([body[place] ^ other]) + body[place + 1 :]

    assert not verify(changed, signature, [SECRET])
    assert not verify(body[:place], signature, [SECRET])
    assert not verify(body + b"\n", signature, [SECRET])


@given(secrets, secrets)
def test_another_secret_signs_differently(one: str, other: str) -> None:
    assert verify(BODY, sign(BODY, one), [other]) is (one.encode() == other.encode())


@pytest.mark.parametrize("known", [[SECRET, OTHER], [OTHER, SECRET], (SECRET,), SECRET])
def test_any_of_several_secrets_will_do(known: list[str] | str) -> None:
    assert verify(BODY, BY_OPENSSL, known)


def test_a_retired_secret_no_longer_does() -> None:
    assert not verify(BODY, BY_OPENSSL, [OTHER])


HEX = BY_OPENSSL.removeprefix("sha256=")


@pytest.mark.parametrize(
    "form",
    [
        BY_OPENSSL.upper(),
        f"SHA256={HEX}",
        f"  {BY_OPENSSL}\t",
        f"sha256 = {HEX}",
        BY_OPENSSL.encode(),
    ],
)
def test_case_and_blanks_make_no_difference(form: str | bytes) -> None:
    assert verify(BODY, form, [SECRET])


@pytest.mark.parametrize(
    "form",
    [
        None, "", "sha256=", HEX, f"sha1={HEX}", f"sha512={HEX}", f"sha256:{HEX}", f"sha256={HEX[:-1]}",
        f"sha256={HEX}0", f"sha256={HEX},sha256={HEX}", f"sha256={HEX}\n", f"\nsha256={HEX}", f"sha256=sha256={HEX}",
        f'sha256="{HEX}"', f"v1=sha256={HEX}", f"sha256={HEX[:-1]}g", f"sha256={HEX[:-1]}é", b"\xff" * 71,
        "sha256=" + HEX.translate({ord(d): 0x0660 + int(d) for d in "0123456789"}), f"\N{NO-BREAK SPACE}sha256={HEX}",
        f"\N{LATIN SMALL LETTER LONG S}ha256={HEX}",  # a letter that folds to an s
        f"sha256={' ' * 100_000}{HEX}x",
    ],
)  # fmt: skip
def test_any_other_form_is_refused(form: str | bytes | None) -> None:
    assert not verify(BODY, form, [SECRET])


@pytest.mark.parametrize("none", [[], (), [""], ["short"], "", "fifteen_letters"])
def test_without_a_real_secret_nothing_is_signed_or_believed(none: list[str] | str) -> None:
    with pytest.raises(ValueError, match="secret"):
        verify(BODY, "sha256=" + hmac.new(b"", BODY, hashlib.sha256).hexdigest(), none)


def test_a_short_secret_signs_nothing() -> None:
    with pytest.raises(ValueError, match="16 characters") as raised:
        sign(BODY, "short")

    assert "short" not in str(raised.value)


def test_every_secret_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def compare(one: str, other: str) -> bool:
        compared.append(other)
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)

    assert verify(BODY, BY_OPENSSL, [SECRET, OTHER])
    assert len(compared) == 2


def test_an_event_is_read() -> None:
    event = parse(BODY)

    assert (event.name, event.order_id) == ("order.paid", "ord_example")
    assert event.at == datetime(2026, 3, 14, 15, 9, 26, 535_000, UTC)
    assert event.payload == json.loads(BODY)


@pytest.mark.parametrize(
    ("body", "name", "order_id", "at"),
    [
        ({"event": "order.teleported", "new": [1]}, "order.teleported", None, None),
        ({"event": " order.paid ", "data": None}, "order.paid", None, None),
        ({"event": "a\u202e\x1b[31mb\nc"}, "ab c", None, None),
        ({"event": "order.paid", "data": {"orderId": "../stores/me"}}, "order.paid", None, None),
        ({"event": "order.paid", "data": {"orderId": 7}}, "order.paid", None, None),
        ({"event": "order.paid", "data": {"orderId": "ord_1\n"}}, "order.paid", None, None),
        ({"event": "order.paid", "timestamp": "yesterday"}, "order.paid", None, None),
        ({"event": "order.paid", "timestamp": 1_700_000_000}, "order.paid", None, None),
        ({"event": "x", "timestamp": "0001-01-01T00:00:00+14:00"}, "x", None, None),
        ({"event": "x", "timestamp": "2026-03-14T15:00:00"}, "x", None, datetime(2026, 3, 14, 15, tzinfo=UTC)),
        ({"event": "x", "timestamp": "2026-03-14T16:00:00+01:00"}, "x", None, datetime(2026, 3, 14, 15, tzinfo=UTC)),
        ({"event": "x", "data": {"orderId": "ord_1", "x": {}}}, "x", "ord_1", None),
    ],
)  # fmt: skip
def test_what_is_new_or_odd_does_not_hide_an_event(
    body: dict[str, object], name: str, order_id: str | None, at: datetime | None
) -> None:
    event = parse(json.dumps(body).encode())

    assert (event.name, event.order_id, event.at, event.payload) == (name, order_id, at, body)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b'"order.paid"', b"{}", b'{"event":null}', b'{"event":7}', b'{"event":""}',
        b'{"event":"\\u200b"}', b'{"event":"order.paid"', b"\xff\xfe", b"[" * 100_000, b'{"event":' + b"9" * 5000 + b"}",
        b"event=order.paid", b'{"event":"order.paid","data":{"total":NaN}}', b'{"event":"order.paid","at":-Infinity}',
    ],
)  # fmt: skip
def test_what_names_no_event_is_malformed_and_not_repeated(body: bytes) -> None:
    with pytest.raises(MalformedEventError) as raised:
        parse(body)

    assert str(raised.value) == "not a JSON object that names an event"


@given(st.binary(max_size=200) | st.recursive(st.none() | st.floats() | st.text(), lambda x: st.dictionaries(st.sampled_from(["event", "data", "orderId", "timestamp"]), x) | st.lists(x)).map(lambda v: json.dumps(v).encode()))  # fmt: skip
def test_whatever_comes_is_read_or_malformed(body: bytes) -> None:
    try:
        event = parse(body)
    except MalformedEventError:
        return

    assert event.name
    assert len(event.name) <= 100


def test_the_example_of_the_docstring_runs() -> None:
    """In a real Starlette app, with nothing but what the docstring shows."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route
    from starlette.testclient import TestClient

    shown = re.search(r"    @app.post.*?(?=\n\n\S)", webhooks.__doc__ or "", re.DOTALL)
    assert shown is not None
    code = "\n".join(line[4:] for line in shown[0].splitlines()[1:])
    code = code.replace("    ...", "    return Response(event.name)")
    names: dict[str, object] = {
        "verify": verify, "parse": parse, "SECRET": SECRET, "Request": Request, "Response": Response,
    }  # fmt: skip
    exec(code, names)  # noqa: S102  # the documented example itself
    client = TestClient(Starlette(routes=[Route("/webhook", names["webhook"], methods=["POST"])]))  # type: ignore[arg-type]

    genuine = client.post("/webhook", content=BODY, headers={"x-claw-signature": BY_OPENSSL})
    forged = client.post("/webhook", content=BODY + b" ", headers={"x-claw-signature": BY_OPENSSL})

    assert (genuine.status_code, genuine.text) == (200, "order.paid")
    assert forged.status_code == 401


def test_the_library_costs_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; from clawver_orders.webhooks import verify\n"
        "print(sorted(m for m in sys.modules if m.startswith(('clawver', 'pydantic', 'httpx2', 'mcp', 'starlette'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert (
        done.stdout.strip()
        == "['clawver_orders', 'clawver_orders.text', 'clawver_orders.webhooks', 'clawver_orders.webhooks.signature']"
    )
