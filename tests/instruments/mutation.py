"""Breaks the code on purpose, one guard at a time, and counts how often a test notices.

    uv run python -m tests.instruments.mutation                          all of it: hours
    uv run python -m tests.instruments.mutation --only refunds/ledger.py
    uv run python -m tests.instruments.mutation --sample 100 --seed 7

Comparisons and conditions are turned, numbers and words changed, statements and guards dropped,
and so are the rules within SQL: the unique indexes, the triggers, the conditions of an update.
Prose is left alone. Results are kept in a file, so that a run that was stopped goes on where it
was; a survivor is tried again once a test has changed.
"""

import argparse
import ast
import hashlib
import importlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = Path("server/clawver_orders")
PRELOADED = (
    "filelock",
    "httpx2",
    "hypothesis",
    "mcp",
    "mcp.client",
    "mcp.server.runner",
    "pydantic",
    "stamina",
    "starlette.applications",
    "uvicorn",
)


def _refunds(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/refunds/test_{name}.py" for name in names)


_LEDGER = _refunds("ledger", "clocks", "ledger_file", "declines", "settlement", "approving")
TESTS: dict[str, tuple[str, ...]] = {
    "money.py": ("tests/test_money.py",),
    "instants.py": ("tests/test_instants.py", *_refunds("clocks")),
    "storage/folders.py": ("tests/storage/test_folders.py", "tests/storage/test_database.py"),
    "storage/database.py": ("tests/storage/test_database.py", "tests/refunds/test_ledger.py"),
    "storage/keys.py": ("tests/storage/test_keys.py",),
    "storage/scopes.py": ("tests/storage/test_scopes.py",),
    "clawver/request_budget.py": ("tests/clawver/test_request_budget.py",),
    # The likeliest to notice comes first: the rest is not run any more.
    "refunds/records.py": _refunds("decision", "ledger", "matching", "declines", "approving"),
    "refunds/ledger_schema.py": _refunds("ledger", "migration", "settlement"),
    "refunds/ledger_file.py": _refunds("ledger_file", "clocks", "ledger", "failing_ledger"),
    "refunds/ledger_rows.py": _LEDGER,
    "refunds/ledger_wishes.py": _LEDGER,
    "refunds/ledger.py": (*_LEDGER, "tests/cli/test_checks.py"),
    "refunds/order_locks.py": _refunds("order_locks"),
    "refunds/matching.py": _refunds(
        "matching", "unexplained", "refusals", "settlement", "declines"
    ),
    "refunds/approvals.py": _refunds("approving", "declines", "refunding", "refusals"),
    "refunds/decision.py": _refunds("decision"),
    "refunds/gathering.py": _refunds("approving", "declines", "refunding", "decision"),
    "refunds/settlement.py": _refunds("settlement", "refusals", "unexplained", "refunding"),
    "refunds/reading.py": _refunds("settlement", "refunding", "failing_ledger"),
    "refunds/checking.py": _refunds("settlement", "unexplained", "refusals", "approving"),
    "refunds/desk.py": _refunds("refunding", "approving", "declines", "refusals", "settlement"),
    "refunds/outcome.py": (
        *_refunds("refusals", "unexplained", "approving", "declines", "refunding", "settlement"),
        "tests/tools/test_refunds.py",
    ),
    "refunds/reported.py": ("tests/tools/test_webhooks.py",),
}

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.Mod: ast.FloorDiv,
}  # fmt: skip
_SQL = re.compile(
    r"\b(SELECT|UPDATE|INSERT|DELETE|CREATE|BEGIN|COMMIT|ROLLBACK|WHERE|ORDER BY|CHECK)\b"
)
_SQL_CHANGES = (
    (r"CREATE UNIQUE INDEX", "CREATE INDEX"),
    (r"CREATE TRIGGER (?:(?!END;).|\n)*END;", ""),
    (r",\s*CHECK \((?:[^()]|\([^()]*\))*\)", ""),
    (r" CHECK \((?:[^()]|\([^()]*\))*\)", ""),
    (r" STRICT;", ";"),
    (r" REFERENCES wish \(refund_id\)", ""),
    (r"\n    WHERE [^;]*;", ";"),
    (r" AND [a-z_]+ (?:=|>|IN|IS) (?:'[a-z]+'|\?|\([^)]*\)|$)", " "),
    (r"WHERE [a-z_]+ = \? AND ", "WHERE "),
    (r" > ", " >= "),
    (r" <= ", " < "),
    (r"(?<=\d) - |(?<=\w) \+ ", " - 2 + "),
    (r" DESC", ""),
    (r"ORDER BY (?!at)[a-z]+", "ORDER BY -1"),
    (r"BEGIN IMMEDIATE", "BEGIN"),
    (r"^ROLLBACK$", "COMMIT"),
    (r"^COMMIT$", "ROLLBACK"),
)
_WORDS = {
    "journal_mode = DELETE": "journal_mode = MEMORY",
    "synchronous = EXTRA": "synchronous = NORMAL",
    "foreign_keys = ON": "foreign_keys = OFF",
}


