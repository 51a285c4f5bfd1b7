"""The packages, and which may import which. The lists cannot go stale: every row must be exact."""

import ast
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SERVER = ROOT / "server"
PRODUCT = "clawver_orders"
SANDBOX = "clawver_sandbox"

COMMON = {
    "", "placeholders", "addresses", "caller", "days", "environment", "errors", "http_server", "instants", "logs", "money",
    "problems", "setting_names", "settings", "signals", "skill", "stores", "text", "time_limit",
}  # fmt: skip
"""Modules beside the packages that everybody may import; they import only each other."""
PACKAGES = {
    "storage": set(),
    "clawver": {"storage"},
    "orders": {"clawver"},
    "webhooks": {"clawver", "storage"},
    "history": {"clawver", "orders", "storage", "webhooks"},
    "refunds": {"clawver", "history", "orders", "storage", "webhooks"},
    "sandbox_store": {"history", "refunds", "storage", SANDBOX},
    "services": {
        "clawver",
        "history",
        "orders",
        "refunds",
        "sandbox_store",
        "storage",
        "webhooks",
        SANDBOX,
    },
    "tools": {"clawver", "history", "orders", "refunds", "services", "webhooks"},
    "install": {"tools", SANDBOX},
    "reports": {
        "clawver",
        "history",
        "install",
        "orders",
        "refunds",
        "services",
        "storage",
        "tools",
        "webhooks",
    },
    "web": {
        "clawver",
        "history",
        "orders",
        "refunds",
        "reports",
        "services",
        "storage",
        "tools",
        "webhooks",
    },
    "serving": {"services", "storage", "tools", "web"},
    "cli": {
        "history",
        "install",
        "refunds",
        "reports",
        "sandbox_store",
        "services",
        "serving",
        "storage",
        "tools",
        "web",
        "webhooks",
        SANDBOX,
    },
    "__main__": {"cli", "serving"},
}
"""What each package imports of the others, beside the common modules. The lower layers come first."""
ALONE = {
    "reports.checks", "cli.options", "cli.tables", "cli.walkthrough",
    "clawver.models", "clawver.reaching", "clawver.request_budget", "orders.lifecycle", "orders.privacy", "orders.size_names",
    "refunds.order_locks", "refunds.records", "storage.folders", "tools.answers", "tools.arguments",
    "webhooks.signature",
}  # fmt: skip
"""Modules that import nothing of their own package."""
APART = (
    {"clawver.models", "clawver.transport"},
    {"tools.downloads", "tools.listing", "tools.orders", "tools.refunds", "tools.sizes", "tools.webhooks"},
    {"serving.http", "serving.stdio"},
    {
        "cli.board", "cli.call", "cli.digest", "cli.doctor", "cli.events", "cli.export", "cli.history", "cli.install",
        "cli.pin", "cli.refunds", "cli.sandbox", "cli.serve", "cli.webhooks",
    },
)  # fmt: skip
"""Modules of one package that do not import each other."""
PURE = {
    "refunds.approvals", "refunds.case", "refunds.decision", "refunds.matching", "refunds.outcome",
    "refunds.policy", "refunds.records",
}  # fmt: skip
"""Modules that decide about refunds from what they are given: they read, write and wait for nothing."""
LONGEST_CLASS = 300
ONE_SCREEN = 120
TEST_FOLDERS = {"clients", "documents", "instruments", "sandbox"}
"""Folders of tests that mirror no package of the product."""
PROTOCOL = {"mcp", "mcp_types"}


