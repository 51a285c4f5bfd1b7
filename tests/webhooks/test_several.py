"""The receivers of several stores on one port: whose a delivery is, its path alone says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.webhooks.test_receiver import OTHER, SECRET, body_of, send, served, stored

from clawver_orders.errors import SetupError
from clawver_orders.settings import Settings
from clawver_orders.storage import scopes
from clawver_orders.webhooks import sign
from clawver_orders.webhooks.inbox import INBOX_FILE, Inbox
from clawver_orders.webhooks.receiver import Handled
from clawver_orders.webhooks.several import Receivers

Told = list[tuple[str, int]]
KEYS = {"prints": "claw_sk_live_example_of_prints", "photos": "claw_sk_live_example_of_photos"}


class Both:
    """Two stores of a machine, and their receivers."""

    def __init__(self, state: Path) -> None:
        self.told: Told = []
        self.receivers = Receivers(self._tell)
        self.inboxes: dict[str, Inbox] = {}
        self.folders: dict[str, Path] = {}
        for (alias, key), secret in zip(KEYS.items(), (SECRET, OTHER), strict=True):
            settings = Settings(state_dir=state, api_key=key, webhook_secret=secret)
            folder = scopes.note(settings, f"store_{alias}", alias).folder
            self.folders[alias] = folder
            self.inboxes[alias] = Inbox(folder / INBOX_FILE, timedelta(days=30))
            self.receivers.add(alias, f"/webhook/{alias}", settings)

    def _tell(self, store: str, handled: Handled) -> None:
        self.told.append((store, handled.status))

    def counted(self, alias: str) -> dict[str, int]:
        status = self.inboxes[alias].receiver_status(datetime.now(UTC))
        return {each.cause: each.count for each in status.refusals}


@pytest.fixture
def both(tmp_path: Path) -> Both:
    return Both(tmp_path / "state")


@pytest.mark.parametrize(
    ("path", "signature", "status", "told"),
    [
        ("/webhook/prints", SECRET, 200, "prints"),
        ("/webhook/prints//", SECRET, 200, "prints"),
        ("/webhook/photos", SECRET, 401, "photos"),
        ("/webhook/prints", OTHER, 401, "prints"),
        ("/webhook/photos/prints", OTHER, 404, ""),
        ("/webhook/PRINTS", SECRET, 404, ""),
        ("/webhook", SECRET, 404, ""),
        ("/", SECRET, 404, ""),
        ("//webhook/prints", SECRET, 404, ""),
    ],
)
async def test_a_delivery_is_its_paths_and_checked_with_that_stores_secret(
    both: Both, path: str, signature: str, status: int, told: str
) -> None:
    async with both.receivers.listening(), served(both.receivers) as http:
        response = await send(http, body_of(), sign(body_of(), signature), path)

    assert response.status_code == status
    assert both.told == [(told, status)]
    is_prints = status == 200
    assert [stored(each) for each in both.inboxes.values()] == [[body_of()] * is_prints, []]
    assert both.counted("prints") == (
        {"signature": 1} if told == "prints" and status == 401 else {}
    )
    assert both.counted("photos") == ({"signature": 1} if told == "photos" else {})


async def test_a_path_is_not_read_from_what_is_encoded_in_it(both: Both) -> None:
    async with both.receivers.listening(), served(both.receivers) as http:
        said = [
            (await send(http, body_of(), sign(body_of(), SECRET), path)).status_code
            for path in (
                "/webhook%2Fprints",
                "/webhook/%70rints",
                "/webhook/prints%00",
                "/webhook/prints?x=/photos",
            )
        ]

    # What is percent-encoded is the same path for a server, and the query is none of it.
    assert said == [200, 200, 404, 200]
    assert stored(both.inboxes["photos"]) == []


async def test_the_health_is_that_of_all_of_them(both: Both) -> None:
    async with both.receivers.listening(), served(both.receivers) as http:
        well = [
            await http.request(method, path)
            for method in ("GET", "HEAD")
            for path in ("/healthz", "/readyz")
        ]
        wrong = await http.delete("/healthz")
        inside = await http.get("/webhook/prints/healthz")

    assert [each.status_code for each in well] == [200] * 4
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD")
    assert inside.status_code == 404
    assert both.told == [("", 404)]


@pytest.mark.parametrize("alias", KEYS)
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_one_store_whose_events_cannot_be_kept_is_trouble_of_all(
    both: Both, alias: str, path: str
) -> None:
    async with served(both.receivers) as http:
        both.folders[alias].write_text("in the way")
        response = await http.get(path)
        other = next(each for each in KEYS if each != alias)
        secret = {"prints": SECRET, "photos": OTHER}[other]
        taken = await send(http, body_of(), sign(body_of(), secret), f"/webhook/{other}")

    assert response.status_code == 503
    assert alias not in response.text
    assert taken.status_code == 200


async def test_without_a_store_nothing_listens(both: Both) -> None:
    with pytest.raises(SetupError, match="events of none of the stores can be received"):
        async with Receivers(both._tell).listening():
            raise AssertionError("it listened")


async def test_each_inbox_hears_that_somebody_listens_and_that_nobody_does(both: Both) -> None:
    def listening() -> list[bool]:
        return [i.receiver_status(datetime.now(UTC)).is_listening for i in both.inboxes.values()]

    async with both.receivers.listening():
        during = listening()

    assert (during, listening()) == ([True, True], [False, False])
