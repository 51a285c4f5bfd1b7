"""The views that the navigation leads to, and what a module of views gives the page.

A new view is a module of its own with a class like `Views`. `page.Board` takes it into its list and
serves it within a session alone: no module of views has to look at who asks. A view that the
navigation leads to has a row in `NAVIGATION`, and its template says `{% set here = "PATH" %}`.
"""

from typing import Protocol

from clawver_orders.web.deciding import Handler

NAVIGATION = (
    ("", "Waiting"),
    ("today", "Today"),
    ("orders", "Orders"),
    ("events", "Events"),
    ("health", "Health"),
)
"""The path of each view within a session, and what its link says."""


class Views(Protocol):
    """Some views of the page, and the forms on them. Paths begin within the session, with a slash."""

    @property
    def views(self) -> dict[str, Handler]:
        """What is shown where."""

    @property
    def forms(self) -> dict[str, Handler]:
        """What a form leads to."""
