"""The webhooks that wait for a decision, on the page: what is shown of one, and what a form does."""

from typing import Final

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from clawver_orders.caller import WAITS, Approval, suffices
from clawver_orders.errors import ClawverError
from clawver_orders.services import Services, Store
from clawver_orders.web import views
from clawver_orders.web.deciding import (
    CHANNEL,
    CLIENT,
    PERSON,
    Handler,
    NotDoneError,
    check_may_decide,
    number_in,
    wrong_pin,
)
from clawver_orders.web.rendering import Place, Renderer
from clawver_orders.web.sessions import Session
from clawver_orders.webhooks.changes import Change, ChangeStatus, OvertakenError

ROWS = 50
"""So many are listed, the newest."""
TITLES: Final = {"register": "Send events to this address", "delete": "Stop sending events there"}
STATUS_WORDS: Final[dict[ChangeStatus, str]] = {
    "waiting": "Waiting for your decision",
    "begun": "Being carried out",
    "done": "Done",
    "failed": "Approved, but it didn't come to an end: see which webhooks are registered",
    "declined": "Declined",
    "expired": "Expired: nobody decided in time",
}
CHANGED = "What you saw is no longer current, so nothing was done. This is how it stands now."


class WebhookViews:
    """The handlers of all paths about webhooks.

    Args:
        services: What they work with.
        store: The store.
        place: Where the page is.
        shown: Makes the pages.
    """

    def __init__(self, services: Services, store: Store, place: Place, shown: Renderer) -> None:
        self._services, self._store, self._place, self._shown = services, store, place, shown
        self._changes = store.changes

    @property
    def forms(self) -> dict[str, Handler]:
        """What a form leads to."""
        change = "/webhook/{change_id}"
        return {
            f"{change}/approve": self._approve,
            f"{change}/decline": self._decline,
            f"{change}/again": self._ask_again,
        }

    @property
    def views(self) -> dict[str, Handler]:
        """What is shown where."""
        return {"/webhook/{change_id}": self._view}

    async def waiting(self) -> tuple[list[Change], str]:
        """Those that wait, newest first; and why they aren't known, where they aren't."""
        try:
            return list((await to_thread.run_sync(self._changes.waiting))[:ROWS]), ""
        except ClawverError as error:  # refunds can be decided about all the same
            return [], error.happened

    async def _view(self, request: Request, session: Session, _: dict[str, str]) -> Response:
        note = CHANGED if "changed" in request.query_params else ""
        return await self._detail(session, await self._change(request), note=note)

    async def _detail(
        self,
        session: Session,
        change: Change,
        *,
        note: str = "",
        problem: str = "",
        status: int = 200,
    ) -> Response:
        needed = self._store.webhooks.grade_needed(change)
        return self._shown.page(
            "webhook",
            session,
            status,
            title=f"{TITLES[change.wanted.action]}{'?' if change.status == 'waiting' else ''}",
            change=change,
            status_words=STATUS_WORDS[change.status],
            expires_at=change.since.at + WAITS,
            note=note,
            problem=problem,
            has_pin=await to_thread.run_sync(lambda: self._store.pin.is_set),
            needed=needed,
            needs=views.NEEDS[needed],
            needs_pin=not suffices("console", needed),
            is_read_only=self._services.settings.read_only,
        )

    async def _approve(self, request: Request, session: Session, form: dict[str, str]) -> Response:
        check_may_decide(self._services.settings)
        change = await self._change(request)
        if (number_in(form.get("revision", "")), change.status) != (change.revision, "waiting"):
            return self._to(session, change, "?changed")
        typed = form.get("pin", "")
        needed = self._store.webhooks.grade_needed(change)
        problem = await wrong_pin(self._store.pin, typed, needed)
        if problem:
            return await self._detail(session, change, problem=problem, status=403)
        approval = Approval("pin" if typed else "console", CHANNEL, PERSON)
        try:
            await self._store.webhooks.approve(change, approval, CLIENT)
        except OvertakenError:
            return self._to(session, change, "?changed")
        except ClawverError as error:
            raise NotDoneError(409, "This didn't come to an end", error.happened) from error
        return self._to(session, change)

    async def _decline(self, request: Request, session: Session, _: dict[str, str]) -> Response:
        check_may_decide(self._services.settings)
        change = await self._change(request)
        person = Approval("console", CHANNEL, PERSON)
        after = await to_thread.run_sync(self._changes.decline, change.change_id, person, CLIENT)
        return self._to(session, change, "" if after.status == "declined" else "?changed")

    async def _ask_again(self, request: Request, session: Session, _: dict[str, str]) -> Response:
        check_may_decide(self._services.settings)
        change = await self._change(request)
        return self._to(session, await self._store.webhooks.ask_again(change, CLIENT))

    async def _change(self, request: Request) -> Change:
        change = await to_thread.run_sync(self._changes.find, request.path_params["change_id"])
        if change is None:
            raise NotDoneError(
                404,
                "There is no such change",
                "Nothing of it is kept for this store on this machine. The link may be of another store.",
            )
        return change

    def _to(self, session: Session, change: Change, more: str = "") -> Response:
        home = f"{self._place.prefix}/s/{session.place}"
        return RedirectResponse(f"{home}/webhook/{change.change_id}{more}", 303)


def heading(refunds: int, webhooks: int) -> str:
    """How much waits, in words."""
    counts = ((refunds, "refund"), (webhooks, "webhook"))
    said = [f"{count} {name}{'' if count == 1 else 's'}" for count, name in counts if count]
    verb = "waits" if refunds + webhooks == 1 else "wait"
    return f"{' and '.join(said)} {verb} for you" if said else "Nothing waits for you"
