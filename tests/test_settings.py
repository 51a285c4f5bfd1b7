"""A person's decisions, checked once and never repeated aloud."""

import base64
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from platformdirs import user_state_path

from clawver_orders.addresses import one_spelling
from clawver_orders.errors import SetupError
from clawver_orders.placeholders import is_no_secret
from clawver_orders.setting_names import VARIABLES
from clawver_orders.settings import Settings, ignored

KEY = "claw_sk_live_example_key"
STEM = KEY.removesuffix("example_key")


def read(**environment: str) -> Settings:
    return Settings.from_environment(environment)


def test_without_any_variable_the_defaults_hold() -> None:
    settings = read()

    assert settings.api_key is None
    assert settings.api_url == "https://api.clawver.store/v1"
    assert settings.refund_limit_in_cents == 50_000
    assert settings.state_dir.name == "clawver-orders"
    assert not settings.sandbox
    assert not settings.read_only


@pytest.mark.parametrize(
    ("platform", "folder"),
    [
        ("linux", ".local/state/clawver-orders"),
        ("darwin", "Library/Application Support/clawver-orders"),
    ],
)
def test_variables_that_hosts_do_not_pass_on_do_not_move_the_state(
    platform: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))

    assert read().state_dir == tmp_path / folder


def test_on_windows_the_state_is_where_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")

    assert read().state_dir == user_state_path("clawver-orders", appauthor=False)


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(_: object = None) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr(Path, "expanduser", homeless)

    with pytest.raises(SetupError, match="Set CLAWVER_STATE_DIR"):
        read()
    with pytest.raises(SetupError, match="CLAWVER_STATE_DIR cannot be used"):
        read(CLAWVER_STATE_DIR="~/state")


@pytest.mark.skipif(os.name != "posix", reason="HOME is no variable of Windows")
def test_a_home_that_depends_on_the_folder_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "rel")

    with pytest.raises(SetupError, match="no home folder"):
        read()


@pytest.mark.parametrize("empty", ["", "  "])
@pytest.mark.parametrize("name", sorted(VARIABLES.values()))
def test_an_empty_value_counts_as_not_set(name: str, empty: str) -> None:
    assert Settings.from_environment({name: empty}) == Settings.from_environment({})


PLACEHOLDERS = [
    "${X}", "${env:X}", "${input:x}", "${user_config.x}", "${X:-none}", "${{ secrets.X }}", "#{X}", "{{X}}",
    "{{ X }}", "{X}", "{env:X}", "$X", "$env:X", "%X%", "<your key>", "<YOUR_KEY>", "[X]", "$(pass show x)",
    "`pass show x`", "op://vault/item/field", "@X@", "@@X@@", "__X__", "<<X>>",
]  # fmt: skip

NO_SECRETS = [
    "process.env.CLAWVER_SECRET", "import.meta.env.CLAWVER_SECRET", "os.environ/CLAWVER_SECRET",
    "os.environ['CLAWVER_SECRET']", "ENV[CLAWVER_SECRET_VALUE]", "env:CLAWVER_SECRET_VALUE", "secrets.CLAWVER_SECRET",
    "file:/run/secrets/claw", "arn:aws:secretsmanager:eu:1", "aws-sm://clawver/production", "bw://item/claw-secret1",
    "!ref/clawver/secret-1", "@Microsoft.KeyVault(SecretUri=https://example)", "@@HTTP_TOKEN_VALUE@@",
    f"{STEM}YOUR_KEY_HERE", f"{STEM}xxxx", f"{STEM}xxxxxxxxxxxx", f"{STEM}****", "claw_sk_live_...",
    "YOUR_TOKEN_HERE_PLEASE", "YOUR_WEBHOOK_SECRET_HERE", "change-me-change-me", "replace_with_a_long_secret",
]  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        *PLACEHOLDERS, *NO_SECRETS, "the store's key", "the store\u2019s key", "YOUR_API_KEY", "your-key-here",
        "KEY", "claw_sk_\N{HORIZONTAL ELLIPSIS}", "env.CLAW_API_KEY", "process.env.CLAW_API_KEY", "CLAW_API_KEY",
    ],
)  # fmt: skip
def test_a_placeholder_or_an_instruction_in_place_of_the_key_counts_as_not_set(value: str) -> None:
    settings = read(CLAW_API_KEY=f" {value} ")

    assert settings.api_key is None
    assert settings.key_note == " CLAW_API_KEY holds a placeholder, not a key."


