"""The map of the house: who may look into which room. It cannot go stale, because it is a test."""

import ast
from pathlib import Path

import pytest

SERVER = Path(__file__).parent.parent / "server"
MAP = {
    "": set(),
    "__main__": {"cli"},
    "money": set(),
    "text": set(),
    "webhooks": {"text"},
    "addresses": set(),
    "errors": set(),
    "logs": set(),
    "names": set(),
    "placeholders": set(),
    "settings": {"addresses", "errors", "names", "placeholders"},
    "models": {"text"},
    "shown": {"models", "settings", "text"},
    "lifecycle": {"models"},
    "sizes": {"models"},
    "report": {"lifecycle", "models"},
    "client": {"", "errors", "models", "settings", "state.budget", "text"},
    "search": {"client", "lifecycle", "models"},
    "state": set(),
    "state.folders": set(),
    "state.database": {"errors", "state.folders"},
    "state.keys": {"state.folders"},
    "state.ledger": {"state.database"},
    "state.locks": {"errors", "state.folders"},
    "state.budget": {"errors", "state.folders"},
    "state.inbox": {"state.database", "webhooks"},
    "approvals": {"models", "money", "state.ledger"},
    "refund_rules": {"errors", "models", "money", "state.ledger"},
    "settling": {"client", "errors", "models", "refund_rules", "settings", "state.ledger"},
    "refunds": {
        "approvals", "client", "errors", "models", "money", "refund_rules", "settings", "settling",
        "shown", "state.ledger", "state.locks",
    },
    "services": {
        "client", "errors", "refunds", "settings", "shown", "state.budget", "state.folders", "state.inbox",
        "state.ledger", "state.locks",
        "clawver_sandbox",
    },
    "reconciling": {"errors", "services", "settling", "state.inbox", "state.ledger"},
    "tools.arguments": {"lifecycle", "text", "webhooks"},
    "tools.answers": {"models", "money", "shown", "state.ledger"},
    "tools.contract": {"approvals", "errors", "services", "tools.answers"},
    "tools.receiving": {"services", "settling", "state.inbox", "tools.answers"},
    "tools.*": {
        "addresses", "approvals", "errors", "lifecycle", "models", "money", "reconciling", "refund_rules", "refunds",
        "report", "search", "services", "settings", "settling", "shown", "sizes", "state.inbox", "state.ledger",
        "tools.answers", "tools.arguments", "tools.receiving", "webhooks",
    },
    "tools": {"tools.*", "tools.contract"},
    "missing": {"errors", "tools"},
    "serving": set(),
    "references": set(),
    "serving.prompts": {"text", "tools.arguments"},
    "serving.resources": {
        "errors", "references", "search", "services", "settling", "text", "tools.*", "tools.contract",
    },
    "serving.asking": {"approvals", "refund_rules", "state.keys", "text"},
    "serving.strict": {
        "approvals", "errors", "missing", "services", "serving.asking", "tools.contract",
    },
    "serving.server": {
        "", "approvals", "errors", "services", "settings", "serving.asking", "serving.prompts",
        "serving.resources", "serving.strict", "tools", "tools.contract",
    },
    "serving.lines": set(),
    "serving.wire": {"serving.lines"},
    "serving.opening": set(),
    "serving.stopping": set(),
    "serving.stdio": {
        "errors", "serving.opening", "serving.server", "serving.stopping", "serving.wire", "settings",
    },
    "ports": {"errors"},
    "serving.gate": set(),
    "serving.underway": set(),
    "serving.http": {
        "addresses", "errors", "ports", "serving.gate", "serving.server", "serving.stopping", "serving.underway",
        "settings",
    },
    "doctor": {"errors", "services", "settings", "state.folders"},
    "installation": set(),
    "demo": {"installation"},
    "hosts": {"installation"},
    "json_text": set(),
    "host_files": {"hosts", "installation", "json_text"},
    "bundle": {"", "installation", "references", "settings", "tools", "clawver_sandbox"},
    "install_commands": {"bundle", "errors", "host_files", "hosts", "installation", "settings"},
    "startup": {"errors", "logs", "settings"},
    "refund_commands": {
        "", "approvals", "errors", "money", "refunds", "services", "startup", "state.ledger", "text",
        "tools.*",
    },
    "receiver": {"errors", "services", "settings", "state.inbox", "webhooks"},
    "listener": {"ports", "receiver", "serving.stopping"},
    "webhook_commands": {
        "errors", "listener", "receiver", "services", "startup", "state.inbox", "tools.arguments", "webhooks",
    },
    "cli": {
        "", "approvals", "demo", "doctor", "errors", "install_commands", "logs", "missing", "refund_commands",
        "services", "serving.http", "serving.stdio", "settings", "startup", "tools", "tools.contract", "webhook_commands",
        "clawver_sandbox",
    },
}  # fmt: skip
PROTOCOL = {"mcp", "mcp_types"}


