"""The skill as the server serves it: the Skills extension of the protocol (SEP-2640).

Each file is a resource, and `skills/list` and `skills/get` say which files there are, each with its size
and digest, so that a host notices when one is not what a person agreed to.
"""

from hashlib import sha256
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, PaginatedRequestParams, RequestParams

from clawver_orders import skill

EXTENSION = "io.modelcontextprotocol/skills"
FRONT_MATTER: dict[str, Any] = {
    "name": "clawver-orders",
    "description": "Works on the orders of a Clawver store. Use when someone asks about a store's orders, such as what came in today, where an order is, a lost or expired download link, a receipt, a shirt in the wrong size, or money back.",
    "license": "MIT-0",
    "metadata": {
        "openclaw": {
            "emoji": "🧾",
            "primaryEnv": "CLAW_API_KEY",
            "envVars": [
                {
                    "name": "CLAW_API_KEY",
                    "required": False,
                    "description": "The store's key. Without it the server starts and lists its tools.",
                }
            ],
            "requires": {"anyBins": ["clawver-orders"]},
        }
    },
}
"""What the head of SKILL.md says: hosts compare the two. Written out, because reading YAML would need a package."""
FOLDER = f"skill://{FRONT_MATTER['name']}/"
MAIN = FOLDER + skill.MAIN
REFERENCE = FOLDER + skill.reference("{name}")
_CACHING = {"ttlMs": 0, "cacheScope": "private"}


class GetSkillRequestParams(RequestParams):
    """What `skills/get` takes: the address of a skill's SKILL.md."""

    uri: str


def serve_skill(server: Server[Any]) -> None:
    """Let a server answer `skills/list` and `skills/get`, and say so in its capabilities."""
    server.extensions[EXTENSION] = {}
    server.add_request_handler("skills/list", PaginatedRequestParams, _list)
    server.add_request_handler("skills/get", GetSkillRequestParams, _get)


async def _list(_: ServerRequestContext[Any, Any], __: PaginatedRequestParams) -> dict[str, Any]:
    return {"skills": [_entry()], **_CACHING}


async def _get(_: ServerRequestContext[Any, Any], params: GetSkillRequestParams) -> dict[str, Any]:
    if params.uri != MAIN:
        raise MCPError(code=INVALID_PARAMS, message=f"There is no such skill. Use {MAIN}.")
    return {"skill": _entry(), **_CACHING}


def _entry() -> dict[str, Any]:
    """The skill, with all of its files."""
    files = {path: skill.read(path).encode() for path in skill.files()}
    manifest = [
        {
            "uri": FOLDER + path,
            "digest": f"sha256:{sha256(content).hexdigest()}",
            "size": len(content),
        }
        for path, content in files.items()
    ]
    return {"uri": MAIN, "frontmatter": FRONT_MATTER, "resources": manifest}
