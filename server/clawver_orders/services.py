"""What lives as long as the process, and how a tool gets it.

Nothing is opened before the first call needs it: a host that only lists the tools waits for
nothing.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import cached_property
from http.cookiejar import CookieJar, DefaultCookiePolicy

import anyio
import httpx2

from clawver_orders.clawver.client import Clawver
from clawver_orders.clawver.request_budget import Budget
from clawver_orders.clawver.transport import Transport
from clawver_orders.errors import SetupError
from clawver_orders.orders.privacy import Masking
from clawver_orders.refunds.desk import RefundDesk
from clawver_orders.refunds.ledger import LEDGER_FILE, Ledger, Moment
from clawver_orders.refunds.order_locks import OrderLocks
from clawver_orders.settings import Settings
from clawver_orders.webhooks.inbox import Inbox

SANDBOX_NOTICE = "Sandbox store on this machine: no real customer, no real money."
LEDGER, INBOX = "ledger.", "inbox."
"""What the files of a store's refunds and of its events begin with."""
_IN_PROCESS_URL = "http://127.0.0.1/v1"


def utc_now() -> datetime:
    """The current time."""
    return datetime.now(UTC)


def _no_cookies() -> CookieJar:
    """A jar that takes nothing: a session from an owner's call must not join a customer's."""
    return CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))


class Services:
    """The parts that tools work with.

    Args:
        settings: What a person has decided.
        now: The current time in UTC.
        uptime: Seconds since this machine started, for all its processes alike; no change of the
            clock changes it.
    """

    def __init__(
        self,
        settings: Settings,
        now: Callable[[], datetime] = utc_now,
        uptime: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.now = now
        self.uptime = uptime
        self._open = AsyncExitStack()

    @property
    def sandbox_notice(self) -> str | None:
        """What every answer says where this is the sandbox store; None where it is a real one."""
        return SANDBOX_NOTICE if self.settings.sandbox else None

    @cached_property
    def masking(self) -> Masking:
        """How customers are shown."""
        return Masking.by(self.settings)

    def moment(self) -> Moment:
        """The current time, and how long the machine has been up."""
        return Moment(self.now(), self.uptime())

    @cached_property
    def clawver(self) -> Clawver:
        """The store's API: the real one, or the sandbox within this process."""
        if self.settings.sandbox:
            return self._sandbox_store()
        http, fresh = (
            httpx2.AsyncClient(trust_env=False, cookies=_no_cookies(), limits=limits)
            for limits in (httpx2.Limits(), httpx2.Limits(max_keepalive_connections=0))
        )
        self._open.push_async_callback(http.aclose)
        self._open.push_async_callback(fresh.aclose)
        return Clawver(
            Transport(self.settings, http, fresh=fresh, budget=self._budget(), now=self.now)
        )

    def _budget(self) -> Budget:
        budget = Budget(
            self.settings.store_dir / "requests.sqlite3",
            self.settings.requests_per_minute,
            self.settings.requests_per_day,
            lambda: self.now().timestamp(),
        )
        self._open.callback(budget.close)
        return budget

    def known_store(self) -> "Store | None":
        """The store, as far as that is known without asking it."""
        return self._store

    async def store(self) -> "Store":
        """The store."""
        return self._store

    async def kept(self, beginning: str) -> "Store":  # noqa: ARG002  # nobody has to be asked yet
        """The store, to read what is kept of it.

        Args:
            beginning: What the name of the file begins with.
        """
        return self._store

    @cached_property
    def _store(self) -> "Store":
        return Store(self)

    @property
    def desk(self) -> RefundDesk:
        """The refund desk."""
        return self._store.desk

    @property
    def ledger(self) -> Ledger:
        """Every refund of this store."""
        return self._store.ledger

    @property
    def inbox(self) -> Inbox:
        """The events that this store sent."""
        return self._store.inbox

    @property
    def locks(self) -> OrderLocks:
        """One lock for each order, over all processes of this machine."""
        return self._store.locks

    @cached_property
    def own_answers(self) -> set[int]:
        """The numbers of the questions about webhooks that a host answered by itself."""
        return set()

    @cached_property
    def registering(self) -> anyio.Lock:
        """Held from looking for a webhook until it is made: hosts that repeat calls do so at once."""
        return anyio.Lock()

    def _sandbox_store(self) -> Clawver:
        from clawver_orders.sandbox_store import open_sandbox
        from clawver_sandbox.api import build_app
        from clawver_sandbox.shop import API_KEY

        shop = open_sandbox(self.settings)
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=build_app(shop)))
        self._open.push_async_callback(http.aclose)
        self._open.callback(shop.close)
        settings = self.settings.model_copy(update={"api_url": _IN_PROCESS_URL})
        budget = self._budget()
        return Clawver(
            Transport(settings, http, fresh=http, budget=budget, api_key=API_KEY, now=self.now)
        )

    async def close(self) -> None:
        """Close what was opened."""
        await self._open.aclose()


class Store:
    """What is kept of one store. Nothing is opened before it is asked something.

    Args:
        services: What it works with.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def title(self) -> str:
        """The store as a person knows it."""
        return self._services.settings.store_name

    @cached_property
    def ledger(self) -> Ledger:
        """Every refund of this store."""
        return Ledger(self._services.settings.store_dir / LEDGER_FILE)

    @cached_property
    def inbox(self) -> Inbox:
        """The events that this store sent."""
        return Inbox.of(self._services.settings)

    @cached_property
    def locks(self) -> OrderLocks:
        """One lock for each order, over all processes of this machine."""
        return OrderLocks(self._services.settings.store_dir / "locks")

    @cached_property
    def desk(self) -> RefundDesk:
        """The refund desk."""
        services = self._services
        return RefundDesk(
            services.clawver,
            self.ledger,
            self.locks,
            services.settings,
            store=self.title,
            masking=services.masking,
            moment=services.moment,
        )


Available = Services | SetupError
"""What calls work with; or, where the settings cannot be used, the error that answers them all."""


def usable(available: Available) -> Services:
    """The services, where there are any.

    Raises:
        SetupError: The settings cannot be used.
    """
    if isinstance(available, SetupError):
        raise available.with_traceback(None)  # the same one is raised for every call
    return available


@asynccontextmanager
async def opened(
    settings: Settings,
    now: Callable[[], datetime] = utc_now,
    uptime: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Services]:
    """Services for as long as the block lasts."""
    services = Services(settings, now, uptime)
    try:
        yield services
    finally:
        await services.close()
