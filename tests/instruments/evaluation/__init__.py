"""Questions about a sandbox store as it opens, for readers who have nothing but the tools.

Some only read. Others are requests about money: what has to be refunded afterwards is a part of the
answer, and for half of them that is nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

FILE = Path(__file__).parent / "questions.xml"


@dataclass(frozen=True)
class Question:
    """A question with what makes an answer to it right.

    Args:
        text: What is asked.
        answer: The answer, as it has to be written.
        refunds: What has to have been refunded afterwards: order ids and amounts in cents.
        moves_money: Whether it is a request about money.
    """

    text: str
    answer: str
    refunds: tuple[tuple[str, int], ...] = ()
    moves_money: bool = False


def questions() -> dict[str, Question]:
    """All of them, by the name that a reader sees, such as `Q07`."""
    return {f"Q{number:02}": each for number, each in enumerate(_read(), 1)}


def _read() -> Iterator[Question]:
    for pair in ElementTree.parse(FILE).getroot():  # noqa: S314  # our own file
        yield Question(
            pair.findtext("question", ""),
            pair.findtext("answer", ""),
            tuple(
                (each.get("order", ""), int(each.get("cents", ""))) for each in pair.iter("refund")
            ),
            moves_money=pair.tag == "request",
        )