def test_where_no_placeholder_is_in_place_of_the_key_none_is_told_of() -> None:
    assert (
        read().key_note == read(CLAW_API_KEY=" ").key_note == read(CLAW_API_KEY=KEY).key_note == ""
    )


@pytest.mark.parametrize("value", NO_SECRETS)
@pytest.mark.parametrize("name", ["CLAWVER_HTTP_TOKEN", "CLAWVER_WEBHOOK_SECRET"])
def test_the_text_of_an_example_guards_nothing(name: str, value: str) -> None:
    with pytest.raises(SetupError) as caught:
        read(**{name: value})

    assert caught.value.happened.startswith(f"{name} holds a placeholder in place of its value")
    assert value not in str(caught.value)


@pytest.mark.parametrize("placeholder", [*PLACEHOLDERS, "process.env.{name}"])
@pytest.mark.parametrize("name", sorted(set(VARIABLES.values()) - {"CLAW_API_KEY"}))
def test_a_placeholder_in_any_other_setting_is_refused(name: str, placeholder: str) -> None:
    value = placeholder.replace("{name}", name)
    with pytest.raises(SetupError) as caught:
        Settings.from_environment({name: value})

    assert caught.value.happened.startswith(f"{name} holds a placeholder in place of its value")
    assert name in caught.value.next_step
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    "folder",
    [
        "/a/${X}", "~/$X/b", "/a/x-{{X}}", "/a/$(whoami)", "/a/%USER%/b", "$HOME/b", "/a/<state>", "/a/{env:X}",
        "/a/${X:-/b}/c", "/a/@X@/b", "/a/`pwd`",
    ],
)  # fmt: skip
def test_a_folder_with_a_placeholder_inside_is_refused(folder: str) -> None:
    with pytest.raises(SetupError, match="CLAWVER_STATE_DIR cannot be used: has a placeholder"):
        read(CLAWVER_STATE_DIR=folder)


def test_each_of_several_secrets_must_be_one() -> None:
    with pytest.raises(
        SetupError, match="CLAWVER_WEBHOOK_SECRET cannot be used: must be the secrets thems"
    ):
        read(CLAWVER_WEBHOOK_SECRET="whsec_example_0123456789 ${OLD_WEBHOOK_SECRET}")


