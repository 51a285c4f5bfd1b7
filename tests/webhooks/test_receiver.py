"""A delivery is verified, written down, and only then taken; everything else changes nothing."""

import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
import uvicorn
from starlette.testclient import TestClient
from tests.conftest import KEY

from clawver_orders.errors import SetupError, UnreachableError
from clawver_orders.settings import Settings
from clawver_orders.storage import readiness
from clawver_orders.webhooks import BODY_LIMIT_IN_BYTES, sign
from clawver_orders.webhooks import receiver as receiver_module
from clawver_orders.webhooks.inbox import Delivery, Inbox, Query, RefusedDeliveries
from clawver_orders.webhooks.receiver import Receiver

SECRET = "whsec_example_0123456789"
OTHER = "whsec_example_9876543210"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def stored(inbox: Inbox) -> list[bytes]:
    return [each.body for each in inbox.find(Query(limit=10_000), NOW).events]


def body_of(number: int = 1) -> bytes:
    return f'{{"event":"order.paid","data":{{"orderId":"ord_{number}"}}}}'.encode()


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """An ASGI app on a real port of this machine."""
    config = uvicorn.Config(app, port=0, log_config=None, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        while not server.started:
            await anyio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            yield http
        server.should_exit = True


async def begun(http: httpx2.AsyncClient, path: str, headers: dict[str, str]) -> int:
    """The status for a delivery of which the rest never comes."""
    head = [f"POST {path} HTTP/1.1", "host: shop", "content-length: 2"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    async with await anyio.connect_tcp("127.0.0.1", http.base_url.port or 0) as line:
        await line.send("\r\n".join([*head, "", "{"]).encode())
        return int((await line.receive()).split()[1])


async def send(
    http: httpx2.AsyncClient, body: bytes, signature: str | None = None, path: str = "/webhook"
) -> httpx2.Response:
    headers = {"x-claw-signature": sign(body, SECRET) if signature is None else signature}
    return await http.post(path, content=body, headers=headers)


async def test_a_genuine_delivery_is_taken_and_a_repeat_is_too(inbox: Inbox) -> None:
    async with served(Receiver(inbox, [SECRET], now=lambda: NOW)) as http:
        first = await send(http, body_of())
        second = await send(http, body_of())

    assert [first.status_code, second.status_code] == [200, 200]
    assert stored(inbox) == [body_of()]


async def test_events_nobody_knows_yet_are_kept(inbox: Inbox) -> None:
    body = '{"event":"order.teleported","data":{"orderId":7},"new":"ünïcode 🦀"}'.encode()
    async with served(Receiver(inbox, [SECRET], now=lambda: NOW)) as http:
        assert (await send(http, body)).status_code == 200

    assert stored(inbox) == [body]


async def test_while_a_secret_is_replaced_both_count(inbox: Inbox) -> None:
    async with served(Receiver(inbox, [OTHER, SECRET], now=lambda: NOW)) as http:
        for number, secret in enumerate((SECRET, OTHER)):
            body = body_of(number)
            assert (await send(http, body, sign(body, secret))).status_code == 200
    async with served(Receiver(inbox, [OTHER], now=lambda: NOW)) as http:
        assert (await send(http, body_of(3))).status_code == 401

    assert len(stored(inbox)) == 2


LARGE = b'{"event":"' + b"x" * BODY_LIMIT_IN_BYTES + b'"}'
EXACT = b'{"event":"x","y":"' + b"x" * (BODY_LIMIT_IN_BYTES - 20) + b'"}'


async def test_a_body_of_exactly_the_limit_is_taken(inbox: Inbox) -> None:
    assert len(EXACT) == BODY_LIMIT_IN_BYTES
    async with served(Receiver(inbox, [SECRET], now=lambda: NOW)) as http:
        assert (await send(http, EXACT)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("POST", "/webhook", {}, body_of(), 401),
        ("POST", "/webhook", {"x-claw-signature": ""}, body_of(), 401),
        ("POST", "/webhook", {"x-claw-signature": sign(body_of(), OTHER)}, body_of(), 401),
        ("POST", "/webhook", {"x-claw-signature": sign(body_of(2), SECRET)}, body_of(), 401),
        ("POST", "/webhook", [("x-claw-signature", sign(body_of(), SECRET))] * 2, body_of(), 401),
        ("POST", "/webhook", {"x-claw-signature": sign(b"no event", SECRET)}, b"no event", 400),
        ("POST", "/webhook", {"x-claw-signature": sign(b"[]", SECRET)}, b"[]", 400),
        ("POST", "/webhook", {"x-claw-signature": sign(b"", SECRET)}, b"", 400),
        ("POST", "/webhook", {"x-claw-signature": sign(LARGE, SECRET)}, LARGE, 413),
        ("GET", "/webhook", {"x-claw-signature": sign(b"", SECRET)}, b"", 405),
        ("PUT", "/webhook", {"x-claw-signature": sign(body_of(), SECRET)}, body_of(), 405),
        ("DELETE", "/webhook", {}, b"", 405),
        ("HEAD", "/webhook", {}, b"", 405),
        ("POST", "/elsewhere", {"x-claw-signature": sign(body_of(), SECRET)}, body_of(), 404),
        ("POST", "/webhook/x", {"x-claw-signature": sign(body_of(), SECRET)}, body_of(), 404),
        ("POST", "/healthz", {"x-claw-signature": sign(body_of(), SECRET)}, body_of(), 405),
    ],
)  # fmt: skip
async def test_anything_else_gets_its_status_and_is_not_stored(
    inbox: Inbox, method: str, path: str, headers: Any, body: bytes, status: int
) -> None:
    app = Receiver(inbox, [SECRET], path="/webhook", now=lambda: NOW)
    async with served(app) as http:
        response = await http.request(method, path, content=body, headers=headers)
        after = await send(http, body_of(99))

    assert response.status_code == status
    said = [json.dumps({"error": reason}) for reason in receiver_module._REASONS.values()]
    assert response.text in {"", *said}
    assert ("allow" in response.headers) is (status == 405)
    assert after.status_code == 200
    assert stored(inbox) == [body_of(99)]


async def test_a_body_that_does_not_say_how_long_it_is_has_the_same_limit(inbox: Inbox) -> None:
    async def forever() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536

    headers = {"x-claw-signature": sign(b"", SECRET)}
    async with served(Receiver(inbox, [SECRET])) as http:
        try:
            response = await http.post("/webhook", content=forever(), headers=headers)
            assert response.status_code == 413
        except httpx2.NetworkError:
            pass  # cut before the answer was read: also an end
        assert (await send(http, body_of())).status_code == 200

    assert stored(inbox) == [body_of()]


async def test_no_more_is_read_than_the_limit_and_a_piece(inbox: Inbox) -> None:
    read: list[int] = []
    said: list[Any] = []

    async def receive() -> Any:
        await anyio.lowlevel.checkpoint()
        read.append(65_536)
        return {"type": "http.request", "body": b"x" * 65_536, "more_body": True}

    async def answer(message: Any) -> None:
        said.append(message)

    headers = [(b"x-claw-signature", b"x")]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    await Receiver(inbox, [SECRET], read_seconds=0.5)(scope, receive, answer)

    assert said[0]["status"] == 413
    assert sum(read) == BODY_LIMIT_IN_BYTES + 65_536


async def test_nothing_is_answered_before_it_is_written(inbox: Inbox) -> None:
    happened: list[object] = []

    class Telling:
        def note(self, receiver_id: str, deliveries: Sequence[Delivery]) -> list[bool]:
            new = inbox.note(receiver_id, deliveries)
            happened.append(stored(inbox))
            return new

    async def receive() -> Any:
        return {"type": "http.request", "body": body_of()}

    async def answer(message: Any) -> None:
        happened.append(message.get("status", message["type"]))

    headers = [(b"x-claw-signature", sign(body_of(), SECRET).encode())]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    await Receiver(Telling(), [SECRET])(scope, receive, answer)  # type: ignore[arg-type]

    assert happened == [[body_of()], 200, "http.response.body"]


@pytest.mark.parametrize("length", [b"2000000", b"9" * 400])
async def test_a_length_beyond_the_limit_is_refused_before_the_body_comes(
    inbox: Inbox, length: bytes
) -> None:
    app = Receiver(inbox, [SECRET])
    said: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("the body was read")

    async def answer(message: Any) -> None:
        said.append(message)

    headers = [(b"content-length", length), (b"x-claw-signature", b"x")]
    await app({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive, answer)

    assert said[0]["status"] == 413


async def test_a_body_that_takes_too_long_is_given_up(inbox: Inbox) -> None:
    head = "POST / HTTP/1.1\r\nHost: x\r\nX-Claw-Signature: x\r\nContent-Length: 999\r\n\r\n"
    async with served(Receiver(inbox, [SECRET], read_seconds=0.1)) as http:
        port = http.base_url.port
        assert port is not None
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(head.encode() + b"{")
            with anyio.fail_after(10):
                answer = await stream.receive()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert stored(inbox) == []


async def test_a_sender_who_hangs_up_leaves_nothing(inbox: Inbox) -> None:
    async with served(Receiver(inbox, [SECRET])) as http:
        port = http.base_url.port
        assert port is not None
        head = f"POST / HTTP/1.1\r\nHost: x\r\nX-Claw-Signature: {sign(body_of(), SECRET)}\r\nContent-Length: 999\r\n\r\n"
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(head.encode() + body_of())
        assert (await send(http, body_of(2))).status_code == 200

    assert stored(inbox) == [body_of(2)]


async def test_what_cannot_be_written_is_asked_for_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "stores").write_text("in the way")
    inbox = Inbox(tmp_path / "stores" / "inbox.sqlite3", timedelta(days=30))
    async with served(Receiver(inbox, [SECRET], now=lambda: NOW)) as http:
        first = await send(http, body_of())
        health = await http.get("/healthz")
        (tmp_path / "stores").unlink()
        second = await send(http, body_of())
        healthy = await http.get("/healthz")

    assert [first.status_code, health.status_code] == [503, 503]
    assert [second.status_code, healthy.status_code] == [200, 200]
    assert stored(inbox) == [body_of()]
    assert "deliveries could not be noted: SetupError" in caplog.text
    assert "ord_1" not in caplog.text


async def test_its_health_can_be_asked(inbox: Inbox) -> None:
    async with served(Receiver(inbox, [SECRET], path="/webhook")) as http:
        answers = [await http.request(method, "/healthz") for method in ("GET", "HEAD", "DELETE")]

    assert [each.status_code for each in answers] == [200, 200, 405]
    assert [each.content for each in answers[:2]] == [b'{"ok": true}', b""]
    assert answers[2].headers["allow"] == "GET, HEAD"


async def test_whether_it_can_write_can_be_asked_and_is_not_tried_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "stores"
    inbox = Inbox(folder / "inbox.sqlite3", timedelta(days=30))
    async with served(Receiver(inbox, [SECRET], path="/webhook")) as http:
        ready = [await http.request(method, "/readyz") for method in ("GET", "HEAD", "DELETE")]
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        folder.write_text("in the way")
        same = await http.get("/readyz")
        monkeypatch.setattr(readiness, "KEPT_SECONDS", 0.0)
    async with served(Receiver(inbox, [SECRET])) as http:
        broken = await http.get("/readyz")
        folder.unlink()
        mended = await http.get("/readyz")

    assert [each.status_code for each in ready] == [200, 200, 405]
    assert [same.status_code, broken.status_code, mended.status_code] == [200, 503, 200]
    assert broken.content == b'{"error": "it cannot be written"}'


class Counting:
    """Takes deliveries down slowly, and remembers how many at a time."""

    def __init__(self, inbox: Inbox, refuse: Callable[[int], bool] = lambda _: False) -> None:
        self.inbox = inbox
        self.refuse = refuse
        self.batches: list[int] = []

    def note(self, receiver_id: str, deliveries: Sequence[Delivery]) -> list[bool]:
        import time

        time.sleep(0.05)
        self.batches.append(len(deliveries))
        if self.refuse(len(self.batches)):
            raise UnreachableError("held", next_step="wait")
        return self.inbox.note(receiver_id, deliveries)


async def test_deliveries_that_come_together_are_written_together(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver_module, "MOST_AT_ONCE", 20)
    slow = Counting(inbox)
    app = Receiver(slow, [SECRET], now=lambda: NOW)  # type: ignore[arg-type]  # the part that is used
    statuses: list[int] = []
    async with served(app) as http, anyio.create_task_group() as tasks:

        async def one(number: int) -> None:
            statuses.append((await send(http, body_of(number))).status_code)

        for number in range(60):
            tasks.start_soon(one, number)

    assert statuses == [200] * 60
    assert len(stored(inbox)) == 60
    assert sum(slow.batches) == 60
    assert len(slow.batches) < 30
    assert max(slow.batches) <= 20


async def test_of_deliveries_written_together_none_is_taken_when_one_fails(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver_module, "MOST_AT_ONCE", 8)
    slow = Counting(inbox, lambda batch: batch == 2)
    app = Receiver(slow, [SECRET], now=lambda: NOW)  # type: ignore[arg-type]
    statuses: dict[int, int] = {}
    async with served(app) as http, anyio.create_task_group() as tasks:

        async def one(number: int) -> None:
            statuses[number] = (await send(http, body_of(number))).status_code

        for number in range(20):
            tasks.start_soon(one, number)

    taken = {body_of(number) for number, status in statuses.items() if status == 200}
    assert set(statuses.values()) == {200, 503}
    assert set(stored(inbox)) == taken


async def test_a_defect_while_writing_is_no_yes(inbox: Inbox) -> None:
    class Broken:
        def note(self, *_: object) -> list[bool]:
            raise ZeroDivisionError

    async with served(Receiver(Broken(), [SECRET])) as http:  # type: ignore[arg-type]
        assert (await send(http, body_of())).status_code == 503


async def test_a_request_that_is_cancelled_while_it_is_written_leaves_the_others_alone(
    inbox: Inbox,
) -> None:
    slow = Counting(inbox)
    app = Receiver(slow, [SECRET], now=lambda: NOW)  # type: ignore[arg-type]
    said: list[int] = []

    async def deliver(number: int) -> None:
        pieces = [{"type": "http.request", "body": body_of(number)}]

        async def receive() -> Any:
            return pieces.pop()

        async def answer(message: Any) -> None:
            said.append(message.get("status", 0))

        headers = [(b"x-claw-signature", sign(body_of(number), SECRET).encode())]
        await app(
            {"type": "http", "method": "POST", "path": "/", "headers": headers}, receive, answer
        )

    async with anyio.create_task_group() as tasks, anyio.create_task_group() as first:
        first.start_soon(deliver, 1)
        await anyio.sleep(0.01)  # it is being written
        tasks.start_soon(deliver, 2)
        await anyio.sleep(0.01)
        first.cancel_scope.cancel()

    assert 200 in said
    assert body_of(2) in stored(inbox)


async def test_while_it_listens_the_inbox_hears_of_it(inbox: Inbox) -> None:
    app = Receiver(inbox, [SECRET], now=lambda: NOW, beat=timedelta(milliseconds=20))
    async with app.listening():
        assert inbox.receiver_status(NOW).is_listening
        async with served(app) as http:
            await send(http, body_of(), "sha256=wrong")
            await http.post("/")
            while inbox.receiver_status(NOW).refusals != (RefusedDeliveries("signature", 2, NOW),):
                await anyio.sleep(0.01)
    standing = inbox.receiver_status(NOW)

    assert not standing.is_listening
    assert (standing.refusals, standing.started_at) == (
        (RefusedDeliveries("signature", 2, NOW),),
        NOW,
    )
    assert stored(inbox) == []


async def test_what_was_refused_last_is_told_at_the_end(inbox: Inbox) -> None:
    app = Receiver(inbox, [SECRET], now=lambda: NOW)
    async with app.listening(), served(app) as http:
        await http.post("/")

    assert inbox.receiver_status(NOW).refusals == (RefusedDeliveries("signature", 1, NOW),)


async def test_every_delivery_that_was_refused_is_counted_by_its_cause(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> list[bool]:
        raise SetupError("The disk is full.", next_step="")

    app = Receiver(inbox, [SECRET], path="/webhook", now=lambda: NOW, read_seconds=0.1)
    signed = {"x-claw-signature": sign(b"{", SECRET)}

    async with app.listening(), served(app) as http:
        for path in ("/", "/claw-webhook", "/webhook/more"):
            assert (await send(http, body_of(), path=path)).status_code == 404
        assert (await http.post("/wp-login")).status_code == 404
        assert (await http.get("/favicon.ico", headers=signed)).status_code == 404
        assert (await http.get("/webhook")).status_code == 405
        assert (await http.put("/webhook", headers=signed)).status_code == 405
        assert (await send(http, b"{")).status_code == 400
        assert (await send(http, LARGE)).status_code == 413
        assert await begun(http, "/webhook", signed) == 408
        monkeypatch.setattr(inbox, "note", full)
        assert (await send(http, body_of())).status_code == 503
        monkeypatch.undo()

    counted = {each.cause: each.count for each in inbox.receiver_status(NOW).refusals}
    assert counted == {"path": 4, "method": 1, "body": 1, "size": 1, "time": 1, "disk": 1}


async def test_a_delivery_that_is_cut_off_is_counted(inbox: Inbox) -> None:
    app = Receiver(inbox, [SECRET], now=lambda: NOW)
    signed = [(b"x-claw-signature", sign(body_of(), SECRET).encode())]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": signed}

    async def gone() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async with app.listening():
        await app(scope, gone, gone)  # type: ignore[arg-type]

    assert inbox.receiver_status(NOW).refusals == (RefusedDeliveries("cut off", 1, NOW),)


async def test_what_was_refused_while_nothing_could_be_written_is_told_later(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise SetupError("The disk is full.", next_step="")

    app = Receiver(inbox, [SECRET], path="/webhook", now=lambda: NOW)
    async with app.listening(), served(app) as http:
        await http.post("/webhook")
        with monkeypatch.context() as disk:
            disk.setattr(inbox, "heartbeat", full)
            with pytest.raises(SetupError):
                app._beat_once()
        await http.post("/webhook")
        await send(http, body_of(), path="/")

    assert set(inbox.receiver_status(NOW).refusals) == {
        RefusedDeliveries("signature", 2, NOW), RefusedDeliveries("path", 1, NOW),
    }  # fmt: skip


async def test_a_slash_at_the_end_of_the_path_makes_no_difference(inbox: Inbox) -> None:
    for path, other in (("/webhook", "/webhook/"), ("/webhook/", "/webhook"), ("/", "/")):
        async with served(Receiver(inbox, [SECRET], path=path, now=lambda: NOW)) as http:
            assert (await send(http, body_of(), path=other)).status_code == 200


async def test_a_listener_goes_on_when_it_cannot_say_that_it_is_there(
    filed: Inbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = Receiver(filed, [SECRET], now=lambda: NOW, beat=timedelta(milliseconds=10))
    path = tmp_path / "stores" / "inbox.sqlite3"
    async with app.listening():
        path.rename(tmp_path / "aside")
        while "the inbox cannot be used: SetupError" not in caplog.text:
            await anyio.sleep(0.01)
        (tmp_path / "aside").rename(path)
        async with served(app) as http:
            assert (await send(http, body_of())).status_code == 200


def settings(tmp_path: Path, **changed: Any) -> Settings:
    given = {"sandbox": True, "state_dir": tmp_path / "state", "webhook_secret": SECRET}
    return Settings(**given | changed)


def test_without_a_secret_there_is_no_receiver(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="Without CLAWVER_WEBHOOK_SECRET") as raised:
        Receiver.of(settings(tmp_path, webhook_secret=()))

    assert "16 characters" in raised.value.next_step


def test_a_receiver_of_a_store_that_nobody_has_read_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"^Nothing was started: it is not known yet") as no:
        Receiver.of(settings(tmp_path, sandbox=False, api_key=KEY))

    assert "clawver-orders doctor" in no.value.next_step
    assert not (tmp_path / "state").exists()


def test_it_can_be_mounted_as_the_docstring_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    monkeypatch.setenv("CLAWVER_SANDBOX", "on")
    monkeypatch.setenv("CLAWVER_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("CLAWVER_STATE_DIR", str(tmp_path / "state"))
    shown = re.search(
        r"    from clawver_orders.*?\n    \)\n", receiver_module.__doc__ or "", re.DOTALL
    )
    assert shown is not None
    names: dict[str, Any] = {"Starlette": Starlette, "Mount": Mount}
    exec("\n".join(line[4:] for line in shown[0].splitlines()), names)  # noqa: S102  # the documented example
    inbox = names["receiver"]._inbox
    with TestClient(names["app"]) as client:
        headers = {"x-claw-signature": sign(body_of(), SECRET)}
        taken = client.post("/clawver", content=body_of(), headers=headers)
        refused = client.post("/clawver/deep/er", content=body_of())
        health = client.get("/clawver/healthz")
        outside = client.post("/", content=body_of(), headers=headers)
        listening = inbox.receiver_status(datetime.now(UTC)).is_listening

    assert [taken.status_code, refused.status_code, health.status_code] == [200, 401, 200]
    assert outside.status_code == 404
    assert listening
    assert not inbox.receiver_status(datetime.now(UTC)).is_listening
    assert stored(inbox) == [body_of()]


def test_it_can_be_an_app_by_itself(tmp_path: Path) -> None:
    app = Receiver.of(settings(tmp_path))
    with TestClient(app) as client:
        assert client.get("/healthz").status_code == 200
        assert app._inbox.receiver_status(datetime.now(UTC)).is_listening
    assert not app._inbox.receiver_status(datetime.now(UTC)).is_listening


async def test_a_server_hears_why_it_cannot_start(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    app = Receiver.of(settings(tmp_path))
    said: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def answer(message: Any) -> None:
        said.append(message)

    await app({"type": "lifespan"}, receive, answer)

    assert said[0]["type"] == "lifespan.startup.failed"
    assert "inbox of order events cannot be used" in said[0]["message"]


def test_a_websocket_is_closed(tmp_path: Path) -> None:
    from starlette.websockets import WebSocketDisconnect

    client = TestClient(Receiver.of(settings(tmp_path)))

    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/webhook"):
        pass


def test_secrets_are_in_no_repr(tmp_path: Path) -> None:
    app = Receiver.of(settings(tmp_path))

    assert SECRET not in repr(app) + repr(settings(tmp_path))


@pytest.mark.parametrize("known", [(), ("short",), (SECRET, ""), SECRET])
def test_a_receiver_of_ones_own_needs_a_secret_too(inbox: Inbox, known: Any) -> None:
    with pytest.raises(SetupError, match="no delivery can be verified"):
        Receiver(inbox, known)
