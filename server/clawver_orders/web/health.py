"""Health: what `clawver-orders doctor` says of the installation that runs this page.

What is on this machine is looked at each time, so that a reload shows whether it was mended. Clawver
is asked once in five minutes, as by all views.
"""

from starlette.requests import Request
from starlette.responses import Response

from clawver_orders.environment import variables
from clawver_orders.reports.checks import examined, not_answered
from clawver_orders.services import Services
from clawver_orders.web.deciding import Handler
from clawver_orders.web.rendering import Renderer
from clawver_orders.web.sessions import Session
from clawver_orders.web.store_answers import StoreAnswers


class HealthViews:
    """The handler of the view.

    Args:
        services: What is looked at.
        shown: Makes the pages.
        answers: What all views ask of the store.
    """

    def __init__(self, services: Services, shown: Renderer, answers: StoreAnswers) -> None:
        self._services, self._shown, self._answers = services, shown, answers

    @property
    def views(self) -> dict[str, Handler]:
        """What is shown where."""
        return {"/health": self._health}

    @property
    def forms(self) -> dict[str, Handler]:
        """Nothing is decided here."""
        return {}

    async def _health(self, _: Request, session: Session, __: dict[str, str]) -> Response:
        asked = await self._answers.checks.get()
        told = (asked.value or []) if asked.error is None else [not_answered(asked.error)]
        findings = await examined(self._services, variables(), told)
        wrong = [each for each in findings if not each.is_fine]
        return self._shown.page(
            "health",
            session,
            title="Health",
            heading=_heading(len(wrong)),
            findings=[*wrong, *(each for each in findings if each.is_fine)],
            asked=asked,
        )


def _heading(wrong: int) -> str:
    if not wrong:
        return "Everything is fine"
    return f"{wrong} {'thing needs' if wrong == 1 else 'things need'} attention"
