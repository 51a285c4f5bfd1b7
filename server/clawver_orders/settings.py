"""All configuration, and the only reader of the environment.

An empty value counts as not set. A host may also pass on a placeholder that it did not resolve
(`${CLAW_API_KEY}`): for the key that counts as not set, since nothing works without a key, and what
says that the key is not set says so too; for every other setting it is a `SetupError`, since the
default may be the opposite of what was meant. So is a variable whose name is a misspelt one of ours.
No error repeats a value.
"""

import hashlib
import os
import re
import sys
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
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
from clawver_orders.errors import SetupError
from clawver_orders.placeholders import has_placeholder, is_no_secret, is_placeholder
from clawver_orders.setting_names import is_ours, meant, shown

DEFAULT_API_URL = "https://api.clawver.store/v1"
LIVE_HOST = "api.clawver.store"
TEST_KEY_PREFIX = "claw_sk_test_"
_KEY = re.compile(r"[!#-&(-~]{16,256}")  # visible ASCII: anything else could split a header
_SECRET = re.compile(r"[!-~]{16,256}")
_SECRET_FIELDS = frozenset({"api_key", "http_token", "webhook_secret"})
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_USUAL_PORTS = {"https": 443, "http": 80}
_SWITCHES = {
    "1": True, "true": True, "yes": True, "on": True,
    "0": False, "false": False, "no": False, "off": False,
}  # fmt: skip


def _switch(value: object) -> object:
    if isinstance(value, str):
        if value.strip().lower() not in _SWITCHES:
            raise ValueError("use on or off")
        return _SWITCHES[value.strip().lower()]
    return value


def _well_formed_key(key: SecretStr) -> SecretStr:
    if _KEY.fullmatch(key.get_secret_value()) is None:
        raise ValueError("must be 16 to 256 visible ASCII characters without spaces and quotes")
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


Switch = Annotated[bool, BeforeValidator(_switch)]
Key = Annotated[SecretStr, AfterValidator(_well_formed_key)]
Secrets = Annotated[
    tuple[SecretStr, ...], BeforeValidator(_secrets), AfterValidator(_well_formed_secrets)
]
ApiUrl = Annotated[str, AfterValidator(_safe_api_url)]
Folder = Annotated[Path, AfterValidator(_whole_path)]
HostNames = Annotated[tuple[str, ...], BeforeValidator(_host_names), AfterValidator(_all_hosts)]


def _default_state_dir() -> Path:
    """Where state is kept when nobody decides.

    Variables that move such folders, as those of XDG, do not count: hosts do not pass them to the
    servers that they start, and a terminal would look for the refunds elsewhere.
    """
    if sys.platform == "win32":
        from platformdirs import user_state_path

        return user_state_path("clawver-orders", appauthor=False)
    try:
        home = Path.home()
    except RuntimeError as error:
        raise SetupError(
            "This user has no home folder, so there is no place to keep state between runs.",
            next_step="Set CLAWVER_STATE_DIR to a folder for it.",
        ) from error
    inside = "Library/Application Support" if sys.platform == "darwin" else ".local/state"
    return home / inside / "clawver-orders"


