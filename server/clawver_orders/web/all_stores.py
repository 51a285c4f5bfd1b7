"""The page of all stores: what each of them needs somebody for, for whoever has signed in to it.

It lets nobody in by itself. Whoever signs in to a store here brings that store's PIN, or a code that a
terminal of this machine handed over, and gets a session of that store's page. The browser keeps its
secret twice: for the store's page, and for this one, under a path that nobody can guess. So this page
shows a store to nobody whom the store's own page would not let in, and nothing is decided here.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC
from functools import cached_property
from pathlib import Path

import anyio
from anyio import to_thread
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from clawver_orders.days import Calendar
from clawver_orders.errors import ClawverError, SetupError
from clawver_orders.settings import Settings, Stores
from clawver_orders.web import codes
from clawver_orders.web.page import Board, static_files
from clawver_orders.web.rendering import Place, render
from clawver_orders.web.security import FormTooLargeError, Guarded, form_of, is_same_origin
from clawver_orders.web.sessions import COOKIE, Session
from clawver_orders.web.signing_in import (
    FOREIGN,
    OLD_CODE,
    comes_from_here,
    cookies_of,
    set_cookie,
)
from clawver_orders.web.store_page import StorePage
from clawver_orders.web.today import many
from clawver_orders.web.webhooks import heading

ALL = "all"
"""What the page is called in addresses and forms: no store can have that name."""
_NO_TIMES = Calendar("UTC", UTC)
"""Each store tells its times by itself."""
SignedIn = Mapping[str, tuple[Board, Session]]
"""The stores, by their aliases, that a browser has signed in to."""
FormHandler = Callable[[Request, dict[str, str], SignedIn], Awaitable[Response]]
"""Does what a form asks for; it is given the form, and where its browser has signed in."""


class AllStores:
    """The page of all stores, and the page of each beside it.

    Args:
        stores: What a person has decided for each, or why that cannot be used.
        root: Where they all are.
        folder: Where a terminal leaves the file that opens this page, signed in; None where none does.
        is_noted: Whether each page of a store is to be the only one of it on this machine.
    """

    def __init__(
        self, stores: Stores, root: Place, folder: Path | None = None, *, is_noted: bool = False
    ) -> None:
        self._root, self._folder = root, folder
        self._place = replace(root, address=f"{root.address}/{ALL}")
        self._pages: dict[str, StorePage | SetupError] = {}
        for alias, each in stores.items():
            place = replace(root, address=f"{root.address}/{alias}", all_stores=self._place.prefix)
            self._pages[alias] = (
                StorePage(each, place, is_noted=is_noted) if isinstance(each, Settings) else each
            )

    @property
    def address(self) -> str:
        """Where a browser finds it, without a slash at its end."""
        return self._place.address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for any of them."""
        await self._app(scope, receive, send)

    @cached_property
    def _app(self) -> ASGIApp:
        own = [
            *static_files(),
            Route("/signin", self._form(self._sign_in), methods=["POST"]),
            Route("/s/{place}/signin", self._form(self._sign_in), methods=["POST"]),
            Route("/s/{place}/signout", self._form(self._sign_out), methods=["POST"]),
            Route("/s/{place}/", self._view),
            Route("/{onward:path}", self._entry),
        ]
        pages = {a: each for a, each in self._pages.items() if isinstance(each, StorePage)}
        beside: Mapping[str, ASGIApp] = {ALL: Starlette(routes=own), **pages}
        start = RedirectResponse(f"{self._place.prefix}/")
        routes = [
            *(Route(f"/{alias}", each, methods=["GET"]) for alias, each in beside.items()),
            *(Mount(f"/{alias}", each) for alias, each in beside.items()),
            Route("/{elsewhere:path}", start, methods=["GET"]),
        ]
        return Guarded(Starlette(routes=routes), self._root.hosts)

    async def made(self) -> dict[str, str | ClawverError]:
        """Make the page of every store: where each is, or why there is none."""
        found: dict[str, str | ClawverError] = {}

        async def make(alias: str) -> None:
            try:
                found[alias] = (await self._board(alias)).address
            except ClawverError as error:
                found[alias] = error

        async with anyio.create_task_group() as tasks:
            for alias in self._pages:
                tasks.start_soon(make, alias)
        return {alias: found[alias] for alias in self._pages}

    async def close(self) -> None:
        """Close what the pages opened."""
        for page in self._pages.values():
            if isinstance(page, StorePage):
                await page.close()

    # Signing in.

    async def _entry(self, _: Request) -> Response:
        return self._door()

    def _door(self, problem: str = "", status: int = 200, *, ended: bool = False) -> Response:
        """The page to sign in on. It names no store: whoever sees it may be anybody."""
        return self._page(None, status, title="Sign in", problem=problem, ended=ended)

    def _form(self, handler: FormHandler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            signed_in = await self._signed_in(request)
            try:
                return await handler(request, await form_of(request), signed_in)
            except FormTooLargeError:
                return await self._shown(request, signed_in, "That form was too large.", 413)
            except ClawverError as error:
                return await self._shown(request, signed_in, error.happened, 503)

        return answer

    async def _sign_in(
        self, request: Request, form: dict[str, str], signed_in: SignedIn
    ) -> Response:
        if not comes_from_here(request, form, self._place):
            return self._door(FOREIGN, 403)
        opened, problem = await self._opened(form)
        if not opened:
            return await self._shown(request, signed_in, problem, 403)
        # Only a path that this browser has proved to be its own is kept: a link may bring any.
        place = request.path_params["place"] if signed_in else secrets.token_urlsafe(16)
        path = f"{self._place.prefix}/s/{place}"
        response = RedirectResponse(f"{path}/", 303)
        for alias, board in opened.items():
            session, secret = await board.doors.sessions.begin()
            board.doors.give_cookie(response, session, secret)
            value = f"{session.place}.{secret}"
            set_cookie(response, f"{COOKIE}-{alias}", value, path, self._place)
        return response

    async def _opened(self, form: Mapping[str, str]) -> tuple[dict[str, Board], str]:
        """The stores that a form opens; where it is none, why."""
        if "code" in form:
            return await self._by_code(form["code"])
        named = form.get("store", "").strip().lower()
        pin, opened, problem = form.get("pin", ""), {}, "There is no store of that name here."
        for alias in self._pages if named == ALL else [named] if named in self._pages else []:
            try:
                board = await self._board(alias)
                problem = await board.doors.pin_problem(pin)
            except ClawverError as error:
                problem = str(error)
            if not problem:
                opened[alias] = board
        return opened, "No store has this PIN." if named == ALL else problem

    async def _by_code(self, given: str) -> tuple[dict[str, Board], str]:
        """The stores whose codes a terminal handed over."""
        opened = {}
        for each in given.split():
            alias, _, code = each.partition(":")
            with suppress(ClawverError):  # whoever isn't signed in to a store sees that
                if alias in self._pages and await (
                    board := await self._board(alias)
                ).doors.takes_code(code):
                    opened[alias] = board
        if self._folder is not None:
            await to_thread.run_sync(codes.forget, self._folder)
        return opened, OLD_CODE

    async def _board(self, alias: str) -> Board:
        """The page of a store.

        Raises:
            ClawverError: There is none.
        """
        page = self._pages[alias]
        if isinstance(page, ClawverError):
            raise page.with_traceback(None)  # the same one is raised each time
        return await page.board()

    async def _signed_in(self, request: Request) -> SignedIn:
        """Where the browser has signed in, by the cookies that it kept for this page alone."""
        found: dict[str, tuple[Board, Session]] = {}
        for name, value in cookies_of(request):
            beginning, _, alias = name.partition("-")
            place, _, secret = value.partition(".")
            if beginning != COOKIE or alias not in self._pages or alias in found:
                continue
            try:
                board = await self._board(alias)
                session = await board.doors.sessions.find(place, [secret])
            except ClawverError:  # whoever isn't signed in to a store sees that
                continue
            if session is not None:
                found[alias] = (board, session)
        return found

    async def _sign_out(
        self, request: Request, form: dict[str, str], signed_in: SignedIn
    ) -> Response:
        given = form.get("form_token", "").encode("utf-8", "replace")
        is_own = any(
            hmac.compare_digest(given, session.form_token.encode())
            for _, session in signed_in.values()
        )
        if not (is_own and is_same_origin(request, self._place.origins)):
            return self._door(FOREIGN, 403)
        for board, session in signed_in.values():
            await board.doors.sessions.end(session)
        return self._door(ended=True)

    # What is shown.

    async def _view(self, request: Request) -> Response:
        return await self._shown(request, await self._signed_in(request))

    async def _shown(
        self, request: Request, signed_in: SignedIn, problem: str = "", status: int = 200
    ) -> Response:
        """What the stores need somebody for, the most urgent first."""
        if not signed_in:
            return self._door(problem, status if problem else 401, ended=not problem)
        told: dict[str, StoreTold] = {}

        async def tell(alias: str, board: Board, session: Session) -> None:
            told[alias] = await _told(alias, board, session)

        async with anyio.create_task_group() as tasks:
            for alias, (board, session) in signed_in.items():
                tasks.start_soon(tell, alias, board, session)
        stores = [told[alias] for alias in self._pages if alias in told]
        refunds, hooks = sum(each.refunds for each in stores), sum(each.hooks for each in stores)
        opened = sum(each.opened for each in stores)
        is_known = all(each.is_known for each in stores)
        waits = heading(refunds, hooks)
        _, first = next(iter(signed_in.values()))
        return self._page(
            replace(first, place=request.path_params["place"]),
            status,
            title=waits if is_known or refunds + hooks else "Nothing that is known waits for you",
            opened=f"{many(opened, 'refund')} may or may not have been paid" if opened else "",
            stores=sorted(stores, key=lambda each: each.rank),
            count=len(self._pages),
            places={alias: session.place for alias, (_, session) in signed_in.items()},
            problem=problem,
        )

    def _page(self, session: Session | None, status: int, **values: object) -> Response:
        place = self._place
        home = f"{place.prefix}/s/{session.place}" if session else place.prefix
        values |= {"prefix": place.prefix, "home": home, "session": session}
        values |= {"address": place.address, "store": "All stores", "navigation": ()}
        values |= {"notice": "", "time_zone": "", "all_stores": ""}
        return HTMLResponse(render("all", _NO_TIMES, **values), status)


@dataclass(frozen=True)
class StoreTold:
    """What a store needs somebody for."""

    alias: str
    text: Markup
    refunds: int = 0
    """How many refunds wait."""
    hooks: int = 0
    """How many changes of webhooks wait."""
    opened: int = 0
    """How many refunds may or may not have been paid."""
    needs_a_look: bool = True
    is_known: bool = True

    @property
    def rank(self) -> int:
        """How far from the top it is: what waits for a decision comes first, then what needs a look."""
        return 0 if self.refunds or self.hooks or self.opened else 2 - self.needs_a_look


async def _told(alias: str, board: Board, session: Session) -> StoreTold:
    try:
        needs = await board.today.needs()
    except ClawverError as error:
        text = board.shown.part("store", session, alias=alias, problem=error.happened)
        return StoreTold(alias, text, is_known=False)
    text = board.shown.part("store", session, alias=alias, problem="", needs=needs)
    return StoreTold(
        alias,
        text,
        refunds=needs.count,
        hooks=needs.hook_count,
        opened=needs.open_count,
        needs_a_look=bool(needs.parts),
        is_known=needs.is_known,
    )
