"""The tool behind the buttons of a refund's card in the chat. No model is shown it."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from clawver_orders.caller import Caller, Grade, PageOpener, Question, Reply
from clawver_orders.errors import NOTHING_SENT, RefusedError
from clawver_orders.instants import seconds_between
from clawver_orders.refunds.records import CARD
from clawver_orders.services import Services
from clawver_orders.tools.approving import for_card
from clawver_orders.tools.arguments import RefundId, Revision
from clawver_orders.tools.refunds import RefundAnswer, answer_of

PERSON = "person by card"
Approve = Annotated[bool, Field(strict=True)]


@dataclass(frozen=True)
class Click:
    """A click on a card, as the answer to the question that the card showed.

    Args:
        client: The name and version of the program that shows the card.
        answered: The refund.
        answered_number: The number of the question.
        answered_revision: The revision of the refund that was shown.
        answered_after_seconds: How long after that the click came, at least.
        reply: What was clicked.
    """

    client: str
    answered: str
    answered_number: int
    answered_revision: int
    answered_after_seconds: float
    reply: Reply
    person: str = PERSON
    grade: Grade = "chat"
    channel: str = CARD
    is_person: bool = False
    can_ask: bool = False
    opener: PageOpener | None = None
    card: dict[str, object] | None = None

    def reply_to(self, about: str) -> Reply | None:  # noqa: ARG002  # it is about one refund alone
        """The click; what comes too soon for a person is the program's."""
        return self.reply.after(self.answered_after_seconds)

    async def ask(self, question: Question) -> Reply:  # noqa: ARG002  # the protocol's
        """A card asks by being shown."""
        return Reply.FAILED

    async def progress(self, done: int, total: int) -> None:
        """The card shows none."""


async def decide_refund(
    services: Services,
    caller: Caller,
    refund_id: RefundId,
    revision: Revision,
    approve: Approve,
    nonce: str,
) -> RefundAnswer:
    """For the card alone."""
    store = await services.store()
    asked = await store.ledger.take_click(refund_id, revision, nonce)
    if asked is None:
        raise RefusedError(
            "this click was counted before, or its card is out of date.",
            fact=f"{NOTHING_SENT} by this click",
            next_step=f"Call check_refund with refund_id {refund_id}: it tells how the refund is now.",
        )
    click = Click(
        caller.client,
        asked.refund_id,
        asked.number,
        asked.revision,
        seconds_between(asked.asked, services.shared_instant()),
        Reply.YES if approve else Reply.NO,
    )
    outcome = await store.desk.confirm(asked.refund_id, asked.revision, click)
    if outcome.needs is not None:
        outcome = await store.desk.on_card(caller, asked.refund_id)
    return answer_of(services, await for_card(services, caller, outcome))
