"""What registries and one-click installs want, made from the package itself.

Name, version and texts come from the package's metadata, and the settings from `settings`:
nothing is said here twice.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import clawver_orders
import clawver_sandbox
from clawver_orders import skill
from clawver_orders.install import installation
from clawver_orders.install.installation import NAME
from clawver_orders.setting_names import VARIABLES
from clawver_orders.settings import Settings
from clawver_orders.tools import offered

MAIN = "server/main.py"
_MAIN_TEXT = b"""from clawver_orders.__main__ import main

main()
"""
ASKED = (
    "api_key",
    "refund_approval",
    "refund_limit_in_cents",
    "refund_daily_limit_in_cents",
    "read_only",
)
"""What the bundle's host asks a person for; all else keeps its default."""
_WORDS = {"api": "API"}
_KINDS = {"boolean": "boolean", "number": "number", "integer": "number"}
"""What JSON Schema calls a kind of value, and what registries and bundles call it."""
_MANIFEST_SCHEMA = (
    "https://raw.githubusercontent.com/anthropics/mcpb/main/dist/mcpb-manifest-v0.4.schema.json"
)
_SERVER_SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"


def write(folder: Path) -> tuple[Path, ...]:
    """Write the bundle for Claude Desktop and, once published, the entry for the MCP registry.

    Args:
        folder: Where to; it is made when it is missing, and older files of these names go.

    Returns:
        The files that were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bundle = folder / f"{NAME}-{clawver_orders.__version__}.mcpb"
    bundle.write_bytes(packed())
    if not (installation.PUBLISHED and installation.REGISTRY_NAME):
        return (bundle,)
    entry = folder / "server.json"
    entry.write_text(_json(registry_entry()), "utf-8")
    return bundle, entry


def packed() -> bytes:
    """The bundle: the same bytes for the same source."""
    files = {
        "manifest.json": _json(manifest()).encode(),
        "pyproject.toml": _project().encode(),
        MAIN: _MAIN_TEXT,
    }
    for package in (clawver_orders, clawver_sandbox):
        for path, content in _source(package.__path__[0]):
            files[f"server/{path}"] = content
    for path in skill.files():
        files[f"server/clawver_orders/skill/{path}"] = skill.read(path).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            about = zipfile.ZipInfo(name)  # its date is always 1980
            about.compress_type = zipfile.ZIP_DEFLATED
            about.external_attr = 0o644 << 16
            archive.writestr(about, files[name])
    return packed.getvalue()


def manifest() -> dict[str, Any]:
    """The manifest of the bundle, version 0.4: uv brings Python and the dependencies."""
    about = metadata.metadata(NAME)
    return {
        "$schema": _MANIFEST_SCHEMA,
        "manifest_version": "0.4",
        "name": NAME,
        "display_name": "Clawver orders",
        "version": clawver_orders.__version__,
        "description": about["Summary"],
        "author": {"name": about["Author"]},
        "license": about["License-Expression"],
        "keywords": about["Keywords"].split(","),
        "server": {
            "type": "uv",
            "entry_point": MAIN,
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--quiet", "--directory", "${__dirname}", MAIN],
                "env": {VARIABLES[field]: f"${{user_config.{field}}}" for field in ASKED},
            },
        },
        "tools": [
            {"name": tool.name, "description": tool.title}
            for tool in offered(Settings(toolsets=("orders", "refunds")))
        ],
        "tools_generated": True,
        "compatibility": {
            "platforms": ["darwin", "linux", "win32"],
            "runtimes": {"python": about["Requires-Python"]},
        },
        "user_config": {field: _asked(field) for field in ASKED},
    }


def registry_entry() -> dict[str, Any]:
    """The entry in the MCP registry, schema 2025-12-11."""
    about = metadata.metadata(NAME)
    return {
        "$schema": _SERVER_SCHEMA,
        "name": installation.REGISTRY_NAME,
        "title": "Clawver orders",
        "description": about["Summary"],
        "version": installation.PUBLISHED,
        "packages": [
            {
                "registryType": "pypi",
                "identifier": NAME,
                "version": installation.PUBLISHED,
                "runtimeHint": "uvx",
                "transport": {"type": "stdio"},
                "environmentVariables": [_variable(field) for field in VARIABLES],
            }
        ],
    }


def _source(folder: str) -> Iterator[tuple[str, bytes]]:
    root = Path(folder)
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.parent.name != "__pycache__":
            yield path.relative_to(root.parent).as_posix(), path.read_bytes()


def _project() -> str:
    about = metadata.metadata(NAME)
    needed = [line for line in metadata.requires(NAME) or [] if "extra ==" not in line]
    lines = [
        "[project]",
        f'name = "{NAME}"',
        f'version = "{clawver_orders.__version__}"',
        f'requires-python = "{about["Requires-Python"]}"',
        f"dependencies = {json.dumps(needed, indent=4)}",
        "",
        "[tool.uv]",
        "package = false",
    ]
    return "\n".join(lines) + "\n"


def _schema(field: str) -> dict[str, Any]:
    """A setting as JSON Schema, without the choice of leaving it out."""
    schema: dict[str, Any] = Settings.model_json_schema()["properties"][field]
    given = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    return schema | (given[0] if given else {})


def _is_secret(schema: dict[str, Any]) -> bool:
    """Whether a setting is to be hidden, be it one secret or several."""
    return "password" in {schema.get("format"), schema.get("items", {}).get("format")}


def _default(field: str) -> Any:
    """What holds when nobody decides; empty when that is nothing, or differs by machine."""
    default = _schema(field).get("default")
    return "" if default is None or default == [] else default


def _asked(field: str) -> dict[str, Any]:
    """A setting as the bundle's host asks a person for it."""
    schema = _schema(field)
    asked = {
        "type": _KINDS.get(schema["type"], "string"),
        "title": _title(field),
        "description": schema["description"],
        "required": False,
        "default": _default(field),
    }
    if _is_secret(schema):
        asked["sensitive"] = True
    limits = {"min": schema.get("minimum"), "max": schema.get("maximum")}
    return asked | {name: limit for name, limit in limits.items() if limit is not None}


def _title(field: str) -> str:
    words = [_WORDS.get(word, word) for word in field.split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def _variable(field: str) -> dict[str, Any]:
    """A setting as the registry describes an environment variable."""
    schema, default = _schema(field), _default(field)
    variable: dict[str, Any] = {
        "name": VARIABLES[field],
        "description": schema["description"],
        "isRequired": False,
        "isSecret": _is_secret(schema),
        "format": _KINDS.get(schema["type"], "string"),
    }
    if schema.get("format") == "path":
        variable["format"] = "filepath"
    if default != "":
        variable["default"] = json.dumps(default) if schema["type"] != "string" else default
    if "enum" in schema:
        variable["choices"] = schema["enum"]
    return variable


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
