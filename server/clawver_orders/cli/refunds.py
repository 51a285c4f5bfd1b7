"""The refund ledger in a terminal: what was refunded, what is open, and a person's yes or no."""

import json
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from clawver_orders.cli.options import FAILED, sandbox_option, settings_or_stop, stop
from clawver_orders.cli.tables import row, table, when

if TYPE_CHECKING:
    from clawver_orders.caller import Grade, Question, Reply
    from clawver_orders.refunds.outcome import Outcome
    from clawver_orders.refunds.records import Wish
    from clawver_orders.services import Services

HEADINGS = ("refund", "order", "amount", "status", "since (UTC)", "at Clawver")
PERSON = "person in the terminal"
PROGRAM = "program in the terminal"
"""Who decided, where nobody sits at the terminal, or `--yes` answered."""


def _cleaned(_: click.Context, __: click.Parameter, value: str) -> str:
    """What was typed, without what a terminal would obey when it is said back."""
    from clawver_orders.text import clean

    return clean(value, 80)


refund_id_argument = click.argument("refund_id", callback=_cleaned)


@click.group(invoke_without_command=True)
@click.option("--open", "only_open", is_flag=True, help="Only those whose money may be on its way.")
@click.option("--json", "as_json", is_flag=True, help="As a JSON list.")
@sandbox_option
@click.pass_context
def refunds(context: click.Context, only_open: bool, as_json: bool, sandbox: bool) -> None:
    """The refund ledger of this machine, newest first."""
    if context.invoked_subcommand is not None:
        return

    async def run(services: "Services") -> int:
        from clawver_orders.services import LEDGER

        store = await services.kept(LEDGER)
        wishes = await store.ledger.all_open() if only_open else await store.ledger.all()
        if as_json:
            click.echo(json.dumps([_as_json(wish, services) for wish in wishes]))
            return 0
        click.echo(f"Store: {store.title}")
        rows = [_cells(wish) for wish in wishes]
        for line in table(HEADINGS, rows) if rows else ["No refunds."]:
            click.echo(line)
        return 0

    _with_services(run, sandbox)


@refunds.command()
@refund_id_argument
@sandbox_option
def show(refund_id: str, sandbox: bool) -> None:
    """One refund with its whole history."""

    async def run(services: "Services") -> int:
        from clawver_orders.services import LEDGER

        store = await services.kept(LEDGER)
        wish = await store.ledger.find(refund_id)
        if wish is None:
            stop(f"This machine's ledger for this store holds no refund {refund_id}.", FAILED)
        click.echo(f"store: {store.title}")
        for name, value in _as_json(wish, services).items():
            if value not in (None, [], ""):
                click.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value}")
        click.echo()
        for event in await store.ledger.history(wish.refund_id):
            words = (
                when(event.at), f"process {event.process}", event.event, event.detail,
                event.who and f"by {event.who}", event.client and f"through {event.client}",
            )  # fmt: skip
            click.echo(row([word for word in words if word]))
        return 0

    _with_services(run, sandbox)


@refunds.command()
@sandbox_option
def check(sandbox: bool) -> None:
    """Look up all whose outcome isn't certain, and note what can be; exit code 1 while any is open."""

    async def run(services: "Services") -> int:
        from clawver_orders.errors import ClawverError
        from clawver_orders.services import LEDGER

        store = await services.kept(LEDGER)
        click.echo(f"Store: {store.title}")
        for wish in await store.ledger.all():
            if wish.status in {"sending", "unknown", "not_recorded", "refused"}:
                try:
                    _say(await store.desk.check(wish.refund_id), wish.refund_id)
                except ClawverError as error:
                    click.echo(f"{wish.refund_id}: {error}", err=True)
        left = len(await store.ledger.all_open())
        click.echo(f"{left} still open." if left else "Nothing is open.")
        if left:
            click.echo(
                "Where a refund stays unknown, compare the order in Clawver's dashboard with it, then run: "
                f"clawver-orders refunds resolve REFUND_ID{' --sandbox' if sandbox else ''}"
            )
        return FAILED if left else 0

    _with_services(run, sandbox)


