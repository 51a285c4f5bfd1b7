"""One listener for several stores: each has its path, its secret and its inbox, and none gets another's."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from tests.cli.test_listen import TIME
from tests.cli.test_main import keyless, run
from tests.documents.printed import PAGES
from tests.test_store_file import TWO, both, write
from tests.test_stores import Address, at
from tests.webhooks.test_listener import Listening, wait_until_settled

from clawver_orders.settings import Settings
from clawver_orders.storage import scopes
from clawver_orders.webhooks import sign
from clawver_orders.webhooks.inbox import INBOX_FILE, Inbox, Query
from clawver_sandbox.serving import running

__all__ = ["at", "write"]
SECRETS = {
    "prints": "whsec_example_of_the_prints",
    "photos": "whsec_example_of_the_photos",
}
BODY = b'{"event":"order.paid","data":{"orderId":"ord_1"}}'
Variables = Callable[..., dict[str, str]]


def with_secrets(text: str) -> str:
    """The file of stores, in which each store has a webhook secret."""
    for alias in SECRETS:
        text = text.replace(
            f"[stores.{alias}]",
            f'[stores.{alias}]\nwebhook_secret_env = "{alias.upper()}_SECRET"',
        )
    return text


@pytest.fixture
def variables(at: Address, write: Callable[..., dict[str, str]]) -> Variables:
    """The variables of two stores that have webhook secrets; `more` is added to their file."""

    def of(more: str = "", **changed: str) -> dict[str, str]:
        secrets = {f"{alias.upper()}_SECRET": secret for alias, secret in SECRETS.items()}
        made = both(at, lambda **_: write(f"{with_secrets(TWO)}\n{more}"))
        return made | secrets | changed

    return of


@contextmanager
def listening(variables: dict[str, str], *options: str) -> Iterator[Listening]:
    """One that has said where it takes the deliveries of the first store."""
    process = subprocess.Popen(
        [sys.executable, "-m", "clawver_orders", "listen", "--port", "0", *options],
        env=keyless() | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    if "--json" not in options:
        line = "Listening for order events at these addresses (stop it with Ctrl+C).\n"
        assert process.stdout.readline() == line, process.communicate()
    (url, *_) = re.findall(r'http://[^\s"]+', process.stdout.readline())
    started = Listening(process, url)
    try:
        yield started
    finally:
        if process.poll() is None:
            assert started.stop() == 0


def said(started: Listening, number: int) -> list[str]:
    assert started.process.stdout is not None
    return [started.process.stdout.readline().rstrip("\n") for _ in range(number)]


def inbox(variables: dict[str, str], alias: str) -> Inbox:
    settings = Settings.from_environment(variables, store=alias)
    scope = scopes.known(settings)
    assert scope is not None
    return Inbox.of(settings, scope)


def bodies(variables: dict[str, str], alias: str) -> list[bytes]:
    found = inbox(variables, alias).find(Query(limit=100), datetime.now(UTC))
    return [each.body for each in found.events]


def refused(variables: dict[str, str], alias: str) -> dict[str, int]:
    status = inbox(variables, alias).receiver_status(datetime.now(UTC))
    return {each.cause: each.count for each in status.refusals}


def deliver(url: str, secret: str, body: bytes = BODY) -> int:
    headers = {"x-claw-signature": sign(body, secret)}
    return httpx2.post(url, content=body, headers=headers, trust_env=False, timeout=30).status_code


def test_it_says_the_address_of_each_store_and_names_the_store_in_each_line(
    at: Address, variables: Variables
) -> None:
    given = variables()
    with listening(given) as started:
        prints = started.url
        base = prints.removesuffix("/webhook/prints")
        before = said(started, 2)
        codes = [
            deliver(prints, SECRETS["prints"]),
            deliver(f"{base}/webhook/photos/", SECRETS["photos"]),
            deliver(f"{base}/webhook/photos", SECRETS["photos"]),
            deliver(f"{base}/webhook/posters", SECRETS["prints"]),
            deliver(f"{base}/webhook", SECRETS["prints"]),
            deliver(f"{base}/webhook/prints/photos", SECRETS["photos"]),
        ]
        after = said(started, 6)
        health = [httpx2.get(f"{base}{path}", trust_env=False) for path in ("/healthz", "/readyz")]
        started.process.send_signal(signal.SIGTERM)
        _, errors = started.process.communicate(timeout=120)

    (path,) = re.findall("The store `prints` is at `(.+?)`", PAGES["docs/webhooks.md"])
    assert prints == f"{base}{path}"
    assert (
        f"register `https://hooks.example{path}` with `--store prints`" in PAGES["docs/webhooks.md"]
    )
    place = at.settings().place
    assert before == [
        f'photos: {base}/webhook/photos "Pixel & Thread" ({at.second.details()["id"]}) at {place}',
        f"Health: {base}/healthz",
    ]
    assert codes == [200, 200, 200, 404, 404, 404]
    assert [re.sub(f"^{TIME}  ", "", line) for line in after] == [
        "accepted   prints  order.paid  ord_1",
        "accepted   photos  order.paid  ord_1",
        "duplicate  photos  order.paid  ord_1",
        *["refused    404: there is nothing here"] * 3,
    ]
    assert [each.status_code for each in health] == [200, 200]
    assert (started.process.returncode, errors) == (0, "")
    assert bodies(given, "prints") == bodies(given, "photos") == [BODY]
    assert refused(given, "prints") == refused(given, "photos") == {}


@pytest.mark.parametrize(("path", "signer"), [("prints", "photos"), ("photos", "prints")])
def test_what_another_stores_secret_signed_is_refused_and_counted_where_it_came(
    variables: Variables, path: str, signer: str
) -> None:
    given = variables()
    with listening(given) as started:
        url = started.url.replace("/prints", f"/{path}")
        said(started, 2)
        codes = [deliver(url, SECRETS[signer]), deliver(url, "whsec_example_of_nobody")]
        lines = said(started, 2)

    assert codes == [401, 401]
    assert [re.sub(f"^{TIME}  ", "", line) for line in lines] == [
        f"refused    {path}  401: the signature does not fit"
    ] * 2
    assert bodies(given, "prints") == bodies(given, "photos") == []
    assert (refused(given, path), refused(given, signer)) == ({"signature": 2}, {})


def test_an_event_goes_from_each_store_to_its_own_inbox(at: Address, variables: Variables) -> None:
    given = variables(CLAWVER_REFUND_APPROVAL="off").copy()
    stores = {"prints": at.first, "photos": at.second}
    Path(given["CLAWVER_STORES"]).write_text(
        Path(given["CLAWVER_STORES"]).read_text().replace('refund_approval = "agent"', "")
    )
    with listening(given) as started, running(at.second):
        for alias, shop in stores.items():
            url = started.url.replace("/prints", f"/{alias}")
            words = ("call", "register_webhook", f"url={url}", "events=order.paid")
            registered = run(*words, "--store", alias, **given)
            assert registered.returncode == 0, registered.stderr
            shop.report("order.paid", "ord_digital" if alias == "prints" else "ord_shirt")
        states = [each["state"] for shop in stores.values() for each in wait_until_settled(shop)]

    assert states == ["delivered"] * 2
    assert [json.loads(each)["data"]["orderId"] for each in bodies(given, "prints")] == [
        "ord_digital"
    ]
    assert [json.loads(each)["data"]["orderId"] for each in bodies(given, "photos")] == [
        "ord_shirt"
    ]


def test_as_json_each_document_names_the_store(at: Address, variables: Variables) -> None:
    given = variables("[stores.posters]\nkey_env = 'POSTERS_KEY'")
    with listening(given, "--json", "--path", "/hooks/") as started:
        url = started.url
        deliver(url, SECRETS["prints"])
        deliver(f"{url}/x", SECRETS["prints"])
        taken, refusal = map(json.loads, said(started, 2))

    assert url.endswith("/hooks/prints")
    assert (taken["store"], taken["result"], taken["order_id"]) == ("prints", "accepted", "ord_1")
    assert (refusal["store"], refusal["result"], refusal["status"]) == ("", "refused", 404)


def test_its_first_document_says_where_each_store_is_and_which_are_left_out(
    at: Address, variables: Variables
) -> None:
    given = variables("[stores.posters]\nkey_env = 'POSTERS_KEY'")
    process = subprocess.Popen(
        [sys.executable, "-m", "clawver_orders", "listen", "--port", "0", "--json"],
        env=keyless() | given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)

    base = told["health"].removesuffix("/healthz")
    assert [(each["store"], each["url"], each["title"]) for each in told["stores"]] == [
        ("prints", f"{base}/webhook/prints", at.title(at.first).replace("Pixel & Thread", "Ada's Prints")),
        ("photos", f"{base}/webhook/photos", at.title(at.second)),
    ]  # fmt: skip
    assert told["left_out"] == [
        {"store": "posters", "error": "Nothing was sent: POSTERS_KEY does not hold the key of the store "
         "posters. A person must put it there, then start this again."}
    ]  # fmt: skip
    assert (process.returncode, errors) == (0, "")
    for alias in SECRETS:
        status = inbox(given, alias).receiver_status(datetime.now(UTC))
        assert status.started_at is not None
        assert not status.is_listening


def test_stores_that_cannot_be_used_are_named_and_left_out(
    at: Address, variables: Variables
) -> None:
    more = """