def room(path: Path, package: str) -> str:
    parts = path.relative_to(SERVER / package).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def is_room(module: str) -> bool:
    path = SERVER.joinpath(*module.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            module = node.module or ""
            rooms = {f"{module}.{alias.name}" for alias in node.names}
            inner = {r for r in rooms if is_room(r)}
            found |= inner if len(inner) == len(rooms) else inner | {module}
    return found


ROOMS = {
    room(path, "clawver_orders"): path for path in sorted((SERVER / "clawver_orders").rglob("*.py"))
}


def row(name: str) -> str:
    """The row of the map that a room is in: the files of the tools, one a subject, share one."""
    return "tools.*" if name.startswith("tools.") and name not in MAP else name


def test_every_room_is_on_the_map() -> None:
    assert {row(name) for name in ROOMS} == set(MAP)


@pytest.mark.parametrize("name", sorted(MAP))
def test_a_room_looks_only_where_the_map_says(name: str) -> None:
    seen = set()
    for module in {m for n, path in ROOMS.items() if row(n) == name for m in imports(path)}:
        if module.startswith("clawver_sandbox"):
            seen.add("clawver_sandbox")
        elif module == "clawver_orders" or module.startswith("clawver_orders."):
            seen.add(row(module.removeprefix("clawver_orders").removeprefix(".")))

    assert seen == MAP[name]


def test_arrows_point_one_way() -> None:
    done: set[str] = set()
    while len(done) < len(MAP):
        ready = {
            n
            for n, looks in MAP.items()
            if n not in done and looks - {n, "clawver_sandbox"} <= done
        }
        assert ready, f"a circle among {set(MAP) - done}"
        done |= ready


def test_only_serving_and_the_demo_know_the_protocol() -> None:
    knowing = {
        n for n, path in ROOMS.items() if {m.split(".")[0] for m in imports(path)} & PROTOCOL
    }

    assert knowing == {
        "serving.asking", "serving.http", "serving.lines", "serving.opening", "serving.prompts",
        "serving.resources", "serving.server", "serving.strict", "serving.wire", "demo",
    }  # fmt: skip


def test_the_sandbox_shares_nothing_with_the_product() -> None:
    for path in (SERVER / "clawver_sandbox").rglob("*.py"):
        assert not any(module.startswith("clawver_orders") for module in imports(path)), path.name


def test_only_settings_reads_the_environment_and_only_commands_print() -> None:
    for name, path in ROOMS.items():
        text = path.read_text("utf-8")
        prints = name in {
            "cli", "startup", "refund_commands", "install_commands", "webhook_commands",
        }  # fmt: skip
        assert ("os.environ" in text) == (name in {"settings", "cli"}), name
        assert ("print(" in text or "click.echo" in text) == prints, name


def test_only_the_refund_desk_sends_money() -> None:
    callers = {name for name, path in ROOMS.items() if ".send_refund(" in path.read_text("utf-8")}

    assert callers == {"settling"}
    desks = {name for name, path in ROOMS.items() if "Settling(" in path.read_text("utf-8")}
    assert desks == {"refunds"}