@refunds.command()
@refund_id_argument
@click.option(
    "--as",
    "outcome",
    type=click.Choice(["refunded", "not-refunded"]),
    required=True,
    help="What became of the money, as Clawver's dashboard or Stripe shows it.",
)
@click.option("--because", required=True, help="How you know, for the history.")
@sandbox_option
def resolve(refund_id: str, outcome: str, because: str, sandbox: bool) -> None:
    """Say what became of a refund whose outcome stays unknown. Nothing is sent.

    Only in a terminal. A further refund of that order needs a person afterwards.
    """
    if not _somebody_is_there():
        stop(
            "Nothing was changed: only a person in a terminal can say what became of a refund. Run it "
            "there, without a pipe.",
            FAILED,
        )

    async def run(services: "Services") -> int:
        from clawver_orders.refunds.records import Actor
        from clawver_orders.text import clean

        store = await services.store()
        wish = await store.ledger.find(refund_id)
        if wish is not None:
            click.echo(f"Store: {store.title}")
            click.echo(_described(wish, services))
            click.confirm(f"Note this refund as {outcome}?", abort=True)
        said = await store.desk.resolve(
            refund_id,
            was_refunded=outcome == "refunded",
            because=clean(because, 200),
            actor=Actor(_client("refunds resolve"), PERSON),
        )
        _say(said, refund_id)
        return 0

    _with_services(run, sandbox)


@click.command()
@refund_id_argument
@click.option(
    "--amount-in-cents",
    type=click.IntRange(min=1),
    help="Approve less than what is wanted; the refund itself is declined then.",
)
@click.option(
    "--yes",
    is_flag=True,
    help="Do not ask. Then it counts as a program's approval, not as a person's.",
)
@sandbox_option
def approve(refund_id: str, amount_in_cents: int | None, yes: bool, sandbox: bool) -> None:
    """Approve a refund: shows what it is, asks, and sends it once.

    One that was declined or has expired is asked about again.
    """

    async def run(services: "Services") -> int:
        store = await services.store()
        caller = _Terminal(_client("approve"), yes)
        outcome = await store.desk.approve(refund_id, caller, amount_in_cents)
        sent = outcome.wish.refund_id if outcome.wish is not None else refund_id
        _say(outcome, sent)
        if outcome.status == "needs_confirmation" and not caller.somebody_is_there:
            click.echo(
                f"{sent}: this refund needs a person's approval. A program gave this one: the input or "
                "output is no terminal, or --yes was given. Run the command in a terminal without --yes.",
                err=True,
            )
        click.echo(f"clawver-orders refunds show {sent}{' --sandbox' if sandbox else ''}")
        return 0 if outcome.status in {"refunded", "already_refunded"} else FAILED

    _with_services(run, sandbox)


@click.command()
@refund_id_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@sandbox_option
def decline(refund_id: str, yes: bool, sandbox: bool) -> None:
    """Decline a refund that waits for approval. Nothing is sent."""

    async def run(services: "Services") -> int:
        from clawver_orders.refunds.records import Approval

        store = await services.store()
        wish = await store.ledger.find(refund_id)
        if wish is not None and not yes:
            click.echo(f"Store: {store.title}")
            click.echo(_described(wish, services))
            click.confirm("Decline this refund?", abort=True)
        caller = _Terminal(_client("decline"), yes)
        approval = Approval(caller.grade, caller.channel, caller.person)
        outcome = await store.desk.decline(refund_id, approval, caller.client)
        if outcome.status == "declined":
            refused = outcome.wish is not None and any(
                attempt.status == "refused" for attempt in outcome.wish.attempts
            )
            why = "Clawver had refused" if refused else "nothing was sent for"
            click.echo(f"declined: {why} {refund_id}")
            return 0
        click.echo("Too late: it was sent.")
        _say(outcome, refund_id)
        return FAILED

    _with_services(run, sandbox)


