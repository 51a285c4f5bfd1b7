"""Orders as they were last seen: found by any word, newest first, and for as long as they are kept."""

import random
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.history.conftest import NOON, Fresh, named, order, seen

from clawver_orders.errors import SetupError, UnreachableError
from clawver_orders.history.knowledge import Sighting
from clawver_orders.history.mirror import HISTORY_FILE, Extent, Mirror, Sought
from clawver_orders.history.words import folded, searched
from clawver_orders.storage import sqlite
from clawver_orders.storage.sqlite import SqliteDatabase
from clawver_orders.text import clean
from clawver_orders.webhooks import parse
from clawver_orders.webhooks.inbox import Delivery, Inbox
from clawver_sandbox.catalogue import sales

YEAR = timedelta(days=365)
SEEDS = 8
"""In some of these orders of keeping them SQLite leaves copies of rows that it moves."""


def ids(mirror: Mirror, limit: int = 100, **asked: Any) -> list[str]:
    return [each.order.id for each in mirror.find(Sought(**asked), limit)]


@pytest.fixture
def people(mirror: Mirror) -> Mirror:
    """Customers with names that are hard to find."""
    names = {
        "de": "Jürgen Müller", "pl": "Łucja Núñez-Łuczak", "zh": "王伟", "jp": "佐藤 遥", "kr": "김민준",
        "th": "สมชายใจดี", "ng": "Bo Ng", "crab": "Sam 🦀 Rivers", "odd": "100% \"O'Neil\" _x_ \\ --;",
        "half": "half \ud83e a crab",
    }  # fmt: skip
    mirror.note([seen(named(order_id, name)) for order_id, name in names.items()], NOON)
    return mirror


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("muller", "de"), ("MÜLLER jür", "de"), ("ller", "de"), ("luczak łucja", "pl"), ("王伟", "zh"),
        ("王", "zh"), ("김", "kr"), ("佐", "jp"), ("佐藤遥", "jp"), ("遥 佐藤", "jp"), ("김 민준", "kr"),
        ("遥", "jp"), ("佐藤", "jp"), ("민준", "kr"), ("김민준", "kr"), ("ใจดี", "th"), ("ชา", "th"), ("ng", "ng"),
        ("bo NG", "ng"), ("🦀", "crab"), ("rivers 🦀", "crab"), ("100%", "odd"), ("o'neil", "odd"), ('"O\'', "odd"),
        ("_x_", "odd"), ("--;", "odd"), ("\\", "odd"), ("half", "half"),
    ],
)  # fmt: skip
def test_a_name_is_found_by_a_part_in_any_script(people: Mirror, search: str, found: str) -> None:
    assert ids(people, search=search) == [found]


@pytest.mark.parametrize(
    "search",
    ["%", "_", "muller wang", "n OR ng", "*", '"', "NEAR(bo ng)", "words:bo", "\x00", "x" * 10_000, "zz", "🦞", "-muller", "^jur"],
)  # fmt: skip
def test_signs_have_no_meaning_in_a_search(people: Mirror, search: str) -> None:
    assert ids(people, search=search) == []


@pytest.mark.parametrize(
    "part", ["ada@exa", "ord_7", "SBX0009", "ular kett", "shipped", "star map"]
)
def test_everything_that_is_searched_is_found(mirror: Mirror, part: str) -> None:
    items = [{"productName": "Star map tee"}, {"productName": "Regular kettle"}]
    mirror.note(
        [seen(order("ord_77", items=items, status="shipped", trackingNumber="SBX00091")), seen(order("other", customerEmail="bo@example.com", items=[]))],
        NOON,
    )  # fmt: skip

    assert ids(mirror, search=part) == ["ord_77"]


HOSTILE = [
    "'; DROP TABLE known; --", '" OR words MATCH "x', "NEAR(a b, 1)", "%_%", "x\\", "{words}: ^a* AND NOT b",
    "<script>alert(1)</script>", "=HYPERLINK(1)", "\u202e\u200bgnp.exe", "\x1b[31mcrimson\x00", "🦀" * 50, "half \ud83e",
]  # fmt: skip


def with_text(column: str, text: str) -> dict[str, Any]:
    """An order's field with a text in it."""
    if column == "customerEmail":
        return {column: f"{text}@example.com"}
    if column == "shippingAddress":
        return {column: {"name": text}}
    return {column: [{"productName": text}] if column == "items" else text}