@pytest.mark.parametrize(
    "secret",
    [
        "claw_sk_live_example_${x}_%y%_{z}", "{example}-0123456789", "$2b$example$0123456789",
        "example%0123456789%x", "<example>0123456789", "$example/0123456789", "claw_sk_live_key_of_example",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["CLAW_API_KEY", "CLAWVER_HTTP_TOKEN", "CLAWVER_WEBHOOK_SECRET"])
def test_a_secret_may_hold_what_placeholders_are_made_of(name: str, secret: str) -> None:
    settings = read(**{name: secret})
    found = (settings.api_key, settings.http_token, *settings.webhook_secret)

    assert [each.get_secret_value() for each in found if each is not None] == [secret]


def test_an_option_that_has_decided_needs_no_variable() -> None:
    assert Settings.from_environment({"CLAWVER_READ_ONLY": "${X}"}, read_only=True).read_only


def test_over_http_a_server_without_a_token_is_read_only() -> None:
    plain = read()
    served = plain.over_http()
    token = {"CLAWVER_HTTP_TOKEN": "an-example-token-of-32-characters"}
    chosen = read(CLAWVER_READ_ONLY="on")

    assert (served.read_only, served.read_only_because) == (True, "no CLAWVER_HTTP_TOKEN")
    assert served.over_http().read_only_because == "no CLAWVER_HTTP_TOKEN"
    assert served.model_copy(update={"sandbox": True}).read_only_because == "no CLAWVER_HTTP_TOKEN"
    assert (plain.read_only, plain.read_only_because) == (False, "")
    assert not read(**token).over_http().read_only
    assert chosen.over_http().read_only_because == "CLAWVER_READ_ONLY"
    assert read(**token, CLAWVER_READ_ONLY="on").over_http().read_only


@given(
    st.sampled_from(["", "claw_sk_live_", "claw_sk_test_", "whsec_"]),
    st.binary(min_size=12, max_size=32),
    st.sampled_from([bytes.hex, lambda raw: base64.b64encode(raw).decode(), lambda raw: base64.b32encode(raw).decode()]),
)  # fmt: skip
def test_a_random_secret_is_never_taken_for_a_placeholder(
    prefix: str, raw: bytes, written: Callable[[bytes], str]
) -> None:
    secret = prefix + written(raw)

    assert is_no_secret(secret) is False


def test_a_misspelt_name_is_refused_with_the_right_one() -> None:
    with pytest.raises(SetupError) as caught:
        read(CLAWVER_READONLY="example-value")

    assert caught.value.happened == (
        "CLAWVER_READONLY is no setting of this server. Did you mean CLAWVER_READ_ONLY?"
    )
    assert "Rename it where this server is configured" in caught.value.next_step
    assert "example-value" not in str(caught.value)


def test_a_name_that_speaks_of_protection_is_refused_with_all_settings_it_may_be() -> None:
    with pytest.raises(SetupError) as caught:
        read(CLAWVER_MAX_REFUND="100")

    assert caught.value.happened.endswith(
        "Did you mean CLAWVER_REFUND_LIMIT_CENTS, CLAWVER_REFUND_DAILY_LIMIT_CENTS, CLAWVER_REFUND_APPROVAL, "
        "CLAWVER_REFUND_PIN_ABOVE_CENTS, CLAWVER_REFUND_POLICY or CLAWVER_REFUND_VERIFY_SECONDS?"
    )


@pytest.mark.parametrize(("former", "now"), [("ask", "agent"), ("human", "chat")])
def test_a_former_word_for_the_approval_is_refused_with_the_new_one(former: str, now: str) -> None:
    with pytest.raises(SetupError) as caught:
        read(CLAWVER_REFUND_APPROVAL=former)

    assert caught.value.happened == (
        f"CLAWVER_REFUND_APPROVAL cannot be used: {former} is called {now} now."
    )


def test_a_person_approves_unless_the_merchant_says_otherwise() -> None:
    assert read().refund_grade == "chat"
    assert read(CLAWVER_REFUND_APPROVAL="off").refund_grade == "setting"
    assert read(CLAWVER_REFUND_APPROVAL="pin").refund_grade == "pin"


@pytest.mark.parametrize("value", ["-1", "12.5", "ten", "$10", "true", "1000000001"])
def test_an_amount_for_the_pin_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(SetupError, match="CLAWVER_REFUND_PIN_ABOVE_CENTS cannot be used"):
        read(CLAWVER_REFUND_PIN_ABOVE_CENTS=value)


def test_no_pin_is_needed_at_any_amount_unless_the_merchant_says_so() -> None:
    assert read().refund_pin_above_in_cents is None
    assert read(CLAWVER_REFUND_PIN_ABOVE_CENTS="").refund_pin_above_in_cents is None
    assert read(CLAWVER_REFUND_PIN_ABOVE_CENTS="0").refund_pin_above_in_cents == 0


def test_a_misspelt_name_without_a_value_does_no_harm() -> None:
    assert read(CLAWVER_READONLY=" ") == read()


def test_a_name_like_the_keys_is_refused_only_where_the_key_is_missing() -> None:
    with pytest.raises(SetupError, match=r"CLAWVER_API_KEY .* Did you mean CLAW_API_KEY"):
        read(CLAWVER_API_KEY=KEY)
    with pytest.raises(SetupError, match="Did you mean CLAW_API_KEY"):
        read(CLAW_API_KEY_2=KEY, CLAW_API_KEY="${CLAW_API_KEY}")

    assert read(CLAW_API_KEY_2=KEY, CLAWVER_SANDBOX="on").sandbox
    assert read(CLAW_API_KEY_2=KEY, CLAW_API_KEY=KEY).api_key is not None


def test_other_names_that_begin_like_ours_are_told_of_where_they_have_a_value() -> None:
    names = {
        "CLAWVER_VENV": "x",
        "CLAWVER_ORDERS_PORT": "",
        "CLAW_X": "1",
        "CLAWVER_PII": "full",
        "X": "1",
    }

    assert ignored(names) == ["CLAWVER_VENV", "CLAW_X"]


def test_a_whole_number_may_be_written_as_hosts_write_numbers() -> None:
    settings = read(CLAWVER_REFUND_LIMIT_CENTS="70000.0", CLAWVER_INBOX_DAYS="7.0")

    assert (settings.refund_limit_in_cents, settings.inbox_days) == (70_000, 7)


@pytest.mark.parametrize(
    ("said", "on"), [("on", True), ("TRUE", True), ("1", True), ("off", False), ("No", False)]
)
def test_switches_understand_the_usual_words(said: str, on: bool) -> None:
    assert read(CLAWVER_READ_ONLY=said).read_only is on


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLAW_API_KEY", "short"),
        ("CLAW_API_KEY", "claw_sk_live_example\nX-Evil: 1"),
        ("CLAW_API_KEY", "claw_sk_live_exämple_key"),
        ("CLAW_API_KEY", "claw_sk live example key"),
        ("CLAWVER_API_URL", "http://api.clawver.store/v1"),
        ("CLAWVER_API_URL", "ftp://api.clawver.store/v1"),
        ("CLAWVER_API_URL", "https://api.clawver.store@evil.example/v1"),
        ("CLAWVER_API_URL", "https://api.clawver.store.evil.example/v1"),
        ("CLAWVER_API_URL", "https://api.clawver.store/v1?x=1"),
        ("CLAWVER_API_URL", "https://api.clawver.store/v1#x"),
        ("CLAWVER_API_URL", "https://api.clawver.store:0/v1"),
        ("CLAWVER_API_URL", "https://api.clawver.store:99999/v1"),
        ("CLAWVER_API_URL", "https://[::1/v1"),
        ("CLAWVER_API_URL", "http://127.0.0.1.evil.example/v1"),
        ("CLAWVER_API_URL", "https:///v1"),
        ("CLAW_API_KEY", '"claw_sk_live_example_key"'),
        ("CLAWVER_STATE_DIR", "some/folder"),
        ("CLAWVER_WEBHOOK_SECRET", "fifteen_example"),
        ("CLAWVER_WEBHOOK_SECRET", "whsec_example_0123456789 short"),
        ("CLAWVER_WEBHOOK_SECRET", "whsec_exämple_0123456789"),
        ("CLAWVER_WEBHOOK_SECRET", "example" * 40),
        ("CLAWVER_WEBHOOK_HOSTS", "https://hooks.example"),
        ("CLAWVER_WEBHOOK_HOSTS", "hooks.example/path"),
        ("CLAWVER_WEBHOOK_HOSTS", "*.example"),
        ("CLAWVER_HISTORY", "perhaps"),
        ("CLAWVER_HISTORY_DAYS", "0"),
        ("CLAWVER_TIME_ZONE", "Europe/Gotham"),
        ("CLAWVER_TIME_ZONE", "../../etc/localtime"),
        ("CLAWVER_TIME_ZONE", "/etc/localtime"),
        ("CLAWVER_TIME_ZONE", "Africa"),
        ("CLAWVER_TIME_ZONE", "UTC+1"),
        ("CLAWVER_INBOX_DAYS", "0"),
        ("CLAWVER_INBOX_DAYS", "forever"),
        ("CLAWVER_SANDBOX", "perhaps"),
        ("CLAWVER_READ_ONLY", "2"),
        ("CLAWVER_REFUND_LIMIT_CENTS", "0"),
        ("CLAWVER_REFUND_LIMIT_CENTS", "24.99"),
        ("CLAWVER_TIMEOUT_SECONDS", "-1"),
        ("CLAWVER_TIMEOUT_SECONDS", "nan"),
        ("CLAWVER_ALLOW_HOST", "https://shop.example"),
        ("CLAWVER_HTTP_TOKEN", "fifteen-letters"),
        ("CLAWVER_HTTP_TOKEN", 'an "example" in quotes'),
        ("CLAWVER_HTTP_HOSTS", "https://shop.example"),
        ("CLAWVER_PII", "none"),
        ("CLAWVER_LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_value_is_named_by_its_variable_and_never_repeated(name: str, value: str) -> None:
    with pytest.raises(SetupError) as caught:
        Settings.from_environment({name: value})

    assert name in str(caught.value)
    if len(value) > 5:
        assert value not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8787/v1",
        "http://localhost/v1",
        "http://[::1]:1/v1",
        "https://api.clawver.store/v2/",
    ],
)
def test_clawver_and_this_machine_may_receive_the_key(url: str) -> None:
    assert read(CLAWVER_API_URL=url).api_url == url.rstrip("/")


