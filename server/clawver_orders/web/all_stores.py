"""The page of all stores: what each of them needs somebody for, for whoever has signed in to it.

It lets nobody in by itself. Whoever signs in to a store here brings that store's PIN, or a code that a
terminal of this machine handed over. Then a session of that store's page begins, whose secret is made
of the one secret that the browser keeps for this page. So this page shows a store to nobody whom the
store's own page would not let in; a line of it leads into that session; and nothing is decided here.

Each time somebody signs in, the secret and the path are new, and so are the sessions: another
server of this machine can plant a cookie and a link, and would then know every secret made of that cookie.
"""

import hmac
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
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
from clawver_orders.web.sessions import (
    COOKIE,
    Session,
    form_token,
    new_secret,
    place_of,
    secret_for,
)
from clawver_orders.web.signing_in import (
    FOREIGN,
    NEXT,
    OLD_CODE,
    comes_from_here,
    cookies_of,
    set_cookie,
)
from clawver_orders.web.store_page import CANNOT_BE_SHOWN, FoundPages, StorePage
from clawver_orders.web.today import Needs, many
from clawver_orders.web.webhooks import heading

ALL = "all"
"""What the page is called in addresses and forms: no store can have that name."""
NOTHING_OPENED = (
    "This opened no store. Check the store's name and its PIN. After five wrong PINs a store takes none for a "
    "while."
)
"""All that is said where anybody may ask."""
ALREADY = "You are signed in to that already."
NOT_KNOWN = "One of them can't be shown now: name it to see why."
MADE_WITHIN_SECONDS = 5.0
NOTHING_WAITS, IN_THESE = heading(0, 0), " in the stores below"
_MOST_REASONS = 3
_AT_ONCE = 4
"""How many stores a PIN is tried on at once: each try keeps a core busy."""
_NO_TIMES = Calendar("UTC", UTC)
"""Each store tells its times by itself."""


@dataclass(frozen=True)
class SignedIn:
    """A browser that has signed in to some stores here."""

    secret: str
    """What its cookie holds; nothing where it has signed in to none."""
    stores: Mapping[str, tuple[Board, Session]]
    """By their aliases."""

    @property
    def place(self) -> str:
        """The part of the path that is its own."""
        return place_of(self.secret)


NOBODY = SignedIn("", {})
FormHandler = Callable[[Request, dict[str, str], SignedIn], Awaitable[Response]]
"""Does what a form asks for; it is given the form, and where its browser has signed in."""


