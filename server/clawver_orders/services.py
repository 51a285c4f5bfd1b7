"""What lives as long as the process, and how a tool gets it.

Nothing is opened before the first call needs it: a host that only lists the tools waits for
nothing.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import cached_property
from http.cookiejar import CookieJar, DefaultCookiePolicy

import anyio
import httpx2
from anyio import to_thread

from clawver_orders.clawver.client import Clawver
from clawver_orders.clawver.request_budget import Budget
from clawver_orders.clawver.transport import Transport
from clawver_orders.errors import (
    NOTHING_SENT,
    ClawverError,
    RateLimitedError,
    SetupError,
    UnreachableError,
)
from clawver_orders.instants import Instant, this_boot
from clawver_orders.orders.privacy import Masking
from clawver_orders.refunds.desk import RefundDesk
from clawver_orders.refunds.ledger import LEDGER_FILE, Ledger
from clawver_orders.refunds.order_locks import OrderLocks
from clawver_orders.refunds.records import Wish
from clawver_orders.settings import Settings
from clawver_orders.storage import scopes
from clawver_orders.webhooks.inbox import Inbox

SANDBOX_NOTICE = "Sandbox store on this machine: no real customer, no real money."
TEST_NOTICE = "This is a test key: no real money moves."
LEDGER, INBOX = "ledger.", "inbox."
"""What the files of a store's refunds and of its events begin with."""
ASK_AGAIN_SECONDS = 60.0
"""How long orders are read without asking again which store it is, once that could not be read."""
_IN_PROCESS_URL = "http://127.0.0.1/v1"


def utc_now() -> datetime:
    """The current time."""
    return datetime.now(UTC)


def _no_cookies() -> CookieJar:
    """A jar that takes nothing: a session from an owner's call must not join a customer's."""
    return CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))


log = logging.getLogger(__name__)