def test_another_host_receives_the_key_only_when_it_is_named() -> None:
    url = "https://staging.example/v1"

    with pytest.raises(SetupError, match="CLAWVER_ALLOW_HOST"):
        read(CLAWVER_API_URL=url)
    assert read(CLAWVER_API_URL=url, CLAWVER_ALLOW_HOST="a.example, STAGING.example").api_url == url


@pytest.mark.parametrize("name", ["CLAW_API_KEY", "CLAWVER_HTTP_TOKEN"])
def test_a_secret_shows_in_no_representation(name: str) -> None:
    settings = read(**{name: KEY})

    assert KEY not in repr(settings)
    assert KEY not in str(settings)
    assert KEY not in settings.model_dump_json()


def test_an_option_outranks_the_environment(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {"CLAWVER_SANDBOX": "off"}, sandbox=True, state_dir=tmp_path
    )

    assert settings.sandbox
    assert settings.state_dir == tmp_path


def test_hosts_may_be_given_as_a_tuple() -> None:
    assert Settings(allow_host=("a.example",)).allow_host == ("a.example",)


def test_a_state_folder_may_begin_at_home() -> None:
    assert read(CLAWVER_STATE_DIR="~/orders").state_dir == Path.home() / "orders"


@pytest.mark.parametrize(
    ("urls", "name", "folder"),
    [
        (
            ("https://api.clawver.store/v1", "https://API.clawver.store:443/v1/", "https://api.clawver.store:/"),
            "",
            "https+api.clawver.store+443",
        ),
        (
            ("http://127.0.0.1:80/v1", "http://localhost/v1", "HTTP://LocalHost:080", "http://[::1]/v1", "http://[0:0::1]"),
            "http://localhost",
            "http+localhost+80",
        ),
        (("http://127.0.0.1:8787/v1", "http://localhost:8787/v1"), "http://localhost:8787", "http+localhost+8787"),
        (("https://localhost:80/v1",), "localhost:80", "https+localhost+80"),
        (("http://127.0.0.2:8787/v1",), "http://127.0.0.2:8787", "http+127.0.0.2+8787"),
    ],
)  # fmt: skip
def test_one_store_has_one_folder_however_its_address_is_spelled(
    urls: tuple[str, ...], name: str, folder: str, tmp_path: Path
) -> None:
    found = [Settings(api_url=url, state_dir=tmp_path) for url in urls]

    assert {each.place for each in found} == {name}
    assert {each.origin_dir for each in found} == {tmp_path / "stores" / folder}


