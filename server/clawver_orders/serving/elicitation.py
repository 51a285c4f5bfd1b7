"""Puts a question to the person behind a host, in both protocol eras.

On 2026-07-28 a question is an answer: the call ends with it, and the host calls again with the
person's reply and the state it was given. The state is sealed with a key that the processes of
the store share, so that any of them can take the reply and nobody else can have written it.
Before that, the question travels to the host while the call waits. What a host does with it is
its own affair. Whatever is no clear yes or no is none, and what comes sooner than a person could
answer is the host's own. Only an error says that nobody was asked.
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import anyio
from anyio import to_thread
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.server.request_state import (
    AESGCMRequestStateCodec,
    RequestStateBoundary,
    RequestStateSecurity,
)
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    METHOD_NOT_FOUND,
    REQUEST_TIMEOUT,
    CallToolRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp_types.methods import is_input_required
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from clawver_orders.caller import (
    A_PERSON_TAKES_SECONDS,
    ANSWER_WITHIN_SECONDS,
    Grade,
    Question,
    Reply,
)
from clawver_orders.errors import ClawverError
from clawver_orders.instants import Instant, seconds_between
from clawver_orders.instants import now as this_machines_clocks
from clawver_orders.serving.card import shows_cards
from clawver_orders.storage.keys import LENGTH
from clawver_orders.storage.sql import as_text, instant_of
from clawver_orders.text import clean

log = logging.getLogger(__name__)

FIELD = "approve"
PAGE = "page"
"""What a request to open a page is called on its way through a host."""
ANSWER_HEARD_FOR_SECONDS = 86400.0
"""How long a seal holds: a decline is heard however late; whether an approval still counts, the caller decides."""
_YES = frozenset({"true", "yes"})
_NO = frozenset({"false", "no", "off", "n", "0"})
"""What hosts send that draw a box for text where a box to tick was asked for."""
_CANNOT_ASK = frozenset(range(-32768, -32000 + 1)) - {
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    REQUEST_TIMEOUT,
}
"""Errors that say that the host could not ask, where they come at once: JSON-RPC keeps these codes
for the protocol. Later ones can come from an SDK that refuses what a person answered.