@pytest.mark.parametrize(
    "column",
    ["customerEmail", "shippingAddress", "trackingNumber", "items", "status", "paymentStatus"],
)
def test_hostile_texts_in_what_is_searched_are_texts(mirror: Mirror, column: str) -> None:
    sent = [order(f"ord_{n}", **with_text(column, text)) for n, text in enumerate(HOSTILE)]
    other = order("ord_other", customerEmail="bo@example.com")
    mirror.note([seen(each) for each in (*sent, other)], NOON)

    for each in sent:
        (known,) = (k for k in mirror.find(Sought(), 100) if k.order.id == each["id"])
        longest = max(searched(known.order).split(), key=len)
        found = ids(mirror, search=longest)
        assert each["id"] in found
    later = NOON + timedelta(seconds=1)
    changed = [seen(order(each["id"], customerEmail="eve@example.com"), later) for each in sent]
    mirror.note(changed, later)

    assert ids(mirror, search="bo@example.com") == ["ord_other"]
    assert set(ids(mirror, search="eve@example.com")) == {each["id"] for each in sent}
    for text in HOSTILE:  # as it gets through to a search
        assert not set(ids(mirror, search=clean(text, 200))) & {each["id"] for each in sent}, text
    check_index(mirror)
    assert len(mirror.forget("eve@example.com", later)) == len(sent)
    assert ids(mirror) == ["ord_other"]
    check_index(mirror)


def check_index(mirror: Mirror) -> None:
    """The index has what the orders have, and nothing else."""
    with mirror._database.reading() as db:
        strays = "SELECT COUNT(*) FROM short_word WHERE key NOT IN (SELECT key FROM known)"
        assert [*db.execute(strays).fetchone()] == [0]
        if not mirror._database.is_shared:
            db.execute("INSERT INTO word (word, rank) VALUES ('integrity-check', 1)")


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("kettering", ["whole"]), ("ada@example.org", ["whole"]), ("ada@example.org kettering", ["whole"]),
        ("ada@example.com", []), ("kettering@example.org", []), ("@example.org", ["whole"]), ("a@example", ["whole"]),
        (f"x{'0123456789' * 5}y", ["whole"]), (f"x{'0123456789' * 5}z", []),
    ],
)  # fmt: skip
def test_an_order_with_all_the_pieces_of_a_word_is_not_found_by_it(
    mirror: Mirror, search: str, found: list[str]
) -> None:
    long = f"x{'0123456789' * 5}y"
    names = {"whole": f"Kettering {long}", "pieces": f"ering Kette z {long[:-1]}"}
    mails = {"whole": "ada@example.org", "pieces": "ada@elsewhere.example"}
    mirror.note(
        [seen(order(n, shippingAddress={"name": names[n]}, customerEmail=mails[n])) for n in names],
        NOON,
    )

    assert ids(mirror, search=search) == found


letters = st.text("abAB äß王伟김%_\"' -🦀", min_size=1, max_size=12)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(names=st.lists(letters, min_size=1, max_size=5), search=letters)
def test_an_order_is_found_if_every_word_is_in_it(
    fresh: Fresh, names: list[str], search: str
) -> None:
    mirror = fresh()
    sent = [
        {**order(f"{n}", customerEmail=None, items=[], status="", paymentStatus=""), "shippingAddress": {"name": name}}
        for n, name in enumerate(names)
    ]  # fmt: skip
    mirror.note([seen(each) for each in sent], NOON)
    words = folded(search).split()
    long = [word for word in words if len(word) > 2]

    found = set(ids(mirror, search=search))

    in_all = {
        str(n)
        for n, name in enumerate(names)
        if all(w in folded(name) or w == str(n) for w in words)
    }
    assert found <= in_all
    if long == words:
        assert found == in_all


