"""Several stores in one file: each with its key, its limits and its refunds, and none taken for another."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from mcp import Client
from tests.cli.test_main import run
from tests.conftest import KEY
from tests.documents.printed import PAGES, block
from tests.test_stores import OTHER_KEY, ROTATED_KEY, WORDS, Address, at
from tests.tools.test_tools import call, failure

from clawver_orders.errors import SetupError
from clawver_orders.serving.server import build_server
from clawver_orders.setting_names import VARIABLES
from clawver_orders.settings import Settings
from clawver_orders.stores import OF_A_STORE

__all__ = ["at"]
PAGE = "docs/stores.md"
TWO = block(PAGE, "The file")
KEY_FILE = "/run/secrets/photos.key"


Write = Callable[..., dict[str, str]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the file of stores, and gives the variables that name it."""

    def written(text: str = TWO, **more: str) -> dict[str, str]:
        (tmp_path / "photos.key").write_text(f"{OTHER_KEY}\n")
        path = tmp_path / "stores.toml"
        path.write_text(text.replace(KEY_FILE, str(tmp_path / "photos.key")))
        return {"CLAWVER_STORES": str(path), "PRINTS_KEY": KEY} | more

    return written


def secret(settings: Settings) -> str:
    assert settings.api_key is not None
    return settings.api_key.get_secret_value()


def test_a_store_has_what_all_have_and_what_its_own_table_says(
    write: Write,
) -> None:
    shared = {"CLAWVER_REFUND_LIMIT_CENTS": "900", "CLAWVER_READ_ONLY": "on", "CLAWVER_PII": "masked"}  # fmt: skip
    prints = Settings.from_environment(write(**shared), store="prints")
    photos = Settings.from_environment(write(CLAWVER_STORE="photos", **shared))

    assert (secret(prints), secret(photos)) == (KEY, OTHER_KEY)
    assert (prints.refund_limit_in_cents, photos.refund_limit_in_cents) == (600, 900)
    assert (prints.refund_approval, photos.refund_approval) == ("agent", "chat")
    assert (prints.read_only, photos.read_only) == (True, False)
    assert prints.pii == photos.pii == "masked"
    assert (prints.store_name, photos.store_name) == ("Ada's Prints", "")
    assert (prints.option, photos.option) == (" --store prints", " --store photos")
    assert prints.key_name == "PRINTS_KEY"
    assert photos.key_name == "key_file of the store photos"


def test_no_store_gets_a_secret_that_is_not_its_own(write: Write) -> None:
    other = "whsec_example_of_nobody"
    variables = write(CLAW_API_KEY=ROTATED_KEY, CLAWVER_WEBHOOK_SECRET=other)
    prints = Settings.from_environment(variables, store="prints")

    assert secret(prints) == KEY
    assert prints.webhook_secret == ()


def test_the_only_store_of_a_file_needs_no_name(write: Write) -> None:
    one = '[stores.prints]\nkey_env = "PRINTS_KEY"\nwebhook_secret_env = "PRINTS_SECRET"\n'
    variables = write(one, PRINTS_SECRET="whsec_example_of_the_prints")
    settings = Settings.from_environment(variables)

    assert settings.store == "prints"
    assert [each.get_secret_value() for each in settings.webhook_secret] == [
        "whsec_example_of_the_prints"
    ]


def test_the_sandbox_is_none_of_them(write: Write) -> None:
    settings = Settings.from_environment(write("no TOML"), sandbox=True)

    assert settings.option == " --sandbox"
    assert settings.api_key is None


def test_the_page_names_what_a_store_may_have_of_its_own(
    write: Write,
) -> None:
    (listed,) = re.findall("holds for one store alone: (.*)\\. They mean", PAGES[PAGE])
    names = [VARIABLES[each].removeprefix("CLAWVER_").lower() for each in OF_A_STORE]

    assert re.findall("`([a-z_]+)`", listed) == sorted(names)


def test_the_server_of_the_page_is_given_what_its_file_asks_for(write: Write) -> None:
    (server,) = json.loads(block(PAGE, "Choose a store"))["mcpServers"].values()
    asked = {each["key_env"] for each in tomllib.loads(TWO)["stores"].values() if "key_env" in each}

    assert {*server["env"]} == {"CLAWVER_STORES", *asked}


