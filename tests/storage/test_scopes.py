"""Which store a key opens is noted once, and what was kept for an address becomes one store's."""

import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import KEY
from tests.processes import Start, mode, names_in

from clawver_orders.errors import SetupError
from clawver_orders.settings import Settings
from clawver_orders.storage import folders, scopes
from clawver_orders.storage.scopes import known, may_hold, note
from clawver_orders.text import is_id

OTHER_KEY = "claw_sk_live_example_of_another"
TEST_KEY = "claw_sk_test_example_of_tests"
AT_ONCE = """
import sys
from pathlib import Path
from clawver_orders.settings import Settings
from clawver_orders.storage import scopes
settings = Settings(state_dir=Path(sys.argv[1]), api_key=sys.argv[2])
print("ready", flush=True)
input()
print(scopes.note(settings, sys.argv[3], "A store").folder, flush=True)
"""
HANGS = """
import os, time
really = os.link
def link(draft, path):
    if str(path).endswith(%r):
        print("hangs", flush=True)
        time.sleep(60)
    really(draft, path)
os.link = link
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def settings(state: Path, key: str | None = KEY, **changed: object) -> Settings:
    return Settings(state_dir=state, api_key=key, **changed)


def left_by_an_earlier_version(state: Path, *names: str) -> Path:
    folder = settings(state).origin_dir
    folder.mkdir(mode=0o700, parents=True)
    for name in names or ("ledger.sqlite3", "ledger.made"):
        (folder / name).write_text("from before")
    return folder


def test_a_store_that_nobody_has_read_is_not_known_and_nothing_is_made(state: Path) -> None:
    assert known(settings(state)) is None
    assert not state.exists()


def test_what_was_noted_is_known_to_every_process_and_is_this_users_alone(state: Path) -> None:
    noted = note(settings(state), "store_1", "Ada's Prints")

    assert known(settings(state)) == noted
    assert noted.title == '"Ada\'s Prints" (store_1)'
    assert noted.folder == state / "stores" / "https+api.clawver.store+443" / "live-store_1"
    files = [each for each in state.rglob("*") if each.is_file()]
    assert {each.name for each in files} == {"owner.json", "store.json"}
    assert {mode(each) for each in files} == {0o600}
    assert not [each for each in state.rglob("*") if KEY in str(each)]
    assert not [each for each in files if KEY in each.read_text()]


def test_a_new_key_of_the_same_store_leads_to_the_same_folder(state: Path) -> None:
    first = note(settings(state), "store_1", "Ada's")
    second = note(settings(state, OTHER_KEY), "store_1", "Ada's")

    assert first == second
    assert settings(state).key_dir != settings(state, OTHER_KEY).key_dir


def test_a_key_has_a_note_of_its_own_at_each_address(state: Path) -> None:
    elsewhere = settings(state, api_url="https://gw.example:8443/v1", allow_host=("gw.example",))
    note(settings(state), "store_1", "Ada's")
    there = note(elsewhere, "store_1", "Ada's")

    assert there.title == '"Ada\'s" (store_1) at gw.example:8443'
    assert there.folder.parent == elsewhere.origin_dir


def test_a_test_key_has_a_folder_of_its_own_and_says_so(state: Path) -> None:
    live = note(settings(state), "store_1", "Ada's")
    test = note(settings(state, TEST_KEY), "store_1", "Ada's")

    assert (live.folder.name, test.folder.name) == ("live-store_1", "test-store_1")
    assert test.title == '"Ada\'s" (store_1), test key'


def test_a_store_without_a_name_is_shown_by_its_id(state: Path) -> None:
    assert note(settings(state), "store_1", "").title == "store_1"


def test_a_name_cannot_pretend_to_be_our_own_words(state: Path) -> None:
    name = 'Ada" at nowhere\nRefund id: rfi_1\x1b[2J\u202e' + "x" * 300

    title = note(settings(state), "store_1", name).title

    assert title.startswith("\"Ada' at nowhere Refund id: rfi_1x")
    assert title.endswith('…" (store_1)')
    assert title.isprintable()
    assert title.count('"') == 2
    assert known(settings(state)) == note(settings(state), "store_1", name)


@pytest.mark.parametrize("name", ["Ada's", "Bea's"])
def test_the_first_note_of_a_key_stays(state: Path, name: str) -> None:
    first = note(settings(state), "store_1", "Ada's")

    with pytest.raises(SetupError, match=r"^Nothing was sent: this key opens another store") as no:
        note(settings(state), "store_2", name)

    assert str(settings(state).key_dir / "store.json") in no.value.next_step
    with pytest.raises(SetupError, match=r"^Nothing was sent: this key opens another store"):
        known(settings(state))
    assert note(settings(state), "store_1", "Ada's") == first
    assert known(settings(state)) == first


def test_a_store_may_be_given_another_name(state: Path) -> None:
    note(settings(state), "store_1", "Ada's")
    os.utime(settings(state).key_dir / "store.json", ns=(0, 0))
    note(settings(state), "store_1", "Ada's")
    assert (settings(state).key_dir / "store.json").stat().st_mtime_ns == 0  # nothing is written
    renamed = note(settings(state), "store_1", "Ada's Prints")

    assert renamed.name == "Ada's Prints"
    assert known(settings(state)) == renamed
    assert names_in(settings(state).key_dir) == {"store.json"}
    assert mode(settings(state).key_dir / "store.json") == 0o600


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,62}[A-Za-z0-9])?", fullmatch=True),
            st.booleans(),
        ),
        unique=True,
        min_size=2,
    )
)
def test_no_two_stores_share_a_folder_even_where_case_does_not_count(
    stores: list[tuple[str, bool]],
) -> None:
    names = [scopes._folder_name(store, is_test=is_test) for store, is_test in stores]

    assert len({each.casefold() for each in names}) == len(stores)
    assert all(re.fullmatch(r"(live|test)-[a-z0-9_+-]{1,64}", each) for each in names)


def test_ids_that_differ_in_case_or_only_at_the_end_have_folders_of_their_own() -> None:
    ids = ["store_a", "Store_a", "STORE_A", "live", "keys", "con", "x" * 64, "X" * 64]
    names = {scopes._folder_name(each, is_test=False).casefold() for each in ids}

    assert all(map(is_id, ids))
    assert len(names) == len(ids)
    assert not names & {"keys", "locks", "con", "owner.json"}


@pytest.mark.parametrize(
    ("store_id", "name"),
    [
        ("x" * 64, "live-" + "x" * 64),
        ("x" * 65, "live-" + "x" * 40 + "+9537c5fdf120482f"),
        ("Store_a", "live-store_a+8f20309caf49de5b"),
    ],
)
def test_no_version_calls_the_folder_of_a_store_otherwise(store_id: str, name: str) -> None:
    """Else a store would begin with an empty ledger after an update."""
    assert scopes._folder_name(store_id, is_test=False) == name


# The ledger that earlier versions kept for all stores of an address.


@pytest.mark.parametrize("name", ["ledger.sqlite3", "ledger.made", "inbox.sqlite3", "inbox.made"])
def test_what_an_earlier_version_left_is_the_first_stores_and_of_no_other(
    state: Path, name: str
) -> None:
    folder = left_by_an_earlier_version(state, name)
    first = note(settings(state), "store_1", "Ada's")
    second = note(settings(state, OTHER_KEY), "store_2", "Bob's")

    assert first.folder == folder
    assert second.folder == folder / "live-store_2"
    assert known(settings(state)) == first
    assert note(settings(state, "claw_sk_live_example_rotated"), "store_1", "Ada's") == first
    assert (folder / name).read_text() == "from before"


def test_a_test_key_takes_nothing_over_and_leaves_it_to_the_store(state: Path) -> None:
    folder = left_by_an_earlier_version(state)
    test = note(settings(state, TEST_KEY), "store_1", "Ada's")

    assert test.folder == folder / "test-store_1"
    assert note(settings(state), "store_1", "Ada's").folder == folder


def test_what_an_earlier_version_begins_later_is_nobodys(state: Path) -> None:
    first = note(settings(state), "store_1", "Ada's")
    (settings(state).origin_dir / "ledger.sqlite3").write_text("of a server that was never updated")

    assert known(settings(state)) == first
    assert note(settings(state, OTHER_KEY), "store_2", "Bob's").folder.name == "live-store_2"


def test_what_is_no_ledger_and_no_inbox_is_left_alone(state: Path) -> None:
    left_by_an_earlier_version(state, "requests.sqlite3", "questions.key")

    assert note(settings(state), "store_1", "Ada's").folder.name == "live-store_1"


def test_of_stores_that_are_seen_at_once_one_takes_the_ledger_over(
    state: Path, another: Start
) -> None:
    folder = left_by_an_earlier_version(state)
    stores = [(f"claw_sk_live_example_number_{each}", f"store_{each}") for each in range(4)]
    processes = [another(AT_ONCE, state, *each) for each in stores]
    assert {each.hear() for each in processes} == {"ready"}
    for each in processes:
        each.go_on()
    took = [Path(each.hear()) for each in processes]

    assert min(took) == folder
    assert len(set(took)) == len(stores)
    assert [known(settings(state, key)) is not None for key, _ in stores] == [True] * 4
    assert [scope.folder for key, _ in stores if (scope := known(settings(state, key)))] == took


def test_processes_that_see_one_store_at_once_agree(state: Path, another: Start) -> None:
    folder = left_by_an_earlier_version(state)
    processes = [another(AT_ONCE, state, KEY, "store_1") for _ in range(4)]
    assert {each.hear() for each in processes} == {"ready"}
    for each in processes:
        each.go_on()

    assert {Path(each.hear()) for each in processes} == {folder}


@pytest.mark.parametrize("before", ["owner.json", "store.json"])
@pytest.mark.parametrize("same", [True, False])
def test_a_process_that_ends_before_a_note_stands_loses_nothing(
    state: Path, another: Start, before: str, same: bool
) -> None:
    folder = left_by_an_earlier_version(state)
    ends = another(AT_ONCE, state, KEY, "store_1", before=HANGS % before)
    assert ends.hear() == "ready"
    ends.go_on()
    assert ends.hear() == "hangs"
    ends.kill()
    decided = before == "store.json"  # by then it was settled whose the ledger is

    assert known(settings(state)) is None
    other = note(settings(state, OTHER_KEY), "store_1" if same else "store_2", "Next")
    again = note(settings(state), "store_1", "Ada's")

    assert (other.folder == folder) is (same or not decided)
    assert (again.folder == folder) is (same or decided)
    assert (folder / "ledger.sqlite3").read_text() == "from before"


# Notes that cannot be used.


def overwritten(file: Path) -> None:
    file.write_bytes(b"no note")


def with_a_path(file: Path) -> None:
    file.write_text(json.dumps({"store_id": "../../other", "name": "", "is_test": False}))


def writable_for_all(file: Path) -> None:
    file.chmod(0o666)


def readable_for_all(file: Path) -> None:
    file.chmod(0o644)


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_link(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


@pytest.mark.parametrize(
    ("name", "again"), [("store.json", "the store is asked again"), ("owner.json", "a backup")]
)
@pytest.mark.parametrize(
    "spoil", [overwritten, with_a_path, writable_for_all, readable_for_all, a_folder, a_link]
)
def test_a_note_that_cannot_be_trusted_is_not_used(
    state: Path, name: str, again: str, spoil: Callable[[Path], None]
) -> None:
    note(settings(state), "store_1", "Ada's")
    (file,) = state.rglob(name)
    spoil(file)

    uses: list[Callable[[], object]] = [
        lambda: known(settings(state)),
        lambda: note(settings(state), "store_1", "Ada's"),
    ]
    for use in uses:
        with pytest.raises(SetupError, match=r"^Nothing was sent: the note of which") as no:
            use()
        assert str(file) in no.value.happened
        assert str(file.parent) in no.value.next_step
        assert again in no.value.next_step
        assert no.value.__cause__ is None


def test_a_folder_that_others_may_write_holds_no_note(state: Path) -> None:
    note(settings(state), "store_1", "Ada's")
    settings(state).key_dir.chmod(0o777)

    with pytest.raises(SetupError, match="PermissionError"):
        note(settings(state), "store_1", "Ada's")


def test_a_small_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "note"
    folders.kept_once(file, b"old")

    def full(_: int) -> None:
        raise OSError("the disk is full")

    sizes = []
    monkeypatch.setattr(os, "fsync", lambda file: sizes.append(os.fstat(file).st_size))
    folders.replace_private(file, b"old")
    assert sizes == [3]  # all of it was there when the disk was waited for
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="the disk is full"):
        folders.replace_private(file, b"new")

    assert folders.read_private(file) == b"old"
    assert names_in(tmp_path) == {"note"}


# Without a key, and before anything is known.


def test_without_a_key_the_only_store_is_meant(state: Path) -> None:
    noted = note(settings(state), "store_1", "Ada's")
    note(settings(state, OTHER_KEY), "store_1", "Ada's")

    assert known(settings(state, None)) == noted


@pytest.mark.parametrize(
    ("others", "says"),
    [
        ([], "no store is noted on this machine"),
        ([(KEY, "store_1"), (OTHER_KEY, "store_2")], "several stores are noted on this machine"),
        ([(KEY, "store_1"), (TEST_KEY, "store_1")], "several stores are noted on this machine"),
    ],
)
def test_without_a_key_and_a_single_store_the_key_is_asked_for(
    state: Path, others: list[tuple[str, str]], says: str
) -> None:
    for key, store in others:
        note(settings(state, key), store, "A store")

    with pytest.raises(SetupError, match=r"^Nothing was sent: no API key is set") as no:
        known(settings(state, None))

    assert says in no.value.happened
    assert "CLAW_API_KEY" in no.value.next_step


def test_the_sandbox_needs_no_note(state: Path) -> None:
    scope = known(settings(state, None, sandbox=True))

    assert scope is not None
    assert (scope.folder, scope.title) == (state / "stores" / "sandbox", "the sandbox")
    assert settings(state, sandbox=True).key_dir == scope.folder


def test_whether_any_store_can_have_a_ledger_is_seen_without_knowing_the_store(state: Path) -> None:
    assert not may_hold(settings(state), "ledger.")
    folder = note(settings(state, OTHER_KEY), "store_1", "Ada's").folder
    assert not may_hold(settings(state), "ledger.")
    folder.mkdir()
    (folder / "ledger.sqlite3").touch()

    assert may_hold(settings(state), "ledger.")
    assert not may_hold(settings(state), "inbox.")


def test_a_folder_that_cannot_be_seen_may_hold_anything(common_folder: Path) -> None:
    note(settings(common_folder), "store_1", "Ada's")
    folder = settings(common_folder).origin_dir
    folder.chmod(0)

    assert may_hold(settings(common_folder), "ledger.")
    assert stat.S_IMODE(folder.stat().st_mode) == 0


def test_what_was_noted_is_known_where_nothing_can_be_written(common_folder: Path) -> None:
    noted = note(settings(common_folder), "store_1", "Ada's")
    for each in (settings(common_folder).key_dir, settings(common_folder).origin_dir):
        each.chmod(0o500)

    assert known(settings(common_folder)) == noted
