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
    tables,
)

FOREIGN = "That form didn't come from this page, so nothing was done. Open the page again."
_VIEWS = "|".join(path for path, _ in NAVIGATION if path)
_NEXT = re.compile(rf"(?:(?:refund|webhook|order)/[A-Za-z0-9_-]{{1,64}}|{_VIEWS})?")
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
        self._sessions: Sessions = (
            OwnSessions(services.uptime)
            if self._shared is None
            else SharedSessions(self._shared, services.instant)
        )

    async def entry(self, request: Request) -> Response:
        """The page to sign in on, for whatever was asked for."""
        onward = request.path_params["onward"]
        return self._renderer.sign_in(onward if _NEXT.fullmatch(onward) else "")

    async def sign_in(self, request: Request) -> Response:
        """Begin a session for whoever brings the PIN or a code, and lead into it."""
        try:
            form = await form_of(request)
        except FormTooLargeError:
            return self._renderer.sign_in(problem="That form was too large.", status=413)
        onward = form.get("next", "")
        onward = onward if _NEXT.fullmatch(onward) else ""
        try:
            problem = await self._problem(request, form)
            if problem:
                return self._renderer.sign_in(onward, problem, 403)
            session, secret = await self._sessions.begin()
        except ClawverError as error:
            return self._renderer.sign_in(onward, error.happened, 503)
        place = f"{self._place.prefix}/s/{session.place}"
        response = RedirectResponse(f"{place}/{onward}", 303)
        response.set_cookie(
            COOKIE,
            secret,
            max_age=LASTS_SECONDS,
            path=place,
            secure=self._place.address.startswith("https:"),
            httponly=True,
            samesite="lax",
        )
        return response

    async def _problem(self, request: Request, form: dict[str, str]) -> str:
        """Why whoever sent this form isn't let in; nothing where they are."""
        if "code" in form:
            allowed = is_from_a_file(request) or is_same_origin(request, self._place.origins)
            return await self._code_problem(form["code"]) if allowed else FOREIGN
        allowed = is_same_origin(request, self._place.origins)
        return await self._pin_problem(form.get("pin", "")) if allowed else FOREIGN

    async def _code_problem(self, code: str) -> str:
        folder, now = self._store.scope.folder, self._services.instant()
        if await to_thread.run_sync(codes.redeem, folder, code, now, self._shared):
            return ""
        return "That code was used already, or is older than two minutes. Open the page again from the terminal."

    async def _pin_problem(self, typed: str) -> str:
        pin = self._store.pin
        try:
            if self._place.is_reachable and not await to_thread.run_sync(lambda: pin.is_long):
                return (
                    "Others can reach this page, so it takes a PIN of 10 characters or more. Set one in a "
                    "terminal, with: clawver-orders pin"
                )
            await to_thread.run_sync(lambda: pin.check(typed, has_session=False))
        except ClawverError as error:
            return f"{error} Each store has a PIN of its own."
        return ""

    async def sign_out(self, session: Session) -> Response:
        """End a session."""
        await self._sessions.end(session)
        return self._renderer.sign_in(ended=True)

    async def session(self, request: Request) -> Session | Response:
        """Whose request it is; where nobody has signed in at its path, or that can't be told, the page that says so."""
        pairs = [
            pair.strip().partition("=")
            for header in request.headers.getlist("cookie")
            for pair in header.split(";")
        ]
        own = [value for name, _, value in pairs if name == COOKIE]
        try:
            found = await self._sessions.find(request.path_params["place"], own)
        except ClawverError as error:
            return self._renderer.sign_in(problem=error.happened, status=503)
        return found or self._missing(request)

    def _missing(self, request: Request) -> Response:
        """The page to sign in on, where a session was asked for that is none."""
        _, _, path = request.url.path.partition(f"/s/{request.path_params['place']}/")
        onward = _NEXT.match(path)  # of a form: the view that it is on
        return self._renderer.sign_in(onward[0] if onward else "", status=401, ended=True)