TABLE = '[stores.a]\nkey_env = "PRINTS_KEY"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[stores.a", "it is no TOML."),
        (f"a = {'[' * 5000}", "it is no TOML."),
        ("# " + "x" * 256 * 1024, "it is larger than 256 KiB."),
        ("", "it must have tables [stores.…] and nothing beside them."),
        ("stores = 3", "it must have tables [stores.…] and nothing beside them."),
        (f"{TABLE}[shops.b]", "it must have tables [stores.…] and nothing beside them."),
        ("[stores.Ada]", "a store is called by small letters, digits and hyphens, 32 at most, and not all."),
        ("[stores.all]", "a store is called by small letters, digits and hyphens, 32 at most, and not all."),
        ("[stores]\na = 3", "a store is no table."),
        ("[stores.a]", "a has no key_env and no key_file."),
        ("[stores.a]\nkey_env = 3", "key_env of a must be the name of a variable."),
        ("[stores.a]\nkey_env = 'claw-sk'", "key_env of a must be the name of a variable."),
        ("[stores.a]\nkey_file = 'here'", "key_file of a must be a whole path."),
        (f"{TABLE}key_file = '/x'", "a has both key_env and key_file."),
        (f"{TABLE}name = 3", "the name of a must be a text of at most 80 characters on one line."),
        (f'{TABLE}name = "a\\nb"', "the name of a must be a text of at most 80 characters on one line."),
        (f"{TABLE}webhook_hosts = ['a.example']", "a has a table or a list in it."),
        (f"{TABLE}key = '{KEY}'", "a has a setting that is none of: api_url, "),
        (f"{TABLE}http_token = '{KEY}'", "a has a setting that is none of: api_url, "),
    ],
)  # fmt: skip
def test_a_file_that_says_not_what_it_should_is_refused_whole(
    write: Write, text: str, says: str
) -> None:
    with pytest.raises(SetupError) as caught:
        Settings.from_environment(write(text))

    said = str(caught.value)
    assert f"The file in CLAWVER_STORES cannot be used: {says}" in said
    assert KEY not in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{TABLE}refund_limit_cents = true", "refund_limit_cents of the store a cannot be used: must be a whole number."),
        (f"{TABLE}refund_limit_cents = 0", "refund_limit_cents of the store a cannot be used: must be 1 or more."),
        (f"{TABLE}refund_approval = 'ask'", "refund_approval of the store a cannot be used: ask is called agent now."),
        (f"{TABLE}read_only = 'perhaps'", "read_only of the store a cannot be used: use on or off."),
        ("[stores.a]\nkey_env = 'SHORT'", "key of the store a cannot be used: must be 16 to 256"),
        ("[stores.a]\nkey_env = 'NOWHERE'", "Nothing was sent: NOWHERE does not hold the key of the store a."),
        ("[stores.a]\nkey_env = 'PLACEHOLDER'", "Nothing was sent: PLACEHOLDER does not hold the key of the store a."),
        ("[stores.a]\nkey_file = '/nowhere/a.key'", "Nothing was sent: the file in key_file does not hold the key of the store a."),
        (f"{TABLE}webhook_secret_env = 'NOWHERE'", "Nothing was sent: NOWHERE does not hold the webhook secret of the store a."),
    ],
)  # fmt: skip
def test_a_setting_of_a_store_is_checked_like_any_other(write: Write, text: str, says: str) -> None:
    variables = write(text, SHORT="example", PLACEHOLDER="${PRINTS}")
    with pytest.raises(SetupError) as caught:
        Settings.from_environment(variables)

    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("alias", "says"),
    [
        (
            "",
            "Nothing was sent: several stores are in the file that CLAWVER_STORES names, and none was named.",
        ),
        ("posters", "Nothing was sent: there is no store of that name in the file"),
    ],
)
def test_a_store_that_is_not_known_is_none(write: Write, alias: str, says: str) -> None:
    with pytest.raises(SetupError) as caught:
        Settings.from_environment(write(), store=alias)

    assert str(caught.value).startswith(says)
    assert "prints, photos." in caught.value.next_step
    assert "posters" not in str(caught.value)


def test_a_file_that_cannot_be_read_and_a_name_without_a_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(
        SetupError, match=r"cannot be used: it cannot be read \(FileNotFoundError\)"
    ):
        Settings.from_environment({"CLAWVER_STORES": str(tmp_path / "none.toml")})
    with pytest.raises(SetupError, match="CLAWVER_STORES names no file that has it"):
        Settings.from_environment({"CLAWVER_STORE": "prints"})


# Two stores at one address.


def both(at: Address, write: Write, **more: str) -> dict[str, str]:
    variables = at.variables() | write(**more)
    del variables["CLAW_API_KEY"]
    return variables


def refund(variables: dict[str, str], store: str) -> dict[str, object]:
    done = run("call", "refund_order", *WORDS, "--store", store, **variables)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_each_store_has_its_own_refunds_under_the_name_that_the_merchant_gave_it(
    at: Address, write: Write
) -> None:
    variables = both(at, write)
    asked = refund(variables, "prints")
    listed = {
        store: run("refunds", "--json", "--store", store, **variables).stdout
        for store in ("prints", "photos")
    }
    told = run("refunds", "--store", "prints", **variables)

    assert asked["status"] == "needs_approval"
    assert asked["store"] == 'prints "Ada\'s Prints"'
    assert str(asked["refund_id"]) in listed["prints"]
    assert str(asked["refund_id"]) not in listed["photos"]
    assert "Ada's Prints" in told.stdout
    assert at.first.refunds() == at.second.refunds() == []


