"""The way to Clawver: its certificate, a proxy, and what is said when it is not reached."""

import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpcore2
import httpx2
import pytest
import trustme
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener
from tests.conftest import Configure

from clawver_orders.clawver import reaching, transport
from clawver_orders.errors import UnreachableError
from clawver_orders.reports.checks import examine
from clawver_orders.services import opened
from clawver_orders.settings import Settings
from clawver_sandbox.shop import Shop

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PASSWORD = "s3cret-example"
Front = Callable[..., AbstractAsyncContextManager[str]]


@pytest.fixture(autouse=True)
def certificates_are_read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test trusts is not trusted by the next."""
    cached: Any = httpcore2.default_ssl_context
    monkeypatch.setattr(httpcore2, "default_ssl_context", cached.__wrapped__)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """As such files are: with words around the certificates, in any language."""
    file = tmp_path / "ca.pem"
    words = "# Főtanúsítvány\n".encode()
    file.write_bytes(words + authority.cert_pem.bytes() + words + trustme.CA().cert_pem.bytes())
    return file


@pytest.fixture
def front(authority: trustme.CA, store_url: str) -> Front:
    """Puts TLS before the store."""

    @asynccontextmanager
    async def put(name: str = "127.0.0.1", **about: Any) -> AsyncIterator[str]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name, **about).configure_cert(context)
        plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
        store = urlsplit(store_url)

        async def relay(stream: ByteStream) -> None:
            async with await anyio.connect_tcp(store.hostname or "", store.port or 0) as behind:
                await joined(stream, behind)

        port = plain.extra(SocketAttribute.local_port)  # noqa: S610  # anyio's, not Django's
        async with serving(TLSListener(plain, context, standard_compatible=False), relay):
            yield f"https://127.0.0.1:{port}/v1"

    return put


@asynccontextmanager
async def serving(listener: Any, handle: Callable[[Any], Any]) -> AsyncIterator[None]:
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield
        tasks.cancel_scope.cancel()


async def joined(one: ByteStream, other: ByteStream) -> None:
    """Pass everything on, both ways, until one side hangs up."""

    async def pump(source: ByteStream, sink: ByteStream) -> None:
        try:
            async for chunk in source:
                await sink.send(chunk)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        tasks.cancel_scope.cancel()

    async with one, other, anyio.create_task_group() as tasks:
        tasks.start_soon(pump, one, other)
        tasks.start_soon(pump, other, one)


class Proxy:
    """A proxy on a real port, which answers CONNECT with what it is told to."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.asked: list[bytes] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        async with serving(listener, self._connect):
            yield listener.extra(SocketAttribute.local_port)  # noqa: S610  # anyio's, not Django's

    async def _connect(self, stream: ByteStream) -> None:
        head = await stream.receive()
        self.asked.append(head)
        await stream.send(b"HTTP/1.1 %d Example\r\n\r\n" % self.status)
        if self.status != 200:
            await stream.aclose()
            return
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        async with await anyio.connect_tcp(host, int(port)) as behind:
            await joined(stream, behind)


async def read(settings: Settings) -> str:
    """What a read comes to: the id of an order."""
    async with opened(settings) as services:
        return (await services.clawver.order("ord_digital")).id


async def refusal(settings: Settings) -> UnreachableError:
    """The error of a read, which is also that of a refund, but for what follows."""
    async with opened(settings) as services:
        with pytest.raises(UnreachableError) as reading:
            await services.clawver.order("ord_digital")
        with pytest.raises(UnreachableError) as writing:
            await services.clawver.send_refund("ord_shirt", 100, "test", "rfi_1")
    assert str(reading.value) == str(writing.value).replace(" The request never left.", "")
    assert "never left" in writing.value.happened
    return reading.value


def of(fault: reaching.Fault) -> str:
    return f"Clawver could not be reached: {fault.why}. Nothing was changed. {fault.next_step}"


async def test_a_certificate_of_a_named_authority_is_trusted(
    front: Front, configure: Configure, ca_file: Path
) -> None:
    async with front() as url:
        assert await read(configure(api_url=url, ca_certificates=str(ca_file))) == "ord_digital"


async def test_the_systems_authorities_stay_trusted(
    front: Front,
    configure: Configure,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def systems(**_: object) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())

    monkeypatch.setattr(httpcore2, "default_ssl_context", systems)
    trustme.CA().cert_pem.write_to_path(tmp_path / "another.pem")
    async with front() as url:
        settings = configure(api_url=url, ca_certificates=str(tmp_path / "another.pem"))
        assert await read(settings) == "ord_digital"


