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
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
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
    ElicitResult,
    InputRequiredResult,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from clawver_orders.caller import (
    A_PERSON_TAKES_SECONDS,
    ANSWER_WITHIN_SECONDS,
    Grade,
    Question,
    Reply,
)
from clawver_orders.instants import uptime_passed
from clawver_orders.storage.keys import LENGTH, kept_key
from clawver_orders.text import clean

log = logging.getLogger(__name__)

FIELD = "approve"
ANSWER_HEARD_FOR_SECONDS = 86400.0
"""How long a seal holds: a no is heard however late; whether a yes still counts the asker decides."""
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

    def __init__(self, question: Question, asked_uptime: float) -> None:
        self.question = question
        self.asked_uptime = asked_uptime
        super().__init__(question.about)

    def result(self) -> InputRequiredResult:
        """What the host gets instead of an answer."""
        params = ElicitRequestFormParams(
            message=self.question.text, requested_schema=_form(self.question)
        )
        return InputRequiredResult(
            input_requests={self.question.about: ElicitRequest(params=params)},
            request_state=f"{self.question.about}#{self.question.revision}#{self.question.number}@{self.asked_uptime}",
        )


def sealing(key_file: Path) -> RequestStateBoundary:
    """Middleware that seals the state of a question, bound to the tool and its arguments.

    Args:
        key_file: The key that the processes of a store share; made for the first question.
    """
    security = RequestStateSecurity(codec=_Seal(key_file), ttl=ANSWER_HEARD_FOR_SECONDS)
    return RequestStateBoundary(security, default_audience="clawver-orders")


class _Seal:
    """Seals with the shared key, read each time, since a store may be reset meanwhile.

    Where that key cannot be kept, one of this process alone does: then whoever asked has to hear
    the answer.
    """

    def __init__(self, key_file: Path) -> None:
        self._key_file = key_file
        self._own = secrets.token_bytes(LENGTH)

    def seal(self, payload: bytes) -> str:
        return self._by_keys().seal(payload)

    def unseal(self, token: str) -> bytes:
        return self._by_keys().unseal(token)

    def _by_keys(self) -> AESGCMRequestStateCodec:
        try:
            return AESGCMRequestStateCodec([kept_key(self._key_file), self._own])
        except OSError as error:
            log.warning("%s cannot be used, so only this process hears answers: %s", self._key_file, error)  # fmt: skip
            return AESGCMRequestStateCodec([self._own])


class HostCaller:
    """The host of one call.

    Args:
        context: The call's context.
        params: The call itself, which may bring answers along.
        answer_within_seconds: How long to wait for a host that is asked while the call waits.
        uptime: Seconds since this machine started, for all its processes alike.
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
        uptime: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._params = params
        self._answer_within = answer_within_seconds
        self._uptime = uptime
        state, _, asked = (params.request_state or "").partition("@")
        self._answered, revision, number = (*state.split("#"), "", "")[:3]
        self._answered_revision = int(revision or 0)
        self._answered_number = int(number or 0)
        self._seconds = uptime_passed(float(asked), uptime()) if asked else 0.0

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
        return forms and (self._is_modern or self._context.session.can_send_request)

    @property
    def _is_modern(self) -> bool:
        return self._context.protocol_version in MODERN_PROTOCOL_VERSIONS

    @property
    def answered(self) -> str | None:
        """The question whose sealed state came back with the call."""
        return self._answered or None

    @property
    def answered_number(self) -> int:
        """Which question it was: the same is asked again where the first was put aside."""
        return self._answered_number

    @property
    def answered_revision(self) -> int:
        """Which revision of it was shown."""
        return self._answered_revision

    @property
    def answered_after_seconds(self) -> float:
        """How long the last answer took, from its question on."""
        return self._seconds

    def reply_to(self, about: str) -> Reply | None:
        """The answer that the call brought along, where it belongs to this very question."""
        answers: Mapping[str, Any] = self._params.input_responses or {}
        if self.answered != about or about not in answers:
            return None
        return _read(answers[about]).after(self._seconds)

    async def progress(self, done: int, total: int) -> None:
        """Tell the host, where it asked for that."""
        await self._context.session.report_progress(done, total)

    async def ask(self, question: Question) -> Reply:
        """Ask, and wait for a bounded time; or end the call with the question.

        Raises:
            QuestionPending: The host answers with another call.
        """
        asked = self._uptime()
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
            at_once = self._uptime() - asked < A_PERSON_TAKES_SECONDS
            cannot = error.code == METHOD_NOT_FOUND or (at_once and error.code in _CANNOT_ASK)
            reply = Reply.FAILED if cannot else Reply.UNCLEAR
        except Exception as error:  # noqa: BLE001  # what cannot be read, in whatever way, is no answer
            log.warning("the host's answer cannot be read: %s", type(error).__name__)
            reply = Reply.UNCLEAR
        self._seconds = self._uptime() - asked
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
