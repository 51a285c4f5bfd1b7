"""Tables and times as a terminal shows them."""

from datetime import UTC, datetime

from clawver_orders.cli.tables import table, when


def test_cells_stand_below_their_headings_and_no_line_ends_in_blanks() -> None:
    assert table(("id", "amount", "note"), [("rfd_1", "$5", ""), ("r", "$1,000.00", "late")]) == [
        "id     amount     note",
        "rfd_1  $5",
        "r      $1,000.00  late",
    ]


def test_a_time_is_told_to_the_second() -> None:
    assert when(datetime(2026, 11, 24, 9, 5, 7, 999999, UTC)) == "2026-11-24 09:05:07"