def test_an_address_on_ipv4_is_the_same_when_it_is_written_in_ipv6() -> None:
    assert one_spelling("::ffff:127.0.0.1") == one_spelling("127.0.0.1") == "localhost"
    assert one_spelling("::ffff:127.0.0.2") == "127.0.0.2"


@pytest.mark.parametrize(
    "host", ["api.clawver.store.", "localhost.", "a+b", "a_b", "b\u00fccher.example"]
)
def test_a_host_that_could_give_the_folder_of_another_is_refused(host: str) -> None:
    with pytest.raises(SetupError, match="CLAWVER_API_URL cannot be used"):
        read(CLAWVER_API_URL=f"https://{host}/v1", CLAWVER_ALLOW_HOST="a.example")


THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]", "127.0.0.2")
HOSTS = st.one_of(
    st.sampled_from(
        ["sandbox", "the-sandbox", "con", "nul.example", "gw", "gw-8443", "gw.8443", "http-localhost", *THIS_MACHINE]
    ),
    st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,9}[a-z0-9])?", fullmatch=True),
)  # fmt: skip
Store = tuple[str, str, int]


@st.composite
def addresses(draw: st.DrawFn) -> tuple[Store, str]:
    """A store by scheme, host and port, and one of the spellings of its address."""
    host = draw(HOSTS)
    scheme = draw(st.sampled_from(["http", "https"])) if host in THIS_MACHINE else "https"
    usual = {"http": 80, "https": 443}[scheme]
    port = draw(st.sampled_from([80, 443, 8443, 8787]) | st.integers(1, 65_535))
    written = "" if port == usual and draw(st.booleans()) else f":{port}"
    spelled = host.upper() if draw(st.booleans()) else host
    path = draw(st.sampled_from(["", "/", "/v1", "/v1/", "/v2"]))
    one = "localhost" if host in THIS_MACHINE[:3] else host
    return (scheme, one, port), f"{scheme}://{spelled}{written}{path}"


