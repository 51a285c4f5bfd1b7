"""Breaks the code on purpose, one guard at a time, and counts how often a test notices.

    uv run python -m tests.instruments.mutation                          all of it: hours
    uv run python -m tests.instruments.mutation --only refunds/ledger.py
    uv run python -m tests.instruments.mutation --sample 100 --seed 7

Comparisons and conditions are turned, numbers and words changed, statements and guards dropped,
and so are the rules within SQL: the unique indexes, the triggers, the conditions of an update.
Prose is left alone. What is noticed is what the quick run notices: tried are all of its tests that
reach the statement, the quickest and most specific first, until one fails. Results are kept, so that
a run that was stopped goes on where it was; a survivor is tried again once one of its tests changed.
"""

import argparse
import ast
import compileall
import hashlib
import importlib
import json
import os
import py_compile
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.instruments.reach import (
    PACKAGE,
    ROOT,
    copied,
    in_fork,
    moved_to,
    reach,
    state_of,
    tested,
)

PRELOADED = (
    "filelock",
    "httpx2",
    "hypothesis",
    "mcp",
    "mcp.client",
    "mcp.server.runner",
    "pydantic",
    "starlette.applications",
    "uvicorn",
)
ENOUGH = 0.92
"""The least share of them that has to be noticed."""
AT_FIRST = 30
"""So many tests are tried before all of the others, as most mutants fall to those."""
FIRST_SECONDS = 60.0
"""The tests that are tried on every mutant before the others are on what survived."""


FILES = (
    "money.py",
    "instants.py",
    "clawver/request_budget.py",
    "webhooks/changes.py",
    *(
        f"{folder}/{path.name}"
        for folder in ("refunds", "storage")
        for path in sorted((ROOT / PACKAGE / folder).glob("*.py"))
        if path.name not in {"__init__.py", "case.py"}  # only names things
    ),
)
"""Those that guard money, below the package."""

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
    lines: range
    """Those of its statement in `source`; none where it runs at the import."""

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
    statement: ast.Module | ast.stmt
    """What it is part of; the module where nothing runs after the import."""

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
    lines = dict(zip(_statements(tree), map(_lines, _statements(_written(tree))), strict=True))
    found: dict[str, Mutant] = {}
    for site in _sites(tree, tree):
        old = site.put(site.new)
        broken = Mutant(file, site.line, site.change, ast.unparse(tree), lines[site.statement])
        site.put(old)
        found.setdefault(broken.key, broken)
    return list(found.values())


def _written(tree: ast.Module) -> ast.Module:
    """As it is where something is broken: with other lines."""
    return ast.parse(ast.unparse(tree))


def _statements(tree: ast.Module) -> Iterator[ast.Module | ast.stmt]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.stmt))


def _lines(statement: ast.Module | ast.stmt) -> range:
    """The lines of a statement; of one that holds others, those before them."""
    if isinstance(statement, ast.Module):
        return range(0)
    first, last = statement.lineno, statement.end_lineno or statement.lineno
    body = getattr(statement, "body", None)
    return range(first, body[0].lineno if body else last + 1)


def _sites(node: ast.AST, statement: ast.Module | ast.stmt) -> Iterator[_Site]:
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
            is_in_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            is_in_function |= not isinstance(statement, ast.Module)
            within = child if isinstance(child, ast.stmt) and is_in_function else statement
            for change, new in _changes(child, node, field):
                yield _Site(node, field, index, line, change, new, within)
            yield from _sites(child, within)


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
        self._free: list[Path] = []
        self._busy: dict[int, _Run] = {}
        for number in range(workers):
            copy = folder / f"copy-{number}"
            copied(copy)
            by_content = py_compile.PycInvalidationMode.CHECKED_HASH  # a broken file has another
            compileall.compile_dir(copy / "server", quiet=1, invalidation_mode=by_content)
            compileall.compile_dir(copy / "tests", quiet=1, invalidation_mode=by_content)
            self._free.append(copy)

    def verdicts(
        self, work: Iterable[tuple[Mutant, list[str], float]]
    ) -> Iterator[tuple[Mutant, str]]:
        """What these tests say of each mutant within so many seconds: killed, survived, timeout."""
        for mutant, tests, seconds in work:
            while not self._free:
                yield from self._finished()
            self._start(mutant, tests, seconds)
        while self._busy:
            yield from self._finished()

    def _start(self, mutant: Mutant, tests: list[str], seconds: float) -> None:
        copy = self._free.pop()
        target = copy / PACKAGE / mutant.file
        whole = target.read_text("utf-8")
        target.write_text(mutant.source, "utf-8")
        pid = in_fork(lambda: _test(copy, tests))
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
            verdict = "timeout" if not ended else "killed" if status else "survived"
            yield run.mutant, verdict


@dataclass(frozen=True)
class _Run:
    mutant: Mutant
    copy: Path
    target: Path
    whole: str
    until: float


