"""A code that signs in once: who gets it, and for how long it is good."""

from pathlib import Path

import pytest
from tests.processes import mode
from tests.refunds.book import Clock
from tests.web.visitor import Forms

from clawver_orders.web.codes import FORM_FILE, NOTE_FILE, hand_over, make, redeem

ADDRESS = "http://127.0.0.1:8790"


def handed_over(folder: Path, clock: Clock) -> str:
    (form,) = Forms(hand_over(folder, ADDRESS, make(folder, clock())).read_text("utf-8")).found
    assert form.action == f"{ADDRESS}/signin"
    return form.fields["code"]


def test_it_is_handed_over_by_a_file_for_this_user_alone_which_goes_when_it_is_used(
    tmp_path: Path,
) -> None:
    clock = Clock()
    code = handed_over(tmp_path, clock)

    assert {mode(tmp_path / name) for name in (FORM_FILE, NOTE_FILE)} == {0o600}
    assert code not in (tmp_path / NOTE_FILE).read_text("utf-8")
    assert redeem(tmp_path, code, clock())
    assert list(tmp_path.iterdir()) == []
    assert not redeem(tmp_path, code, clock())


@pytest.mark.parametrize(("seconds", "is_good"), [(119, True), (120, False), (-10, True)])
def test_it_is_good_for_two_minutes(tmp_path: Path, seconds: float, is_good: bool) -> None:
    clock = Clock()
    code = handed_over(tmp_path, clock)
    if seconds > 0:
        clock.passes(seconds=seconds)
    else:
        clock.up += 1  # the clock was put back meanwhile
        clock.at = clock.at.replace(hour=1)

    assert redeem(tmp_path, code, clock()) == is_good


def test_a_later_one_takes_its_place(tmp_path: Path) -> None:
    clock = Clock()
    first, second = handed_over(tmp_path, clock), handed_over(tmp_path, clock)

    assert not redeem(tmp_path, first, clock())
    assert redeem(tmp_path, second, clock())


@pytest.mark.parametrize("code", ["", "x", "é" * 10, "\ud800"])
def test_another_code_is_none_and_leaves_the_right_one(tmp_path: Path, code: str) -> None:
    clock = Clock()
    right = handed_over(tmp_path, clock)

    assert not redeem(tmp_path, code, clock())
    assert redeem(tmp_path, right, clock())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"{}", b'{"digest": 1}'])
def test_a_note_that_is_none_lets_nobody_in(tmp_path: Path, content: bytes) -> None:
    clock = Clock()
    code = handed_over(tmp_path, clock)
    (tmp_path / NOTE_FILE).write_bytes(content)

    assert not redeem(tmp_path, code, clock())


def test_the_slower_of_two_does_not_get_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    code = handed_over(tmp_path, clock)
    unlink = Path.unlink

    def late(path: Path, *, missing_ok: bool = False) -> None:
        monkeypatch.setattr(Path, "unlink", unlink)
        assert redeem(tmp_path, code, clock())
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", late)

    assert not redeem(tmp_path, code, clock())