@dataclass(frozen=True)
class Mutant:
    """A file with one thing broken."""

    file: str
    line: int
    change: str
    source: str

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{self.file}\n{self.source}".encode()).hexdigest()[:20]


@dataclass
class _Site:
    """A place in a tree, and what may stand there instead."""

    owner: ast.AST
    field: str
    index: int | None
    line: int
    change: str
    new: object

    def put(self, value: object) -> object:
        """Put a value in this place; gives back what stood there."""
        if self.index is None:
            old = getattr(self.owner, self.field)
            setattr(self.owner, self.field, value)
        else:
            values = getattr(self.owner, self.field)
            old, values[self.index] = values[self.index], value
        return old


def mutants(file: str) -> list[Mutant]:
    """All that can be broken in a file."""
    tree = ast.parse((ROOT / PACKAGE / file).read_text("utf-8"))
    found: dict[str, Mutant] = {}
    for site in _sites(tree):
        old = site.put(site.new)
        broken = Mutant(file, site.line, site.change, ast.unparse(tree))
        site.put(old)
        found.setdefault(broken.key, broken)
    return list(found.values())


def _sites(node: ast.AST) -> Iterator[_Site]:
    """Places below a node, without annotations, docstrings, decorators, types and logging."""
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "decorator_list"}:
            continue
        children = value if isinstance(value, list) else [value]
        for number, child in enumerate(children):
            if not isinstance(child, ast.AST) or _is_no_code(child):
                continue
            index = number if isinstance(value, list) else None
            line = getattr(child, "lineno", getattr(node, "lineno", 0))
            for change, new in _changes(child, node, field):
                yield _Site(node, field, index, line, change, new)
            yield from _sites(child)


def _is_no_code(node: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Constant()) | ast.Import() | ast.ImportFrom():
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Subscript(value=ast.Name(id="Literal" | "Callable" | "dict" | "tuple")):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="log")))):
            return True
        case ast.Assign(targets=[ast.Name(id="log" | "P" | "T")]):
            return True
    return False


def _changes(node: ast.AST, owner: ast.AST, field: str) -> Iterator[tuple[str, object]]:
    """What may stand in place of a node."""
    match node:
        case ast.Compare(left=left, ops=ops, comparators=right):
            for number, operator in enumerate(ops):
                turned = [*ops]
                turned[number] = _COMPARISONS[type(operator)]()
                new: ast.AST = ast.Compare(left, turned, right)
                yield f"{ast.unparse(node)} -> {ast.unparse(new)}", new
        case ast.BoolOp(op=operation, values=values):
            other = ast.Or() if isinstance(operation, ast.And) else ast.And()
            new = ast.BoolOp(other, values)
            yield f"{ast.unparse(node)} -> {ast.unparse(new)}", new
            for number in range(len(values)):
                kept = [value for place, value in enumerate(values) if place != number]
                new = kept[0] if len(kept) == 1 else ast.BoolOp(operation, kept)
                yield f"{ast.unparse(node)} -> {ast.unparse(new)}", new
        case ast.BinOp(left=left, op=sign, right=second) if type(sign) in _OPERATORS:
            new = ast.BinOp(left, _OPERATORS[type(sign)](), second)
            yield f"{ast.unparse(node)} -> {ast.unparse(new)}", new
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield f"{ast.unparse(node)} -> {ast.unparse(operand)}", operand
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield f"swap: {ast.unparse(node)}", ast.IfExp(test, orelse, body)
        case ast.If(test=test, body=body, orelse=orelse) if not isinstance(
            test, ast.Compare | ast.BoolOp
        ):
            turned_test = ast.UnaryOp(ast.Not(), test)
            yield f"if not: {ast.unparse(test)}", ast.If(turned_test, body, orelse)
        case ast.Call(func=ast.Name(id="max" | "min" as name), args=arguments, keywords=names):
            swapped = ast.Call(ast.Name("min" if name == "max" else "max"), arguments, names)
            yield f"swap {name}: {ast.unparse(node)}", swapped
        case ast.Call(func=ast.Name(id="bool" | "sorted" as name), args=[first, *_]):
            yield (
                f"drop {name}: {ast.unparse(node)}",
                first if name == "sorted" else ast.Constant(False),
            )
        case ast.Constant(value=bool(value)):
            yield f"{value} -> {not value}", ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield f"{value} -> {value + 1}", ast.Constant(value + 1)
        case ast.Constant(value=str(text)):
            in_words = not isinstance(owner, ast.JoinedStr)
            for change, new_text in _changed(text, in_words=in_words):
                yield change, ast.Constant(new_text)
        case ast.comprehension(
            target=target, iter=source, ifs=[*conditions], is_async=is_async
        ) if conditions:
            yield (
                f"no filter: {' and '.join(map(ast.unparse, conditions))}",
                ast.comprehension(target, source, [], is_async),
            )
    if isinstance(node, ast.stmt) and field in {"body", "orelse", "finalbody"}:
        yield from _dropped(node)