[stores.posters]
key_env = "PRINTS_KEY"
[stores.cards]
key_env = "CARDS_KEY"
[stores.mugs]
key_env = "PRINTS_KEY"
webhook_secret_env = "MUGS_SECRET"
"""
    given = variables(more, MUGS_SECRET="whsec_example_of_the_mugs")
    assert run("doctor", "--store", "photos", **given).returncode == 0
    damaged = damage_inbox(given, "photos")
    with listening(given) as started:
        (health,) = said(started, 1)
        base = started.url.removesuffix("/prints")
        codes = [
            deliver(f"{base}/{alias}", SECRETS["photos"])
            for alias in ("posters", "cards", "mugs", "photos")
        ]
        codes.append(deliver(f"{base}/prints", SECRETS["prints"]))
        ready = httpx2.get(health.split()[1].replace("healthz", "readyz"), trust_env=False)
        started.process.send_signal(signal.SIGTERM)
        _, errors = started.process.communicate(timeout=120)

    assert codes == [404, 404, 404, 404, 200]
    assert ready.status_code == 200
    assert [line.partition(" is left out. ")[0] for line in errors.splitlines()] == [
        "posters", "cards", "mugs", "photos",
    ]  # fmt: skip
    posters, cards, mugs, photos = (
        line.partition(" is left out. ")[2] for line in errors.splitlines()
    )
    assert posters.startswith("The table of the store posters names no webhook secret")
    assert "webhook_secret_env or webhook_secret_file" in posters
    assert cards.startswith("Nothing was sent: CARDS_KEY does not hold the key of the store cards.")
    assert mugs.startswith("Nothing was sent: mugs and prints are one store")
    assert "The file of the inbox of order events is damaged" in photos
    assert damaged.read_bytes() == b"no database" * 500
    assert not [secret for secret in SECRETS.values() if secret in errors]


def damage_inbox(variables: dict[str, str], alias: str) -> Path:
    scope = scopes.known(Settings.from_environment(variables, store=alias))
    assert scope is not None
    scope.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = scope.folder / INBOX_FILE
    path.write_bytes(b"no database" * 500)
    path.chmod(0o600)
    return path


def test_where_none_can_be_used_nothing_listens(at: Address, variables: Variables) -> None:
    given = variables(PRINTS_KEY="", PHOTOS_SECRET="")
    done = run("listen", "--port", "0", **given)

    assert (done.returncode, done.stdout) == (1, "")
    prints, photos, all_of_them = done.stderr.splitlines()
    assert prints.startswith(
        "prints is left out. Nothing was sent: PRINTS_KEY does not hold the key"
    )
    assert photos.startswith(
        "photos is left out. Nothing was sent: PHOTOS_SECRET does not hold the "
    )
    assert all_of_them.startswith("The events of none of the stores can be received, so nothing ")


def test_where_no_inbox_can_be_opened_nothing_listens(at: Address, variables: Variables) -> None:
    given = variables()
    for alias in SECRETS:
        assert run("doctor", "--store", alias, **given).returncode == 0
        damage_inbox(given, alias)
    done = run("listen", "--port", "0", **given)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("The file of the inbox of order events is damaged") == 2
    assert "so nothing listens." in done.stderr


def test_a_port_that_is_taken_is_a_sentence(variables: Variables) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("listen", "--port", port, **variables())

    assert done.returncode == 1
    assert done.stderr.startswith(f"Port {port} is in use, so nothing was started.")


def test_no_store_is_where_the_health_is_asked_for(variables: Variables) -> None:
    given = variables("[stores.healthz]\nkey_env = 'PRINTS_KEY'")
    done = run("listen", "--path", "/", "--port", "0", **given)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("--path / leaves no path for a store called healthz or readyz")


def test_one_that_is_named_is_listened_for_alone(at: Address, variables: Variables) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "clawver_orders", "listen", "--port", "0", "--store", "photos"],
        env=keyless() | variables(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    process.terminate()
    process.communicate(timeout=120)

    assert re.fullmatch(
        r"Listening for order events at http://127\.0\.0\.1:\d+/webhook \(stop it with Ctrl\+C\)\.\n",
        lines[0],
    )
    assert lines[1] == f"Store: {at.title(at.second)}\n"
    assert re.fullmatch(r"Health: http://127\.0\.0\.1:\d+/healthz\n", lines[2])
