"""All configuration, checked. What is checked comes from `environment`, the only reader of variables.

An empty value counts as not set. A host may also pass on a placeholder that it did not resolve
(`${CLAW_API_KEY}`): for the key that counts as not set, since nothing works without a key, and what
says that the key is not set says so too; for every other setting it is a `SetupError`, since the
default may be the opposite of what was meant. So is a variable whose name is a misspelt one of ours.
No error repeats a value.
"""

import hashlib
import re
from collections.abc import Container, Mapping
from datetime import UTC, tzinfo
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
)

from clawver_orders.addresses import is_loopback, one_spelling
from clawver_orders.caller import Grade
from clawver_orders.days import IN_UTC, Calendar
from clawver_orders.environment import default_state_dir, time_zone_name
from clawver_orders.environment import variables as given_variables
from clawver_orders.errors import SetupError
from clawver_orders.placeholders import has_placeholder, is_no_secret, is_placeholder
from clawver_orders.problems import problems_of, what_is_wrong
from clawver_orders.setting_names import SWITCHES, VARIABLES, is_ours, meant, shown
from clawver_orders.text import quoted

if TYPE_CHECKING:
    from clawver_orders.stores import StoreEntry

DEFAULT_API_URL = "https://api.clawver.store/v1"
LIVE_HOST = "api.clawver.store"
LEAST_SHARED_VERIFY_SECONDS = 60.0
"""More than a server may stand still before it sends a refund, and the request itself may take."""
TEST_KEY_PREFIX = "claw_sk_test_"
_KEY = re.compile(r"[!#-&(-~]{16,256}")  # visible ASCII: anything else could split a header
_SECRET = re.compile(r"[!-~]{16,256}")
_SEAL_KEY = re.compile(r"[!-~]{32,256}")
_SECRET_FIELDS = frozenset({"api_key", "http_token", "seal_key", "webhook_secret"})
Toolset = Literal["orders", "refunds", "webhooks"]
TOOLSETS: tuple[Toolset, ...] = get_args(Toolset)
_PROXY = re.compile(
    r"http://(?:(?:[a-z0-9._~!&'()*+,;=:-]|%[0-9a-f]{2})+@)?(?:[a-z0-9.-]{1,253}|\[[0-9a-f:.]+\])"
    r":(?P<port>[0-9]{1,5})/?",
    re.IGNORECASE | re.ASCII,
)
_DATABASE_URL = re.compile(r"postgres(?:ql)?://[!-~]{1,2000}")
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[a-zA-Z0-9+/=\s]+-----END CERTIFICATE-----")
_LARGEST_CA_FILE_IN_BYTES = 4 * 1024 * 1024
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_USUAL_PORTS = {"https": 443, "http": 80}


def _switch(value: object) -> object:
    if isinstance(value, str):
        if value.strip().lower() not in SWITCHES:
            raise ValueError("use on or off")
        return SWITCHES[value.strip().lower()]
    return value


def _opener(value: object) -> object:
    """A switch, with a third position."""
    word = str(value).strip().lower()
    return word if word == "strict" else "on" if _switch(word) else "off"


def _well_formed_key(key: SecretStr) -> SecretStr:
    if _KEY.fullmatch(key.get_secret_value()) is None:
        raise ValueError("must be 16 to 256 visible ASCII characters without spaces and quotes")
    return key


def _well_formed_seal_key(key: SecretStr) -> SecretStr:
    if _SEAL_KEY.fullmatch(key.get_secret_value()) is None:
        raise ValueError("must be 32 to 256 visible ASCII characters without spaces")
    return key


def _secrets(value: object) -> object:
    """Several secrets, as an environment can carry them."""
    return tuple(value.split()) if isinstance(value, str) else value