def test_the_newest_come_first_and_pages_join_up_to_the_whole(mirror: Mirror) -> None:
    sent = [sale.order for sale in sales(NOON, 1)]
    mirror.note([seen(each) for each in sent], NOON)
    newest = sorted(sent, key=lambda each: each["createdAt"], reverse=True)

    pages, before = [], None
    while page := mirror.find(Sought(before_key=before), 17):
        pages.append([each.order.id for each in page])
        before = page[-1].key

    listed = [order_id for page in pages for order_id in page]
    assert sorted(listed) == sorted(each["id"] for each in sent)
    times = {each["id"]: each["createdAt"] for each in sent}
    assert [times[each] for each in listed] == [each["createdAt"] for each in newest]


def test_orders_of_the_same_moment_and_of_none_are_all_listed(mirror: Mirror) -> None:
    at_once = [order(f"ord_{n}", createdAt="2026-11-20T09:00:00Z") for n in range(300)]
    undated = [order(f"old_{n}", createdAt=None) for n in range(3)]
    mirror.note([seen(each) for each in (*undated, *at_once)], NOON)

    found = ids(mirror, 1000)

    assert len(set(found)) == 303
    assert {each[:3] for each in found[300:]} == {"old"}
    assert len(ids(mirror, 1000, created_before=NOON)) == 300


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"status": "shipped"}, ["b"]),
        ({"payment_status": "refunded"}, ["a"]),
        ({"customer_email": "ADA@example.com"}, ["c", "a"]),
        ({"customer_email": "ada@example.com", "search": "star"}, ["c", "a"]),
        ({"created_after": datetime(2026, 11, 21, tzinfo=UTC)}, ["c", "b"]),
        ({"created_before": datetime(2026, 11, 21, tzinfo=UTC)}, ["a"]),
        ({"created_after": datetime(2026, 11, 21, tzinfo=UTC), "status": "delivered"}, ["c"]),
        ({"customer_email": "nobody@example.com"}, []),
        ({}, ["c", "b", "a"]),
    ],
)
def test_filters_combine(mirror: Mirror, asked: dict[str, Any], found: list[str]) -> None:
    sent = [
        order("a", createdAt="2026-11-20T00:00:00Z", paymentStatus="refunded"),
        order("b", createdAt="2026-11-21T00:00:00Z", status="shipped", customerEmail="bo@example.com"),
        order("c", createdAt="2026-11-22T00:00:00Z", customerEmail="Ada@example.com"),
    ]  # fmt: skip
    mirror.note([seen(each) for each in sent], NOON)

    assert ids(mirror, **asked) == found


def test_an_order_is_found_by_what_it_is_now_and_no_longer_by_what_it_was(mirror: Mirror) -> None:
    mirror.note([seen(named("ord_1", "Ada Ng"))], NOON)
    mirror.note([seen(named("ord_1", "Bo Li") | {"createdAt": "2026-11-21T09:00:00Z"}, NOON + YEAR / 400)], NOON + YEAR)  # fmt: skip

    assert (ids(mirror, search="ada ng"), ids(mirror, search="ng")) == ([], [])
    assert ids(mirror, search="li") == ids(mirror) == ["ord_1"]
    assert mirror.extent().orders == 1


def test_an_older_sighting_changes_nothing(mirror: Mirror) -> None:
    mirror.note([seen(order(status="delivered"))], NOON)
    mirror.note([seen(order(status="shipped"), NOON - timedelta(seconds=1))], NOON)

    (found,) = mirror.find(Sought(), 10)
    assert (found.order.status, found.as_of) == ("delivered", NOON)


def test_an_order_that_is_seen_again_as_it_was_tells_the_later_time_everywhere(
    mirror: Mirror,
) -> None:
    later = NOON + timedelta(minutes=5)
    mirror.note([seen(order())], NOON)
    before = mirror.summed(None, None, ())
    mirror.note([seen(order(), later)], later)
    after = mirror.summed(None, None, ())

    (found,) = mirror.find(Sought(search="star map"), 10)
    assert found.as_of == later
    assert (before.as_of, after.as_of) == (NOON.timestamp(), later.timestamp())
    assert after.batches == before.batches
    assert mirror.changes("ord_1", 10) == []