GW = (("https", "gw", 8443), "https://gw:8443/v1"), (("https", "gw-8443", 443), "https://gw-8443")
PLAIN = (("http", "localhost", 80), "http://[::1]"), (("https", "http-localhost", 443), "https://http-localhost")  # fmt: skip


@given(one=addresses(), other=addresses())
@example(*GW)
@example(*PLAIN)
def test_two_stores_share_a_folder_and_a_name_only_when_they_are_the_same(
    one: tuple[Store, str], other: tuple[Store, str]
) -> None:
    (store, first), (another, second) = (
        (each, Settings(api_url=url, state_dir=Path("/state"))) for each, url in (one, other)
    )
    same = store == another

    assert (str(first.origin_dir).casefold() == str(second.origin_dir).casefold()) is same
    assert (first.place.casefold() == second.place.casefold()) is same


@given(found=addresses())
@example((("https", "sandbox", 443), "https://sandbox/v1"))
def test_no_address_has_the_folder_of_the_sandbox_or_one_that_a_file_system_refuses(
    found: tuple[Store, str],
) -> None:
    settings = Settings(api_url=found[1], state_dir=Path("/state"))
    sandbox = settings.model_copy(update={"sandbox": True})

    assert settings.origin_dir.parent == sandbox.origin_dir.parent == Path("/state/stores")
    assert settings.origin_dir != sandbox.origin_dir
    assert settings.place != sandbox.place
    # Windows keeps the names of devices for itself, with any ending, and drops dots at an end.
    assert re.fullmatch(r"https?\+[a-z0-9.-]+\+[0-9]{1,5}", settings.origin_dir.name)


def test_webhook_secrets_are_one_or_several_and_never_shown() -> None:
    settings = read(CLAWVER_WEBHOOK_SECRET=" whsec_example_0123456789  whsec_example_9876543210 ")

    assert [each.get_secret_value() for each in settings.webhook_secret] == [
        "whsec_example_0123456789",
        "whsec_example_9876543210",
    ]
    assert "whsec_" not in repr(settings) + str(settings.model_dump())
    assert read().webhook_secret == ()


def test_webhook_hosts_are_names_with_commas() -> None:
    hosts = read(CLAWVER_WEBHOOK_HOSTS="Hooks.example, other.example,").webhook_hosts

    assert hosts == ("hooks.example", "other.example")


def test_a_toolset_that_is_none_is_refused() -> None:
    with pytest.raises(SetupError, match="CLAWVER_TOOLSETS cannot be used: use orders"):
        read(CLAWVER_TOOLSETS="orders, refnds")


@pytest.mark.parametrize(
    "address",
    [
        "http://proxy.example:3128", "http://127.0.0.1:1/", "http://[::1]:65535", "HTTP://Proxy.Example:80",
        "http://ada:a%40b!$@proxy.example:3128".replace("$", "%24"), "http://ada@proxy.example:3128",
    ],
)  # fmt: skip
def test_a_proxy_is_taken_and_kept_as_a_secret(address: str) -> None:
    settings = read(CLAWVER_PROXY=address)

    assert settings.proxy is not None
    assert settings.proxy.get_secret_value() == address
    assert "proxy.example" not in repr(settings)


