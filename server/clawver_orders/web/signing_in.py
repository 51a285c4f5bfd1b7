"""Who gets in: by the PIN, or by a code that a terminal handed over."""

import re

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from clawver_orders.errors import ClawverError
from clawver_orders.services import Services, Store
from clawver_orders.web import codes
from clawver_orders.web.navigation import NAVIGATION
from clawver_orders.web.rendering import Place, Renderer
from clawver_orders.web.security import (
    FormTooLargeError,
    form_of,
    is_from_a_file,
    is_same_origin,
)
from clawver_orders.web.sessions import (
    COOKIE,
    LASTS_SECONDS,
    OwnSessions,
    Session,
    Sessions,
    SharedSessions,
    new_secret,
    place_of,
    tables,
)

OLD_CODE = "That code was used already, or is older than two minutes. Open the page again from the terminal."
FOREIGN = "That form didn't come from this page, so nothing was done. Open the page again."
_VIEWS = "|".join(path for path, _ in NAVIGATION if path)
NEXT = re.compile(rf"(?:(?:refund|webhook|order)/[A-Za-z0-9_-]{{1,64}}|{_VIEWS})?")
"""Where a link may lead after the sign-in: it is a path within the session."""


class SignIn:
    """The way into the page of one store.

    Args:
        services: The time.
        store: Whose PIN it takes.
        place: Where the page is.
        renderer: Makes the pages.
    """

    def __init__(self, services: Services, store: Store, place: Place, renderer: Renderer) -> None:
        self._services, self._store, self._place = services, store, place
        self._renderer = renderer
        self._shared = tables(services.settings, store.scope)
        self.sessions: Sessions = (
            OwnSessions(services.uptime)
            if self._shared is None
            else SharedSessions(self._shared, services.instant)
        )
        """Who has signed in."""

    async def entry(self, request: Request) -> Response:
        """The page to sign in on, for whatever was asked for."""
        onward = request.path_params["onward"]
        return self._renderer.sign_in(onward if NEXT.fullmatch(onward) else "")

    async def sign_in(self, request: Request) -> Response:
        """Begin a session for whoever brings the PIN or a code, and lead into it."""
        try:
            form = await form_of(request)
        except FormTooLargeError:
            return self._renderer.sign_in(problem="That form was too large.", status=413)
        onward = form.get("next", "")
        onward = onward if NEXT.fullmatch(onward) else ""
        try:
            problem = await self._problem(request, form)
            if problem:
                return self._renderer.sign_in(onward, problem, 403)
            await self.sessions.begin(secret := new_secret())
        except ClawverError as error:
            return self._renderer.sign_in(onward, error.happened, 503)
        return self.led_in(secret, onward)

    def led_in(self, secret: str, onward: str) -> Response:
        """The way into the session of a secret, which the browser keeps from then on.

        Args:
            secret: What its cookie holds.
            onward: Where it leads within the session.
        """
        path = f"{self._place.prefix}/s/{place_of(secret)}"
        response = RedirectResponse(f"{path}/{onward}", 303)
        set_cookie(response, COOKIE, secret, path, self._place)
        return response

    async def _problem(self, request: Request, form: dict[str, str]) -> str:
        """Why whoever sent this form isn't let in; nothing where they are."""
        if not comes_from_here(request, form, self._place):
            return FOREIGN
        if "code" in form:
            return "" if await self.takes_code(form["code"]) else OLD_CODE
        return await self.pin_problem(form.get("pin", ""))

    async def takes_code(self, code: str) -> bool:
        """Whether a terminal handed this code over, two minutes ago at most. It counts once."""
        folder, now = self._store.scope.folder, self._services.instant()
        return await to_thread.run_sync(codes.redeem, folder, code, now, self._shared)

    async def pin_problem(self, typed: str) -> str:
        """Why a PIN does not open this page; nothing where it does. A wrong one is counted."""
        pin = self._store.pin
        try:
            if self._place.is_reachable and not await to_thread.run_sync(lambda: pin.is_long):
                return (
                    "Others can reach this page, so it takes a PIN of 10 characters or more. Set one in a "
                    f"terminal, with: clawver-orders pin{self._services.settings.option}"
                )
            await to_thread.run_sync(lambda: pin.check(typed, has_session=False))
        except ClawverError as error:
            return f"{error} Each store has a PIN of its own."
        return ""

    async def sign_out(self, session: Session) -> Response:
        """End a session."""
        await self.sessions.end(session)
        return self._renderer.sign_in(ended=True)

    async def session(self, request: Request) -> Session | Response:
        """Whose request it is; where nobody has signed in at its path, or that can't be told, the page that says so."""
        own = [value for name, value in cookies_of(request) if name == COOKIE]
        try:
            found = await self.sessions.find(request.path_params["place"], own)
        except ClawverError as error:
            return self._renderer.sign_in(problem=error.happened, status=503)
        return found or self._missing(request)

    def _missing(self, request: Request) -> Response:
        """The page to sign in on, where a session was asked for that is none."""
        _, _, path = request.url.path.partition(f"/s/{request.path_params['place']}/")
        onward = NEXT.match(path)  # of a form: the view that it is on
        return self._renderer.sign_in(onward[0] if onward else "", status=401, ended=True)


def comes_from_here(request: Request, form: dict[str, str], place: Place) -> bool:
    """Whether a form to sign in with came from the page, or, with a code, from the file that holds it."""
    is_handed_over = "code" in form and is_from_a_file(request)
    return is_handed_over or is_same_origin(request, place.origins)


def cookies_of(request: Request) -> list[tuple[str, str]]:
    """The name and the value of every cookie: other servers of this machine can add some of the same name."""
    pairs = [
        pair.strip().partition("=")
        for header in request.headers.getlist("cookie")
        for pair in header.split(";")
    ]
    return [(name, value) for name, _, value in pairs]


def set_cookie(response: Response, name: str, value: str, path: str, place: Place) -> None:
    """Have a browser keep a secret of the page, for a path and no script."""
    response.set_cookie(
        name,
        value,
        max_age=LASTS_SECONDS,
        path=path,
        secure=place.address.startswith("https:"),
        httponly=True,
        samesite="lax",
    )
