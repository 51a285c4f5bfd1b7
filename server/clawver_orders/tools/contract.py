"""What a tool promises: its arguments, its answer, its hints, made once from its signature.

Hosts and the command line share these models, so both refuse the same things with the same
words. Schemas are flat for whoever reads them: no references, no unions, no titles.
"""

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Concatenate, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from clawver_orders.caller import Caller
from clawver_orders.errors import InvalidRequestError
from clawver_orders.services import Services
from clawver_orders.tools.answers import Answer

_OURS = frozenset({"services", "caller"})
"""Parameters that no host and no model can fill."""


@dataclass(frozen=True)
class Hints:
    """What a host may know about a tool before it is called. All four are always given."""

    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool = True


@dataclass(frozen=True)
class Tool:
    """A tool: a plain async function with what hosts need to know about it.

    Args:
        run: Takes `services` first, `caller` where it may have to ask a person, then the tool's
            arguments, and gives an `Answer`.
        title: Its name for people.
        hints: What it does to the store.
        example: A good call, on the sandbox store where it names anything of a store.
    """

    # Arguments come from outside: `check` holds them against the signature, mypy cannot.
    run: Callable[Concatenate[Services, ...], Awaitable[Answer]]
    title: str
    hints: Hints
    example: dict[str, Any]

    @property
    def name(self) -> str:
        """The name that hosts call."""
        return self.run.__name__

    @property
    def description(self) -> str:
        """What the agent reads: each paragraph of the docstring on one line."""
        paragraphs = (inspect.getdoc(self.run) or "").split("\n\n")
        return "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)

    @property
    def summary(self) -> str:
        """The first sentence of the description."""
        return f"{self.description.splitlines()[0].partition('. ')[0].rstrip('.')}."

    @property
    def defect(self) -> str:
        """What is said when the tool ends in an error that nobody foresaw. No detail leaks."""
        unsure = "" if self.hints.read_only else (
            " It is not known whether anything changed: look before you repeat it."
        )  # fmt: skip
        return (
            f"{self.name} failed because of a defect in this server.{unsure} Tell a person; details "
            "stand in the server's log."
        )

    @cached_property
    def arguments(self) -> type[BaseModel]:
        """One model of all arguments; whatever else is given is refused."""
        hints = get_type_hints(self.run, include_extras=True)
        fields: dict[str, Any] = {
            name: (hints[name], ... if p.default is p.empty else p.default)
            for name, p in inspect.signature(self.run).parameters.items()
            if name not in _OURS
        }
        return create_model(self.name, __config__=ConfigDict(extra="forbid"), **fields)

    @cached_property
    def answer(self) -> type[Answer]:
        """The model of its answer."""
        kind: type[Answer] = get_type_hints(self.run)["return"]
        return kind

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments."""
        return (
            {"type": "object"}
            | flat(self.arguments.model_json_schema())
            | {"additionalProperties": False}
        )

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        """The JSON schema of the answer."""
        return flat(self.answer.model_json_schema(mode="serialization"))

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the tool takes them. An explicit null counts as not given.

        Raises:
            InvalidRequestError: They do not fit; each problem is named, no value is repeated.
        """
        known = self.arguments.model_fields
        if any(name not in known for name in given):
            takes = ", ".join(known) or "no arguments"
            raise InvalidRequestError(
                "An unknown argument was given, so nothing was done.",
                next_step=f"Call {self.name} again with nothing but these: {takes}.",
            )
        try:
            checked = self.arguments.model_validate(
                {name: value for name, value in given.items() if value is not None}
            )
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
            said = "; ".join(
                f"{_place(p['loc'])} {_in_words(p['type'], p['msg'])}" for p in problems[:5]
            )
            raise InvalidRequestError(
                f"Nothing was done: {said}.",
                next_step=f"Correct that and call {self.name} again.",
            ) from None  # the cause repeats the input
        return {name: getattr(checked, name) for name in known}

    async def call(
        self, services: Services, given: Mapping[str, Any], caller: Caller
    ) -> dict[str, Any]:
        """Check the arguments, run the tool, and give its answer as plain JSON values.

        Args:
            services: What tools work with.
            given: The arguments, unchecked.
            caller: Which program calls, and whether a person can be asked through it.

        Raises:
            ClawverError: Whatever the tool says went wrong.
        """
        checked = self.check(given)
        if "caller" in inspect.signature(self.run).parameters:
            checked["caller"] = caller
        answer = await self.run(services, **checked)
        marked = answer.model_copy(update={"sandbox": services.notice})
        return marked.said(services.now())


def as_text(answer: Mapping[str, Any]) -> str:
    """An answer as compact JSON: complete by itself, for hosts that show only the text."""
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))


def flat(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without references, unions with null, titles and null defaults.

    What is None is left out of answers and means "not given" in arguments, so null needs no
    mention. Several hosts cannot read references or unions.
    """
    definitions = schema.get("$defs", {})

    def plain(part: Any, *, names: bool = False) -> Any:
        if isinstance(part, list):
            return [plain(each) for each in part]
        if not isinstance(part, dict):
            return part
        if names:
            return {name: plain(each) for name, each in part.items()}
        if "$ref" in part:
            rest = {key: value for key, value in part.items() if key != "$ref"}
            return plain(definitions[part["$ref"].rsplit("/", 1)[-1]] | rest)
        if "anyOf" in part:
            (kept,) = [each for each in part["anyOf"] if each != {"type": "null"}]
            rest = {key: value for key, value in part.items() if key != "anyOf"}
            return plain(kept | rest)
        return {
            key: plain(value, names=key == "properties")
            for key, value in part.items()
            if key not in {"title", "$defs"} and not (key == "default" and value is None)
        }

    result: dict[str, Any] = plain(schema)
    result.pop("description", None)  # the class's docstring speaks to maintainers
    for nested in _objects(result):
        nested.pop("description", None)
    return result


def _objects(schema: Any) -> list[dict[str, Any]]:
    """Every nested object schema: their descriptions are docstrings for maintainers."""
    found: list[dict[str, Any]] = []
    for part in schema.get("properties", {}).values():
        inner = part.get("items", part)
        if inner.get("type") == "object":
            found.extend([inner, *_objects(inner)])
    return found


def _place(location: tuple[int | str, ...]) -> str:
    return str(location[0]) if location else "the arguments"


_WORDS = {
    "missing": "is required",
    "int_type": "must be a whole number, not text and not a fraction",
    "string_type": "must be text",
    "string_unicode": "has characters that are no text",
    "list_type": "must be a list",
}


def _in_words(kind: str, message: str) -> str:
    if kind in _WORDS:
        return _WORDS[kind]
    if message.startswith("Value error, "):
        return message.removeprefix("Value error, ")
    return (
        message.replace("Input should", "must")
        .replace("String should", "must")
        .replace("List should", "must")
    )