def test_a_refund_is_approved_in_its_own_store_and_the_next_command_names_it(
    at: Address, write: Write
) -> None:
    variables = both(at, write)
    refund_id = str(refund(variables, "prints")["refund_id"])
    wrong = run("approve", refund_id, "--yes", "--store", "photos", **variables)
    done = run("approve", refund_id, "--yes", "--store", "prints", **variables)

    assert wrong.returncode == 1
    assert "It is in the ledger of another store, " in wrong.stderr
    assert wrong.stderr.endswith(": name that one with --store.\n")
    assert done.returncode == 0, done.stderr
    assert f"clawver-orders refunds show {refund_id} --store prints" in done.stdout
    assert at.first.refunds() != []
    assert at.second.refunds() == []


def test_a_limit_of_one_store_is_not_the_others(at: Address, write: Write) -> None:
    variables = both(at, write)
    words = ("call", "refund_order", "order_id=ord_shirt", "amount_in_cents=700", "reason=Torn")
    prints = run(*words, "--store", "prints", **variables)
    photos = run(*words, "--store", "photos", **variables)

    assert prints.returncode == 1
    assert "$6.00" in prints.stderr
    assert json.loads(photos.stdout)["status"] == "needs_approval"


def test_a_key_of_another_store_than_before_stops_refunds(at: Address, write: Write) -> None:
    variables = both(at, write)
    refund(variables, "prints")
    words = ("call", "refund_order", *WORDS, "--store", "prints")
    swapped = run(*words, **variables | {"PRINTS_KEY": OTHER_KEY})
    again = run(*words, **variables | {"PRINTS_KEY": OTHER_KEY})
    rotated = refund(variables | {"PRINTS_KEY": ROTATED_KEY}, "prints")

    for done in (swapped, again):
        assert done.returncode == 1
        assert "Nothing was sent: the key of the store prints opens another store than before." in done.stderr  # fmt: skip
        assert "A person must correct PRINTS_KEY." in done.stderr
        assert OTHER_KEY not in done.stderr
    assert rotated["status"] == "needs_approval"
    assert at.second.refunds() == []


def test_two_names_for_one_store_stop_refunds(at: Address, write: Write) -> None:
    text = TWO.replace(f'key_file = "{KEY_FILE}"', 'key_env = "ANOTHER_KEY"')
    variables = at.variables() | write(text, ANOTHER_KEY=ROTATED_KEY)
    refund(variables, "prints")
    done = run("call", "refund_order", *WORDS, "--store", "photos", **variables)

    assert done.returncode == 1
    assert "Nothing was sent: photos and prints are one store" in done.stderr
    assert at.first.refunds() == []


async def test_a_server_is_of_the_store_that_it_was_started_for(at: Address, write: Write) -> None:
    settings = Settings.from_environment(both(at, write, CLAWVER_STORE="photos"))
    async with Client(build_server(settings)) as client:
        answer = await call(client, "refund_order", order_id="ord_shirt", amount_in_cents=700, reason="Torn")  # fmt: skip

    assert f"clawver-orders approve {answer['refund_id']} --store photos" in answer["next_step"]


async def test_a_server_without_a_store_answers_each_call_with_what_to_name(
    write: Write,
) -> None:
    with pytest.raises(SetupError) as caught:
        Settings.from_environment(write())
    async with Client(build_server(caught.value)) as client:
        said = await failure(client, "list_orders")

    assert "Name one with --store, or with CLAWVER_STORE" in said


def test_the_doctor_checks_every_store_and_says_once_what_is_the_same(
    at: Address, write: Write
) -> None:
    done = run("doctor", **both(at, write))
    told = json.loads(run("doctor", "--json", **both(at, write)).stdout)
    lines = done.stdout.splitlines()

    assert done.returncode == 0, done.stdout
    assert lines.count("ok  settings: All settings can be used.") == 1
    assert sum(line.startswith("ok  state folder: ") for line in lines) == 1
    for begins in (
        "ok  prints key: PRINTS_KEY is ",
        "ok  photos key: key_file of the store photos is ",
    ):
        assert sum(line.startswith(begins) for line in lines) == 1
    assert {each["store"] for each in told} == {"", "prints", "photos"}
    assert [each["store"] for each in told] == sorted(
        (each["store"] for each in told), key=["", "prints", "photos"].index
    )


def test_the_doctor_goes_on_where_one_store_cannot_be_used(at: Address, write: Write) -> None:
    done = run("doctor", **both(at, write) | {"PRINTS_KEY": ""})

    assert done.returncode == 1
    assert "BAD prints " in done.stdout
    assert "ok  photos key: key_file of the store photos is " in done.stdout


def test_the_doctor_checks_the_store_that_is_named_and_no_other(at: Address, write: Write) -> None:
    done = run("doctor", "--store", "photos", **both(at, write) | {"PRINTS_KEY": ""})

    assert done.returncode == 0, done.stdout
    assert "ok  key: key_file of the store photos is set" in done.stdout
    assert "prints" not in done.stdout
