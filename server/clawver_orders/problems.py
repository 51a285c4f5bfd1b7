"""What pydantic found wrong with a value, in our words and without the value."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_WORDS = {
    "missing": "is required",
    "int_type": "must be a whole number, not text and not a fraction",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "float_parsing": "must be a number",
    "string_type": "must be text",
    "string_unicode": "has characters that are no text",
    "list_type": "must be a list",
    "model_type": "must be a table",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "must be {} or more"),
    "greater_than": ("gt", "must be more than {}"),
    "less_than_equal": ("le", "must be {} or less"),
}


def problems_of(error: "ValidationError") -> "list[ErrorDetails]":
    """What is wrong, each with its place; no input is repeated."""
    return error.errors(include_url=False, include_input=False)


def what_is_wrong(problem: "ErrorDetails") -> str:
    """A problem as the end of a sentence that begins with the name of the value."""
    kind, message = problem["type"], problem["msg"]
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return words.format(str(problem["ctx"][name]).removesuffix(".0"))
    if kind in _WORDS:
        return _WORDS[kind]
    _, ours, said = message.partition("Value error, ")
    if ours:
        return said
    for subject in ("Input", "String", "List"):
        message = message.replace(f"{subject} should", "must")
    return message