def module_of(path: Path) -> str:
    """The name of a module within the product; a package is named like its folder."""
    parts = path.relative_to(SERVER / PRODUCT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path) -> set[str]:
    """All that a file imports, wherever in it: modules by their full name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            module = node.module or ""
            names = {f"{module}.{alias.name}" for alias in node.names}
            modules = {name for name in names if is_module(name)}
            found |= modules if len(modules) == len(names) else modules | {module}
    return found


def is_module(name: str) -> bool:
    path = SERVER.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def within(names: set[str]) -> set[str]:
    """Those that are modules of the product, by their name within it."""
    return {
        name.removeprefix(PRODUCT).removeprefix(".")
        for name in names
        if name == PRODUCT or name.startswith(f"{PRODUCT}.")
    }


def top(module: str) -> str:
    return module.partition(".")[0]


MODULES = {module_of(path): path for path in sorted((SERVER / PRODUCT).rglob("*.py"))}
IMPORTED = {name: within(imports(path)) for name, path in MODULES.items()}


def circle(graph: Mapping[str, set[str]]) -> set[str]:
    """What cannot be put in an order in which each comes after all that it imports."""
    done: set[str] = set()
    while ready := {n for n, needs in graph.items() if n not in done and needs - {n} <= done}:
        done |= ready
    return set(graph) - done


def test_every_module_is_in_a_package_or_common() -> None:
    assert {top(name) for name in MODULES} == COMMON | set(PACKAGES)


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_package_imports_what_the_list_says(package: str) -> None:
    seen = set()
    for name, path in MODULES.items():
        if top(name) == package:
            seen |= {top(other) for other in IMPORTED[name]}
            seen |= {SANDBOX for other in imports(path) if top(other) == SANDBOX}

    assert seen - COMMON - {package} == PACKAGES[package]


@pytest.mark.parametrize("name", sorted(COMMON))
def test_common_modules_import_only_each_other(name: str) -> None:
    assert IMPORTED[name] <= COMMON
    assert SANDBOX not in {top(other) for other in imports(MODULES[name])}


def test_imports_go_down() -> None:
    above: set[str] = set()
    for package in reversed(PACKAGES):
        assert not PACKAGES[package] & above, package
        above.add(package)


def test_no_modules_import_each_other() -> None:
    assert not circle(IMPORTED)


def test_some_modules_of_a_package_import_nothing_of_it() -> None:
    for name in ALONE:
        assert top(name) not in {top(other) for other in IMPORTED[name]}, name


def test_some_modules_of_a_package_are_kept_apart() -> None:
    for group in APART:
        for one in group:
            own = {n for n in MODULES if f"{n}.".startswith(f"{one}.")}
            assert own, one
            seen = set().union(*(IMPORTED[n] for n in own))
            others = {f"{other}." for other in group - {one}}
            assert not [n for n in seen if f"{n}.".startswith(tuple(others))], one


def test_importing_a_package_imports_nothing() -> None:
    initial = {n: path for n, path in MODULES.items() if path.name == "__init__.py"}
    loading = {name for name, path in initial.items() if imports(path)}

    assert loading == {"tools", "webhooks"}  # the table of tools, and a library for others


def test_webhooks_can_be_used_without_the_rest() -> None:
    assert IMPORTED["webhooks"] == {"webhooks.signature"}
    assert IMPORTED["webhooks.signature"] == {"text"}
    for name in ("", "webhooks", "webhooks.signature", "text"):
        others = {top(other) for other in imports(MODULES[name])}
        assert others - {PRODUCT} <= sys.stdlib_module_names, name


def test_the_receiver_needs_no_client_and_no_refunds() -> None:
    seen: set[str] = set()
    left = {"webhooks.receiver", "webhooks.listener"}
    while left:
        seen |= left
        left = set().union(*(IMPORTED[name] for name in left)) - seen

    assert {top(name) for name in seen} - COMMON == {"storage", "webhooks"}


def test_only_serving_and_the_walkthrough_know_the_protocol() -> None:
    knowing = {name for name, path in MODULES.items() if {top(m) for m in imports(path)} & PROTOCOL}

    assert {name if name.startswith("cli.") else top(name) for name in knowing} == {
        "cli.walkthrough",
        "serving",
    }


def test_only_the_transport_sends_requests_to_the_store() -> None:
    opening = {name for name, path in MODULES.items() if "httpx2" in imports(path)}
    sending = {name for name in MODULES if "clawver.transport" in IMPORTED[name]}

    # The walkthrough talks to this server, and services open the connections, as `reaching` makes them.
    assert opening == {"clawver.reaching", "clawver.transport", "cli.walkthrough", "services"}
    assert sending == {"clawver.client", "services"}


def test_only_the_tables_in_postgresql_need_its_driver() -> None:
    knowing = {name for name, path in MODULES.items() if "psycopg" in map(top, imports(path))}

    engine = {"storage.engine", "storage.postgres", "storage.postgres_server"}
    assert knowing == engine | {"refunds.order_locks_postgres"}


def test_the_sandbox_shares_nothing_with_the_product() -> None:
    for path in (SERVER / SANDBOX).rglob("*.py"):
        assert not any(top(module) == PRODUCT for module in imports(path)), path.name


def test_one_module_and_a_command_read_the_environment() -> None:
    reading = {name for name, path in MODULES.items() if "os.environ" in path.read_text("utf-8")}

    # The start of the command sets a variable of pydantic, before anything is loaded.
    assert reading == {"environment", "cli.doctor", "__main__"}


def test_no_class_is_longer_than_can_be_kept_in_mind() -> None:
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= LONGEST_CLASS, f"{name}.{node.name} has {lines} lines"


def test_what_becomes_of_a_call_for_a_refund_stands_on_one_screen() -> None:
    decision = MODULES["refunds.decision"].read_text("utf-8")

    assert len(decision.splitlines()) <= ONE_SCREEN


def test_only_commands_print() -> None:
    for name, path in MODULES.items():
        prints = re.search(r"\bprint\(|click\.echo", path.read_text("utf-8"))
        assert top(name) == "cli" or not prints, name


def test_only_settlement_sends_money_and_only_for_the_desk() -> None:
    texts = {name: path.read_text("utf-8") for name, path in MODULES.items()}

    for words, only in (
        (".send_refund(", "refunds.settlement"),
        (".begin_send(", "refunds.settlement"),
        ("_settlement.send(", "refunds.desk"),
        ("Settlement(", "refunds.checking"),  # which the desk is built on
    ):
        assert {name for name, text in texts.items() if words in text} == {only}, words


@pytest.mark.parametrize("name", sorted(PURE))
def test_the_rules_of_refunds_read_and_write_nothing(name: str) -> None:
    own = {other for other in IMPORTED[name] if top(other) == "refunds"}
    tree = ast.parse(MODULES[name].read_text("utf-8"))

    assert own <= PURE
    assert not {top(other) for other in imports(MODULES[name])} & {
        "anyio",
        "httpx2",
        "sqlite3",
        "time",
    }
    assert not [
        node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await)
    ]


def test_one_type_has_one_name() -> None:
    owners: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        for node in ast.parse(path.read_text("utf-8")).body:
            defined = {node.name} if isinstance(node, ast.ClassDef) else set()
            if isinstance(node, ast.Assign):
                defined = {target.id for target in node.targets if isinstance(target, ast.Name)}
            for each in defined:
                if each[0].isupper() and not each.isupper():
                    owners.setdefault(each, set()).add(name)

    assert not {each: by for each, by in owners.items() if len(by) > 1}


def test_the_folders_of_the_tests_mirror_the_packages() -> None:
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("*.py")}
    mirrored = {
        path.as_posix()
        for path in folders
        if path.parts[:1] not in ((), *((f,) for f in TEST_FOLDERS))
    }
    packages = {
        name.replace(".", "/") for name, path in MODULES.items() if path.name == "__init__.py"
    }

    assert mirrored <= packages
