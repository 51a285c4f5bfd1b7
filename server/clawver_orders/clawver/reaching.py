"""How Clawver is reached over the network, and what was at fault where it was not.

Nothing of the environment is used: a variable such as HTTPS_PROXY or SSL_CERT_FILE reaches one way
of starting this server and not another. The settings decide.
"""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2

from clawver_orders.settings import Settings

_REPEAT = "Repeat the call in a minute. If it lasts, "
_CHECK_NETWORK = "a person must check this machine's network and DNS"
_NOT_YET_VALID, _EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64  # OpenSSL's X509_V_ERR_…


def trusted(settings: Settings) -> ssl.SSLContext:
    """Whom to believe that they are Clawver: the certificates of this machine and of the settings.

    Reading those of the machine takes a tenth of a short command. Plain http, which only leads to this
    machine, needs none; there nobody is trusted, so that nothing else can be reached by mistake.
    """
    if not settings.uses_network:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = httpx2.create_ssl_context(trust_env=False)
    if settings.ca_certificates:
        context.load_verify_locations(cadata=settings.ca_certificates)
    return context


def connections(
    settings: Settings, limits: httpx2.Limits, trusted: ssl.SSLContext
) -> httpx2.AsyncClient:
    """Opens connections to Clawver, with the proxy of the settings.

    Args:
        settings: What a person has decided.
        limits: How many connections are kept.
        trusted: Whom to believe that they are Clawver.
    """
    return httpx2.AsyncClient(
        trust_env=False,
        verify=trusted,
        proxy=_proxy(settings),
        limits=limits,
        cookies=_no_cookies(),
    )


def _proxy(settings: Settings) -> str | None:
    """The proxy's address with its password. Plain http, which only leads to this machine, needs none."""
    if settings.proxy is None or not settings.uses_network:
        return None
    return settings.proxy.get_secret_value()


def _no_cookies() -> CookieJar:
    """A jar that takes nothing: a session from an owner's call must not join a customer's."""
    return CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))


@dataclass(frozen=True)
class Fault:
    """Why Clawver was not reached."""

    why: str
    """Goes on after `Clawver could not be reached:`, without a full stop."""
    next_step: str
    passes: bool = False
    """Whether it may pass by itself, so that repeating can help."""


UNTRUSTED = Fault(
    "this machine does not trust the certificate that it was shown",
    "A person must find out who answers there. Where the network inspects TLS, they set "
    "CLAWVER_CA_FILE to a file with the certificate of its authority.",
)
OUT_OF_DATE = Fault(
    "the certificate that it was shown has expired, or is not valid yet",
    "A person must check this machine's clock, and then who answers there.",
)
ANOTHER_HOST = Fault(
    "the certificate that it was shown is for another host",
    "A person must check CLAWVER_API_URL and who answers there: it can be the sign-in page of a "
    "network.",
)
NO_TLS = Fault(
    "what answers there does not speak TLS as it should",
    "A person must check CLAWVER_API_URL and CLAWVER_PROXY, and who answers there.",
)
NO_ANSWER_IN_TIME = Fault(
    "no answer came in time",
    f"{_REPEAT}look at https://status.clawver.store.",
    passes=True,
)
CUT_OFF = Fault(
    "the connection was cut off before the whole answer was there",
    f"{_REPEAT}look at https://status.clawver.store.",
    passes=True,
)
PROXY_WANTS_PASSWORD = Fault(
    "the proxy in CLAWVER_PROXY wants a user name and password, or refused those that it got",
    "A person must set CLAWVER_PROXY to http://USER:PASSWORD@HOST:PORT.",
)
PROXY_REFUSED = Fault(
    "the proxy in CLAWVER_PROXY refused to connect to it",
    "A person must have the proxy allow the host in CLAWVER_API_URL, port 443 if it names none, or "
    "set another CLAWVER_PROXY.",
)
PROXY_FAILED = Fault(
    "the proxy in CLAWVER_PROXY could not connect to it",
    f"{_REPEAT}a person must look at the proxy and at https://status.clawver.store.",
    passes=True,
)
_CERTIFICATE = {
    _NOT_YET_VALID: OUT_OF_DATE,
    _EXPIRED: OUT_OF_DATE,
    _OTHER_HOST: ANOTHER_HOST,
    _OTHER_ADDRESS: ANOTHER_HOST,
}


def fault_of(error: BaseException, settings: Settings) -> Fault:
    """What was at fault when a request failed below HTTP.

    Args:
        error: What was raised.
        settings: Which way the request took.
    """
    if isinstance(error, httpx2.ProxyError):
        return _of_proxy(str(error))
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
        place = "the proxy in CLAWVER_PROXY" if _proxy(settings) else "its host"
        return _of_connecting([*_causes(error)], place)
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        return NO_ANSWER_IN_TIME
    return CUT_OFF


def _of_proxy(said: str) -> Fault:
    """What the status says with which a proxy answered: the text begins with it."""
    if said.startswith("407"):
        return PROXY_WANTS_PASSWORD
    return PROXY_FAILED if said.startswith("5") else PROXY_REFUSED


def _of_connecting(causes: list[BaseException], place: str) -> Fault:
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _CERTIFICATE.get(cause.verify_code, UNTRUSTED)
        if type(cause) is ssl.SSLError:  # those of its kinds tell that it waits, or was cut off
            return NO_TLS
        if isinstance(cause, socket.gaierror):
            return _of_name(cause.errno == socket.EAI_AGAIN, place)
    return Fault(
        f"no connection to {place} could be made",
        f"{_REPEAT}{_CHECK_NETWORK}. Where only a proxy leads out, they set CLAWVER_PROXY.",
        passes=True,
    )


def _of_name(passes: bool, place: str) -> Fault:
    if passes:
        why = f"the name of {place} cannot be looked up at the moment"
        return Fault(why, f"{_REPEAT}{_CHECK_NETWORK}.", passes=True)
    return Fault(
        f"the name of {place} is not known",
        "A person must check CLAWVER_API_URL, CLAWVER_PROXY, and this machine's network and DNS.",
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
