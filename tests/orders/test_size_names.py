"""One size has several names in the trade."""

import pytest

from clawver_orders.orders.size_names import named_alike

SAME = [
    ("XXL", "2XL", "2xl", "XX-Large", "2X", "XX", "2X-Large", "double XL", "Extra Extra Large", "size xxl", "Double Extra Large"),
    ("XXXL", "3XL", "3X", "triple extra large"),
    ("XL", "X-Large", "x large", "Extra Large"),
    ("L", "Large", "LG", "large", "Size L", "\uff2c"),
    ("M", "Medium", "med."),
    ("S", "Small", "sm"),
    ("XS", "x-small", "Extra Small"),
    ("2XS", "XXS"),
    ("One size", "OS", "one-size", "O/S", "One Size Fits All", "OSFA"),
    ("18x24", "18\u2033\u00d724\u2033", '18"x24"', "18 in x 24 in", "18 by 24 inches", "18 X 24", "18.0 \u00d7 24.0", "18\u201d x 24\u201d", "18''x24''"),
    ("11oz", "11 oz", "11 OZ.", "11 ounces", "11 fl. oz.", "11-ounce", "11"),
    ("45x60cm", "45 cm \u00d7 60 cm", "45 x 60 centimeters"),
    ("US 8.5", "us 8,5"),
    ("A3", "a3"),
    ("\u5927", "\u5927"),
    ("???", "???"),
]  # fmt: skip
OTHERS = [
    "XS", "S", "M", "L", "XL", "2XL", "3XL", "4XL", "12XL", "Youth L", "S/M", "L/XL", "1X", "One size", "18x24", "24x18", "8x24",
    "11oz", "15oz", "1-2Y", "12Y", "45x60cm", "A3", "A4", "XM", "2L", "???", "L+", "\u5927",
]  # fmt: skip


@pytest.mark.parametrize("names", SAME)
def test_all_names_of_a_size_are_the_same_size(names: tuple[str, ...]) -> None:
    assert [other for other in names if not named_alike(names[0], other)] == []
    assert [other for other in names if not named_alike(other, names[0])] == []


def test_other_sizes_are_other_sizes() -> None:
    alike = {(one, two) for one in OTHERS for two in OTHERS if named_alike(one, two)}

    assert alike == {(each, each) for each in OTHERS}
    assert not named_alike("45x60cm", "45x60 in")
