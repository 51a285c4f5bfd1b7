"""Registers webhooks and removes them, each with the approval that it needs.

Whoever takes an approval carries it out: the tool after a form, the command in the terminal, the page.
What is there already, or gone already, needs none.
"""

import logging
import shlex
from dataclasses import dataclass
from functools import partial
from typing import Literal

import anyio

from clawver_orders.addresses import Address, AddressError, address, is_loopback
from clawver_orders.caller import GRADES, Approval, Caller, Grade, Question, Reply, suffices
from clawver_orders.clawver.client import Clawver
from clawver_orders.clawver.models import Webhook
from clawver_orders.errors import (
    NOTHING_SENT,
    ClawverError,
    DeclinedError,
    InvalidRequestError,
    NotFoundError,
    RefusedError,
    SetupError,
)
from clawver_orders.settings import Settings
from clawver_orders.storage.database import off_thread
from clawver_orders.text import quoted
from clawver_orders.webhooks.changes import Change, Changes, OvertakenError, WantedChange

log = logging.getLogger(__name__)
BY_SETTING = Approval("setting", "setting", "setting off")
NOTHING_DONE = {"register": "Nothing was registered", "delete": "Nothing was removed"}
TOOL = {"register": "register_webhook", "delete": "delete_webhook"}


@dataclass(frozen=True)
class Changed:
    """What became of a change."""

    status: Literal["done", "needless", "needs_approval"]
    """`needless`: what is wanted holds already."""
    hook: Webhook | None
    """The webhook that is there now, or was; None where there is none yet, or none any more."""
    others: tuple[Webhook, ...] = ()
    """Further webhooks of the address."""
    change: Change | None = None
    approval: Approval | None = None
    """Which let it be carried out."""
    was_asked: bool = False
    """Whether a person was asked and gave no answer that counts."""


@dataclass(frozen=True)
class _Heard:
    """An answer to a question about a revision of a change; no reply, where it came too late."""

    change_id: str
    revision: int
    number: int
    reply: Reply | None


@dataclass(frozen=True)
class _Seen:
    """What is registered, as far as it matters for a change."""

    is_needless: bool
    hook: Webhook | None
    others: tuple[Webhook, ...]