def _changed(text: str, *, in_words: bool) -> Iterator[tuple[str, str]]:
    if _SQL.search(text):
        for pattern, new in _SQL_CHANGES:
            for found in re.finditer(pattern, text):
                words = " ".join(found.group().split())
                yield f"{words!r} -> {new!r}", text[: found.start()] + new + text[found.end() :]
    elif text in _WORDS:
        yield f"{text!r} -> {_WORDS[text]!r}", _WORDS[text]
    elif in_words and re.fullmatch(r"[a-z_]+", text):
        yield f"{text!r} -> {text + 'x'!r}", f"{text}x"


def _dropped(node: ast.stmt) -> Iterator[tuple[str, object]]:
    words = ast.unparse(node).splitlines()[0]
    match node:
        case ast.Expr() | ast.Raise() | ast.Continue() | ast.Break() | ast.AugAssign():
            yield f"drop: {words}", ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield f"drop: {words}", ast.Pass()
        case ast.Return(value=value) if value is not None and not _is_none(value):
            yield f"{words} -> None", ast.Return(ast.Constant(None))
        case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
            if all(item.optional_vars is None for item in items):
                yield f"without: {words}", ast.If(ast.Constant(1), body, [])
        case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=final):
            for number, handler in enumerate(handlers):
                kept = handlers[:number] + handlers[number + 1 :]
                caught = ast.unparse(handler.type) if handler.type else "all"
                new = (
                    ast.Try(body, kept, orelse, final)
                    if kept or final
                    else ast.If(ast.Constant(1), body, [])
                )
                yield f"no except {caught}", new


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


