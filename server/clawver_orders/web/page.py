"""The page itself: what is served at which path, to whom, and what a form does.

Nothing but the sign-in is served without a session. Each session has a path of its own, and its
cookie goes there alone. A decision goes through `refunds.desk`, as in the terminal, and then always to
a page that says what came of it.
"""

import hmac
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from clawver_orders.caller import Approval, suffices
from clawver_orders.errors import ClawverError
from clawver_orders.money import display
from clawver_orders.refunds.matching import doubts_of
from clawver_orders.refunds.outcome import Outcome
from clawver_orders.refunds.policy_file import verdict_of
from clawver_orders.refunds.reading import BOUNDS, OrderReader
from clawver_orders.refunds.records import Wish
from clawver_orders.services import Services, Store
from clawver_orders.web import views
from clawver_orders.web.deciding import (
    CHANNEL,
    CLIENT,
    PERSON,
    Handler,
    NotDoneError,
    OnPage,
    check_may_decide,
    number_in,
    wrong_pin,
)
from clawver_orders.web.downloads import Downloads
from clawver_orders.web.events import EventViews
from clawver_orders.web.filters import Searches, SharedSearches
from clawver_orders.web.health import HealthViews
from clawver_orders.web.navigation import Views
from clawver_orders.web.one_order import OneOrderViews
from clawver_orders.web.orders import OrderListViews
from clawver_orders.web.reading import Orders
from clawver_orders.web.rendering import Place, Renderer
from clawver_orders.web.security import (
    FormTooLargeError,
    Guarded,
    form_of,
    is_same_origin,
)
from clawver_orders.web.sessions import Session, tables
from clawver_orders.web.signing_in import FOREIGN, SignIn
from clawver_orders.web.store_answers import StoreAnswers
from clawver_orders.web.today import TodayViews
from clawver_orders.web.webhooks import WebhookViews, heading

ROWS_ON_A_PAGE = 50
MOST_DECIDED = 10
_IN_SESSION = "/s/{place}"
_HERE = Path(__file__).parent
_STATIC = {"board.css": "text/css", "board.js": "text/javascript"}
_DOLLARS = re.compile(r"\$?([0-9]{1,7})(?:[.,]([0-9]{2}))?")
_SETTLED = frozenset({"refunded", "already_refunded", "unknown", "declined", "not_recorded"})
NOTES = {
    "changed": "What you saw is no longer current, so nothing was sent. This is how it stands now.",
    "policy": "You saw this refund under another refund policy than the one of the server that took your "
    "decision, so nothing was sent. This is how it stands there. If nobody changed the policy, the servers "
    "have different files.",
    "weak": "Your approval was not enough for this refund, so nothing was sent. See below what it needs.",
    "busy": "Something else is at work on this order, so nothing was sent. Try again in a moment.",
}