@pytest.mark.parametrize(
    "address",
    [
        "proxy.example:3128", "https://proxy.example:3128", "socks5://proxy.example:3128", "http://proxy.example",
        "http://proxy.example:0", "http://proxy.example:65536", "http://proxy.example:3128/path", "http://:3128",
        "http://ada:s3cret@word@proxy.example:3128", "http://ada:s3cret$X@proxy.example:3128",
        "http://ada:${s3cret}@proxy.example:3128", "http://ada:s3cret%4@proxy.example:3128",
        "http://ada:s3cret@pr\u2100xy.example:3128", "http://ada:s3cret@proxy.example:\u0663",
    ],
)  # fmt: skip
def test_a_proxy_that_cannot_be_used_is_refused_and_its_password_not_told(address: str) -> None:
    with pytest.raises(SetupError) as caught:
        read(CLAWVER_PROXY=address)

    assert caught.value.happened.startswith(
        "CLAWVER_PROXY cannot be used: must be http://HOST:PORT"
    )
    assert "s3cret" not in f"{caught.value!r} {caught.value}"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "the file cannot be read (FileNotFoundError)"),
        (b"", "the file holds no certificate in PEM form, or a damaged one"),
        (b"\xff\xfe DER", "the file holds no certificate in PEM form, or a damaged one"),
        (
            b"-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n",
            "the file holds no certificate in PEM form, or a damaged one",
        ),
    ],
)
def test_a_file_without_certificates_is_refused(
    content: bytes | None, says: str, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(SetupError) as caught:
        read(CLAWVER_CA_FILE=str(file))
    assert caught.value.happened == f"CLAWVER_CA_FILE cannot be used: {says}."


def test_a_file_of_certificates_is_named_by_a_whole_path() -> None:
    with pytest.raises(SetupError, match="CLAWVER_CA_FILE cannot be used: must be a whole path"):
        read(CLAWVER_CA_FILE="ca.pem")
    with pytest.raises(SetupError, match=r"cannot be read \(IsADirectoryError\)"):
        read(CLAWVER_CA_FILE="/")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CLAWVER_HISTORY_DAYS", "0", "must be 1 or more."),
        ("CLAWVER_HISTORY_DAYS", "soon", "must be a whole number."),
        ("CLAWVER_REFUND_LIMIT_CENTS", "9999999999", "must be 100000000 or less."),
        ("CLAWVER_REFUND_LIMIT_CENTS", "9" * 5000, "must be a smaller number."),
        ("CLAWVER_REFUND_VERIFY_SECONDS", "0", "must be more than 0."),
        ("CLAWVER_TIMEOUT_SECONDS", "long", "must be a number."),
        ("CLAWVER_PII", "some", "must be 'full' or 'masked'."),
    ],
)
def test_what_is_wrong_with_a_value_is_said_in_plain_words(
    name: str, value: str, says: str
) -> None:
    with pytest.raises(SetupError) as caught:
        Settings.from_environment({name: value})

    assert caught.value.happened == f"{name} cannot be used: {says}"


def test_a_refund_that_another_machine_sends_is_not_given_up_too_early() -> None:
    given = {
        "CLAW_API_KEY": KEY, "CLAWVER_REFUND_VERIFY_SECONDS": "59",
        "CLAWVER_DATABASE_URL": "postgresql://clawver@db.example/orders",
    }  # fmt: skip
    with pytest.raises(SetupError) as raised:
        Settings.from_environment(given)

    assert str(raised.value) == (
        "CLAWVER_REFUND_VERIFY_SECONDS is too short where several machines share a database. Set "
        "CLAWVER_REFUND_VERIFY_SECONDS to 60 or more where this server is configured, or leave it out for its default."
    )
    assert Settings.from_environment(given | {"CLAWVER_REFUND_VERIFY_SECONDS": "60"}).has_database
    assert Settings.from_environment(given | {"CLAWVER_SANDBOX": "on"}).sandbox
    del given["CLAWVER_DATABASE_URL"]
    assert not Settings.from_environment(given).has_database


@pytest.mark.parametrize(
    "key",
    [
        "seal_key_example_0123456789",
        "seal_key_example_0123456789" * 10,
        "seal key example of 32 or more signs",
    ],
)
def test_a_seal_key_that_is_too_short_or_odd_is_refused_without_its_value(key: str) -> None:
    with pytest.raises(SetupError) as raised:
        Settings.from_environment({"CLAW_API_KEY": KEY, "CLAWVER_SEAL_KEY": key})

    assert "CLAWVER_SEAL_KEY cannot be used: must be 32 to 256 visible ASCII" in str(raised.value)
    assert key not in str(raised.value)