def _well_formed_secrets(secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if any(_SECRET.fullmatch(secret.get_secret_value()) is None for secret in secrets):
        raise ValueError("must be 16 to 256 visible ASCII characters")
    if any(is_no_secret(secret.get_secret_value()) for secret in secrets):
        raise ValueError("must be the secrets themselves, and one is a placeholder")
    return secrets


def _safe_api_url(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        port_is_fine = False
    plain = "@" not in url and not parts.query and not parts.fragment and url.isprintable()
    known = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    literal = is_loopback(host) or _HOST.fullmatch(host) is not None
    if not (plain and known and literal and port_is_fine and url.isascii() and " " not in url):
        raise ValueError(
            "must be an https address without user, query or fragment; http only to loopback"
        )
    return url.rstrip("/")


def _whole_path(path: Path) -> Path:
    """Hosts do not expand `~`, and the folder they start a server in is anybody's guess."""
    if has_placeholder(str(path)):
        raise ValueError("has a placeholder in it that the host did not resolve")
    try:
        expanded = path.expanduser()
    except RuntimeError:
        raise ValueError("begins with ~, and that user has no home folder") from None
    if not expanded.is_absolute():
        raise ValueError("must be a whole path, or one that begins with ~/")
    return expanded


def _well_formed_proxy(proxy: SecretStr) -> SecretStr:
    found = _PROXY.fullmatch(proxy.get_secret_value())
    if found is None or not 0 < int(found["port"]) < 65_536:
        raise ValueError(
            "must be http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, with every sign of user "
            "and password that has a meaning in addresses written as %40 and the like"
        )
    return proxy


def _well_formed_database_url(url: SecretStr) -> SecretStr:
    if _DATABASE_URL.fullmatch(url.get_secret_value()) is None:
        raise ValueError(
            "must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE, without spaces, in ASCII"
        )
    return url


def _certificates_in(path: str) -> str:
    """The certificates of a file, which is read once: what is written around them is left out."""
    try:
        with _whole_path(Path(path)).open("rb") as file:
            found = _CERTIFICATE.findall(file.read(_LARGEST_CA_FILE_IN_BYTES))
    except OSError as error:
        raise ValueError(f"the file cannot be read ({type(error).__name__})") from None
    certificates = b"\n".join(found).decode("ascii")
    import ssl  # takes a while, and few need it

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificates)
    except (ssl.SSLError, ValueError):
        raise ValueError("the file holds no certificate in PEM form, or a damaged one") from None
    return certificates


def _host_names(value: object) -> object:
    """A comma-separated list, as an environment can carry it."""
    if isinstance(value, str):
        value = tuple(part.strip().lower() for part in value.split(",") if part.strip())
    return value


def _all_hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    if any(_HOST.fullmatch(host) is None for host in hosts):
        raise ValueError(
            "must be host names separated by commas, without https:// and without paths"
        )
    return hosts


def _zone(name: str) -> tzinfo:
    """A time zone by its name.

    Raises:
        ValueError: There is none of this name here.
    """
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo  # few calls need it

    try:
        return ZoneInfo(name)
    except (LookupError, OSError, ValueError):
        raise ValueError(
            "must be the IANA name of a time zone that this machine knows, such as Europe/Berlin"
        ) from None


@cache
def _calendar(name: str | None) -> Calendar:
    name = name or time_zone_name()
    try:
        return Calendar(name, _zone(name))
    except ValueError:
        return IN_UTC


def _known_zone(name: str) -> str:
    _zone(name)
    return name


_FORMER_APPROVALS = {"ask": "agent", "human": "chat"}


def _no_former_approval(value: object) -> object:
    """Words that this setting took before it named grades."""
    if isinstance(value, str) and value in _FORMER_APPROVALS:
        raise ValueError(f"{value} is called {_FORMER_APPROVALS[value]} now")
    return value


def _chosen_toolsets(value: object) -> object:
    """Names with commas between them; `all` is all of them."""
    if not isinstance(value, str):
        return value
    names = tuple(part for each in value.lower().split(",") if (part := each.strip()))
    if not {*names} <= {*TOOLSETS, "all"}:
        raise ValueError(f"use {', '.join(TOOLSETS)} with commas between them, or all")
    return TOOLSETS if "all" in names else names


Switch = Annotated[bool, BeforeValidator(_switch)]
Key = Annotated[SecretStr, AfterValidator(_well_formed_key)]
SealKey = Annotated[SecretStr, AfterValidator(_well_formed_seal_key)]
Secrets = Annotated[
    tuple[SecretStr, ...], BeforeValidator(_secrets), AfterValidator(_well_formed_secrets)
]
PageUrl = Annotated[str, AfterValidator(_safe_api_url)]
ApiUrl = Annotated[str, AfterValidator(_safe_api_url)]
Proxy = Annotated[SecretStr, AfterValidator(_well_formed_proxy)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_well_formed_database_url)]
Certificates = Annotated[str, AfterValidator(_certificates_in)]
Folder = Annotated[Path, AfterValidator(_whole_path)]
TimeZone = Annotated[str, AfterValidator(_known_zone)]
File = Annotated[Path, AfterValidator(_whole_path)]
Toolsets = Annotated[tuple[Toolset, ...], BeforeValidator(_chosen_toolsets)]
HostNames = Annotated[tuple[str, ...], BeforeValidator(_host_names), AfterValidator(_all_hosts)]