def test_for_plain_http_to_this_machine_no_certificates_are_read_and_nobody_is_trusted(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(httpx2, "create_ssl_context")
    context = reaching.trusted(configure())

    assert context.get_ca_certs() == []
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("about", "trusted", "fault"),
    [
        ({}, False, reaching.UNTRUSTED),
        ({"not_after": NOW - timedelta(days=9999)}, True, reaching.OUT_OF_DATE),
        ({"not_before": datetime(2999, 1, 1, tzinfo=UTC), "not_after": datetime(2999, 2, 1, tzinfo=UTC)},
         True, reaching.OUT_OF_DATE),
        ({"name": "other.example"}, True, reaching.ANOTHER_HOST),
        ({"name": "127.0.0.2"}, True, reaching.ANOTHER_HOST),
    ],
)  # fmt: skip
async def test_a_certificate_that_will_not_do_is_told_and_not_tried_again(
    front: Front, configure: Configure, ca_file: Path, shop: Shop,
    about: dict[str, Any], trusted: bool, fault: reaching.Fault,
) -> None:  # fmt: skip
    if "not_after" in about and "not_before" not in about:
        about = about | {"not_before": about["not_after"] - timedelta(days=1)}
    async with front(**about) as url:
        decided = {"ca_certificates": str(ca_file)} if trusted else {}
        error = await refusal(configure(api_url=url, **decided))

    assert str(error) == of(fault)
    assert "Repeat" not in error.next_step
    assert not fault.passes
    assert shop.requests() == []


async def test_an_https_address_that_answers_in_plain_words_is_told(
    configure: Configure, store_url: str
) -> None:
    secure = store_url.replace("http:", "https:") + "/v1"

    assert str(await refusal(configure(api_url=secure))) == of(reaching.NO_TLS)


async def test_requests_go_through_the_proxy_and_the_key_does_not_reach_it(
    front: Front, configure: Configure, ca_file: Path, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    proxy = Proxy()
    async with front() as url, proxy.running() as port:
        address = f"http://ada:{PASSWORD}%40@127.0.0.1:{port}"
        settings = configure(api_url=url, ca_certificates=str(ca_file), proxy=address)
        assert await read(settings) == "ord_digital"

    (asked,) = proxy.asked
    assert asked.startswith(b"CONNECT %s HTTP/1.1\r\n" % urlsplit(url).netloc.encode())
    assert b"Proxy-Authorization: Basic YWRhOnMzY3JldC1leGFtcGxlQA==" in asked
    assert b"claw_sk" not in asked
    (request,) = shop.requests()
    assert request["has_key"]
    assert PASSWORD not in caplog.text + repr(settings) + str(settings)


async def test_a_store_on_this_machine_is_reached_without_the_proxy(configure: Configure) -> None:
    """Over plain http the proxy could read the key, and its loopback is another."""
    proxy = Proxy()
    async with proxy.running() as port:
        assert await read(configure(proxy=f"http://127.0.0.1:{port}")) == "ord_digital"

    assert proxy.asked == []


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (407, reaching.PROXY_WANTS_PASSWORD),
        (403, reaching.PROXY_REFUSED),
        (502, reaching.PROXY_FAILED),
    ],
)
async def test_a_proxy_that_does_not_connect_is_told_and_nothing_has_left(
    configure: Configure, status: int, fault: reaching.Fault
) -> None:
    proxy = Proxy(status)
    async with proxy.running() as port:
        address = f"http://ada:{PASSWORD}@127.0.0.1:{port}"
        error = await refusal(configure(api_url="https://127.0.0.1:1/v1", proxy=address))

    assert str(error) == of(fault)
    assert ("Repeat" in error.next_step) is fault.passes
    assert len(proxy.asked) == (transport.TRIES if fault.passes else 1) + 1  # and the refund's own
    assert PASSWORD not in repr(error) + repr(error.__cause__) + repr(error.__context__)


@pytest.mark.parametrize("by_proxy", [False, True])
async def test_a_way_that_leads_nowhere_is_told(configure: Configure, by_proxy: bool) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and never listening: nobody else gets the port meanwhile
        nobody = f"127.0.0.1:{closed.getsockname()[1]}"
        changed = {"proxy": f"http://{nobody}"} if by_proxy else {}
        error = await refusal(configure(api_url=f"https://{nobody}/v1", **changed))

    place = "the proxy in CLAWVER_PROXY" if by_proxy else "its host"
    assert error.happened.startswith(
        f"Clawver could not be reached: no connection to {place} could be made."
    )
    assert error.next_step.startswith("Repeat the call in a minute.")