class WebhookDesk:
    """Changes where the events of one store go.

    Args:
        clawver: The store.
        changes: What waits, and who decided.
        settings: The secret, the hosts that are allowed, and the approval that is needed.
        store: What a person calls this store.
    """

    def __init__(self, clawver: Clawver, changes: Changes, settings: Settings, store: str) -> None:
        self._clawver, self._changes = clawver, changes
        self._settings, self._store = settings, store
        self._at_work = anyio.Lock()  # hosts that repeat calls do so at once

    async def register(self, to: Address, events: list[str], caller: Caller) -> Changed:
        """Have events sent to an address, as far as the settings let a call do that.

        Args:
            to: The address, checked.
            events: The names of the events, each once.
            caller: Who called, and through whom a person can be asked.

        Raises:
            ClawverError: Nothing was registered, or it isn't known whether it was.
        """
        self._may_change()
        wanted = WantedChange("register", to.url, tuple(events))
        return await self._go_on(wanted, caller, await self._brought(caller))

    async def delete(self, webhook_id: str, caller: Caller) -> Changed:
        """Have nothing sent to a webhook any more.

        Args:
            webhook_id: Which one.
            caller: Who called, and through whom a person can be asked.

        Raises:
            ClawverError: Nothing was removed, or it isn't known whether it was.
        """
        self._may_change()
        heard = await self._brought(caller)
        hook = _by_id(await self._clawver.webhooks(), webhook_id)
        if hook is None:
            return Changed("needless", None)
        wanted = WantedChange("delete", hook.url, hook.events, webhook_id)
        return await self._go_on(wanted, caller, heard)

    async def approve(self, change: Change, approval: Approval, client: str) -> Changed:
        """Carry out what a person approved.

        Args:
            change: The change as they saw it.
            approval: Who approves, through what, and what that proves.
            client: The name and version of the program.

        Raises:
            OvertakenError: It doesn't wait any more, or not with that revision. Nothing was sent.
            ClawverError: The approval doesn't suffice, or it couldn't be carried out.
        """
        self._may_change()
        if not suffices(approval.grade, self.grade_needed(change)):
            raise RefusedError(
                f"{NOTHING_DONE[change.wanted.action]}: that approval is not enough.",
                next_step="Approve it in the way that it says is needed.",
            )
        if change.wanted.action == "register":
            checked(change.wanted.url, self._settings)
        async with self._at_work:
            return await self._carry_out(
                change, await self._look(change.wanted), approval, client, None
            )

    async def find(self, change_id: str) -> Change | None:
        """A change as it stands; None where there is none with this id."""
        return await off_thread(partial(self._changes.find, change_id))

    async def ask_again(self, change: Change, client: str) -> Change:
        """Have a change wait again, so that a person can decide about it now."""
        return await off_thread(
            partial(self._changes.want, change.wanted, self._floor, client, is_person=True)
        )

    def grade_needed(self, change: Change) -> Grade:
        """The lowest grade of approval that suffices, here and where the change was wanted."""
        return max(change.grade_needed, self._floor, key=GRADES.index)

    # From what is wanted to a question, and from an approval to a request.

    async def _go_on(self, wanted: WantedChange, caller: Caller, heard: _Heard | None) -> Changed:
        async with self._at_work:
            told = await self._decide(wanted, caller, heard)
        if isinstance(told, Changed):
            return told
        reply = await caller.ask(told)  # not while others wait: people take their time
        worth = await self._answered(told.about, told.number, reply, caller)
        return await self._go_on(
            wanted, caller, _Heard(told.about, told.revision, told.number, worth)
        )

    async def _decide(
        self, wanted: WantedChange, caller: Caller, heard: _Heard | None
    ) -> Changed | Question:
        seen = await self._look(wanted)
        if seen.is_needless:
            return Changed("needless", seen.hook, seen.others)
        said_no = heard is not None and heard.reply is Reply.NO
        reopens = caller.is_person and suffices(caller.grade, "chat") and not said_no
        change = await off_thread(
            partial(
                self._changes.want,
                wanted,
                self._floor,
                caller.client,
                is_person=reopens,
            )
        )
        _check_open(change, self._settings)
        if heard and (heard.change_id, heard.revision) != (change.change_id, change.revision):
            heard = None  # it was about something else
        approval = self._approval(change, caller, heard.reply if heard else None)
        if approval in {"wait", "unanswered"}:
            was_asked = approval == "unanswered"
            return Changed("needs_approval", seen.hook, seen.others, change, was_asked=was_asked)
        try:
            if not isinstance(approval, Approval):
                number = await off_thread(
                    partial(self._changes.ask, change, caller.channel, caller.client)
                )
                return _question(change, self._store, number)
            asked = heard.number if heard else None
            return await self._carry_out(change, seen, approval, caller.client, asked)
        except OvertakenError as error:  # another process was quicker
            raise _busy() from error

    def _approval(
        self, change: Change, caller: Caller, reply: Reply | None
    ) -> Approval | Literal["ask", "wait", "unanswered"]:
        """Whose approval lets it be done; or that a person is asked, or it has to wait."""
        needed, action = change.grade_needed, change.wanted.action
        if reply is Reply.YES:
            given = _person(caller)
        elif reply is Reply.HOST_YES:
            given = Approval("agent", caller.channel, "agent")
        elif reply not in {None, Reply.FAILED}:
            return "wait" if reply is Reply.HOST_NO else "unanswered"
        elif reply is None and self._asks(caller, needed):
            return "ask"
        else:
            given = BY_SETTING if needed == "setting" else Approval("agent", TOOL[action], "agent")
        return given if suffices(given.grade, needed) else "wait"

    def _asks(self, caller: Caller, needed: Grade) -> bool:
        """Whether a person is asked through the program that called, and their approval would be enough."""
        if caller.is_person:
            return True
        return needed != "setting" and caller.can_ask and suffices(caller.grade, needed)

    async def _carry_out(
        self, change: Change, seen: _Seen, approval: Approval, client: str, number: int | None
    ) -> Changed:
        wanted, hook = change.wanted, seen.hook
        await off_thread(partial(self._changes.begin, change, approval, client, number))
        try:
            if seen.is_needless:
                pass
            elif wanted.action == "delete":
                await self._clawver.delete_webhook(wanted.webhook_id)
            else:
                secret = self._settings.webhook_secret[0].get_secret_value()
                hook = await self._clawver.register_webhook(wanted.url, list(wanted.events), secret)
        except NotFoundError:  # it is gone already
            await self._over(change, is_done=True)
            return Changed("needless", None)
        except ClawverError:
            await self._over(change, is_done=False)
            raise
        await self._over(change, is_done=True)
        status: Literal["done", "needless"] = "needless" if seen.is_needless else "done"
        return Changed(status, hook, seen.others, change, approval)

    async def _over(self, change: Change, *, is_done: bool) -> None:
        """Note what came of a change; where that fails, the store's own list tells it."""
        try:
            await off_thread(partial(self._changes.end, change, is_done=is_done))
        except ClawverError as error:
            log.warning("what came of %s was not noted: %s", change.change_id, error)

    async def _look(self, wanted: WantedChange) -> _Seen:
        """What is registered. Without the setting nothing new may be named, only what is there.

        Raises:
            ClawverError: It can't be read, or the host of a new address isn't allowed.
        """
        hooks = await self._clawver.webhooks()
        if wanted.action == "delete":
            hook = _by_id(hooks, wanted.webhook_id)
            return _Seen(hook is None, hook, ())
        same_url = [each for each in hooks if one_spelling(each, self._settings) == wanted.url]
        if not same_url:
            _check_host(
                address(wanted.url, is_local_store=is_local_store(self._settings)),
                self._settings.webhook_hosts,
            )
        found = next((each for each in same_url if set(each.events) == set(wanted.events)), None)
        return _Seen(found is not None, found, tuple(e for e in same_url if e is not found))

    # What a person said.

    async def _brought(self, caller: Caller) -> _Heard | None:
        """The answer that a call brought along. A decline counts whatever became of its question."""
        change_id = caller.answered
        reply = None if change_id is None else caller.reply_to(change_id)
        if change_id is None or reply is None:
            return None
        number = caller.answered_number
        worth = await self._answered(change_id, number, reply, caller)
        return _Heard(change_id, caller.answered_revision, number, worth)

    async def _answered(
        self, change_id: str, number: int, reply: Reply, caller: Caller
    ) -> Reply | None:
        after, person = caller.answered_after_seconds, _person(caller)
        return await off_thread(
            partial(self._changes.answer, change_id, number, reply, after, person, caller.client)
        )

    # What has to hold before anything.

    @property
    def _floor(self) -> Grade:
        return self._settings.refund_grade

    def _may_change(self) -> None:
        if self._settings.read_only:
            raise SetupError(
                f"this server is read-only ({self._settings.read_only_because}).",
                fact=NOTHING_SENT,
                next_step=self._settings.read_only_remedy,
            )