class Lab:
    """Copies of the tree in which tests run against broken code.

    Each run is a fork of this process, which has the libraries loaded already: starting takes
    longer than most tests.
    """

    def __init__(self, folder: Path, workers: int) -> None:
        for name in PRELOADED:
            importlib.import_module(name)
        self._free: list[Path] = []
        self._busy: dict[int, _Run] = {}
        for number in range(workers):
            copy = folder / f"copy-{number}"
            skipped = shutil.ignore_patterns(
                ".git", ".venv", ".*cache", "__pycache__", ".coverage*"
            )
            shutil.copytree(ROOT, copy, ignore=skipped)
            self._free.append(copy)

    def verdicts(self, work: Iterable[tuple[Mutant, float]]) -> Iterator[tuple[Mutant, str]]:
        """What the tests say of each mutant within so many seconds: killed, survived, timeout."""
        for mutant, seconds in work:
            while not self._free:
                yield from self._finished()
            self._start(mutant, seconds)
        while self._busy:
            yield from self._finished()

    def _start(self, mutant: Mutant, seconds: float) -> None:
        copy = self._free.pop()
        target = copy / PACKAGE / mutant.file
        whole = target.read_text("utf-8")
        target.write_text(mutant.source, "utf-8")
        pid = os.fork()
        if pid == 0:
            _test(copy, _tests(mutant.file))
        self._busy[pid] = _Run(mutant, copy, target, whole, time.monotonic() + seconds)

    def _finished(self) -> Iterator[tuple[Mutant, str]]:
        time.sleep(0.02)
        for pid, run in list(self._busy.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended and time.monotonic() < run.until:
                continue
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            if not ended:
                os.waitpid(pid, 0)
            del self._busy[pid]
            run.target.write_text(run.whole, "utf-8")
            self._free.append(run.copy)
            yield run.mutant, "timeout" if not ended else "killed" if status else "survived"


@dataclass(frozen=True)
class _Run:
    mutant: Mutant
    copy: Path
    target: Path
    whole: str
    until: float


def _test(copy: Path, tests: list[str]) -> NoReturn:
    """Run tests in this process, which is a fork, and end it."""
    code = 3
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        os.chdir(copy)
        for name in list(sys.modules):
            if name.partition(".")[0] in {"tests", "clawver_orders", "clawver_sandbox"}:
                del sys.modules[name]
        elsewhere = [path for path in sys.path if Path(path or ".").resolve() != ROOT]
        sys.path[:] = [str(copy / "server"), str(copy), *elsewhere]
        sys.dont_write_bytecode = True
        os.environ |= {
            "PYTHONPATH": str(copy / "server"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(copy.parent),
        }
        tempfile.tempdir = None
        code = pytest.main(
            [
                "-x",
                "-q",
                "-n0",
                "-m",
                "not long and not clients",
                "-p",
                "no:cacheprovider",
                "-W",
                "ignore::pytest.PytestAssertRewriteWarning",
                *tests,
            ]
        )
    finally:
        os._exit(int(code))


def _tests(file: str) -> list[str]:
    return [test for test in TESTS[file] if (ROOT / test).is_file()]


class Results:
    """What was found out before, one line each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        self._known = {entry["key"]: entry for entry in map(json.loads, lines)}

    def verdict(self, mutant: Mutant, tests: str) -> str | None:
        """What is known; a survivor counts only for the very same tests."""
        entry = self._known.get(mutant.key)
        if entry is None or (entry["verdict"] == "survived" and entry["tests"] != tests):
            return None
        return str(entry["verdict"])

    def add(self, mutant: Mutant, tests: str, verdict: str) -> None:
        entry = {"key": mutant.key, "tests": tests, "verdict": verdict, "file": mutant.file,
                 "line": mutant.line, "change": mutant.change}  # fmt: skip
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def _digest(tests: list[str]) -> str:
    return hashlib.sha256(b"".join((ROOT / test).read_bytes() for test in tests)).hexdigest()[:20]


def run(files: list[str], sample: int, seed: int, results: Results, workers: int) -> bool:
    """Try all of these files' mutants, or some; whether the target is met."""
    chosen = [mutant for file in files for mutant in mutants(file)]
    if sample:
        chosen = random.Random(seed).sample(chosen, min(sample, len(chosen)))  # noqa: S311  # no secret
    digests = {file: _digest(_tests(file)) for file in files}
    known = {each.key: results.verdict(each, digests[each.file]) for each in chosen}
    unknown = [each for each in chosen if known[each.key] is None]
    print(f"{len(chosen)} mutants, {len(unknown)} of them not tried yet", flush=True)
    with tempfile.TemporaryDirectory(prefix="mutation-of-clawver-orders-") as folder:
        Path(folder).chmod(0o755)  # some tests work as a user without privileges
        lab = Lab(Path(folder), workers)
        allowed = _time_allowed(lab, sorted({each.file for each in unknown}))
        for mutant, verdict in lab.verdicts((each, allowed[each.file]) for each in unknown):
            results.add(mutant, digests[mutant.file], verdict)
            print(f"{verdict:9}{mutant.file}:{mutant.line}: {mutant.change}", flush=True)
            known[mutant.key] = verdict
    return _report([(each, known[each.key] or "") for each in chosen])


def _time_allowed(lab: Lab, files: list[str]) -> dict[str, float]:
    """How long the tests of each file may take, from how long they take when nothing is broken."""
    allowed: dict[tuple[str, ...], float] = {}
    for file in files:
        tests = tuple(_tests(file))
        if tests not in allowed:
            whole = Mutant(file, 0, "nothing", (ROOT / PACKAGE / file).read_text("utf-8"))
            began = time.monotonic()
            ((_, verdict),) = lab.verdicts([(whole, 900.0)])
            if verdict != "survived":
                sys.exit(f"The tests of {file} fail before anything is broken.")
            allowed[tests] = 15 + 2 * (time.monotonic() - began)
    return {file: allowed[tuple(_tests(file))] for file in files}


def _report(judged: list[tuple[Mutant, str]]) -> bool:
    print()
    for mutant, verdict in judged:
        if verdict == "survived":
            print(f"survived  {mutant.file}:{mutant.line}: {mutant.change}")
    print()
    enough = True
    for file in dict.fromkeys(mutant.file for mutant, _ in judged):
        verdicts = [verdict for mutant, verdict in judged if mutant.file == file]
        noticed = len(verdicts) - verdicts.count("survived")
        enough = enough and noticed / len(verdicts) >= 0.9
        print(f"{file:20} {noticed:4} of {len(verdicts):4}  {noticed / len(verdicts):6.1%}")
    return enough


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=sorted(TESTS), help="this file")
    parser.add_argument("--sample", type=int, default=0, help="so many of them, by chance")
    parser.add_argument("--seed", type=int, default=1, help="which chance")
    parser.add_argument("--results", type=Path, default=ROOT / ".mutation.jsonl", help="kept here")
    parser.add_argument("--workers", type=int, default=1, help="how many at a time")
    parser.add_argument("--list", action="store_true", help="only say what would be broken")
    given = parser.parse_args()
    files = given.only or list(TESTS)
    if given.list:
        for mutant in (each for file in files for each in mutants(file)):
            print(f"{mutant.file}:{mutant.line}: {mutant.change}")
        return
    enough = run(files, given.sample, given.seed, Results(given.results), given.workers)
    sys.exit(0 if enough else 1)


if __name__ == "__main__":
    main()
