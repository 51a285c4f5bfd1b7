"""Where events may be sent, as far as the form of an address tells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawver_orders.addresses import AddressError, address


@pytest.mark.parametrize(
    ("url", "one_spelling"),
    [
        ("https://hooks.example/x", "https://hooks.example/x"),
        ("HTTPS://Hooks.Example:443", "https://hooks.example/"),
        ("https://hooks.example:/a?b=c", "https://hooks.example/a?b=c"),
        ("https://a.b.hooks-1.example/A%20b", "https://a.b.hooks-1.example/A%20b"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
    ],
)
def test_a_public_https_address_will_do_in_one_spelling(url: str, one_spelling: str) -> None:
    found = address(url, is_local_store=False)

    assert found.url == one_spelling
    assert not found.is_this_machine
    assert address(found.url, is_local_store=True) == found


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://hooks.example/x", "https"), ("ftp://hooks.example/x", "https"), ("hooks.example/x", "https"),
        ("//hooks.example/x", "https"), ("", "https"), ("javascript:alert(1)", "https"),
        ("https://hooks.example:8443/", "443"), ("https://hooks.example:80/", "443"), ("https://hooks.example:0/", "443"),
        ("https://hooks.example:99999/", "no web address"), ("https://hooks.example:x/", "no web address"),
        ("https://user@hooks.example/", "user name"), ("https://user:pass@hooks.example/", "user name"),
        ("https://hooks.example@evil.example/", "user name"), ("https://hooks.example/x#y", "fragment"),
        ("https://192.0.2.7/", "IP"), ("https://127.0.0.1/", "IP"), ("https://127.1/", "IP"),
        ("https://2130706433/", "IP"), ("https://0x7f000001/", "IP"), ("https://0x7f.0x0.0x0.0x1/", "IP"),
        ("https://0177.0.0.01/", "IP"), ("https://[::1]/", "IP"), ("https://[2001:db8::1]/", "IP"),
        ("https://[::ffff:127.0.0.1]/", "IP"), ("https://[fe80::1%25eth0]/", "IP"), ("https://hooks.example.0x1/", "IP"),
        ("https://localhost/", "local"), ("https://LOCALHOST/", "local"), ("https://hooks.localhost/", "local"),
        ("https://printer.local/", "local"), ("https://api.internal/", "local"), ("https://nas.lan/", "local"),
        ("https://router.home.arpa/", "local"), ("https://intranet/", "local"), ("https://hooks.example./", "IP|local"),
        ("https://localhost./", "IP|local"), ("https://.example/", "local"), ("https://hooks..example/", "local"),
        ("https://-hooks.example/", "local"), ("https://hooks_1.example/", "local"), ("https://hooks%2eexample/", "local"),
        ("https:///x", "local"), ("https://", "local"), ("https://hooks.example\\@evil.example/", "visible"),
        ("https://hooks.example/a b", "visible"), ("https://hooks.example/\n", "visible"), (" https://hooks.example/", "visible"),
        ("https://hooks.exämple/", "visible"), ("https://hooks。example/", "visible"), ("https://hooks.example/\u200b", "visible"),
        ("https://hooks.example/" + "x" * 2048, "2048"), ("https://[/", "no web address"),
        ("http://127.0.0.1:8788/webhook", "https"), ("http://localhost/", "https"),
    ],
)  # fmt: skip
def test_nothing_else_will_do_and_nothing_of_it_is_repeated(url: str, why: str) -> None:
    with pytest.raises(AddressError, match=why) as raised:
        address(url, is_local_store=False)

    assert "evil" not in str(raised.value)
    assert "hooks" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "one_spelling"),
    [
        ("http://127.0.0.1:8788/webhook", "http://127.0.0.1:8788/webhook"),
        ("http://localhost", "http://localhost:80/"),
        ("http://[::1]:1/x", "http://[::1]:1/x"),
    ],
)
def test_a_store_on_this_machine_may_send_to_this_machine(url: str, one_spelling: str) -> None:
    found = address(url, is_local_store=True)

    assert (found.url, found.is_this_machine) == (one_spelling, True)


@pytest.mark.parametrize(
    "url",
    ["http://hooks.example/", "http://192.0.2.7/", "http://127.0.0.1.evil.example/", "http://10.0.0.1/", "https://127.0.0.1/",
     "http://user@127.0.0.1/", "http:///x"],
)  # fmt: skip
def test_a_store_on_this_machine_opens_no_other_door(url: str) -> None:
    with pytest.raises(AddressError):
        address(url, is_local_store=True)


@given(st.text() | st.from_regex(r"https://[^/]{0,30}/.{0,30}"), st.booleans())
def test_whatever_is_taken_leads_to_one_public_host(url: str, is_local_store: bool) -> None:
    try:
        found = address(url, is_local_store=is_local_store)
    except AddressError:
        return

    assert found.is_this_machine or found.url.startswith(f"https://{found.host}/")
    assert found.host == found.host.lower()
    assert "." in found.host or found.is_this_machine
    assert address(found.url, is_local_store=is_local_store) == found