def checked(url: str, settings: Settings) -> Address:
    """An address that events may be sent to, as far as that can be told without the store.

    Args:
        url: The address.
        settings: The secret and the hosts that are allowed.

    Raises:
        ClawverError: It will not do, there is no secret, or its host isn't allowed.
    """
    try:
        to = address(url, is_local_store=is_local_store(settings))
    except AddressError as error:
        raise InvalidRequestError(
            f"Nothing was registered: url {error}.",
            next_step="Ask the merchant for the public https address of their listener, then call "
            "register_webhook with it.",
        ) from None
    if not settings.webhook_secret:
        raise SetupError(
            "Nothing was registered: CLAWVER_WEBHOOK_SECRET is not set.",
            next_step="A person must set it, to a secret of 16 characters or more, here and where "
            "clawver-orders listen runs.",
        )
    if settings.webhook_hosts:
        _check_host(to, settings.webhook_hosts)
    return to


def _check_host(to: Address, allowed: tuple[str, ...]) -> None:
    if not to.is_this_machine and to.host not in allowed:
        line = ",".join(sorted({*allowed, to.host} - {""}))
        raise SetupError(
            f"Nothing was registered: {to.host} is not a host that the merchant allows for events.",
            next_step="If a person really wants the store's events sent there, they must set "
            f"CLAWVER_WEBHOOK_HOSTS={line} where this server is configured, and start it again.",
        )


