"""Documents are tested like code: what they name exists, what exists is named, examples run."""

import json
import os
import re
import shlex
from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest
import yaml
from tests.cli.test_main import keyless, run
from tests.commands import inside
from tests.conftest import KEY, leading_to
from tests.terminals import at_terminal

from clawver_orders.cli.main import commands
from clawver_orders.install import installation
from clawver_orders.serving import skills
from clawver_orders.serving.prompts import JOBS
from clawver_orders.serving.resources import OPEN_REFUNDS, ORDER
from clawver_orders.setting_names import VARIABLES
from clawver_orders.settings import Settings
from clawver_orders.tools import TOOLS
from clawver_sandbox.api import build_app
from clawver_sandbox.serving import running
from clawver_sandbox.shop import Shop

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
SKILL = (ROOT / "SKILL.md").read_text("utf-8")
REFERENCES = sorted((ROOT / "references").glob("*.md"))
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [
    ROOT / "README.md",
    ROOT / "SKILL.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
    *REFERENCES,
    *DOCS,
]


def test_every_prompt_is_in_the_readme_with_what_it_is_given() -> None:
    part = README.split("\nPrompts, ", 1)[1].split("\nResources, ", 1)[0]
    documented = {
        words[0]: words[1:]
        for line in part.splitlines()
        if (words := re.findall("`([^`]+)`", line))
    }

    assert documented == {job.name: [each.name for each in job.arguments] for job in JOBS}


def test_every_resource_is_in_the_readme() -> None:
    part = README.split("\nResources, ", 1)[1].split("\nThe same tools", 1)[0]

    assert re.findall("^- `([^`]+)`", part, re.MULTILINE) == [
        ORDER,
        OPEN_REFUNDS,
        skills.MAIN,
        skills.REFERENCE,
    ]


OTHER_WORDS = {
    "refundable_in_cents", "each_in_cents", "already_refunded", "needs_approval", "next_step",
    "payment_status", "as_of",
}  # fmt: skip
"""What the skill names beside tools."""


def test_every_tool_is_in_the_skill() -> None:
    named = {
        word for word in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", SKILL) if word not in OTHER_WORDS
    }

    assert named == set(TOOLS)


def test_every_command_is_named_and_every_named_command_exists() -> None:
    said = README + SKILL + "".join(page.read_text("utf-8") for page in (*REFERENCES, *DOCS))
    named = set(re.findall(r"`?clawver-orders ([a-z]+)[ `\n.;]", said))

    assert named == set(inside(commands))
    assert "`serve --sandbox`" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