class Board:
    """The page of one store: the handlers of all paths.

    Args:
        services: What they work with.
        store: The store.
        place: Where the page is.
    """

    def __init__(self, services: Services, store: Store, place: Place) -> None:
        self._services, self._store, self._place = services, store, place
        self._orders = Orders(OrderReader(services.clawver, store.ledger, BOUNDS), services.instant)
        self.shown = Renderer(services, store, place)
        """Makes the pages."""
        self.doors = SignIn(services, store, place, self.shown)
        """The way in."""
        self._webhooks = WebhookViews(services, store, place, self.shown)
        answers = StoreAnswers(services)  # one for all views, and one of these
        shared = tables(services.settings, store.scope)
        searches = Searches() if shared is None else SharedSearches(shared)
        self.today = TodayViews(services, store, self.shown, self._orders, self._webhooks, answers)
        """What the store needs somebody for."""
        self._others: tuple[Views, ...] = (
            self._webhooks,
            self.today,
            OrderListViews(services, store, place, self.shown, answers, searches),
            OneOrderViews(services, place, self.shown, self._orders, answers, searches),
            Downloads(services, store, place, searches),
            EventViews(services, store, self.shown),
            HealthViews(services, self.shown, answers),
        )

    @property
    def address(self) -> str:
        """Where it is, without a slash at its end."""
        return self._place.address

    async def close(self) -> None:
        """End what still asks Clawver."""
        await self.today.close()

    @cached_property
    def app(self) -> ASGIApp:
        """The page, ready to be served."""
        return Guarded(Starlette(routes=self.routes), self._place.hosts)

    @property
    def routes(self) -> list[Route]:
        """What is served where: all but the sign-in lies within a session."""
        refund = "/refund/{refund_id}"
        forms: dict[str, Handler] = {
            "/signout": self._sign_out,
            f"{refund}/approve": self._approve,
            f"{refund}/decline": self._decline,
            f"{refund}/again": self._ask_again,
            f"{refund}/check": self._check,
            f"{refund}/read": self._read_again,
        }
        views_: dict[str, Handler] = {
            "/": self._waiting,
            refund: self._refund,
            f"{refund}/done": self._done,
        }
        for each in self._others:
            forms |= each.forms
            views_ |= each.views
        return [
            *static_files(),
            Route("/signin", self.doors.sign_in, methods=["POST"]),
            *(
                Route(_IN_SESSION + path, self._form(h), methods=["POST"])
                for path, h in forms.items()
            ),
            *(Route(_IN_SESSION + path, self._view(h)) for path, h in views_.items()),
            Route("/{onward:path}", self.doors.entry),
        ]

    async def _sign_out(self, _: Request, session: Session, __: dict[str, str]) -> Response:
        return await self.doors.sign_out(session)

    # What comes before every view and every form.

    def _view(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            session = await self.doors.session(request)
            if isinstance(session, Response):
                return session
            return await self._said(handler, request, session, {})

        return answer

    def _form(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            session = await self.doors.session(request)
            if isinstance(session, Response):
                return session
            try:
                form = await form_of(request)
            except FormTooLargeError:
                form = {}
            given = form.get("form_token", "").encode("utf-8", "replace")
            is_own = hmac.compare_digest(given, session.form_token.encode())
            if not (is_own and is_same_origin(request, self._place.origins)):
                return self.shown.page(
                    "problem", session, 403, title="Nothing was done", text=FOREIGN
                )
            return await self._said(handler, request, session, form)

        return answer

    async def _said(
        self, handler: Handler, request: Request, session: Session, form: dict[str, str]
    ) -> Response:
        try:
            return await handler(request, session, form)
        except NotDoneError as why:
            title, text, status = why.title, why.text, why.status
        except ClawverError as error:
            title, text, status = "This can't be done now", error.happened, 409
        return self.shown.page("problem", session, status, title=title, text=text)

    # Views.

    async def _waiting(self, request: Request, session: Session, _: dict[str, str]) -> Response:
        ledger = self._store.ledger
        waiting = await ledger.waiting()
        number = number_in(request.query_params.get("page", "1")) or 1
        begin = (number - 1) * ROWS_ON_A_PAGE
        here = waiting[begin : begin + ROWS_ON_A_PAGE]
        opened = await ledger.all_open()
        await self._orders.some_of([*opened, *here])
        hooks, hooks_problem = await self._webhooks.waiting()
        decided = await ledger.decided(MOST_DECIDED)
        return self.shown.page(
            "waiting",
            session,
            title="Waiting",
            opened=[self._row(wish) for wish in opened],
            rows=[self._row(wish) for wish in here],
            count=len(waiting),
            heading=heading(len(waiting), len(hooks)),
            hooks=hooks,
            hooks_problem=hooks_problem,
            number=number,
            pages=max(1, -(-len(waiting) // ROWS_ON_A_PAGE)),
            decided=[self._row(wish) for wish in decided],
            is_read_only=self._services.settings.read_only,
        )

    def _row(self, wish: Wish) -> views.RefundRow:
        kept = self._orders.kept(wish.order_id)
        return views.row_of(wish, kept, self._services.masking)

    async def _refund(self, request: Request, session: Session, _: dict[str, str]) -> Response:
        note = NOTES.get(request.query_params.get("note", ""), "")
        return await self._detail(session, await self._wish(request), note=note)

    async def _detail(
        self, session: Session, wish: Wish, *, note: str = "", problem: str = "", status: int = 200
    ) -> Response:
        """One refund in full, and what can be decided about it."""
        ledger = self._store.ledger
        reading = await self._orders.of(wish)
        records = await ledger.of_order(wish.order_id)
        settings, is_waiting = self._services.settings, wish.status == "waiting"
        doubts = doubts_of(records, ledger.now(), settings.refund_verify_seconds)
        judged = reading.order if is_waiting else None
        shown = views.detail_of(
            wish,
            reading,
            doubts if is_waiting else (),
            await verdict_of(settings, ledger, judged, wish.amount_in_cents),
            await ledger.history(wish.refund_id),
            self._services.masking,
            is_fresh=self._orders.is_fresh(reading),
            is_read_only=settings.read_only,
        )
        has_pin = await to_thread.run_sync(lambda: self._store.pin.is_set)
        return self.shown.page(
            "refund",
            session,
            status,
            title=shown.amount,
            shown=shown,
            note=note,
            problem=problem,
            has_pin=has_pin,
            needs_pin=not suffices("console", wish.grade_needed),
            needs=views.NEEDS[wish.grade_needed],
        )

    async def _done(self, request: Request, session: Session, _: dict[str, str]) -> Response:
        wish = await self._wish(request)
        late = "late" in request.query_params
        kept = self._orders.kept(wish.order_id)
        waiting = await self._store.ledger.waiting()
        return self.shown.page(
            "done",
            session,
            title=display(wish.amount_in_cents),
            row=views.row_of(wish, kept, self._services.masking),
            late=late,
            count=len(waiting),
        )

    # Forms.

    async def _approve(self, request: Request, session: Session, form: dict[str, str]) -> Response:
        check_may_decide(self._services.settings)
        wish = await self._wish(request)
        if wish.status != "waiting":
            return self._to(session, f"refund/{wish.refund_id}/done?late=1")
        if number_in(form.get("revision", "")) != wish.revision:
            return self._to(session, f"refund/{wish.refund_id}?note=changed")
        less = _less(form, wish) if "amount" in form else None
        if less == 0:
            return await self._detail(
                session,
                wish,
                problem=f"Type an amount of less than {display(wish.amount_in_cents)}, such as 5.00.",
                status=422,
            )
        typed = form.get("pin", "")
        problem = await wrong_pin(self._store.pin, typed, wish.grade_needed)
        if problem:
            return await self._detail(session, wish, problem=problem, status=403)
        caller = OnPage(
            self._store.ledger,
            wish.refund_id,
            wish.revision,
            says_yes=True,
            is_less=less is not None,
            grade="pin" if typed else "console",
        )
        try:
            outcome = await self._store.desk.approve(wish.refund_id, caller, less)
        except ClawverError as error:
            raise NotDoneError(409, "This refund was not made", error.happened) from error
        return self._after(session, wish, outcome, caller)

    def _after(self, session: Session, wish: Wish, outcome: Outcome, caller: OnPage) -> Response:
        """To the page that says what came of it."""
        about = outcome.wish or wish
        if outcome.status in _SETTLED:
            return self._to(session, f"refund/{about.refund_id}/done")
        if outcome.status == "busy":
            return self._to(session, f"refund/{wish.refund_id}?note=busy")
        is_same = about.revision == wish.revision or caller.is_less
        is_of_another = self._services.settings.has_database and about.policy != wish.policy
        changed = "policy" if is_of_another else "changed"
        note = "weak" if caller.agreed and is_same else changed
        return self._to(session, f"refund/{wish.refund_id}?note={note}")

    async def _decline(self, request: Request, session: Session, _: dict[str, str]) -> Response:
        check_may_decide(self._services.settings)
        wish = await self._wish(request)
        approval = Approval("console", CHANNEL, PERSON)
        outcome = await self._store.desk.decline(wish.refund_id, approval, CLIENT)
        late = "" if outcome.status == "declined" else "?late=1"
        return self._to(session, f"refund/{wish.refund_id}/done{late}")

    async def _ask_again(self, request: Request, session: Session, _: dict[str, str]) -> Response:
        check_may_decide(self._services.settings)
        wish = await self._wish(request)
        caller = OnPage(self._store.ledger, wish.refund_id, wish.revision, says_yes=False)
        outcome = await self._store.desk.approve(wish.refund_id, caller)
        about = caller.asked[-1].about if caller.asked else (outcome.wish or wish).refund_id
        return self._to(session, f"refund/{about}")

    async def _check(self, request: Request, session: Session, _: dict[str, str]) -> Response:
        wish = await self._wish(request)
        with suppress(ClawverError):  # how it stands, said for agents: the page says it for people
            await self._store.desk.check(wish.refund_id)
        return self._to(session, f"refund/{wish.refund_id}")

    async def _read_again(self, request: Request, session: Session, _: dict[str, str]) -> Response:
        wish = await self._wish(request)
        await self._orders.of(wish, again=True)
        return self._to(session, f"refund/{wish.refund_id}")

    async def _wish(self, request: Request) -> Wish:
        wish = await self._store.ledger.find(request.path_params["refund_id"])
        if wish is None:
            raise NotDoneError(
                404,
                "There is no such refund",
                "This store's ledger on this machine doesn't hold it. The link may be of another store.",
            )
        return wish

    def _to(self, session: Session, path: str) -> Response:
        return RedirectResponse(f"{self._place.prefix}/s/{session.place}/{path}", 303)


def _less(form: dict[str, str], wish: Wish) -> int:
    """The amount that was typed, in cents; 0 where it is none, or not less."""
    found = _DOLLARS.fullmatch(form["amount"].strip())
    cents = int(found[1]) * 100 + int(found[2] or 0) if found else 0
    return cents if cents < wish.amount_in_cents else 0


def static_files() -> list[Route]:
    """The style and the script of every page."""
    return [Route(f"/{name}", _file(name, kind)) for name, kind in _STATIC.items()]


def _file(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        content = await to_thread.run_sync((_HERE / "static" / name).read_bytes)
        return Response(content, media_type=kind)

    return answer