def _test(copy: Path, tests: list[str]) -> int:
    """Run tests in this process, which is a fork."""
    moved_to(copy)
    return tested(tests[:AT_FIRST]) or (tested(tests[AT_FIRST:]) if tests[AT_FIRST:] else 0)


class Results:
    """What was found out before, one line each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        entries = list(map(json.loads, lines))
        self._survived = {(e["key"], e["tests"]) for e in entries if e["verdict"] == "survived"}
        self._noticed = {e["key"]: e["verdict"] for e in entries if e["verdict"] != "survived"}

    def verdict(self, mutant: Mutant, tests: str) -> str | None:
        """What is known; a survivor counts only for the same tests."""
        survived = "survived" if (mutant.key, tests) in self._survived else None
        return self._noticed.get(mutant.key, survived)

    def add(self, mutant: Mutant, tests: str, verdict: str) -> None:
        entry = {"key": mutant.key, "tests": tests, "verdict": verdict, "file": mutant.file,
                 "line": mutant.line, "change": mutant.change}  # fmt: skip
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def run(
    files: list[str], sample: int, seed: int, kept: Path, workers: int, *, to_the_end: bool
) -> bool:
    """Try all of these files' mutants, or some; whether the target is met.

    What survives the likeliest tests of all is tried again with the others at the end, or is left
    at that: then fewer count as noticed than are.
    """
    for name in PRELOADED:
        importlib.import_module(name)
    kept.mkdir(exist_ok=True)
    reached = reach(kept / "reach.json", list(FILES), workers)
    results = Results(kept / "results.jsonl")
    chosen = [mutant for file in files for mutant in mutants(file)]
    if sample:
        chosen = random.Random(seed).sample(chosen, min(sample, len(chosen)))  # noqa: S311  # no secret
    judged = {each.key: "survived" for each in chosen}
    with tempfile.TemporaryDirectory(prefix="mutation-of-clawver-orders-") as folder:
        Path(folder).chmod(0o755)  # some tests work as a user without privileges
        lab = Lab(Path(folder), workers)
        for part in (False, True)[: 1 + to_the_end]:
            work, digests = [], {}
            for mutant in chosen:
                tests = reached.tests(mutant.file, mutant.lines)
                first = reached.within(tests, FIRST_SECONDS)
                some = tests[first:] if part else tests[:first]
                digests[mutant.key] = _digest(some)  # now: a test may change while they run
                known = results.verdict(mutant, digests[mutant.key]) if some else "survived"
                if judged[mutant.key] == "survived":
                    judged[mutant.key] = known or "survived"
                    if known is None:
                        work.append((mutant, some, 300 + 4 * reached.seconds(some)))
            print(f"{len(work)} of {len(chosen)} mutants to try", flush=True)
            for mutant, verdict in lab.verdicts(work):
                results.add(mutant, digests[mutant.key], verdict)
                print(f"{verdict:9}{mutant.file}:{mutant.line}: {mutant.change}", flush=True)
                judged[mutant.key] = verdict
    return _report([(each, judged[each.key]) for each in chosen])


def _digest(tests: list[str]) -> str:
    names = hashlib.sha256("\n".join(tests).encode()).hexdigest()[:8]
    return names + state_of({ROOT / test.partition("::")[0] for test in tests})


def _report(judged: list[tuple[Mutant, str]]) -> bool:
    print()
    for mutant, verdict in judged:
        if verdict == "survived":
            print(f"survived  {mutant.file}:{mutant.line}: {mutant.change}")
    print()
    for file in dict.fromkeys(mutant.file for mutant, _ in judged):
        _print_share(file, [verdict for mutant, verdict in judged if mutant.file == file])
    return _print_share("all", [verdict for _, verdict in judged]) >= ENOUGH


def _print_share(name: str, verdicts: list[str]) -> float:
    noticed = len(verdicts) - verdicts.count("survived")
    share = noticed / max(1, len(verdicts))
    print(f"{name:28} {noticed:4} of {len(verdicts):4}  {share:6.1%}")
    return share


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--only", action="append", metavar="FILE", help="this file, or folder: refunds/"
    )
    parser.add_argument("--sample", type=int, default=0, help="so many of them, by chance")
    parser.add_argument("--seed", type=int, default=1, help="which chance")
    parser.add_argument("--kept", type=Path, default=ROOT / ".mutation", help="results go here")
    parser.add_argument("--workers", type=int, default=1, help="how many at a time")
    parser.add_argument(
        "--likeliest", action="store_true", help="only the tests that are the likeliest to notice"
    )
    parser.add_argument("--list", action="store_true", help="only say what would be broken")
    given = parser.parse_args()
    files = [file for file in FILES if file.startswith(tuple(given.only or ("",)))]
    if given.list:
        for mutant in (each for file in files for each in mutants(file)):
            print(f"{mutant.file}:{mutant.line}: {mutant.change}")
        return
    enough = run(
        files, given.sample, given.seed, given.kept, given.workers, to_the_end=not given.likeliest
    )
    sys.exit(0 if enough else 1)


if __name__ == "__main__":
    main()
