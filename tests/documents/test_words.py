"""What a user reads is in plain English: none of the words that only this project's makers know."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from tests.commands import inside

from clawver_orders.cli.main import commands
from clawver_orders.serving.prompts import JOBS
from clawver_orders.settings import Settings
from clawver_orders.tools import SURFACE

ROOT = Path(__file__).parents[2]
PLAINER = {
    r"(?:order|refund) desks?|the desks?": "orders and refunds",
    r"in the house|our house": "on this machine",
    r"settl(?:e|es|ed|ing|ement)": "confirm the outcome; its outcome is known",
    r"not accounted for|may still show": "its outcome is unknown",
    r"(?:was|were|been) given up": "`not_recorded`",
    r"put aside": "dismissed",
    r"in vain": "failed",
    r"noes": "refusals",
    r"(?:a|its|their|\w+'s) no": "declined; refused",
    r"(?:a|its|their|\w+'s) yes": "approved; agrees",
    r"doubts": "unresolved",
    r"surplus": "extra",
    r"(?:that|which|it) (?:has|have|had) left": "in flight; already sent",
    r"anew": "again",
    r"blanks?": "space",
    r"ends? https": "terminates TLS",
    r"knows? references": "expands `${…}`",
    r"the API knows no|shell knows no|system knows no": "doesn't support",
    r"told apart": "You can tell … from …",
    r"(?:is|are) said as": "you get a warning",
    r"what stands|stands there": "what it says, what it holds",
    r"this very": "this; the same",
    r"(?:come|comes) on top": "would be another",
    r"headless": "without a window",
    r"belongs? into": "belongs in",
    r"has to be seen": "needs more detail",
    r"who really means": "to do it on purpose",
}
"""Private words, and what to say instead."""
_WORDS = re.compile(rf"(?<![\w`/])(?:{'|'.join(PLAINER)})(?![\w`/])", re.IGNORECASE)
_BETWEEN = re.compile(r"\s+")


def private_words(text: str) -> set[str]:
    """The private words in a text, wherever its lines break."""
    return {each.lower() for each in _WORDS.findall(_BETWEEN.sub(" ", text))}


def helps(command: click.Command, name: str) -> Iterator[tuple[str, str]]:
    yield (
        f"{name} --help",
        command.get_help(click.Context(command, info_name=name, **commands.context_settings)),
    )
    for word, inner in inside(command).items():
        yield from helps(inner, f"{name} {word}")


def docstrings(path: Path) -> str:
    """What a file says of its public parts: of itself, of its classes, functions and their fields."""
    said = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Module):
            said.append(ast.get_docstring(node) or "")
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            said.append("" if node.name.startswith("_") else ast.get_docstring(node) or "")
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            said.append(str(node.value.value))
    # What is in the code goes by its name there.
    return re.sub(r"^ *\w+: |`[^`]+`", "", "\n".join(said), flags=re.MULTILINE)


def messages(path: Path) -> str:
    """What a file says to users: all of its texts that are sentences."""
    tree = ast.parse(path.read_text("utf-8"))
    silent = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    return "\n".join(
        each.value
        for each in ast.walk(tree)
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and id(each) not in silent
    )


def texts() -> dict[str, str]:
    """Everything that a user or an agent reads, by its name; error messages are in docs/errors.md."""
    pages = [*(ROOT / "references").glob("*.md"), *(ROOT / "docs").glob("*.md")]
    pages += [
        ROOT / f"{name}.md" for name in ("README", "SKILL", "SECURITY", "CHANGELOG", "CONTRIBUTING")
    ]
    read = {page.relative_to(ROOT).as_posix(): page.read_text("utf-8") for page in pages}
    read |= dict(helps(commands, "clawver-orders"))
    for tool in SURFACE:
        schemas = json.dumps([tool.input_schema, tool.output_schema], ensure_ascii=False)
        read[tool.name] = f"{tool.title}. {tool.description} {schemas}"
    for job in JOBS:
        given = {each.name: "ord_example" for each in job.arguments}
        read[f"the prompt {job.name}"] = f"{job.title}. {job.text(given)}"
    for template in (ROOT / "server" / "clawver_orders" / "web" / "templates").glob("*.html"):
        markup = template.read_text("utf-8")
        read[template.name] = re.sub(r"\{[{%#].*?[}%#]\}", " ", markup, flags=re.DOTALL)
    for path in (ROOT / "server").rglob("*.py"):
        read[path.relative_to(ROOT).as_posix()] = docstrings(path)
        if path.name != "ledger_schema.py":  # SQL, with the words of earlier versions
            read[f"messages of {path.name}"] = messages(path)
    read["settings"] = " ".join(str(each.description) for each in Settings.model_fields.values())
    return read


def test_what_a_user_reads_holds_no_private_words() -> None:
    found = {(name, word) for name, text in texts().items() for word in private_words(text)}

    assert not found


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("The order desk of a store", "order desk"),
        ("It is not settled yet", "settled"),
        ("a refund that has left\nfirst", "that has left"),
        ("that\nhas left", "that has left"),
        ("after their yes, call", "their yes"),
        ("What stands in a row", "what stands"),
        ("after the merchant's yes", "merchant's yes"),
    ],
)
def test_private_words_are_seen(text: str, word: str) -> None:
    assert private_words(text) == {word}


@pytest.mark.parametrize(
    "text",
    ["`refunds/desk.py`", "the customer may have given up", "a note", "a yesterday", "unsettling"],
)
def test_other_words_are_not(text: str) -> None:
    assert private_words(text) == set()
