"""What arrives is cut into lines, and none is held that is too long."""

import pytest

from clawver_orders.serving.stdio.framing import LONGEST_LINE, Framing, TooLong


@pytest.mark.parametrize(
    "chunks",
    [
        [b"one\ntwo\nthree\n"], [b"one", b"\ntwo\nth", b"ree\n"], [b"one\n", b"two\n", b"three", b"\n"],
        [bytes([each]) for each in b"one\ntwo\nthree\n"],
    ],
)  # fmt: skip
def test_lines_are_the_same_however_they_arrive(chunks: list[bytes]) -> None:
    framing = Framing()

    assert [line for chunk in chunks for line in framing.feed(chunk)] == [b"one", b"two", b"three"]
    assert framing.rest() == b""


def test_a_line_that_does_not_end_is_given_at_the_end() -> None:
    framing = Framing()

    assert framing.feed(b"one\ntw") == [b"one"]
    assert framing.rest() == b"tw"


def test_the_longest_line_is_read_and_one_byte_more_is_not() -> None:
    framing = Framing()
    (fits,) = framing.feed(b"x" * LONGEST_LINE + b"\n")
    long, after = framing.feed(b"head" + b"x" * LONGEST_LINE + b"tail\nafter\n")

    assert fits == b"x" * LONGEST_LINE
    assert isinstance(long, TooLong)
    assert long.head.startswith(b"head")
    assert long.tail.endswith(b"tail")
    assert after == b"after"


def test_a_long_line_is_not_held_while_it_arrives() -> None:
    framing = Framing()
    for _ in range(200):
        framing.feed(b"x" * 65536)

    rest = framing.rest()

    assert isinstance(rest, TooLong)
    assert len(rest.head) + len(rest.tail) <= 2048
