"""Turns what is to be shown into a page."""

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from clawver_orders.days import Calendar
from clawver_orders.money import display
from clawver_orders.services import Services, Store
from clawver_orders.web import views
from clawver_orders.web.navigation import NAVIGATION
from clawver_orders.web.security import origin_of
from clawver_orders.web.sessions import Session

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Place:
    """Where the page is.

    Args:
        address: What a browser calls it, without a slash at its end.
        hosts: The values of the header `Host` under which it is reached; None where somebody else
            looks at them.
        is_reachable: Whether others than this machine can reach it.
        all_stores: The path of the page of all stores; nothing where there is none.
    """

    address: str
    hosts: frozenset[str] | None
    is_reachable: bool = False
    all_stores: str = ""

    @property
    def prefix(self) -> str:
        """What comes before every path."""
        return urlsplit(self.address).path

    @property
    def origins(self) -> frozenset[str]:
        """Where its own forms come from."""
        scheme = urlsplit(self.address).scheme
        own = frozenset(f"{scheme}://{host}" for host in self.hosts or ())
        return own | {origin_of(self.address)}


class Renderer:
    """Renders pages.

    Args:
        services: Settings and the time.
        store: Whose page it is.
        place: Where it is.
    """

    def __init__(self, services: Services, store: Store, place: Place) -> None:
        self._services, self._store, self._place = services, store, place

    def page(
        self, name: str, session: Session | None = None, status: int = 200, **values: object
    ) -> HTMLResponse:
        """A page, from its template."""
        home = f"{self._place.prefix}/s/{session.place}" if session else self._place.prefix
        return HTMLResponse(self._rendered(name, home=home, session=session, **values), status)

    def part(self, name: str, **values: object) -> Markup:
        """A part of a page, to be put into another one."""
        return Markup(self._rendered(name, **values))  # noqa: S704  # escaped by its template

    def _rendered(self, name: str, **values: object) -> str:
        place, calendar = self._place, self._services.settings.calendar
        return render(
            name,
            calendar,
            prefix=place.prefix,
            navigation=NAVIGATION,
            time_zone=calendar.name,
            store=self._store.scope.name or self._store.scope.title,
            notice=self._services.notice or "",
            store_option=self._services.settings.option,
            address=place.address,
            is_local=place.hosts is not None,
            all_stores=place.all_stores,
            now=self._services.now(),
            **values,
        )

    def sign_in(
        self, onward: str = "", problem: str = "", status: int = 200, *, ended: bool = False
    ) -> HTMLResponse:
        """The page to sign in on.

        Args:
            onward: Where to go then.
            problem: Why the last try failed.
            status: The HTTP status.
            ended: Whether there was a session at this path.
        """
        return self.page(
            "signin", None, status, onward=onward, problem=problem, ended=ended, title="Sign in"
        )


def render(name: str, calendar: Calendar, **values: object) -> str:
    """What a template makes of these values.

    Args:
        name: The template's, without its ending.
        calendar: In its time zone times are told.
        values: What it shows.
    """
    return _templates(calendar).get_template(f"{name}.html").render(values)


@cache
def _templates(calendar: Calendar) -> Environment:
    """All templates: each is compiled once in a process, however many pages it shows.

    Args:
        calendar: In its time zone times are told.
    """
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    templates.filters |= {
        "when": partial(views.when, calendar),
        "clock": partial(views.clock, calendar),
        "money": display,
        "steps": views.grade_steps,
        "grade_word": views.GRADE_WORDS.__getitem__,
        "status_words": views.STATUS_WORDS.__getitem__,
    }
    return templates