def test_what_a_clock_noted_that_was_set_back_since_gives_way_in_the_file_too(
    mirror: Mirror, inbox: Inbox
) -> None:
    ahead = NOON + timedelta(days=30)
    mirror.note([seen(order(status="shipped"), ahead)], ahead)
    deliver(inbox, "order.shipped", "ord_2", ahead)
    mirror.take_events(inbox, ahead)
    mirror.note([seen(order("ord_2"), NOON)], NOON)

    mirror.note([seen(order(status="delivered"), NOON)], NOON)
    mirror.note_answered([("ord_2", ahead.timestamp())])

    found = {each.order.id: each for each in mirror.find(Sought(), 10)}
    assert (found["ord_1"].order.status, found["ord_1"].as_of) == ("delivered", NOON)
    assert mirror.due() == []


def test_thin_rows_are_counted_and_due_until_they_are_read(mirror: Mirror) -> None:
    thin = {
        "id": "ord_1",
        "status": "shipped",
        "totalInCents": 5,
        "createdAt": "2026-11-20T09:00:00Z",
    }
    mirror.note([Sighting("ord_1", thin, "list", NOON.timestamp())], NOON)

    (found,) = mirror.find(Sought(search="shipped"), 10)
    assert (found.is_thin, found.is_due, found.order.items) == (True, True, None)
    assert mirror.due(10) == [("ord_1", None)]
    assert (mirror.extent().thin, mirror.extent().due) == (1, 1)

    mirror.note([seen(order("ord_1"))], NOON)

    assert mirror.due(10) == []
    assert (mirror.extent().orders, mirror.extent().thin, mirror.extent().due) == (1, 0, 0)


def test_an_order_that_clawver_no_longer_knows_is_not_found(mirror: Mirror) -> None:
    mirror.note([seen(order())], NOON)
    mirror.note([Sighting("ord_1", None, "read", NOON.timestamp() + 1)], NOON)

    assert ids(mirror) == ids(mirror, search="star") == []
    assert mirror.extent().orders == 0


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "state" / "inbox.sqlite3", timedelta(days=30))


def deliver(inbox: Inbox, name: str, order_id: str, at: datetime = NOON) -> None:
    body = f'{{"event":"{name}","timestamp":"{at.isoformat()}","data":{{"orderId":"{order_id}"}}}}'
    inbox.note("r", [Delivery(body.encode(), parse(body.encode()), at)])


def test_an_event_marks_its_order_once_also_one_that_was_never_seen(
    mirror: Mirror, inbox: Inbox
) -> None:
    later = NOON + timedelta(minutes=1)
    mirror.note([seen(order())], NOON)
    for name, order_id in (
        ("order.shipped", "ord_1"),
        ("order.created", "ord_2"),
        ("review.received", "ord_3"),
    ):
        deliver(inbox, name, order_id, later)

    mirror.take_events(inbox, later)
    due = mirror.due(10)
    mirror.note([seen(order(), later), seen(order("ord_2"), NOON)], later)
    mirror.note_answered([("ord_2", later.timestamp()), ("ord_9", later.timestamp())])
    mirror.take_events(inbox, later)

    assert due == [("ord_1", later.timestamp()), ("ord_2", later.timestamp())]
    assert mirror.due(10) == []


def test_an_event_that_arrives_behind_the_read_that_it_is_about_asks_for_nothing(
    mirror: Mirror, inbox: Inbox
) -> None:
    deliver(inbox, "order.shipped", "ord_1", NOON - timedelta(minutes=1))
    mirror.note([seen(order())], NOON)

    mirror.take_events(inbox, NOON)
    mirror.take_events(inbox, NOON)

    assert mirror.due(10) == []


