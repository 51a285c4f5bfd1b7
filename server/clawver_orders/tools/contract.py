"""What a tool promises: its arguments, its answer, its hints, made once from its signature.

Hosts and the command line share these models, so both refuse the same things with the same
words. Schemas are flat for whoever reads them: no references, no unions, no titles.
"""

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pkgutil import resolve_name
from typing import Any, Concatenate, Literal, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from clawver_orders.caller import Caller
from clawver_orders.errors import InvalidRequestError
from clawver_orders.problems import problems_of, what_is_wrong
from clawver_orders.services import Services
from clawver_orders.settings import Toolset
from clawver_orders.time_limit import call_limit
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
        function: The module and the function in it, such as `orders:get_order`.
        title: Its name for people.
        hints: What it does to the store.
        example: A good call, on the sandbox store where it names anything of a store.
        toolset: Which tools it is offered with.
        always: Whether it is offered whatever toolsets are chosen: it is on the project's card, or
            makes safe what is.
        for_all: Whether one call may be for all stores, where there are several.
    """

    function: str
    title: str
    hints: Hints
    example: dict[str, Any]
    toolset: Toolset = "orders"
    always: bool = False
    for_all: bool = False

    @property
    def name(self) -> str:
        """The name that hosts call."""
        return self.function.partition(":")[2]

    # Arguments come from outside: `check` holds them against the signature, mypy cannot.
    @cached_property
    def run(self) -> Callable[Concatenate[Services, ...], Awaitable[Answer]]:
        """The function: `services` first, `caller` where it may have to ask a person, then the tool's arguments."""
        found: Callable[Concatenate[Services, ...], Awaitable[Answer]] = resolve_name(
            f"{__package__}.{self.function}"
        )
        return found

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
            "are in the server's log."
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
    def _asks(self) -> bool:
        """Whether it may have to ask a person."""
        return "caller" in inspect.signature(self.run).parameters

    @property
    def tells_outcome(self) -> bool:
        """Whether its answer has a status of ours: an order's is Clawver's word, and may be any."""
        status = self.answer.model_fields.get("status")
        return status is not None and get_origin(status.annotation) is Literal

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments."""
        schema = flat(self.arguments.model_json_schema())
        for name, about in schema["properties"].items():
            if name not in schema.get("required", ()):
                about["nullable"] = True  # smolagents refuses an optional argument without it
                if not about.get("default"):
                    about.pop("default", None)  # nothing is what leaving it out means anyway
        return {"type": "object"} | schema | {"additionalProperties": False}

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        """The JSON schema of the answer."""
        return flat(self.answer.model_json_schema(mode="serialization"), defaults=False)

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the tool takes them. Null and an empty text count as not given where they may be left out.

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
                {
                    name: value
                    for name, value in given.items()
                    if value is not None and (value != "" or known[name].is_required())
                }
            )
        except ValidationError as error:
            said = "; ".join(
                f"{_place(p['loc'])} {what_is_wrong(p)}" for p in problems_of(error)[:5]
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
        if self._asks:
            checked["caller"] = caller
        with call_limit() if self.hints.read_only else nullcontext():
            try:
                answer = await self.run(services, **checked)
            finally:  # that Clawver knows no such order is read too
                await services.keep_what_was_read()
        return in_words(services, answer)


def in_words(services: Services, answer: Answer) -> dict[str, Any]:
    """An answer as plain JSON values, marked where no real money moves, and with the store's name where it has one."""
    marked = answer.model_copy(update={"sandbox": services.notice})
    store = services.settings.store_label
    return ({"store": store} if store else {}) | marked.said(services.now())


def as_text(answer: Mapping[str, Any]) -> str:
    """An answer as compact JSON: complete by itself, for hosts that show only the text."""
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))


def flat(schema: dict[str, Any], *, defaults: bool = True) -> dict[str, Any]:
    """A schema without references, unions with null, titles and null defaults.

    What is None is left out of answers and means "not given" in arguments, so null needs no
    mention. Several hosts cannot read references or unions.

    Args:
        schema: The schema of a model.
        defaults: Whether defaults stay: they mean something in arguments, and nothing in answers.
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
            if key not in {"title", "$defs"}
            and not (key == "default" and (value is None or not defaults))
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
