"""A text is found in any script, however it is typed."""

import pytest

from clawver_orders.history.words import folded, short_words, wanted


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        ("Müller", "muller"),
        ("Mu\u0308ller", "MÜLLER"),
        ("Weiß", "weiss"),
        ("Núñez-Łuczak", "nunez-luczak"),
        ("Ångström Ørsted", "angstrom orsted"),
        ("İstanbul ısı", "istanbul isi"),  # noqa: RUF001  # Turkish
        ("Đặng Þór", "dang thor"),
        ("Ｓｔａｒ　ｍａｐ", "star map"),  # noqa: RUF001  # as Japanese keyboards write it
        ("佐藤　遥", "佐藤 遥"),
        ("ﾊﾅ", "ハナ"),
        ("Ёлка", "елка"),
        ("الحَمْرَا", "الحمرا"),
        ("שָׁלוֹם", "שלום"),
        ("  many \t blanks\n", "many blanks"),
    ],
)
def test_folding_makes_them_alike(written: str, typed: str) -> None:
    assert folded(written) == folded(typed)


@pytest.mark.parametrize(("one", "other"), [("が", "か"), ("김", "기"), ("แก้ว", "แกว"), ("পা", "প")])
def test_signs_that_are_letters_of_their_own_stay(one: str, other: str) -> None:
    assert folded(one) != folded(other)


def test_two_letters_are_found_as_a_word_and_anywhere_between_letters_without_blanks() -> None:
    assert short_words("ng bo lee\n🦀") == {"ng", "bo", "🦀"}
    assert short_words("ハナ") == {"ハナ"}
    assert short_words("王小伟") == {"王小", "小伟", "王", "小", "伟"}
    assert short_words("김 민준") == {"김", "민준", "민", "준"}


def test_a_search_is_its_words_once_each() -> None:
    assert wanted(" Ng  MÜLLER muller 王伟 % ") == (["muller"], ["ng", "王伟", "%"])
    assert wanted("") == ([], [])