class _Values(BaseModel):
    """Every setting, with what it is for."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False, defer_build=True)

    api_key: Key | None = Field(
        None,
        description="The store's key. Without it the server starts and lists its tools.",
    )
    api_url: ApiUrl = Field(
        DEFAULT_API_URL, description="Where Clawver answers. https only; http only to loopback."
    )
    stores: File | None = Field(
        None,
        description="A TOML file with several stores: where the key of each is, and what holds for it alone.",
    )
    store: str = Field("", description="Which store of that file is meant.")
    sandbox: Switch = Field(
        default=False, description="Work on the embedded sandbox store; no key is needed."
    )
    read_only: Switch = Field(
        default=False, description="Hide and refuse every tool that changes anything."
    )
    toolsets: Toolsets = Field(
        (),
        description="Which tools agents get: orders, refunds, webhooks, separated by commas, or all. By default "
        "those for webhooks appear once there is a webhook secret, an inbox or a database.",
    )
    refund_limit_in_cents: Annotated[int, Field(ge=1, le=100_000_000)] = Field(
        50_000, description="The most a single refund may be, in cents."
    )
    refund_daily_limit_in_cents: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        100_000, description="The most that may be refunded in any 24 hours, in cents."
    )
    refund_approval: Annotated[
        Literal["off", "agent", "chat", "console", "pin"], BeforeValidator(_no_former_approval)
    ] = Field(
        "chat",
        description="The approval that a refund or a change of webhooks needs. off: nobody is asked; agent: the caller "
        "may confirm where you can't be asked; chat: you approve in your host, in a terminal or on the page; console: in "
        "a terminal or on the page; pin: there, with your PIN.",
    )
    refund_pin_above_in_cents: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = Field(
        None,
        description="Above this many cents a refund needs your PIN. Refunds already sent without it, on this order or "
        "by the store in the last 24 hours, are added to the amount.",
    )
    refund_policy: File | None = Field(
        None,
        description="A TOML file with the store's refund policy. A refund outside of it needs the approval "
        "that the file names, or is forbidden.",
    )
    refund_verify_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(
        900.0,
        description="Seconds to wait for a refund to appear on its order after the answer was lost, or after Clawver refused it.",
    )
    requests_per_minute: Annotated[int, Field(ge=6, le=1_000_000)] = Field(
        60, description="The most requests to the store in a minute, over all processes."
    )
    requests_per_day: Annotated[int, Field(ge=6, le=1_000_000_000)] = Field(
        1000, description="The most requests to the store in 24 hours, over all processes."
    )
    state_dir: Folder = Field(
        default_factory=default_state_dir, description="Where state is kept between runs."
    )
    database_url: DatabaseUrl | None = Field(
        None,
        description="The PostgreSQL database that several machines share, in place of files in the state folder: "
        "postgresql://USER:PASSWORD@HOST:PORT/DATABASE. Needs clawver-orders[postgres].",
    )
    allow_host: HostNames = Field((), description="Another API host that may receive the key.")
    seal_key: SealKey | None = Field(
        None,
        description="Seals the questions that hosts carry to you and back, in place of a key that is made and kept. "
        "32 to 256 visible ASCII characters, the same on all machines.",
    )
    http_token: Key | None = Field(
        None,
        description="The bearer token that serve --http asks for. Without it serve --http is read-only, and "
        "starts on loopback only. 16 to 256 visible ASCII characters, and not the store's key.",
    )
    http_hosts: HostNames = Field(
        (),
        description="The host names that serve --http answers to, separated by commas; required beyond loopback.",
    )
    board_url: PageUrl | None = Field(
        None,
        description="Where a browser reaches the page of serve --http, such as https://orders.example/board. "
        "https only; http only to loopback. Links for approvals lead there.",
    )
    webhook_secret: Secrets = Field(
        (),
        description="Signs deliveries of order events, 16 characters or more. To change it, set the new and the "
        "old one, in this order, with a space between.",
    )
    webhook_hosts: HostNames = Field(
        (),
        description="Hosts that register_webhook may send events to, separated by commas. Without it, only "
        "addresses already registered are allowed.",
    )
    inbox_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        30, description="How many days received events are kept. Refunds are kept for good."
    )
    history: Switch = Field(
        default=True,
        description="Keep orders as they were last seen, on this machine, so that older ones than Clawver lists "
        "can be found. off keeps none.",
    )
    history_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        400, description="How many days after it was placed an order is kept there."
    )
    time_zone: TimeZone | None = Field(
        None,
        description="The time zone of days, such as Europe/Berlin: today, a day in a question, figures by day. "
        "By default the machine's. Answers tell times in UTC, the page in this zone.",
    )
    pii: Literal["full", "masked"] = Field(
        "full",
        description="masked shortens e-mail and name, and hides address and tracking, in answers and "
        "in the reasons of refunds.",
    )
    timeout_seconds: Annotated[float, Field(gt=0, le=120)] = Field(
        20.0, description="The longest a single request may take, in seconds."
    )
    proxy: Proxy | None = Field(
        None,
        description="The proxy that requests to Clawver go through: http://HOST:PORT or "
        "http://USER:PASSWORD@HOST:PORT. HTTPS_PROXY is ignored.",
    )
    ca_certificates: Certificates = Field(
        "",
        description="A file of certificates in PEM form to trust besides the system's, for a network "
        "that inspects TLS. SSL_CERT_FILE is ignored.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "warning", description="How much is said on stderr: debug, info, warning, error."
    )
    opener: Annotated[Literal["on", "off", "strict"], BeforeValidator(_opener)] = Field(
        "on",
        description="off answers a host's first questions only once everything is loaded, and not from the answers "
        "that were kept. strict ends the server if a kept answer was wrong; it is for tests.",
    )


class Settings(_Values):
    """What a person has decided, checked once.

    Build it with `Settings.from_environment()`; tests pass values by field name.
    """

    _key_is_placeholder: bool = PrivateAttr(default=False)
    _lacks_token: bool = PrivateAttr(default=False)
    _entry: "StoreEntry | None" = PrivateAttr(default=None)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **decided: Any) -> Self:
        """Read the settings.

        Args:
            environment: Variables by name; the process's own when left out.
            decided: Fields that a command-line option has already decided.

        Raises:
            SetupError: A value cannot be used, or a name is a misspelt one of ours; the variable
                is named, its value is not.
        """
        variables = given_variables() if environment is None else environment
        given = _given(variables, decided)
        settings = cls._checked(given | decided)
        if not settings.sandbox and (settings.stores or settings.store):
            settings = cls._of_one_store(settings, given, decided, variables)
        settings.check_host()
        settings.check_verify_seconds()
        no_key = settings.api_key is None
        _refuse_misspelt(variables, needs_key=no_key and not settings.sandbox)
        key = variables.get("CLAW_API_KEY", "").strip()
        settings._key_is_placeholder = no_key and bool(key)  # noqa: SLF001  # made here
        return settings

    @classmethod
    def _checked(cls, values: Mapping[str, Any], entry: "StoreEntry | None" = None) -> Self:
        try:
            return cls(**values)
        except ValidationError as error:
            problem = problems_of(error)[0]
            name = _called(str(problem["loc"][0]), entry)
            raise SetupError(
                f"{name} cannot be used: {what_is_wrong(problem)}.",
                next_step=f"Correct {name} where this server is configured, then start it again.",
            ) from None  # the cause repeats the value

    @classmethod
    def _of_one_store(
        cls,
        all_: Self,
        given: Mapping[str, str],
        decided: Mapping[str, Any],
        variables: Mapping[str, str],
    ) -> Self:
        """The settings of the store that is meant, where a file has several.

        Raises:
            SetupError: As `stores.store_of`, or one of its settings cannot be used.
        """
        if all_.stores is None:
            raise SetupError(
                "A store was named, and CLAWVER_STORES names no file that has it.",
                next_step="Set CLAWVER_STORES where this is configured, or leave the store out.",
            )
        from clawver_orders.stores import SECRETS, store_of  # few have several

        entry = store_of(all_.stores, all_.store, variables)
        shared = {name: value for name, value in given.items() if name not in SECRETS.values()}
        settings = cls._checked({**shared, **entry.given, **decided, "store": entry.alias}, entry)
        settings._entry = entry.without_values()  # noqa: SLF001  # made here
        return settings

    @property
    def store_name(self) -> str:
        """What the merchant calls this store in the file of stores; nothing where that does not say."""
        return self._entry.name if self._entry else ""

    @property
    def store_label(self) -> str:
        """The store in answers, where several have names: its alias, and what the merchant calls it."""
        name = f" {quoted(self.store_name)}" if self.store_name else ""
        return "" if self.sandbox else f"{self.store}{name}"

    def called(self, field: str) -> str:
        """What a person sets for a field: a variable, or a line of the file of stores."""
        return _called(field, self._entry)

    @property
    def key_name(self) -> str:
        """What holds the key, as a person knows it."""
        return self._entry.key_from if self._entry else VARIABLES["api_key"]

    @property
    def option(self) -> str:
        """What a command in a terminal needs to work on the same store, with a space before it."""
        if self.sandbox:
            return " --sandbox"
        return f" --store {self.store}" if self.store else ""

    @property
    def key_note(self) -> str:
        """What belongs behind a sentence that says that no key is set, with a space before it."""
        return " CLAW_API_KEY holds a placeholder, not a key." if self._key_is_placeholder else ""

    def over_http(self) -> Self:
        """What holds for a server over HTTP: without a token it is read-only.

        On loopback every user and program of the machine can call it, and nothing tells them apart.
        """
        if self.read_only or self.http_token is not None:
            return self
        served = self.model_copy(update={"read_only": True})
        served._lacks_token = True  # noqa: SLF001  # of its own copy
        return served

    @property
    def read_only_because(self) -> str:
        """The setting that makes it read-only, as it stands in brackets; empty where it may write."""
        if not self.read_only:
            return ""
        return "no CLAWVER_HTTP_TOKEN" if self._lacks_token else self.called("read_only")

    @property
    def calendar(self) -> Calendar:
        """The days as the merchant means them; those of UTC where the machine's zone is not known."""
        return _calendar(self.time_zone)

    @property
    def refund_grade(self) -> Grade:
        """The least that an approval of a refund has to prove, whatever the refund."""
        return "setting" if self.refund_approval == "off" else self.refund_approval

    @property
    def read_only_remedy(self) -> str:
        """How a person makes a server that is read-only write."""
        if self._lacks_token:
            return "A person can set CLAWVER_HTTP_TOKEN for this server, and give its clients that token."
        return f"A person can unset {self.called('read_only')} where this is configured."

    @property
    def board_is_reachable(self) -> bool:
        """Whether others than this machine reach the page of `serve --http`."""
        return self.board_url is not None and not is_loopback(
            urlsplit(self.board_url).hostname or ""
        )

    @property
    def api_host(self) -> str:
        """The host name that requests go to."""
        return urlsplit(self.api_url).hostname or ""

    @property
    def uses_network(self) -> bool:
        """Whether requests leave this machine: then over TLS, and through the proxy where one is set."""
        return not self.sandbox and self.api_url.startswith("https://")

    @property
    def has_database(self) -> bool:
        """Whether a database keeps what this machine's files would."""
        return self.database_url is not None and not self.sandbox

    @property
    def is_test_key(self) -> bool:
        """Whether the key says of itself that no real money moves."""
        key = self.api_key
        return key is not None and key.get_secret_value().startswith(TEST_KEY_PREFIX)

    @property
    def place(self) -> str:
        """Where the API is, as a person knows it; nothing where it is Clawver's own."""
        scheme, host, port = self._origin
        if self.sandbox or (scheme, host, port) == ("https", LIVE_HOST, 443):
            return ""
        place = host if port == _USUAL_PORTS[scheme] else f"{host}:{port}"
        return place if scheme == "https" else f"{scheme}://{place}"

    @property
    def key_dir(self) -> Path:
        """Where what belongs to the key is kept, by its fingerprint: the key cannot be told from it."""
        if self.sandbox:
            return self.origin_dir
        if self.api_key is None:
            return self.origin_dir / "keys" / "none"
        marked = f"clawver-orders key {self.api_key.get_secret_value()}".encode()
        return self.origin_dir / "keys" / hashlib.sha256(marked).hexdigest()[:32]

    @property
    def origin_dir(self) -> Path:
        """Where what belongs to the stores at one address is kept; see `storage.scopes`.

        No host name holds a plus sign, so no two origins give one name, on a file system that
        ignores case either, and none gives that of the sandbox or of a device on Windows.
        """
        name = "sandbox" if self.sandbox else "+".join(map(str, self._origin))
        return self.state_dir / "stores" / name

    @property
    def sandbox_dirs(self) -> tuple[Path, ...]:
        """The folders in which refunds of a sandbox store may be noted.

        The first is what `--sandbox` uses. Each of the others is of a store reached over plain HTTP:
        that can be a real one, behind a tunnel.
        """
        within = self.model_copy(update={"sandbox": True}).origin_dir
        served = within.parent.glob("http+*")
        parts = ([each, *each.glob("live-*"), *each.glob("test-*")] for each in sorted(served))
        return within, *(folder for part in parts for folder in sorted(part))

    @property
    def _origin(self) -> tuple[str, str, int]:
        """Scheme, host and port of the API, the same for all spellings of its address."""
        parts = urlsplit(self.api_url)
        port = _USUAL_PORTS[parts.scheme] if parts.port is None else parts.port
        return parts.scheme, one_spelling(self.api_host), port

    def check_host(self) -> None:
        """Refuse to send the key to a host that nobody named.

        Raises:
            SetupError: The address is neither Clawver's, nor this machine, nor allowed.
        """
        known = self.api_host == LIVE_HOST or is_loopback(self.api_host)
        if not self.sandbox and not known and self.api_host not in self.allow_host:
            raise SetupError(
                "CLAWVER_API_URL points at a host that is not Clawver's.",
                next_step="Correct it, or set CLAWVER_ALLOW_HOST to that host name if it may receive the store's key.",
            )

    def check_verify_seconds(self) -> None:
        """Refuse to give a refund up that another machine may be sending.

        Raises:
            SetupError: A refund would be given up too early where several machines share a database.
        """
        if self.has_database and self.refund_verify_seconds < LEAST_SHARED_VERIFY_SECONDS:
            name = self.called("refund_verify_seconds")
            raise SetupError(
                f"{name} is too short where several machines share a database.",
                next_step=f"Set {name} to {LEAST_SHARED_VERIFY_SECONDS:.0f} or more where this server is configured, "
                "or leave it out for its default.",
            )


