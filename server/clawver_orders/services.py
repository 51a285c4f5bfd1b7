"""What lives as long as the process, and how a tool gets it.

Nothing is opened before the first call needs it: a host that only lists the tools waits for
nothing.
"""

import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

import anyio
import httpx2

from clawver_orders.clawver.client import Clawver, Seen
from clawver_orders.clawver.reaching import connections, trusted
from clawver_orders.clawver.request_budget import Budget
from clawver_orders.clawver.transport import Transport
from clawver_orders.errors import (
    NOTHING_SENT,
    ClawverError,
    RateLimitedError,
    SetupError,
    UnreachableError,
)
from clawver_orders.history.knowledge import Sighting, kept
from clawver_orders.history.mirror import Mirror
from clawver_orders.history.recording import Recorder
from clawver_orders.instants import Instant, this_boot
from clawver_orders.orders.privacy import Masking
from clawver_orders.settings import Settings
from clawver_orders.storage import folders, scopes
from clawver_orders.storage.database import off_thread
from clawver_orders.storage.engine import server_of
from clawver_orders.time_limit import not_in_time, while_there_is_time

if TYPE_CHECKING:
    from clawver_orders.history.syncing import HowFar, Sync
    from clawver_orders.refunds.desk import RefundDesk
    from clawver_orders.refunds.ledger import Ledger
    from clawver_orders.refunds.order_locks import Locks
    from clawver_orders.refunds.records import Wish
    from clawver_orders.storage.pin import Pin
    from clawver_orders.webhooks.changes import Changes
    from clawver_orders.webhooks.desk import WebhookDesk
    from clawver_orders.webhooks.inbox import Inbox

SANDBOX_NOTICE = "Sandbox store on this machine: no real customer, no real money."
TEST_NOTICE = "This is a test key: no real money moves."
LEDGER, INBOX, HISTORY = folders.LEDGER, folders.INBOX, folders.HISTORY
ASK_AGAIN_SECONDS = 60.0
"""How long orders are read without asking again which store it is, once that could not be read."""
FOLLOW_EVERY_SECONDS = 60.0
"""How often orders are read again that events were about."""
MOST_UNKEPT = 1000
"""How many orders wait to be kept while it is not known of which store they are."""
MOST_CONNECTIONS = 20
"""How many requests that read are under way at once: Clawver allows 60 a minute, and each connection that is kept
is looked at whenever one is needed."""
_IN_PROCESS_URL = "http://127.0.0.1/v1"


def utc_now() -> datetime:
    """The current time."""
    return datetime.now(UTC)


log = logging.getLogger(__name__)


