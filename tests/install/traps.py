"""A folder that somebody works in, full of files that no command of ours may run or read."""

from collections.abc import Sequence
from pathlib import Path

from mcp import Client, StdioServerParameters

_MODULES = (
    "secrets.py", "types.py", "ssl.py", "json.py", "sitecustomize.py", "usercustomize.py",
    "mcp/__init__.py", "clawver_orders/__init__.py", "clawver_orders/__main__.py",
)  # fmt: skip
_MARK = ".ran"


def trapped(folder: Path) -> Path:
    """Make the folder: its modules leave a mark and fail, its configuration cannot be read."""
    for name in _MODULES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        mark = str(path.with_suffix(_MARK))
        path.write_text(f"open({mark!r}, 'w').close()\nraise RuntimeError('a trap')\n", "utf-8")
    for name in ("uv.toml", "pyproject.toml"):
        (folder / name).write_text("[[[ uv must not read this", "utf-8")
    return folder


def sprung(folder: Path) -> list[str]:
    """The modules that ran."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(f"*{_MARK}"))


async def tools(words: Sequence[str], folder: Path, environment: dict[str, str]) -> list[str]:
    """The tools of a server that a host starts in the folder, with these words."""
    command, *arguments = words
    server = StdioServerParameters(command=command, args=arguments, env=environment, cwd=folder)
    async with Client(server) as client:
        return [tool.name for tool in (await client.list_tools()).tools]