def test_events_are_taken_up_in_several_steps_and_none_is_missed(
    mirror: Mirror, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clawver_orders.history.mirror._EVENTS_AT_ONCE", 2)
    for number in range(5):
        deliver(inbox, "order.paid", f"ord_{number}")

    for _ in range(3):
        mirror.take_events(inbox, NOON)

    assert sorted(order_id for order_id, _ in mirror.due(10)) == [f"ord_{n}" for n in range(5)]


def test_how_much_is_kept_is_told_with_what_clawver_counts(mirror: Mirror) -> None:
    assert mirror.extent() == Extent()
    assert mirror.exists is mirror._database.is_shared
    later = NOON + timedelta(hours=1)

    mirror.note([seen(order("a")), seen(order("b", paymentStatus="failed"))], NOON)
    mirror.note_sync(later, None)
    mirror.note_sync(later, 7)
    mirror.note_sync(later, None)

    assert mirror.extent() == Extent(
        orders=2, began_at=NOON, synced_at=later, counted=7, counted_at=later, paid_then=1
    )


def test_orders_are_kept_for_so_many_days_and_leave_nothing_behind(fresh: Fresh) -> None:
    mirror = fresh(timedelta(days=10))
    mirror.note([seen(named("old", "Olga Old") | {"createdAt": "2026-11-20T00:00:00Z"})], NOON)
    mirror.note([seen(order("new", createdAt="2026-11-29T00:00:00Z"))], NOON)

    mirror.note(
        [seen(order("new", createdAt="2026-11-29T00:00:00Z"), NOON)], NOON + timedelta(days=7)
    )

    assert ids(mirror) == ["new"]
    assert ids(mirror, search="olga") == []
    assert mirror.extent().orders == 1


@pytest.mark.parametrize(
    "created", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1969-12-31T00:00:00Z"]
)
def test_a_store_may_date_an_order_as_it_likes(fresh: Fresh, created: str) -> None:
    mirror = fresh(timedelta(days=3650 * 100))

    mirror.note([seen(order(createdAt=created))], datetime(2026, 11, 24, tzinfo=UTC))

    assert mirror.extent().began_at is not None


def test_only_its_owner_may_read_the_file(filed: Mirror) -> None:
    filed.note([seen(order())], NOON)

    path = filed.folder / HISTORY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_damaged_file_is_an_error(filed: Mirror) -> None:
    filed.note([seen(order())], NOON)
    path = filed.folder / HISTORY_FILE
    path.write_bytes(b"no database" * 1000)

    with pytest.raises(SetupError, match="the order history is damaged"):
        filed.find(Sought(), 1)


def test_the_index_holds_exactly_what_is_kept(mirror: Mirror) -> None:
    for sale in sales(NOON, 1):
        mirror.note(
            [seen(sale.order), seen(sale.order | {"status": "x"}, NOON + timedelta(seconds=1))],
            NOON,
        )

    check_index(mirror)


def test_what_is_no_order_is_not_found_and_hides_no_other(mirror: Mirror) -> None:
    mirror.note(
        [seen({"id": "ord_odd", "items": "?"}), seen(order("ord_1")), seen(order("ord_2"))], NOON
    )
    with mirror._database.writing() as db:
        # As a later version may find what an earlier one kept.
        db.execute("UPDATE known SET whole = ? WHERE order_id = 'ord_2'", (b"{}",))

    assert ids(mirror) == ids(mirror, search="ada@example.com") == ["ord_1"]


def test_nothing_seen_makes_no_file(filed: Mirror) -> None:
    filed.note([], NOON)

    assert not filed.exists


def test_orders_whose_places_are_taken_stand_beside_them(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clawver_orders.history.mirror._TIE_BITS", 1)
    sent = [order(f"ord_{number}") for number in range(20)]
    mirror.note([seen(each) for each in sent], NOON)
    later = NOON + timedelta(seconds=1)

    mirror.note([seen(each | {"status": "cancelled"}, later) for each in sent], later)

    assert sorted(ids(mirror)) == sorted(each["id"] for each in sent)
    assert mirror.extent().orders == 20


def test_a_forgotten_customer_leaves_nothing_in_the_files_and_does_not_come_back(
    filed: Mirror,
) -> None:
    hers = named("ord_1", "Olga Orlovskaya") | {"customerEmail": "Olga@example.com"}
    filed.note([seen(hers), *(seen(order(f"ord_{n}")) for n in range(2, 40))], NOON)
    words = (b"Olga", b"olga", b"orlovskaya", b"Orlovskaya")
    path = filed.folder / HISTORY_FILE
    assert any(word in path.read_bytes() for word in words)

    assert filed.forget("olga@EXAMPLE.com", NOON) == ["ord_1"]
    filed.note([seen(hers, NOON + timedelta(days=1))], NOON + timedelta(days=1))

    content = b"".join(each.read_bytes() for each in filed.folder.iterdir())
    assert not [word for word in (*words, b"vskaya", b"vsk") if word in content]
    assert len(ids(filed)) == filed.extent().orders == 38
    assert ids(filed, search="olga") == []


def test_a_file_that_cannot_be_overwritten_is_told_and_the_same_call_mends_it(
    filed: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_many(filed, 1, timedelta())
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    rewrite = SqliteDatabase.rewrite

    def while_another_reads(of: SqliteDatabase) -> None:
        with closing(sqlite3.connect(of.path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM known").fetchone()
            rewrite(of)

    with monkeypatch.context() as patched:
        patched.setattr(SqliteDatabase, "rewrite", while_another_reads)
        with pytest.raises(UnreachableError) as caught:
            filed.forget("olga@example.com", NOON)
    hers = filed.find(Sought(customer_email="olga@example.com"), 100)
    again = filed.forget("olga@example.com", NOON)

    assert str(caught.value).startswith(
        "What is deleted may still be in the file. Another program holds the file of "
    )
    assert "Repeat the call" in caught.value.next_step
    assert hers == []
    assert again == []
    content = (filed.folder / HISTORY_FILE).read_bytes()
    assert b"olga" not in content.lower()


def note_many(mirror: Mirror, seed: int, earlier: timedelta) -> None:
    """Keep 400 orders in parts and in no order, 20 of them Olga's, so that SQLite moves many rows.

    Args:
        mirror: Where.
        seed: Of their order and their lengths.
        earlier: How much earlier Olga placed hers.
    """
    chance = random.Random(seed)  # noqa: S311  # no secret
    sent = []
    for number in range(400):
        who = chance.choice(["ada", "maria", "noam", "chen", "kim"]) if number % 20 else "olga"
        placed = NOON - timedelta(hours=number) - (timedelta() if number % 20 else earlier)
        sent.append(
            order(
                f"ord_{number:04}",
                createdAt=placed.isoformat(),
                customerEmail=f"{who}@example.com",
                items=[{"id": "item_1", "productName": "Star map tee " * chance.randint(1, 6)}],
                shippingAddress={
                    "name": f"{who} {who}ovskaya",
                    "line1": "x" * chance.randint(1, 300),
                },
            )
        )
    chance.shuffle(sent)
    for start in range(0, len(sent), 20):
        mirror.note([seen(each) for each in sent[start : start + 20]], NOON)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_rows_that_sqlite_has_moved_are_forgotten_too(filed: Mirror, seed: int) -> None:
    note_many(filed, seed, timedelta())

    assert len(filed.forget("olga@example.com", NOON)) == 20

    content = (filed.folder / HISTORY_FILE).read_bytes()
    assert not [word for word in (b"olga", b"lga") if word in content]
    assert filed.extent().orders == len(ids(filed, limit=500)) == 380
    check_index(filed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_sync_leaves_nothing_of_orders_that_are_too_old(filed: Mirror, seed: int) -> None:
    note_many(filed, seed, timedelta(days=100))

    filed.note_sync(NOON + timedelta(days=380), None)

    content = (filed.folder / HISTORY_FILE).read_bytes()
    assert not [word for word in (b"olga", b"lga") if word in content]
    assert filed.extent().orders == 380
    check_index(filed)


def test_an_order_whose_customer_shows_only_later_is_forgotten_then(mirror: Mirror) -> None:
    mirror.forget("ada@example.com", NOON)
    thin = {
        "id": "ord_1",
        "status": "shipped",
        "totalInCents": 5,
        "createdAt": "2026-11-20T09:00:00Z",
    }
    mirror.note([Sighting("ord_1", thin, "list", NOON.timestamp())], NOON)

    mirror.note([seen(order("ord_1")), seen(order("ord_2", customerEmail=None))], NOON)

    assert ids(mirror) == ["ord_2"]


def test_changes_are_forgotten_with_their_order(mirror: Mirror) -> None:
    for minute, status in enumerate(("confirmed", "shipped", "delivered")):
        at = NOON + timedelta(minutes=minute)
        mirror.note([seen(order(status=status), at), seen(order("ord_2", status=status), at)], at)
    assert [each.became for each in mirror.changes("ord_1", 9)] == ["delivered", "shipped"]
    assert [each.became for each in mirror.changes("ord_1", 1)] == ["delivered"]

    mirror.forget("ada@example.com", NOON)

    assert mirror.changes("ord_1", 9) == mirror.changes("ord_2", 9) == []
    if not mirror._database.is_shared:
        assert b"delivered" not in (mirror.folder / HISTORY_FILE).read_bytes()