class Services:
    """The parts that tools work with.

    Args:
        settings: What a person has decided.
        now: The current time in UTC.
        uptime: Seconds since this machine started, for all its processes alike; no change of the
            clock changes it.
        boot: Which start of which machine that is.
    """

    def __init__(
        self,
        settings: Settings,
        now: Callable[[], datetime] = utc_now,
        uptime: Callable[[], float] = time.monotonic,
        boot: Callable[[], str] = this_boot,
    ) -> None:
        self.settings = settings
        self.now = now
        self.uptime = uptime
        self.boot = boot
        self._open = AsyncExitStack()
        self._store: Store | None = None
        self._ask_again_at = -ASK_AGAIN_SECONDS

    @property
    def notice(self) -> str | None:
        """What every answer says where no real money moves; None where it does."""
        if self.settings.sandbox:
            return SANDBOX_NOTICE
        return TEST_NOTICE if self.settings.is_test_key else None

    @cached_property
    def masking(self) -> Masking:
        """How customers are shown."""
        return Masking.by(self.settings)

    def instant(self) -> Instant:
        """The current time, and how long the machine has been up."""
        return Instant(self.now(), self.uptime(), self.boot())

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
            self.settings.key_dir / "requests.sqlite3",
            self.settings.requests_per_minute,
            self.settings.requests_per_day,
            lambda: self.now().timestamp(),
        )
        self._open.callback(budget.close)
        return budget

    def known_store(self) -> "Store | None":
        """The store, as far as that is known without asking it.

        Raises:
            SetupError: What was noted of it cannot be used, or no key says which one is meant.
        """
        if self._store is None and (scope := scopes.known(self.settings)) is not None:
            self._store = Store(self, scope)
        return self._store

    async def store(self) -> "Store":
        """The store. It is asked who it is the first time its key is used on this machine.

        Raises:
            SetupError: It is not known which one it is; nothing was sent.
            UnreachableError: It cannot be read now; nothing was sent.
            RateLimitedError: The same.
        """
        async with self._identifying:
            return self.known_store() or await self.identify()

    async def identify(self) -> "Store":
        """Ask the store who it is, even where that is noted, and note its name as it is now.

        Raises:
            ClawverError: As `store`; or it is another store than the one that was noted.
        """
        try:
            details = await self.clawver.store_details()
        except ClawverError as error:
            self._ask_again_at = self.uptime() + ASK_AGAIN_SECONDS
            if isinstance(error, RateLimitedError):
                error.begin_with(NOTHING_SENT)
                raise
            raise _not_known(error) from error
        scope = await to_thread.run_sync(scopes.note, self.settings, details.id, details.name)
        self._store = Store(self, scope)
        return self._store

    async def kept(self, beginning: str) -> "Store":
        """The store, to read what is kept of it; one that is empty where no store can have kept any of it.

        Then nobody has to be asked which store it is.

        Args:
            beginning: What the name of the file begins with.

        Raises:
            ClawverError: As `store`.
        """
        return self._empty(beginning) or await self.store()

    def _empty(self, beginning: str) -> "Store | None":
        """A store of which nothing is kept, where no store can have kept any of it."""
        if self._store is not None or scopes.may_hold(self.settings, beginning):
            return None
        nobody = Store(self, scopes.Scope(self.settings.key_dir, "none was used here yet"))
        try:
            return self.known_store() or nobody
        except SetupError:
            return nobody

    async def open_refunds(self, order_id: str = "") -> tuple[Wish, ...] | None:
        """The refunds whose money may be on its way: of one order, or of all of them.

        Returns:
            They, newest first; None where they are not known: orders are read all the same.
        """
        store = self._empty(LEDGER) or self._store
        if store is None and self.uptime() < self._ask_again_at:
            return None
        try:
            return await (store or await self.store()).desk.open_refunds(order_id)
        except ClawverError as error:
            log.warning("open refunds are not known: %s", type(error).__name__)
            return None

    async def recover(self) -> None:
        """Look once for every refund that another process left open. Never raises."""
        try:
            store = self.known_store()
        except ClawverError as error:
            log.warning("open refunds could not be looked up: %s", type(error).__name__)
            return
        if store is not None and store.ledger.exists:
            await store.desk.recover()

    @cached_property
    def own_answers(self) -> set[int]:
        """The numbers of the questions about webhooks that a host answered by itself."""
        return set()

    @cached_property
    def _identifying(self) -> anyio.Lock:
        """Held while the store is asked who it is."""
        return anyio.Lock()

    @cached_property
    def registering(self) -> anyio.Lock:
        """Held from looking for a webhook until it is made: hosts that repeat calls do so at once."""
        return anyio.Lock()

    def _sandbox_store(self) -> Clawver:
        from clawver_orders.sandbox_store import open_sandbox
        from clawver_sandbox.api import build_app
        from clawver_sandbox.shop import API_KEY

        shop = open_sandbox(self.settings, self.now)
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
        scope: Which store it is.
    """

    def __init__(self, services: Services, scope: scopes.Scope) -> None:
        self._services = services
        self.scope = scope

    @property
    def title(self) -> str:
        """The store as a person knows it."""
        return self.scope.title

    @cached_property
    def ledger(self) -> Ledger:
        """Every refund of this store."""
        return Ledger(self.scope.folder / LEDGER_FILE, self._services.instant)

    @cached_property
    def inbox(self) -> Inbox:
        """The events that this store sent."""
        return Inbox.of(self._services.settings, self.scope)

    @cached_property
    def locks(self) -> OrderLocks:
        """One lock for each order, over all processes of this machine."""
        return OrderLocks(self.scope.folder / "locks")

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
        )


def _not_known(error: ClawverError) -> ClawverError:
    """The error of a store that did not say who it is."""
    if isinstance(error, UnreachableError):
        return UnreachableError(
            f"Clawver did not say which store this key opens. {error.happened}",
            fact=NOTHING_SENT,
            next_step=error.next_step,
        )
    return SetupError(
        f"Clawver did not say which store this key opens. {error.happened}",
        fact=NOTHING_SENT,
        next_step=error.next_step,
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