Stores = Mapping[str, Settings | SetupError]
"""Every store that a server works for, by what its calls name it; the only one needs no name."""


def _called(field: str, entry: "StoreEntry | None") -> str:
    """What a person sets for a field: a variable, or a line of the file of stores."""
    return VARIABLES[field] if entry is None or field not in entry.given else entry.named(field)


def _given(variables: Mapping[str, str], decided: Container[str]) -> dict[str, str]:
    """What the environment says of the fields that are not decided yet.

    Raises:
        SetupError: A placeholder was not resolved, in a setting other than the key.
    """
    given = {}
    for field, name in VARIABLES.items():
        value = "" if field in decided else variables.get(name, "").strip()
        stands_for_it = is_no_secret if field in _SECRET_FIELDS else is_placeholder
        if stands_for_it(value) or name in value.upper():
            if field == "api_key":
                continue
            raise SetupError(
                f"{name} holds a placeholder in place of its value, so what was meant is not known.",
                next_step=f"Write the value itself for {name} where this server is configured, or leave {name} "
                "out for its default, then start it again.",
            )
        if value:
            given[field] = value
    return given


def _refuse_misspelt(variables: Mapping[str, str], *, needs_key: bool) -> None:
    """Refuse a name that was meant for a setting.

    Args:
        variables: All variables by name.
        needs_key: Whether a name like that of the key counts: beside the key in use it does no harm.

    Raises:
        SetupError: There is one; it is named, and so are the settings it may be.
    """
    for name, value in variables.items():
        if name in VARIABLES.values() or not value.strip():
            continue
        settings = meant(name, VARIABLES.values())
        if settings and (needs_key or settings != [VARIABLES["api_key"]]):
            *others, last = settings
            choice = f"{', '.join(others)} or {last}" if others else last
            raise SetupError(
                f"{shown(name)} is no setting of this server. Did you mean {choice}?",
                next_step="Rename it where this server is configured, or remove it, then start it again.",
            )


def ignored(environment: Mapping[str, str] | None = None) -> list[str]:
    """The variables that begin as settings do and are none, as far as their names can be repeated.

    Args:
        environment: Variables by name; the process's own when left out.
    """
    variables = given_variables() if environment is None else environment
    return [
        shown(name)
        for name, value in variables.items()
        if is_ours(name) and name not in VARIABLES.values() and value.strip()
    ]
