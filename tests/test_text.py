"""Whatever comes in, what leaves can be shown."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawver_orders.text import (
    clean,
    is_email,
    is_id,
    is_seen,
    is_token,
    is_written,
    masked_email,
    masked_name,
    masked_words,
)

ANYTHING = st.text(st.characters(codec=None, exclude_categories=()))  # lone surrogates too


@given(ANYTHING, st.integers(1, 300), st.booleans())
def test_what_is_clean_stays_clean_and_short(text: str, limit: int, lines: bool) -> None:
    once = clean(text, limit, lines=lines)

    assert clean(once, limit, lines=lines) == once
    assert len(once) <= limit
    assert all(is_written(c) or (lines and c == "\n") for c in once)
    once.encode("utf-8")


@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=50))
def test_letters_and_numbers_of_every_script_stay(text: str) -> None:
    kept = "".join(c for c in unicodedata.normalize("NFC", text) if is_seen(c))

    assert clean(text, 500) == kept


@pytest.mark.parametrize(
    ("dirty", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07rest", "rest"),
        ("\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\u202eb\u2066c", "abc"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("tags\U000e0041\U000e0042", "tags"),
        ("half\ud800", "half"),
        ("nul\x00bell\x07", "nulbell"),
        ("one\r\ntwo\tthree", "one two three"),
        ("line\u2028para\u2029", "linepara"),
        ("e\u0301", "é"),
        ("  many    blanks ", "many blanks"),
        ("شكرا 谢谢 धन्यवाद", "شكرا 谢谢 धन्यवाद"),
        ("\u0645\u06cc\u200c\u062e\u0648", "\u0645\u06cc\u200c\u062e\u0648"),
        ("ශ්\u200dරී", "ශ්\u200dරී"),
        ("❤\ufe0f\u200d🔥 👩🏽\u200d💻", "❤\ufe0f\u200d🔥 👩🏽\u200d💻"),
        ("a\u200db \u200c\u200d می\u200c\u200cخ a\ufe0f", "ab می\u200cخ a"),
        ("e\u200d\u0301", "é"),
        ("\u0915\u200c\u065d\u200c\u05b1", "\u0915\u05b1\u065d"),  # marks that change places
        ("Torn\x9d at the seam\x9b again", "Torn at the seam again"),
        ("\x1b]0;no end", "0;no end"),
        ("\x9b31mred", "red"),
    ],
)
def test_what_hides_or_moves_text_is_gone(dirty: str, shown: str) -> None:
    assert clean(dirty, 100) == shown


@pytest.mark.parametrize("text", [" two  words ", " two words ", " two words", "two\xa0words "])
def test_blanks_around_a_text_go_and_those_within_are_one(text: str) -> None:
    assert clean(text, 50) == "two words"
    assert clean(text, 50, lines=True) == "two words"
    assert clean(text, 9) == "two words"


def test_line_breaks_stay_where_they_are_wanted() -> None:
    assert clean("one\r\ntwo\rthree\tfour", 100, lines=True) == "one\ntwo\nthree four"


def test_a_long_text_says_that_it_was_cut() -> None:
    assert clean("x" * 100_000, 10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    ("email", "shown"),
    [("ada@shop.example", "a…@….example"), ("not an address", "…"), ("a@localhost", "a…@…")],
)
def test_a_masked_address_names_nobody(email: str, shown: str) -> None:
    assert masked_email(email) == shown


def test_a_masked_name_is_initials() -> None:
    assert masked_name("Ada  Lovelace") == "A… L…"
    assert masked_name("李明") == "李…"


def test_a_name_of_one_letter_is_not_shown_whole() -> None:
    assert masked_name("李") == "…"
    assert masked_name("Mr U") == "M… …"


def test_a_text_is_shown_without_what_it_tells_of_a_customer() -> None:
    text = "Sam (sam.rivers@example.com) of 9 Harbor Way says the same; Samantha of SAM, Mr. U"

    masked = masked_words(text, ["Sam", "U", "9 Harbor Way"])

    assert masked == "… (s…@….com) of … says the same; Samantha of …, Mr. U"
    assert masked_words("Zoe\u0308 at 12   Main St", ["Zo\u00eb", "12 Main St"]) == "… at …"
    assert masked_words("Torn (a.b)", ["a.b", "["]) == "Torn (…)"


@pytest.mark.parametrize(
    ("text", "detail", "shown"),
    [
        ("Refund to Mr Li", "Li", "Refund to Mr …"), ("a list for LI, li and Lily", "Li", "a list for …, … and Lily"),
        ("MÜLLER and Mueller", "Muller", "… and Mueller"), ("Jose\u0301 Nunez", "Núñez", "José …"),
        ("STRASSE 4", "straße 4", "…"), ("\uff2c\uff29 paid", "Li", "… paid"), ("Łuczak", "luczak", "…"), ("ΠΑΠΠΆΣ", "Παππας", "…"),
        ("客户李明要求退款", "李明", "客户…要求退款"), ("客户Li要求", "Li", "客户…要求"), ("李先生", "李", "…先生"),
        ("山田太郎様へ", "山田", "…太郎様へ"), ("マリアさん", "マリア", "…さん"), ("김민수님이", "김민수", "…님이"),
        ("คุณสมชายขอคืนเงิน", "สมชาย", "คุณ…ขอคืนเงิน"), ("Mr. U and I", "U", "Mr. U and I"), ("リ and マ", "リ", "リ and マ"),
        ("לנועם", "נועם", "ל…"), ("وليلى", "ليلى", "و…"),
        ("بأحمد", "احمد", "ب…"), ("для Олену", "Олена", "для …у"), ("Оленою", "ОЛЕНА", "…ою"),  # noqa: RUF001
        ("Ивану и Иванова", "Иван", "…у и …ова"), ("в Одессе", "Одесса", "в …е"), ("яблоко", "Ян", "яблоко"), ("Янка", "Ян", "Янка"),  # noqa: RUF001
        ("מכל", "כל", "מכל"),
        ("AnnAnn", "Ann", "AnnAnn"), ("aba ababa", "aba", "… ababa"), ("李李李明", "李", "…明"),
        ("x", "", "x"), ("", "Li", ""),
    ],
)  # fmt: skip
def test_a_detail_is_hidden_in_any_script_and_case(text: str, detail: str, shown: str) -> None:
    assert masked_words(text, [detail]) == shown


@pytest.mark.parametrize("text", ["a", "7", "ord_1", "a-b_C9", "a" * 255])
def test_what_can_stand_in_a_path_is_an_id(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize(
    "text", ["", "_a", "a_", "-a", "a-", "a" * 256, "a/b", "a.b", "..", "a b", "a\n", "é", "\u0661"]
)
def test_whatever_else_is_none(text: str) -> None:
    assert not is_id(text)


@pytest.mark.parametrize("text", ["x@y", "O'Neill+a@x.example", "ада@почта.рф", "\u4e2d@x.example"])
def test_an_address_is_one_with_nothing_around_it(text: str) -> None:
    assert is_email(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "ada", "x@", "@x", "<ada@x.example>", "Ada <ada@x.example>", "Ada ada@x.example", "ada@x.example.",
        "'ada@x.example'", '"ada@x.example"', "mailto:ada@x.example", "a@x.example,b@x.example", "a@b@c", "a@x..y",
        "ada@x.example\n",
    ],
)  # fmt: skip
def test_an_address_with_anything_around_it_is_none(text: str) -> None:
    assert not is_email(text)


def test_a_token_is_longer_and_holds_a_few_more_signs() -> None:
    assert is_token("eyJ.a-b_c~d+e/f=")
    assert is_token("a" * 512)
    assert not any(is_token(text) for text in ("", "a" * 513, "a b", "a\n", "a?b", "a&b", "é"))


def test_what_is_left_out_lets_its_neighbours_compose() -> None:
    assert clean("e\u200b\u0301", 10) == "\u00e9"