def anchor(heading: str) -> str:
    """What a heading is called in an address."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_links_to_a_section_lead_to_its_heading(page: Path) -> None:
    for target, section in re.findall(
        r"\]\((?!https://)([^)#]*)#([^)]+)\)", page.read_text("utf-8")
    ):
        text = (page.parent / target if target else page).read_text("utf-8")
        assert section in {anchor(each) for each in re.findall("^#+ (.+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("page", REFERENCES, ids=lambda page: str(page.name))
def test_the_skill_leads_to_a_reference(page: Path) -> None:
    assert f"](references/{page.name})" in SKILL


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.name))
def test_the_readme_leads_to_a_page(page: Path) -> None:
    assert f"](docs/{page.name})" in README


def test_the_skill_is_short_and_its_front_matter_keeps_the_rules() -> None:
    _, front, body = SKILL.split("---\n", 2)
    about = yaml.safe_load(front)

    assert set(about) <= {
        "name",
        "description",
        "license",
        "compatibility",
        "metadata",
        "allowed-tools",
    }
    assert about["name"] == "clawver-orders"
    assert len(about["description"]) <= 1024
    assert not set("<>") & set(about["description"])
    openclaw = about["metadata"]["openclaw"]
    assert ("install" in openclaw) == (installation.PUBLISHED is not None)
    assert len(SKILL.splitlines()) < 150
    assert len(body.split()) < 1500


def test_the_skill_calls_no_answer_current_that_the_history_may_be_in() -> None:
    assert "An answer without `as_of` is current" in SKILL
    assert SKILL.count("current") == 1


def test_the_first_call_of_a_page_is_the_tools_own_example() -> None:
    call = (
        f"clawver-orders call get_order order_id={TOOLS['get_order'].example['order_id']} --sandbox"
    )

    for page in ("README.md", "docs/setup.md"):
        calls = re.findall(
            "^clawver-orders call .*$", (ROOT / page).read_text("utf-8"), re.MULTILINE
        )
        assert calls[0] == call


def test_who_approves_is_said_for_every_mode() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", README, re.MULTILINE)
    modes = get_args(Settings.model_fields["refund_approval"].annotation)
    said = {mode: who for mode, who, _ in rows if mode in modes}

    assert list(said) == list(modes)
    assert said["off"] == "nobody"


@pytest.mark.slow  # starts a process for each command
@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_the_commands_of_a_person_do_what_the_readme_says(tmp_path: Path) -> None:
    """As printed, in order, by a person who says yes; each on a refund of its own."""
    with (
        closing(Shop.open(tmp_path / "shop.sqlite3")) as shop,
        running(shop, app=build_app(shop, keys=(KEY,))) as url,
    ):
        live = leading_to(url, tmp_path / "state") | {"CLAWVER_REFUND_APPROVAL": "chat"}
        (block,) = re.findall(r"```sh\n(clawver-orders approve .*?)```", README, re.DOTALL)
        ended = []
        for line in block.splitlines():
            command, *words = shlex.split(line, comments=True)
            assert command == "clawver-orders"
            order_id = shop.sell(total_in_cents=2499)["id"]
            wanted = (f"order_id={order_id}", "amount_in_cents=700", "reason=Smudged")
            answer = json.loads(run("call", "refund_order", *wanted, **live).stdout)
            words = [answer["refund_id"] if word == "rfi_…" else word for word in words]
            if words[1] == "resolve":
                shop.add_fault("drop_before", method="POST")
                at_terminal("approve", words[2], answers=["y"], environment=keyless() | live)
            done = at_terminal(*words, answers=["y"], environment=keyless() | live)
            (now,) = (
                each for each in json.loads(run("refunds", "--json", **live).stdout)
                if each["refund_id"] == answer["refund_id"]
            )  # fmt: skip
            paid = [cents for order, cents in shop.refunds() if order == order_id]
            ended.append((words[0], done.returncode, now["status"], paid))

    assert ended == [
        ("approve", 0, "refunded", [700]),
        ("approve", 0, "declined", [500]),
        ("decline", 0, "declined", []),
        ("refunds", 0, "waiting", []),
        ("refunds", 0, "refunded", []),
    ]


def test_the_check_of_the_readme_says_ok_or_bad_in_each_line(live: dict[str, str]) -> None:
    (block,) = re.findall(
        r"```sh\n(.*?)```", README.split("\n## Check it\n")[1].split("\n## ")[0], re.DOTALL
    )
    for line in block.splitlines():
        command, *words = shlex.split(line, comments=True)
        done = run(*words, **live)
        assert command == "clawver-orders"
        assert done.returncode == 0, done.stdout
        assert {each.split()[0] for each in done.stdout.splitlines()} == {"ok"}
    bad = run("doctor", CLAWVER_STATE_DIR=live["CLAWVER_STATE_DIR"])
    assert re.search("^BAD key: .*\n.*Set it to the store's key", bad.stdout, re.MULTILINE)


def test_ci_runs_the_readmes_own_test_command() -> None:
    command = "python3 -m pip install uv && uv run pytest"

    assert f"\n{command}\n" in README
    assert command.replace("install uv", "install --quiet uv") in (ROOT / ".ci" / "run").read_text(
        "utf-8"
    )


def test_a_terminal_is_told_which_variables_decide_what_it_sees() -> None:
    """All of them; what each kind decides is shown by tests/cli/test_refunds.py."""
    for page in (README, (ROOT / "docs" / "refunds.md").read_text("utf-8")):
        (said,) = re.findall("^Set every variable of your host (.*)$", page, re.MULTILINE)
        deciding = {"api_key", "api_url", "state_dir"}

        assert "`approve` goes by the defaults." in said
        named = set(re.findall("CLAW[A-Z_]+", said)) - {"CLAWVER_REFUND_"}
        assert named == {VARIABLES[field] for field in deciding}


def test_nothing_published_holds_what_registries_flag() -> None:
    for page in [
        ROOT / "README.md",
        ROOT / "SKILL.md",
        *REFERENCES,
        *(ROOT / "server").rglob("*.py"),
    ]:
        text = page.read_text("utf-8")
        for key in re.findall(r"claw_sk_\w+", text):
            assert len(key) < 16 or "example" in key, page.name
        assert not re.search("ignore (all )?previous instructions", text, re.IGNORECASE)
        assert not re.search(r"verify\s*=\s*False|\beval\(", text)
        assert not re.search("[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]", text), page.name