class Services:
    """The parts that tools work with.

    Args:
        settings: What a person has decided.
        now: The current time in UTC.
        uptime: Seconds since this machine started, for all its processes alike; no change of the
            clock changes it.
        boot: Which start of which machine that is.
        page: Where a person decides in a browser.
    """

    def __init__(
        self,
        settings: Settings,
        now: Callable[[], datetime] = utc_now,
        uptime: Callable[[], float] = time.monotonic,
        boot: Callable[[], str] = this_boot,
        page: "PageOf | None" = None,
    ) -> None:
        self._page = page
        self.settings = settings
        self.now = now
        self.uptime = uptime
        self.boot = boot
        self._open = AsyncExitStack()
        self._store: Store | None = None
        self._ask_again_at = -ASK_AGAIN_SECONDS
        self._unkept: deque[Sighting] = deque(maxlen=MOST_UNKEPT)

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

    def shared_instant(self) -> Instant:
        """The same, with the time of day by the clock of the database that several machines share."""
        instant, server = self.instant(), server_of(self.settings)
        return instant if server is None else replace(instant, at=instant.at + server.clock_ahead)

    @cached_property
    def clawver(self) -> Clawver:
        """The store's API: the real one, or the sandbox within this process."""
        return self._client()

    @cached_property
    def clawver_in_spare_time(self) -> Clawver:
        """The same, with requests that nobody waits for: they take what others leave of the allowance."""
        return self._client(spare=True)

    def _client(self, *, spare: bool = False) -> Clawver:
        settings, api_key = self.settings, None
        if self.settings.sandbox:
            from clawver_sandbox.shop import API_KEY

            settings = self.settings.model_copy(update={"api_url": _IN_PROCESS_URL})
            api_key = API_KEY
        http, fresh = self._connections
        transport = Transport(
            settings, http, fresh=fresh, budget=self._budget(spare), api_key=api_key, now=self.now
        )
        return Clawver(transport, self._saw)

    @cached_property
    def _connections(self) -> tuple[httpx2.AsyncClient, httpx2.AsyncClient]:
        """What opens connections: for reads, and for what writes."""
        if self.settings.sandbox:
            http = fresh = self._sandbox_connections()
        else:
            trust = trusted(self.settings)
            http, fresh = (
                connections(self.settings, limits, trust)
                for limits in (
                    httpx2.Limits(max_connections=MOST_CONNECTIONS),
                    httpx2.Limits(max_keepalive_connections=0),
                )
            )
            self._open.push_async_callback(fresh.aclose)
        self._open.push_async_callback(http.aclose)
        return http, fresh

    def _budget(self, spare: bool) -> Budget:
        budget = Budget.of(self.settings, lambda: self.now().timestamp(), spare=spare)
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
        known = self._store
        if known is not None:
            return known
        with while_there_is_time():
            async with self._identifying:
                known = self._store or await off_thread(self.known_store)
                return known or await self.identify()
        raise not_in_time()

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
        scope = await off_thread(lambda: scopes.note(self.settings, details.id, details.name))
        if self._store is None or self._store.scope != scope:
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
        is_asked = self._store is not None or self.settings.has_database
        if is_asked or scopes.may_hold(self.settings, beginning):
            return None
        nobody = Store(self, scopes.Scope(self.settings.key_dir, "none was used here yet"))
        try:
            return self.known_store() or nobody
        except SetupError:
            return nobody

    async def open_refunds(self, order_id: str = "") -> "tuple[Wish, ...] | None":
        """The refunds whose money may be on its way: of one order, or of all of them.

        Returns:
            They, newest first; None where they are not known: orders are read all the same.
        """
        if self._store is None:
            if not (self.settings.has_database or scopes.may_hold(self.settings, LEDGER)):
                return ()
            if self.uptime() < self._ask_again_at:
                return None
        try:
            ledger = (await self.store()).ledger
            return await ledger.all_open(order_id) if ledger.exists else ()
        except ClawverError as error:
            log.warning("open refunds are not known: %s", type(error).__name__)
            return None

    async def recover(self) -> None:
        """Look once for every refund that another process left open. Never raises."""
        try:
            store = await off_thread(self.known_store)
        except ClawverError as error:
            if self.settings.api_key is not None:  # otherwise every call says what is missing
                log.warning("open refunds could not be looked up: %s", type(error).__name__)
            return
        if store is not None and store.ledger.exists:
            await store.desk.recover()

    @cached_property
    def _identifying(self) -> anyio.Lock:
        """Held while the store is asked who it is."""
        return anyio.Lock()

    async def page_of(self, path: str) -> str | None:
        """Where a person can decide about something in a browser; None where no page is up.

        Args:
            path: What it is about, such as `refund/` and its id.
        """
        try:
            return await self._page(self, path) if self._page else None
        except ClawverError as error:
            log.warning("there is no page to approve on: %s", error)
            return None

    def _saw(self, seen: Seen) -> None:
        if not self.settings.history:
            return
        try:
            body = None if seen.sent is None else kept(seen.sent)
            sighting = Sighting(
                seen.order_id, body, seen.source, seen.asked_at.timestamp(), sandbox=seen.sandbox
            )
            if self._store is None:
                self._unkept.append(sighting)
            else:
                self._store.recorder.saw(sighting)
        except Exception:  # it was read, or refunded, whatever becomes of its copy
            log.exception("an order is not in the history")

    async def keep_what_was_read(self) -> None:
        """See to it that orders that were read are kept, for which it has to be known whose they are. Never raises."""
        if not self._unkept or self.uptime() < self._ask_again_at:
            return
        try:
            store = await self.store()
        except ClawverError as error:
            log.warning("what was read is not in the history: %s", type(error).__name__)
            return
        while self._unkept:
            store.recorder.saw(self._unkept.popleft())

    async def follow_events(self, wait: Callable[[float], Awaitable[None]] = anyio.sleep) -> None:
        """Read orders again that events were about, now and then, with what others leave of the allowance.

        Args:
            wait: Waits for so many seconds.
        """
        while True:
            await wait(FOLLOW_EVERY_SECONDS)
            store = self._store
            if store is None or not self.settings.history:
                continue
            await store.recorder.all_kept()
            if not store.mirror.exists:
                continue
            try:
                await store.syncing(lambda *_: None).catch_up()
            except ClawverError as error:
                log.warning("orders that changed are read later: %s", type(error).__name__)

    async def history(self) -> Mirror | None:
        """What is kept of the store's orders, with all that was read so far; None where nothing can be.

        Its errors come up where it is read.
        """
        await self.keep_what_was_read()
        if not self.settings.history or self._store is None:
            return None
        await self._store.recorder.all_kept()
        return self._store.mirror

    def _sandbox_connections(self) -> httpx2.AsyncClient:
        from clawver_orders.sandbox_store import open_sandbox
        from clawver_sandbox.api import build_app

        shop = open_sandbox(self.settings, self.now)
        self._open.callback(shop.close)
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=build_app(shop)))

    def on_close(self, end: Callable[[], Awaitable[None]]) -> None:
        """Have something ended before the parts that it works with.

        Args:
            end: What ends it.
        """
        self._open.push_async_callback(end)

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
    def ledger(self) -> "Ledger":
        """Every refund of this store."""
        from clawver_orders.refunds.ledger import Ledger

        return Ledger.of(self._services.settings, self.scope, self._services.instant)

    @cached_property
    def inbox(self) -> "Inbox":
        """The events that this store sent."""
        from clawver_orders.webhooks.inbox import Inbox

        return Inbox.of(self._services.settings, self.scope)

    @cached_property
    def mirror(self) -> Mirror:
        """Its orders as they were last seen."""
        return Mirror.of(self._services.settings, self.scope)

    @cached_property
    def recorder(self) -> Recorder:
        """Keeps what is read of its orders."""
        recorder = Recorder(self.mirror, self._services.now)
        self._services.on_close(recorder.close)
        return recorder

    def syncing(self, progress: "HowFar") -> "Sync":
        """A pass over everything that Clawver gives of its orders."""
        from clawver_orders.history.syncing import Sync

        services = self._services
        clawver = services.clawver_in_spare_time
        return Sync(clawver, self.recorder, self.inbox, services.now, progress)

    @cached_property
    def pin(self) -> "Pin":
        """What a person who approves refunds knows, and no agent."""
        from clawver_orders.storage.pin import Pin

        return Pin.of(self._services.settings, self.scope, self._services.instant)

    @cached_property
    def changes(self) -> "Changes":
        """The changes of where its events go that wait."""
        from clawver_orders.webhooks.changes import Changes

        return Changes.of(self._services.settings, self.scope, self._services.instant)

    @cached_property
    def webhooks(self) -> "WebhookDesk":
        """Where its events go."""
        from clawver_orders.webhooks.desk import WebhookDesk

        services = self._services
        return WebhookDesk(services.clawver, self.changes, services.settings, self.title)

    @cached_property
    def locks(self) -> "Locks":
        """One lock for each order, over all processes that work on the ledger."""
        server = server_of(self._services.settings)
        if server is None:
            from clawver_orders.refunds.order_locks import OrderLocks

            return OrderLocks(self.scope.folder / "locks")
        from clawver_orders.refunds.order_locks_postgres import PostgresOrderLocks

        return PostgresOrderLocks(server, self.scope.schema)

    @cached_property
    def desk(self) -> "RefundDesk":
        """Decides about refunds."""
        from clawver_orders.refunds.desk import RefundDesk

        services = self._services
        return RefundDesk(
            services.clawver,
            self.ledger,
            self.locks,
            services.settings,
            store=self.title,
            still_opens=lambda: off_thread(
                lambda: scopes.check_still(services.settings, self.scope)
            ),
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


PageOf = Callable[[Services, str], Awaitable[str | None]]
"""Finds the page on which something is decided, or starts it."""


def may_have_events(settings: Settings) -> bool:
    """Whether events may have arrived, from any store of the address: here, or on another machine of the same database."""
    return settings.has_database or scopes.may_hold(settings, INBOX)


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
    page: PageOf | None = None,
) -> AsyncIterator[Services]:
    """Services for as long as the block lasts."""
    services = Services(settings, now, uptime, page=page)
    try:
        yield services
    finally:
        await services.close()
