"""Have a fresh reader work the questions: `uv run python -m tests.instruments.evaluation prepare FOLDER`.

`prepare` writes what the reader gets: the questions, what a host would have it read (the skill, its
pages, the definitions of the tools), and a script that calls a tool. Each question has a store of its
own. `mark` compares the reader's `answers.txt` and the stores with what is right, and adds up the
calls and the bytes of their answers.
"""

import argparse
import json
import shutil
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from tests.instruments.evaluation import Question, questions

from clawver_orders.sandbox_store import SANDBOX_FILE
from clawver_sandbox.shop import Shop

CALLS, ANSWERS, STORES = "calls.jsonl", "answers.txt", ".stores"
CALL = '''\
#!{python}
"""Call a tool: ./call Q07 get_order '{{"order_id": "ord_shirt"}}'"""

import json, os, pathlib, subprocess, sys

here = pathlib.Path(__file__).resolve().parent
question, tool, arguments = sys.argv[1], sys.argv[2], (sys.argv[3:] or ["{{}}"])[0]
if question not in {names}:
    sys.exit("The first word is the question, such as Q07.")
done = subprocess.run(
    [*{command}, "call", tool, "--arguments", arguments, "--sandbox"],
    env=os.environ | {variables} | {{"CLAWVER_STATE_DIR": str(here / "{stores}" / question)}},
    capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL,
)
said = (done.stdout or done.stderr).strip()
with (here / "{calls}").open("a", encoding="utf-8") as log:
    entry = {{"question": question, "tool": tool, "arguments": arguments}}
    entry |= {{"failed": not done.stdout, "bytes": len(said.encode())}}
    log.write(json.dumps(entry) + "\\n")
print(said)
'''


async def _definitions(command: list[str], variables: dict[str, str], state: Path) -> list[Any]:
    server = StdioServerParameters(
        command=command[0],
        args=[*command[1:], "serve", "--sandbox"],
        env=variables | {"CLAWVER_STATE_DIR": str(state)},
    )
    async with Client(server) as client:
        tools = [
            tool.model_dump(mode="json", by_alias=True, exclude_none=True)
            for tool in (await client.list_tools()).tools
        ]
    return [{key: tool[key] for key in ("name", "description", "inputSchema")} for tool in tools]


def prepare(folder: Path, command: list[str], pages: Path, variables: dict[str, str]) -> None:
    """Write what a reader gets.

    Args:
        folder: A new folder.
        command: What starts the clawver-orders that is tried.
        pages: The checkout whose SKILL.md and references the reader gets.
        variables: Settings of the server, such as who approves.
    """
    folder.mkdir(parents=True)
    shutil.copy(pages / "SKILL.md", folder)
    shutil.copytree(pages / "references", folder / "references")
    asked = questions()
    lines = [f"{name}: {each.text}" for name, each in asked.items()]
    (folder / "questions.txt").write_text("\n\n".join(lines) + "\n", "utf-8")
    tools = anyio.run(_definitions, command, variables, folder / STORES / "listing")
    text = json.dumps(tools, ensure_ascii=False, separators=(",", ":"))
    (folder / "definitions.json").write_text(text, "utf-8")
    script = CALL.format(
        python=sys.executable,
        command=command,
        variables=variables,
        names=[*asked],
        stores=STORES,
        calls=CALLS,
    )
    (folder / "call").write_text(script, "utf-8")
    (folder / "call").chmod(0o755)


def mark(folder: Path) -> list[tuple[str, bool, bool, int, int]]:
    """How a reader did.

    Args:
        folder: The one that was prepared, with the reader's answers.

    Returns:
        For each question its name, whether the answer is right, whether the refunds are, the calls, and
        the bytes of their answers.
    """
    given = {}
    if (folder / ANSWERS).is_file():
        for line in (folder / ANSWERS).read_text("utf-8").splitlines():
            name, _, answer = line.partition(":")
            given[name.strip()] = answer.strip()
    calls = []
    if (folder / CALLS).is_file():
        calls = [json.loads(line) for line in (folder / CALLS).read_text("utf-8").splitlines()]
    rows = []
    for name, each in questions().items():
        sizes = [call["bytes"] for call in calls if call["question"] == name]
        answered = given.get(name, "").casefold() == each.answer.casefold()
        rows.append((name, answered, _refunded(folder, name, each), len(sizes), sum(sizes)))
    return rows


def _refunded(folder: Path, name: str, question: Question) -> bool:
    path = folder / STORES / name / SANDBOX_FILE
    if not path.is_file():
        return not question.refunds
    with closing(Shop.open(path)) as shop:
        return tuple(sorted(shop.refunds())) == tuple(sorted(question.refunds))


def _print(rows: list[tuple[str, bool, bool, int, int]]) -> None:
    print(f"{'':<6}{'answer':>8}{'refunds':>9}{'calls':>7}{'bytes':>9}")
    for name, answered, refunded, calls, size in rows:
        words = {True: "right", False: "WRONG"}
        print(f"{name:<6}{words[answered]:>8}{words[refunded]:>9}{calls:>7}{size:>9,}")
    solved = sum(answered and refunded for _, answered, refunded, _, _ in rows)
    calls, size = sum(row[3] for row in rows), sum(row[4] for row in rows)
    print(f"solved {solved} of {len(rows)}; {calls} calls, {size:,} bytes of answers")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.instruments.evaluation")
    parser.add_argument("what", choices=["prepare", "mark"])
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--command", default="", help="the clawver-orders to try; this one's when left out"
    )
    parser.add_argument("--pages", type=Path, default=Path(__file__).parents[3], help="a checkout")
    parser.add_argument("--approval", default="agent", help="CLAWVER_REFUND_APPROVAL")
    given = parser.parse_args()
    if given.what == "mark":
        _print(mark(given.folder))
        return
    command = given.command.split() or [sys.executable, "-P", "-m", "clawver_orders"]
    prepare(
        given.folder.resolve(), command, given.pages, {"CLAWVER_REFUND_APPROVAL": given.approval}
    )


if __name__ == "__main__":
    main()
