"""Who is let through to the server over HTTP, and who is told why not."""

import httpx2
import pytest
from starlette.responses import PlainTextResponse

from clawver_orders.serving.http.access import AccessControl

TOKEN = "an-example-token-of-32-characters"
NAMES = frozenset({"shop.example", "127.0.0.1", "localhost", "[::1]"})


async def ask(
    *headers: tuple[str, str], token: str | None = None, path: str = "/mcp"
) -> httpx2.Response:
    gate = AccessControl(PlainTextResponse("let through"), NAMES, token)
    transport = httpx2.ASGITransport(app=gate)
    async with httpx2.AsyncClient(transport=transport, base_url="http://gate") as client:
        request = client.build_request("POST", path)
        request.headers = httpx2.Headers(
            [(name.encode(), value.encode("latin-1")) for name, value in headers]
        )
        return await client.send(request)


@pytest.mark.parametrize(
    "host",
    ["shop.example", "SHOP.example:8788", "127.0.0.1:1", "localhost", "[::1]:8788", "[::1]"],
)
async def test_an_expected_host_name_is_let_through_on_any_port(host: str) -> None:
    assert (await ask(("host", host))).text == "let through"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "shop.example.evil.example", "evilshop.example", "shop.example:80:80", "shop.example@evil.example",
        "127.0.0.1.evil.example", "localhost:x", "[::1", "::1", "", " shop.example", "shop.example.", "shop.example:", "*",
        "shop.example\xa0",
    ],
)  # fmt: skip
@pytest.mark.parametrize("token", [None, TOKEN])
async def test_any_other_host_name_is_misdirected(host: str, token: str | None) -> None:
    answer = await ask(("host", host), token=token)

    assert answer.status_code == 421
    assert "CLAWVER_HTTP_HOSTS" in answer.text


async def test_no_host_name_and_two_host_names_are_misdirected() -> None:
    assert (await ask()).status_code == 421
    assert (await ask(("host", "localhost"), ("host", "localhost"))).status_code == 421


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:3000", "https://shop.example", "http://[::1]:1", "HTTP://127.0.0.1"],
)
async def test_a_page_of_an_expected_host_is_let_through(origin: str) -> None:
    assert (await ask(("host", "localhost"), ("origin", origin))).text == "let through"


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example", "null", "", "shop.example", "https://shop.example.evil.example", "file://localhost",
        "https://shop.example/", "https://evil.example#shop.example", "https://shop.example@evil.example",
    ],
)  # fmt: skip
@pytest.mark.parametrize("token", [None, TOKEN])
async def test_a_page_of_any_other_origin_is_forbidden(origin: str, token: str | None) -> None:
    bearer = ("authorization", f"Bearer {TOKEN}")
    answer = await ask(("host", "localhost"), ("origin", origin), bearer, token=token)

    assert answer.status_code == 403


@pytest.mark.parametrize("bearer", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN}"])
async def test_the_token_is_let_through(bearer: str) -> None:
    answer = await ask(("host", "localhost"), ("authorization", bearer), token=TOKEN)

    assert answer.text == "let through"


@pytest.mark.parametrize(
    "bearer",
    [
        None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN} x", f"Bearer {TOKEN.upper()}", "Bearer \xe9", f"XBearer {TOKEN}",
    ],
)  # fmt: skip
async def test_without_the_token_nobody_is_let_through(bearer: str | None) -> None:
    given = [] if bearer is None else [("authorization", bearer)]
    answer = await ask(("host", "localhost"), *given, token=TOKEN)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert TOKEN not in answer.text


async def test_two_tokens_are_none() -> None:
    bearer = ("authorization", f"Bearer {TOKEN}")
    answer = await ask(("host", "localhost"), bearer, bearer, token=TOKEN)

    assert answer.status_code == 401


async def test_whether_it_is_up_may_be_asked_by_anybody() -> None:
    answer = await ask(("host", "10.0.0.7"), ("origin", "null"), token=TOKEN, path="/healthz")

    assert answer.text == "let through"


@pytest.mark.parametrize("path", ["/healthz/", "//healthz", "/healthz/../mcp", "/mcp/healthz"])
async def test_only_that_path_is_open_to_anybody(path: str) -> None:
    assert (await ask(("host", "evil.example"), path=path)).status_code == 421