def is_local_store(settings: Settings) -> bool:
    """Whether the store's API is on this machine too."""
    return settings.sandbox or is_loopback(settings.api_host)


def one_spelling(hook: Webhook, settings: Settings) -> str:
    """The address of a webhook, spelt as `address` does; as it is where it would not be taken."""
    try:
        return address(hook.url, is_local_store=is_local_store(settings)).url
    except AddressError:
        return hook.url


def _by_id(hooks: tuple[Webhook, ...], webhook_id: str) -> Webhook | None:
    return next((each for each in hooks if each.id == webhook_id), None)


def _person(caller: Caller) -> Approval:
    """A person's word through this caller."""
    return Approval(caller.grade, caller.channel, caller.person)


def command(wanted: WantedChange, settings: Settings) -> str:
    """What a person runs in a terminal to see a change and decide about it."""
    words = ["clawver-orders", "webhook", wanted.action]
    if wanted.action == "register":
        words += [wanted.url, "--events", ",".join(wanted.events)]
    else:
        words.append(wanted.webhook_id)
    return shlex.join([*words, *settings.option.split()])


def _check_open(change: Change, settings: Settings) -> None:
    """A change can be decided about.

    Raises:
        DeclinedError: A person declined it.
        RefusedError: It is being carried out.
    """
    if change.status == "begun":
        raise _busy()
    if change.status == "declined" and change.wanted.action == "register":
        raise DeclinedError(
            "Nothing was registered: a person said no to this address.",
            next_step="Do not ask again by yourself. Ask the merchant which address and which events they want. "
            f"If it is this one after all, they run in a terminal: {command(change.wanted, settings)}",
        )
    if change.status == "declined":
        raise DeclinedError(
            "Nothing was removed: a person said no to removing this webhook.",
            next_step="Do not ask again by yourself. If the merchant wants it removed after all, they run in a "
            f"terminal: {command(change.wanted, settings)}",
        )


def _busy() -> RefusedError:
    return RefusedError(
        "Another call is making the same change now, so this one did nothing.",
        next_step="Call list_webhooks to see what came of it; then repeat this call where that is still wanted.",
    )


def _question(change: Change, store: str, number: int) -> Question:
    wanted = change.wanted
    events = f"Events: {', '.join(wanted.events)}"
    if wanted.action == "register":
        lines = [
            f"Send events of this store to {wanted.url} from now on?",
            f"Store: {store}",
            events,
            "They hold what customers order. Whoever receives them there can read it.",
        ]
        yes, choice = "Send the events there", "Yes registers this address. No changes nothing."
    else:
        lines = [
            f"Stop sending events of this store to {quoted(wanted.url, 2048)}?",
            f"Store: {store}",
            events,
            f"Webhook: {wanted.webhook_id}",
            "What happens while nothing is registered is never sent later.",
        ]
        yes, choice = "Remove this webhook", "Yes removes this webhook. No changes nothing."
    return Question(
        change.change_id,
        "\n".join(lines),
        yes=yes,
        choice=choice,
        number=number,
        revision=change.revision,
        needs=change.grade_needed,
    )