class AllStores:
    """The page of all stores, and the page of each beside it.

    Args:
        stores: What a person has decided for each, or why that cannot be used.
        root: Where they all are.
        folder: Where a terminal leaves the file that opens this page, signed in; None where none does.
        is_noted: Whether other processes of this machine are to lead to the pages of the stores.
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
            Route("/s/{place}/go/{alias}/{onward:path}", self._go),
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

    async def made(self) -> FoundPages:
        """Make the page of every store."""
        found: dict[str, str | ClawverError | None] = dict.fromkeys(self._pages)

        async def make(alias: str) -> None:
            try:
                found[alias] = (await self._board(alias)).address
            except ClawverError as error:
                found[alias] = error

        with anyio.move_on_after(MADE_WITHIN_SECONDS):
            await _each(self._pages, make)
        return found

    async def close(self) -> None:
        """Close what the pages opened."""
        async with AsyncExitStack() as closing:  # each of them, whatever becomes of another
            for page in self._pages.values():
                if isinstance(page, StorePage):
                    closing.push_async_callback(page.close)

    # Signing in.

    async def _entry(self, _: Request) -> Response:
        return self._door()

    def _door(self, problem: str = "", status: int = 200, *, ended: bool = False) -> Response:
        """The page to sign in on. It names no store: whoever sees it may be anybody."""
        return self._page(NOBODY, status, title="Sign in", problem=problem, ended=ended)

    def _form(self, handler: FormHandler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            signed_in = NOBODY
            try:
                signed_in = await self._signed_in(request)
                return await handler(request, await form_of(request), signed_in)
            except FormTooLargeError:
                return await self._shown(signed_in, "That form was too large.", 413)
            except ClawverError as error:
                return await self._shown(signed_in, self._told(error), 503)

        return answer

    def _told(self, error: ClawverError) -> str:
        return CANNOT_BE_SHOWN if self._place.is_reachable else error.happened

    async def _sign_in(
        self, request: Request, form: dict[str, str], signed_in: SignedIn
    ) -> Response:
        if not comes_from_here(request, form, self._place):
            return self._door(FOREIGN, 403)
        opened, problem = await self._opened(form, signed_in)
        if not opened:
            is_stranger = self._place.is_reachable and problem != ALREADY
            return await self._shown(signed_in, NOTHING_OPENED if is_stranger else problem, 403)
        secret = new_secret()
        for alias, board in opened.items():
            await board.doors.sessions.begin(secret_for(secret, alias))
        for alias, (board, session) in signed_in.stores.items():
            if alias in opened:
                await board.doors.sessions.end(session)
            else:
                await board.doors.sessions.carry(session, secret_for(secret, alias))
        path = f"{self._place.prefix}/s/{place_of(secret)}"
        response = RedirectResponse(f"{path}/", 303)
        self._forget(response, signed_in)
        set_cookie(response, COOKIE, secret, path, self._place)
        return response

    async def _opened(
        self, form: Mapping[str, str], signed_in: SignedIn
    ) -> tuple[dict[str, Board], str]:
        """The stores that a form opens; and where it is none, why."""
        if "code" in form:
            return await self._by_code(form["code"])
        named, pin = form.get("store", "").strip().lower(), form.get("pin", "")
        if named != ALL and named not in self._pages:
            return {}, "There is no store of that name here."
        opened: dict[str, Board] = {}
        problems: list[str] = []

        async def attempt(alias: str) -> None:
            try:
                # Of all stores, none waits for what Clawver says of another.
                board = await (self._known_board if named == ALL else self._board)(alias)
                problem = NOT_KNOWN if board is None else await board.doors.pin_problem(pin)
            except ClawverError as error:
                board, problem = None, str(error)
            if board is None or problem:
                problems.append(problem)
            else:
                opened[alias] = board

        meant = [*self._pages] if named == ALL else [named]
        meant = [each for each in meant if each not in signed_in.stores]
        if not meant:
            return {}, ALREADY
        await _each(meant, attempt, _AT_ONCE)
        different = [*dict.fromkeys(problems)]
        return opened, " ".join(["This opened no store:", *different[:_MOST_REASONS]])

    async def _by_code(self, given: str) -> tuple[dict[str, Board], str]:
        """The stores whose codes a terminal handed over."""
        opened = {}
        for alias, code in dict(
            each.split(":", 1) for each in given.split() if ":" in each
        ).items():
            board = await self._known_board(alias)
            with suppress(ClawverError):  # another store's code may be good all the same
                if board is not None and await board.doors.takes_code(code):
                    opened[alias] = board
        if opened and self._folder is not None:
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

    async def _known_board(self, alias: str) -> Board | None:
        """The page of a store, where somebody can have signed in to it; None where nobody can."""
        page = self._pages.get(alias)
        with suppress(ClawverError):  # the command that runs the page says why
            return await page.known_board() if isinstance(page, StorePage) else None
        return None

    async def _signed_in(self, request: Request) -> SignedIn:
        """Where the browser has signed in, by the cookie that it kept for this path."""
        place = request.path_params.get("place")
        kept = [value for name, value in cookies_of(request) if name == COOKIE]
        secret = next((each for each in kept if place_of(each) == place), "")
        if not secret:
            return NOBODY
        found = {}
        for alias in self._pages:
            own, board = secret_for(secret, alias), await self._known_board(alias)
            session = await board.doors.sessions.find(place_of(own), [own]) if board else None
            if board is not None and session is not None:
                found[alias] = (board, session)
        return SignedIn(secret, found) if found else NOBODY

    async def _sign_out(
        self, request: Request, form: dict[str, str], signed_in: SignedIn
    ) -> Response:
        if not signed_in.stores:
            return self._door(ended=True)
        given = form.get("form_token", "").encode("utf-8", "replace")
        is_own = hmac.compare_digest(given, form_token(signed_in.secret).encode())
        if not (is_own and is_same_origin(request, self._place.origins)):
            return self._door(FOREIGN, 403)
        problem: ClawverError | None = None
        for board, session in signed_in.stores.values():
            try:
                await board.doors.sessions.end(session)
            except ClawverError as error:
                problem = error
        if problem is not None:
            raise problem
        response = self._door(ended=True)
        self._forget(response, signed_in)
        return response

    def _forget(self, response: Response, signed_in: SignedIn) -> None:
        """Have a browser forget the cookie with which it was signed in."""
        if signed_in.stores:
            response.delete_cookie(COOKIE, path=self._home(signed_in))

    # What is shown.

    async def _view(self, request: Request) -> Response:
        try:
            return await self._shown(await self._signed_in(request))
        except ClawverError as error:
            return self._door(self._told(error), 503)

    async def _go(self, request: Request) -> Response:
        """From a line of this page into the page of its store."""
        alias, onward = request.path_params["alias"], request.path_params["onward"]
        if alias not in self._pages or not NEXT.fullmatch(onward):
            return self._door(status=404)
        try:
            signed_in = await self._signed_in(request)
        except ClawverError as error:
            return self._door(self._told(error), 503)
        if alias not in signed_in.stores:  # the store's own page may know this browser
            return RedirectResponse(f"{self._root.prefix}/{alias}/{onward}?door", 303)
        board, _ = signed_in.stores[alias]
        return board.doors.led_in(secret_for(signed_in.secret, alias), onward)

    async def _shown(self, signed_in: SignedIn, problem: str = "", status: int = 200) -> Response:
        """What the stores need somebody for, the most urgent first."""
        if not signed_in.stores:
            return self._door(problem, status if problem else 401, ended=not problem)
        told: dict[str, StoreTold] = {}

        async def tell(alias: str) -> None:
            board, _ = signed_in.stores[alias]
            told[alias] = await _told(alias, board, f"{self._home(signed_in)}/go/{alias}")

        await _each(signed_in.stores, tell)
        stores = [told[alias] for alias in signed_in.stores]
        needs = [each.needs for each in stores if each.needs is not None]
        waits = heading(sum(n.count for n in needs), sum(n.hook_count for n in needs))
        opened = sum(each.open_count for each in needs)
        is_whole = len(stores) == len(self._pages)
        is_known = len(needs) == len(stores) and all(each.is_known for each in needs)
        if waits == NOTHING_WAITS:
            known, where = ("" if is_known else " that is known"), ("" if is_whole else IN_THESE)
            waits = f"Nothing{known} waits for you{where}"
        stores.sort(key=lambda each: each.rank)
        return self._page(
            signed_in,
            status,
            title=waits,
            opened=f"{many(opened, 'refund')} may or may not have been paid" if opened else "",
            urgent=[each.text for each in stores if each.rank == 0],
            quiet=[each.text for each in stores if each.rank > 0],
            signed_in_to=len(stores),
            count=len(self._pages),
            problem=problem,
        )

    def _home(self, signed_in: SignedIn) -> str:
        return f"{self._place.prefix}/s/{signed_in.place}"

    def _page(self, signed_in: SignedIn, status: int, **values: object) -> Response:
        place, secret = self._place, signed_in.secret
        text = render(
            "all",
            _NO_TIMES,
            prefix=place.prefix,
            home=self._home(signed_in) if signed_in.stores else place.prefix,
            session=Session(place_of(secret), form_token(secret), 0, b"") if secret else None,
            store="All stores",
            address=place.address,
            is_local=place.hosts is not None,
            **values,
        )
        return HTMLResponse(text, status)


@dataclass(frozen=True)
class StoreTold:
    """A store as this page tells of it."""

    text: Markup
    needs: Needs | None
    """What it needs somebody for; None where that isn't known."""

    @property
    def rank(self) -> int:
        """How far from the top it is: what waits for a decision comes first, then what needs a look."""
        if self.needs is None or self.needs.waits:
            return 0
        return 1 if self.needs.parts else 2


async def _told(alias: str, board: Board, home: str) -> StoreTold:
    try:
        needs, problem = await board.today.needs_soon(), ""
    except ClawverError as error:
        needs, problem = None, error.happened
    text = board.shown.part("store", home=home, alias=alias, needs=needs, problem=problem)
    return StoreTold(text, needs)


async def _each(
    names: Iterable[str], work: Callable[[str], Awaitable[None]], at_once: float = math.inf
) -> None:
    """Do something for each store, for so many at once."""
    limiter = anyio.CapacityLimiter(at_once)

    async def one(name: str) -> None:
        async with limiter:
            await work(name)

    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(one, name)
