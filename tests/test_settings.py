"""A person's decisions, checked once and never repeated aloud."""

import sys
from pathlib import Path

import pytest
from platformdirs import user_state_path

from clawver_orders.errors import SetupError
from clawver_orders.settings import VARIABLES, Settings

KEY = "claw_sk_live_example_key"


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


@pytest.mark.parametrize("unset", ["", "  ", "${CLAW_API_KEY}", "${user_config.api_key}"])
@pytest.mark.parametrize("name", sorted(VARIABLES.values()))
def test_empty_and_unresolved_values_count_as_not_set(name: str, unset: str) -> None:
    assert Settings.from_environment({name: unset}) == Settings.from_environment({})


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
    ("urls", "name"),
    [
        (("https://api.clawver.store/v1", "https://API.clawver.store:443/v1"), "api.clawver.store"),
        (("http://127.0.0.1:80/v1", "http://localhost/v1", "http://[::1]/v1"), "http-localhost"),
        (("http://127.0.0.1:8787/v1", "http://localhost:8787/v1"), "http-localhost-8787"),
        (("https://localhost:80/v1",), "localhost-80"),
    ],
)
def test_one_store_has_one_folder_however_its_address_is_spelt(
    urls: tuple[str, ...], name: str
) -> None:
    assert {Settings(api_url=url).store_name for url in urls} == {name}


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