@pytest.mark.parametrize("by_proxy", [False, True])
@pytest.mark.parametrize(
    ("number", "says", "passes"),
    [
        (socket.EAI_AGAIN, "cannot be looked up at the moment", True),
        (socket.EAI_NONAME, "is not known", False),
    ],
)
async def test_a_name_that_cannot_be_looked_up_is_told(
    configure: Configure, monkeypatch: pytest.MonkeyPatch,
    number: int, says: str, passes: bool, by_proxy: bool,
) -> None:  # fmt: skip
    def fail(host: object, *_: object, **__: object) -> None:
        looked_up.append(host)
        raise socket.gaierror(number, "from the resolver")

    looked_up: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    changed = {"proxy": "http://proxy.example:3128"} if by_proxy else {}
    error = await refusal(configure(api_url="https://api.clawver.store/v1", **changed))

    place = "the proxy in CLAWVER_PROXY" if by_proxy else "its host"
    assert error.happened == (
        f"Clawver could not be reached: the name of {place} {says}. Nothing was changed."
    )
    assert ("Repeat" in error.next_step) is passes
    assert len(looked_up) == (transport.TRIES if passes else 1) + 1
    assert {str(host).strip("b'") for host in looked_up} == {
        "proxy.example" if by_proxy else "api.clawver.store"
    }


async def test_a_line_that_is_cut_while_tls_begins_may_pass(configure: Configure) -> None:
    async def hang_up(stream: ByteStream) -> None:
        await stream.receive()
        await stream.aclose()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with serving(listener, hang_up):
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610  # anyio's, not Django's
        error = await refusal(configure(api_url=f"https://127.0.0.1:{port}/v1"))

    assert error.next_step.startswith("Repeat the call in a minute.")


async def test_a_connection_that_takes_too_long_is_told(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "TRIES", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never speaks TLS
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/v1"
        error = await refusal(configure(api_url=url, timeout_seconds=0.4))

    assert error.happened.startswith(
        "Clawver could not be reached: no connection to its host could be made."
    )


@pytest.mark.parametrize("fault", ["hang_before", "drop_before"])
async def test_a_read_that_breaks_off_is_told(
    configure: Configure, shop: Shop, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "TRIES", 1)
    shop.add_fault(fault, times=-1, seconds=3.0)
    settings = configure(timeout_seconds=0.5)
    async with opened(settings) as services:
        with pytest.raises(UnreachableError) as caught:
            await services.clawver.order("ord_digital")

    said = {"hang_before": reaching.NO_ANSWER_IN_TIME, "drop_before": reaching.CUT_OFF}[fault]
    assert str(caught.value) == of(said)


DOCTORED = {
    "CLAW_API_KEY": "claw_sk_live_example_of_tests",
    "CLAWVER_API_URL": "https://127.0.0.1:1/v1",
}


async def test_the_doctor_says_which_variables_of_others_are_ignored(tmp_path: Path) -> None:
    others = {
        "https_proxy": "http://127.0.0.1:9", "ALL_PROXY": "x", "SSL_CERT_FILE": "/y", "HTTP_PROXY": " "
    }  # fmt: skip
    state = {"CLAWVER_STATE_DIR": str(tmp_path / "state")}
    found = await examine(DOCTORED | others | state, lambda: NOW)

    said = {each.subject: (each.is_fine, each.says, each.next_step) for each in found}
    assert said["proxy"] == (
        True,
        "Set in the environment, and ignored by this server: HTTPS_PROXY, ALL_PROXY.",
        "If requests to Clawver need it, set CLAWVER_PROXY where the server is configured.",
    )
    assert said["certificates"] == (
        True,
        "Set in the environment, and ignored by this server: SSL_CERT_FILE.",
        "If requests to Clawver need it, set CLAWVER_CA_FILE where the server is configured.",
    )


async def test_the_doctor_is_silent_where_nothing_is_amiss(tmp_path: Path, ca_file: Path) -> None:
    others = {"HTTPS_PROXY": "http://127.0.0.1:9", "SSL_CERT_FILE": "/y"}
    ours = {"CLAWVER_PROXY": "http://127.0.0.1:9", "CLAWVER_CA_FILE": str(ca_file)}
    state = {"CLAWVER_STATE_DIR": str(tmp_path / "state")}
    for environment in (
        DOCTORED | state,
        DOCTORED | state | others | ours,
        state | others | {"CLAWVER_SANDBOX": "on"},
        DOCTORED | state | others | {"CLAWVER_API_URL": "http://127.0.0.1:1/v1"},
    ):
        found = await examine(environment, lambda: NOW)
        assert not {"proxy", "certificates"} & {each.subject for each in found}


async def test_variables_of_other_programs_change_nothing(
    front: Front, configure: Configure, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy()
    async with front() as url, proxy.running() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
        assert str(await refusal(configure(api_url=url))) == of(reaching.UNTRUSTED)

    assert proxy.asked == []