def _somebody_is_there() -> bool:
    """Whether a person can read and type here: an input or output that is piped is a program's."""
    return sys.stdin.isatty() and sys.stdout.isatty()


@dataclass(frozen=True)
class _Terminal:
    """The caller who is the person; or a program, where nobody sits at the terminal."""

    client: str
    yes: bool
    is_person: bool = True
    can_ask: bool = True
    channel: str = "terminal"
    answered: str | None = None
    answered_number: int = 0
    answered_revision: int = 0
    answered_after_seconds: float = 0.0

    @property
    def somebody_is_there(self) -> bool:
        """Whether a person decides here."""
        return not self.yes and _somebody_is_there()

    @property
    def person(self) -> str:
        """Who decides here."""
        return PERSON if self.somebody_is_there else PROGRAM

    @property
    def grade(self) -> "Grade":
        """What a yes here is worth."""
        return "console" if self.somebody_is_there else "agent"

    def reply_to(self, about: str) -> "Reply | None":  # noqa: ARG002  # the protocol's
        """Nothing: the person is asked each time."""
        return None

    async def progress(self, done: int, total: int) -> None:
        """Nothing here takes long."""

    async def ask(self, question: "Question") -> "Reply":
        """Show the question and read the answer."""
        from clawver_orders.caller import Reply

        click.echo(question.text)
        if not (self.yes or click.confirm("Send this refund?")):
            return Reply.NO
        # From here on Ctrl+C would stop nothing, and only hide what became of it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return Reply.YES


def _client(command: str) -> str:
    from clawver_orders import __version__

    return f"clawver-orders {command} {__version__}"


def _say(outcome: "Outcome", refund_id: str) -> None:
    """How a refund stands, and what the merchant must hear of."""
    from clawver_orders.refunds.outcome import message, warning

    click.echo(f"{refund_id}: {outcome.status}. {message(outcome)}")
    if beside := warning(outcome):
        click.echo(f"{refund_id}: {beside}", err=True)


def _with_services(run: Callable[["Services"], Awaitable[int]], sandbox: bool) -> None:
    """Run with this store's services; errors go to stderr."""
    settings = settings_or_stop(sandbox=sandbox)
    import anyio

    from clawver_orders.errors import ClawverError
    from clawver_orders.services import opened

    async def inside() -> None:
        try:
            async with opened(settings) as services:
                code = await run(services)
        except ClawverError as error:
            stop(str(error), FAILED)
        sys.exit(code)

    anyio.run(inside)


def _reason(wish: "Wish", services: "Services") -> str:
    """Why; it may name the customer, and the order is not at hand to tell."""
    return "…" if services.masking.masked else wish.reason


def _as_json(wish: "Wish", services: "Services") -> dict[str, Any]:
    return {
        "refund_id": wish.refund_id,
        "order_id": wish.order_id,
        "amount_in_cents": wish.amount_in_cents,
        "status": wish.status,
        "revision": wish.revision,
        "reason": _reason(wish, services),
        "created_at": wish.created_at.isoformat(timespec="seconds"),
        "sent_at": wish.sent_at and wish.sent_at.isoformat(timespec="seconds"),
        "clawver_refund_id": wish.clawver_refund_id,
        "stripe_refund_id": wish.stripe_refund_id,
        "in_addition_to": list(wish.in_addition_to),
        "unexpected_refunds": list(wish.unexpected_refunds),
    }


def _described(wish: "Wish", services: "Services") -> str:
    from clawver_orders.money import display

    return (
        f"{wish.refund_id}: {display(wish.amount_in_cents)} on {wish.order_id}, "
        f"{wish.status} since {when(wish.created_at)}. Reason: {_reason(wish, services)}"
    )


def _cells(wish: "Wish") -> tuple[str, ...]:
    from clawver_orders.money import display

    return (
        wish.refund_id,
        wish.order_id,
        display(wish.amount_in_cents),
        wish.status,
        when(wish.sent_at or wish.created_at),
        wish.clawver_refund_id or "",
    )
