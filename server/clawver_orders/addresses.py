"""Where a store's events may be sent: nowhere that a steered model could make up. No I/O.

An address is https on port 443 of a public name. Whether the name is one the merchant allows is
not decided here.
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

LONGEST = 2048
_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_OWN = {int(ipaddress.ip_address(each)) for each in ("127.0.0.1", "::1")}
_LOCAL = frozenset(
    [
        "localhost",
        "local",
        "localdomain",
        "internal",
        "intranet",
        "lan",
        "home",
        "corp",
        "private",
        "arpa",
        "onion",
        "test",
        "invalid",
    ]
)
"""Last parts of names that mean something only on this machine or in its network."""


class AddressError(ValueError):
    """Events may not be sent there. The text says why, and repeats nothing of the address."""


@dataclass(frozen=True)
class Address:
    """An address that events may be sent to, as far as its form goes."""

    url: str
    """In one spelling: two addresses are the same when their texts are."""
    host: str
    is_this_machine: bool


def address(url: str, *, is_local_store: bool) -> Address:
    """Check where events are to go.

    Args:
        url: The address.
        is_local_store: Whether the store's API is on this machine too: then http to this machine
            will do, on any port.

    Raises:
        AddressError: It will not do.
    """
    visible = all("!" <= character <= "~" for character in url) and "\\" not in url
    if not visible or len(url) > LONGEST:
        raise AddressError("is no web address of at most 2048 visible ASCII characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressError("is no web address") from None
    host = parts.hostname or ""
    if "@" in parts.netloc:
        raise AddressError("must not carry a user name or a password")
    if "#" in url:
        raise AddressError("must not have a fragment")
    rest = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if is_local_store and parts.scheme == "http" and is_loopback(host):
        name = f"[{host}]" if ":" in host else host
        return Address(f"http://{name}:{80 if port is None else port}{rest}", host, True)
    if parts.scheme != "https":
        raise AddressError("must begin with https://")
    if port not in {None, 443}:
        raise AddressError("must use port 443, the one of https")
    if ":" in host or _NUMBER.fullmatch(host.rpartition(".")[2]):
        raise AddressError("must name a host, not an IP address")
    if _NAME.fullmatch(host) is None or host.rpartition(".")[2] in _LOCAL:
        raise AddressError("must name a host that the internet knows, not a local name")
    return Address(f"https://{host}{rest}", host, False)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def one_spelling(host: str) -> str:
    """A host name or address as all its spellings have it: this machine's own has three."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    address = getattr(address, "ipv4_mapped", None) or address
    # All of 127.0.0.0/8 is this machine too, but something else can listen at each of them.
    return "localhost" if address.is_loopback and int(address) in _OWN else str(address)