class Settings(BaseModel):
    """What a person has decided, checked once.

    Build it with `Settings.from_environment()`; tests pass values by field name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)

    api_key: Key | None = Field(
        None,
        description="The store's key. Without it the server starts and lists its tools.",
    )
    api_url: ApiUrl = Field(
        DEFAULT_API_URL, description="Where Clawver answers. https only; http only to loopback."
    )
    sandbox: Switch = Field(
        default=False, description="Work on the embedded sandbox store; no key is needed."
    )
    read_only: Switch = Field(default=False, description="Nothing that writes is offered or sent.")
    refund_limit_in_cents: Annotated[int, Field(ge=1, le=100_000_000)] = Field(
        50_000, description="The most a single refund may be, in cents."
    )
    refund_daily_limit_in_cents: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        100_000, description="The most that may be refunded in any 24 hours, in cents."
    )
    refund_approval: Literal["ask", "human", "off"] = Field(
        "ask",
        description="Who approves a refund: ask takes a person's yes, or an agent's confirm_refund "
        "where nobody can be asked; human takes only a person's; off asks nobody.",
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
        default_factory=_default_state_dir, description="Where state is kept between runs."
    )
    allow_host: HostNames = Field((), description="Another API host that may receive the key.")
    http_token: Key | None = Field(
        None,
        description="The bearer token that serve --http asks for. Without it serve --http is read-only, and "
        "starts on loopback only. 16 to 256 visible ASCII characters, and not the store's key.",
    )
    http_hosts: HostNames = Field(
        (),
        description="The host names that serve --http answers to, separated by commas; needed off loopback.",
    )
    webhook_secret: Secrets = Field(
        (),
        description="Signs deliveries of order events, 16 characters or more. To rotate it, set both, "
        "separated by a space, the new one first.",
    )
    webhook_hosts: HostNames = Field(
        (),
        description="Hosts that register_webhook may point at, with commas between them; while not "
        "set, only addresses that are registered already.",
    )
    inbox_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        30, description="How many days received events are kept. Refunds are kept for good."
    )
    pii: Literal["full", "masked"] = Field(
        "full",
        description="masked shortens e-mail and name, and hides address and tracking, in answers and "
        "in the reasons of refunds.",
    )
    timeout_seconds: Annotated[float, Field(gt=0, le=120)] = Field(
        20.0, description="The longest a single request may take, in seconds."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "warning", description="How much is said on stderr: debug, info, warning, error."
    )

    _key_is_placeholder: bool = PrivateAttr(default=False)
    _lacks_token: bool = PrivateAttr(default=False)

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
        variables = os.environ if environment is None else environment
        given = _given(variables, decided)
        try:
            settings = cls(**given | decided)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
            name = VARIABLES[str(problem["loc"][0])]
            reason = problem["msg"].removeprefix("Value error, ")
            raise SetupError(
                f"{name} cannot be used: {reason}.",
                next_step=f"Correct {name} where this server is configured, then start it again.",
            ) from None  # the cause repeats the value
        settings.check_host()
        no_key = settings.api_key is None
        _refuse_misspelt(variables, needs_key=no_key and not settings.sandbox)
        settings._key_is_placeholder = no_key and bool(variables.get("CLAW_API_KEY", "").strip())
        return settings

    @property
    def key_note(self) -> str:
        """What belongs behind a sentence that says that no key is set, with a blank before it."""
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
        return "no CLAWVER_HTTP_TOKEN" if self._lacks_token else "CLAWVER_READ_ONLY"

    @property
    def read_only_remedy(self) -> str:
        """How a person makes a server that is read-only write."""
        if self._lacks_token:
            return "A person can set CLAWVER_HTTP_TOKEN for this server, and give its clients that token."
        return "A person can unset CLAWVER_READ_ONLY where this is configured."

    @property
    def api_host(self) -> str:
        """The host name that requests go to."""
        return urlsplit(self.api_url).hostname or ""

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
    variables = os.environ if environment is None else environment
    return [
        shown(name)
        for name, value in variables.items()
        if is_ours(name) and name not in VARIABLES.values() and value.strip()
    ]


VARIABLES = {
    "api_key": "CLAW_API_KEY",
    "api_url": "CLAWVER_API_URL",
    "sandbox": "CLAWVER_SANDBOX",
    "read_only": "CLAWVER_READ_ONLY",
    "refund_limit_in_cents": "CLAWVER_REFUND_LIMIT_CENTS",
    "refund_daily_limit_in_cents": "CLAWVER_REFUND_DAILY_LIMIT_CENTS",
    "refund_approval": "CLAWVER_REFUND_APPROVAL",
    "refund_verify_seconds": "CLAWVER_REFUND_VERIFY_SECONDS",
    "requests_per_minute": "CLAWVER_REQUESTS_PER_MINUTE",
    "requests_per_day": "CLAWVER_REQUESTS_PER_DAY",
    "state_dir": "CLAWVER_STATE_DIR",
    "allow_host": "CLAWVER_ALLOW_HOST",
    "http_token": "CLAWVER_HTTP_TOKEN",
    "http_hosts": "CLAWVER_HTTP_HOSTS",
    "webhook_secret": "CLAWVER_WEBHOOK_SECRET",
    "webhook_hosts": "CLAWVER_WEBHOOK_HOSTS",
    "inbox_days": "CLAWVER_INBOX_DAYS",
    "pii": "CLAWVER_PII",
    "timeout_seconds": "CLAWVER_TIMEOUT_SECONDS",
    "log_level": "CLAWVER_LOG_LEVEL",
}
"""Each setting and the environment variable that carries it."""