Any other code is the host's own and may tell of a person, such as "rejected by the user". A host
that went away, took too long, or failed within itself may well have shown the question.
https://www.jsonrpc.org/specification#error_object
"""


def _form(question: Question) -> dict[str, Any]:
    """One box to tick: all that hosts of every kind can show."""
    box = {"type": "boolean", "title": question.yes, "description": question.choice}
    return {"type": "object", "properties": {FIELD: box}, "required": [FIELD]}


class QuestionPending(Exception):  # noqa: N818  # no error: the call goes on with the next round
    """The call ends here with a question, and comes back with its answer."""

    def __init__(self, question: Question, asked: Instant) -> None:
        self.question = question
        self.asked = asked
        super().__init__(question.about)

    def result(self) -> InputRequiredResult:
        """What the host gets instead of an answer."""
        params = ElicitRequestFormParams(
            message=self.question.text, requested_schema=_form(self.question)
        )
        return InputRequiredResult(
            input_requests={self.question.about: ElicitRequest(params=params)},
            request_state=f"{self.question.about}#{self.question.revision}#{self.question.number}@{as_text(self.asked)}",
        )


class PagePending(Exception):  # noqa: N818  # no error: the call goes on with the next round
    """The call ends here with an address to open, and comes back."""

    def __init__(self, about: str, text: str, url: str) -> None:
        self.about, self.text, self.url = about, text, url
        super().__init__(about)

    def result(self) -> InputRequiredResult:
        """What the host gets instead of an answer."""
        params = ElicitRequestURLParams(message=self.text, url=self.url)
        return InputRequiredResult(
            input_requests={PAGE: ElicitRequest(params=params)},
            request_state=f"{PAGE}:{self.about}",
        )


def sealing(key: Callable[[], bytes]) -> ServerMiddleware[Any]:
    """Middleware that seals the state of a question, bound to the tool and its arguments.

    Args:
        key: Reads the key that the servers of a store share, or makes it. It is called for a question
            and for an answer, in a thread of its own.
    """
    seal = _Seal(key)
    security = RequestStateSecurity(codec=seal, ttl=ANSWER_HEARD_FOR_SECONDS)
    boundary = RequestStateBoundary(security, default_audience="clawver-orders")

    async def sealed(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        async def asking(inner: ServerRequestContext[Any, Any]) -> HandlerResult:
            result = await call_next(inner)
            if is_input_required(result):
                await seal.read_key()
            return result

        if ctx.params is not None and ctx.params.get("requestState") is not None:
            await seal.read_key()
        return await boundary(ctx, asking)

    return sealed


class _Seal:
    """Seals with the shared key, which is read each time, since a store may be reset meanwhile.

    Where that key was never read, one of this process alone does: then whoever asked has to hear
    the answer.
    """

    def __init__(self, key: Callable[[], bytes]) -> None:
        self._key = key
        self._own = secrets.token_bytes(LENGTH)
        self._codec = AESGCMRequestStateCodec([self._own])

    async def read_key(self) -> None:
        try:
            key = await to_thread.run_sync(self._key)
        except (OSError, ClawverError) as error:
            log.warning("the key of questions can't be read, so maybe no other process hears answers: %s", error)  # fmt: skip
            return
        self._codec = AESGCMRequestStateCodec([key, self._own])

    def seal(self, payload: bytes) -> str:
        return self._codec.seal(payload)

    def unseal(self, token: str) -> bytes:
        return self._codec.unseal(token)


def has_cards(context: ServerRequestContext[Any, Any]) -> bool:
    """Whether the host of a call says that it shows cards."""
    able = context.session.client_capabilities
    return able is not None and shows_cards(able.extensions)


class HostCaller:
    """The host of one call.

    Args:
        context: The call's context.
        params: The call itself, which may bring answers along.
        answer_within_seconds: How long to wait for a host that is asked while the call waits.
        now: The current time, by a clock that all servers of the store share.
        has_cards: Whether this server has cards for hosts that show them.
    """

    person = "person by elicitation"
    grade: Grade = "chat"
    channel = "form"
    is_person = False

    def __init__(
        self,
        context: ServerRequestContext[Any, Any],
        params: CallToolRequestParams,
        answer_within_seconds: float = ANSWER_WITHIN_SECONDS,
        now: Callable[[], Instant] = this_machines_clocks,
        *,
        has_cards: bool = True,
    ) -> None:
        self._context = context
        self._has_cards = has_cards
        self._params = params
        self._answer_within = answer_within_seconds
        self._now = now
        given = params.request_state or ""
        self._opened = given.removeprefix(f"{PAGE}:") if given.startswith(f"{PAGE}:") else None
        state, _, asked = ("" if self._opened else given).partition("@")
        self._answered, revision, number = (*state.split("#"), "", "")[:3]
        self._answered_revision = int(revision or 0)
        self._answered_number = int(number or 0)
        self._asked = instant_of(asked) if asked else None
        self._seconds = 0.0
        self._page_number = ""
        self._for_card: dict[str, object] = {}

    @property
    def card(self) -> dict[str, object] | None:
        """What goes to its card alone, where it shows cards."""
        return self._for_card if self._has_cards and has_cards(self._context) else None

    @property
    def client(self) -> str:
        """The host's name and version, as it gave them; cleaned."""
        about = self._context.session.client_params
        if about is None:
            return "unnamed client"
        return clean(f"{about.client_info.name} {about.client_info.version}", 80)

    @property
    def can_ask(self) -> bool:
        """Whether the host says that it can show a form to a person."""
        able = self._context.session.client_capabilities
        elicitation = able.elicitation if able is not None else None
        # An empty object means forms; only `url` means no forms.
        forms = elicitation is not None and (
            elicitation.form is not None or elicitation.url is None
        )
        return forms and self._can_be_reached

    @property
    def opener(self) -> "HostCaller | None":
        """The host, where it says that it can show an address."""
        able = self._context.session.client_capabilities
        elicitation = able.elicitation if able is not None else None
        shows = elicitation is not None and elicitation.url is not None
        return self if shows and self._can_be_reached else None

    @property
    def opened(self) -> str | None:
        """What the page was about that it was asked to open in an earlier round."""
        return self._opened

    @property
    def did_open(self) -> bool:
        """Whether it says that it opened it."""
        answer = (self._params.input_responses or {}).get(PAGE)
        return isinstance(answer, ElicitResult) and answer.action == "accept"

    async def open(self, about: str, text: str, url: str) -> bool:
        """Have the host open a page, and wait until it says so; or end the call with the address.

        Raises:
            PagePending: The host answers with another call.
        """
        if self._is_modern:
            raise PagePending(about, text, url)
        self._page_number = secrets.token_hex(8)
        try:
            with anyio.fail_after(self._answer_within):
                said = await self._context.session.elicit_url(
                    text, url, self._page_number, self._context.request_id
                )
        except Exception as error:  # noqa: BLE001  # whatever it is, nobody said that it was opened
            log.warning("the host did not open the page: %s", type(error).__name__)
            return False
        return said.action == "accept"

    async def close(self) -> None:
        """Tell the host that what it opened is over."""
        await self._context.session.send_elicit_complete(
            self._page_number, self._context.request_id
        )

    @property
    def _can_be_reached(self) -> bool:
        return self._is_modern or self._context.session.can_send_request

    @property
    def _is_modern(self) -> bool:
        return self._context.protocol_version in MODERN_PROTOCOL_VERSIONS

    @property
    def answered(self) -> str | None:
        """The question whose sealed state came back with the call."""
        return self._answered or None

    @property
    def answered_number(self) -> int:
        """Which question it was: the same is asked again where the first was dismissed."""
        return self._answered_number

    @property
    def answered_revision(self) -> int:
        """Which revision of it was shown."""
        return self._answered_revision

    @property
    def answered_after_seconds(self) -> float:
        """How long the last answer took, from its question on."""
        if self._asked is not None:  # maybe by another machine, and only now that clock is known
            self._seconds, self._asked = seconds_between(self._asked, self._now()), None
        return self._seconds

    def reply_to(self, about: str) -> Reply | None:
        """The answer that the call brought along, where it belongs to this question."""
        answers: Mapping[str, Any] = self._params.input_responses or {}
        if self.answered != about or about not in answers:
            return None
        return _read(answers[about]).after(self.answered_after_seconds)

    async def progress(self, done: int, total: int) -> None:
        """Tell the host, where it asked for that."""
        await self._context.session.report_progress(done, total)

    async def ask(self, question: Question) -> Reply:
        """Ask, and wait for a bounded time; or end the call with the question.

        Raises:
            QuestionPending: The host answers with another call.
        """
        asked = self._now()
        if self._is_modern:
            raise QuestionPending(question, asked)
        try:
            with anyio.fail_after(self._answer_within):
                result = await self._context.session.elicit_form(
                    question.text, _form(question), self._context.request_id
                )
            reply = _read(result)
        except TimeoutError:
            reply = Reply.SILENT
        except MCPError as error:
            log.warning("the host did not answer the question: error %s", error.code)
            at_once = seconds_between(asked, self._now()) < A_PERSON_TAKES_SECONDS
            cannot = error.code == METHOD_NOT_FOUND or (at_once and error.code in _CANNOT_ASK)
            reply = Reply.FAILED if cannot else Reply.UNCLEAR
        except Exception as error:  # noqa: BLE001  # what cannot be read, in whatever way, is no answer
            log.warning("the host's answer cannot be read: %s", type(error).__name__)
            reply = Reply.UNCLEAR
        self._asked, self._seconds = None, seconds_between(asked, self._now())
        return reply.after(self._seconds)


def _read(result: object) -> Reply:
    """What a host's answer means. Only a clear yes is one."""
    if not isinstance(result, ElicitResult):
        return Reply.UNCLEAR
    if result.action != "accept":
        return Reply.NO if result.action == "decline" else Reply.DISMISSED
    chosen = (result.content or {}).get(FIELD)
    word = str(chosen).strip().casefold()
    if chosen is True or (isinstance(chosen, str) and word in _YES):
        return Reply.YES
    is_no = (
        chosen == 0 if isinstance(chosen, int | float) else isinstance(chosen, str) and word in _NO
    )
    return Reply.NO if is_no else Reply.UNCLEAR
