"""Which tests of the quick run reach which lines of the files to break, and how long each test takes.

Every test runs once, in copies of the tree, while coverage notes where it comes along: in its own
process and in those that it starts. What was found is kept until the code or the test changes.
"""

import ast
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, NoReturn

import coverage
import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = Path("server/clawver_orders")
AT_IMPORT = ""
"""What reaches a line outside of any test."""
Lines = dict[str, defaultdict[int, set[str]]]
_CONFIGURATION = """
[run]
parallel = true
data_file = {folder}/coverage
include = {files}
context = ${{PYTEST_CURRENT_TEST-}}
disable_warnings = no-data-collected
patch = _exit
sigterm = true
"""


class _Chosen:
    """Has pytest run these tests only."""

    def __init__(self, tests: Iterable[str]) -> None:
        self._tests = set(tests)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid in self._tests]


class _Watching:
    """Tells coverage which test runs, and notes how long each takes and which fail."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self._measured = measured
        self.seconds: dict[str, float] = defaultdict(float)
        self.failed: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._measured.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self._measured.switch_context(AT_IMPORT)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed.add(report.nodeid)


def quick_run(arguments: Iterable[str], plugin: object) -> int:
    """Run tests of the quick run in this process."""
    without = "not slow and not long and not clients"
    plain = "--assert=plain"  # nobody reads why one failed
    given = ["-q", "-n0", "-m", without, plain, "-p", "no:cacheprovider", *arguments]
    return int(pytest.main(given, plugins=[plugin]))


def tested(tests: list[str]) -> int:
    """Run these tests in this process until one fails; 0 where none does."""
    files = dict.fromkeys(test.partition("::")[0] for test in tests)
    return quick_run(["-x", *files], _Chosen(tests))


def copied(folder: Path) -> None:
    """Copy the tree to a folder that tests can run in."""
    skipped = shutil.ignore_patterns(".git", ".venv", ".*cache", "__pycache__", ".coverage*")
    shutil.copytree(ROOT, folder, ignore=skipped)


def moved_to(copy: Path) -> None:
    """Have this process, which is a fork, work in a copy of the tree, and say nothing."""
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


def in_fork(work: Callable[[], int]) -> int:
    """Start a fork of this process that does some work and ends with what it returns; its id."""
    pid = os.fork()
    return pid or _ending(work)


def _ending(work: Callable[[], int]) -> NoReturn:
    code = 3
    try:
        code = work()
    finally:
        os._exit(code)


def name_of(context: str) -> str:
    """The test of a context; other processes know it as pytest tells it to them, with its phase."""
    return re.sub(r" \((setup|call|teardown)\)$", "", context)


def state_of(paths: Iterable[Path]) -> str:
    """A digest of some files."""
    contents = (hashlib.sha256(path.read_bytes()).digest() for path in sorted(paths))
    return hashlib.sha256(b"".join(contents)).hexdigest()[:20]


class Reach:
    """What was measured.

    Args:
        seconds: How long each test takes.
        lines: By file and line, the tests that reach it.
    """

    def __init__(self, seconds: dict[str, float], lines: Lines) -> None:
        self._seconds = seconds
        self._lines = lines
        counted = Counter(
            test for found in lines.values() for tests in found.values() for test in tests
        )
        self._cost = {test: took * counted[test] for test, took in seconds.items()}

    def tests(self, file: str, lines: range) -> list[str]:
        """The tests that reach one of these lines: first those of a module of its name, then the cheapest.

        Args:
            file: Below the package.
            lines: Those of a statement. Without any, and where something reaches them outside of a
                test, they matter to every test that uses the file.
        """
        by_line = self._lines[file]
        found = {test for line in lines for test in by_line[line]}
        if AT_IMPORT in found or not lines:
            found |= self._using(file) or {
                t for f in _importing(file) if f in self._lines for t in self._using(f)
            }
        own = f"/test_{Path(file).stem.partition('_')[0]}"
        likeliest = [
            (own not in test, cost, test) for test, cost in self._cost.items() if test in found
        ]
        return [test for *_, test in sorted(likeliest)]

    def _using(self, file: str) -> set[str]:
        """The tests that call something in a file."""
        inside = (tests for tests in self._lines[file].values() if AT_IMPORT not in tests)
        return {test for tests in inside for test in tests}

    def seconds(self, tests: Iterable[str]) -> float:
        """How long these take together when nothing is broken."""
        return sum(self._seconds[test] for test in tests)

    def within(self, tests: list[str], seconds: float) -> int:
        """How many of these, from the first, take no longer than that together."""
        until = accumulate(self._seconds[test] for test in tests)
        return sum(each <= seconds for each in until)


def _importing(file: str) -> list[str]:
    module = file.removesuffix(".py").replace("/", ".")
    paths = (ROOT / PACKAGE).rglob("*.py")
    words = f"from {PACKAGE.name}.{module} import"
    return [
        path.relative_to(ROOT / PACKAGE).as_posix()
        for path in paths
        if words in path.read_text("utf-8")
    ]


def reach(kept: Path, files: list[str], workers: int) -> Reach:
    """What tests reach in these files: as it was kept, or measured now where something changed.

    Args:
        kept: The file in which it is kept.
        files: Below the package.
        workers: How many processors may be used.
    """
    found = {path for name in ("server", "tests") for path in (ROOT / name).rglob("*.py")}
    modules = {path for path in found if path.name.startswith("test_")}
    instruments = set(Path(__file__).parent.glob("*.py"))
    code = state_of([*(found - modules - instruments), ROOT / "pyproject.toml"])
    states = {path.relative_to(ROOT).as_posix(): state_of([path]) for path in modules}
    known: dict[str, Any] = json.loads(kept.read_text("utf-8")) if kept.is_file() else {}
    if known.get("code") != code:
        known = {"code": code, "at import": {file: [] for file in files}, "modules": {}}
    parts = known["modules"]
    for module in [name for name, part in parts.items() if part["state"] != states.get(name)]:
        del parts[module]
    unknown = sorted(states.keys() - parts.keys())
    if unknown:
        with tempfile.TemporaryDirectory(prefix="reach-of-clawver-orders-") as folder:
            Path(folder).chmod(0o755)  # some tests work as a user without privileges
            measured = _measured(Path(folder), files, unknown, workers)
        for module in unknown:
            parts[module] = {"state": states[module], **_part(module, *measured)}
        for file, by_line in measured[1].items():
            reached = {line for line, tests in by_line.items() if AT_IMPORT in tests}
            known["at import"][file] = sorted(reached.union(known["at import"][file]))
        kept.write_text(json.dumps(known), "utf-8")
    lines: Lines = {file: defaultdict(set) for file in files}
    seconds: dict[str, float] = {}
    for part in parts.values():
        names = list(part["seconds"])
        seconds |= part["seconds"]
        for file, by_number in part["lines"].items():
            for number, tests in by_number.items():
                lines[file][int(number)] |= {names[each] for each in tests}
    for file, numbers in known["at import"].items():
        for number in numbers:
            lines[file][number].add(AT_IMPORT)
    return Reach(seconds, lines)


def _part(module: str, seconds: dict[str, float], lines: Lines) -> dict[str, Any]:
    """What was measured with the tests of one module, as it is kept."""
    own = {test: took for test, took in seconds.items() if test.startswith(f"{module}::")}
    places = {test: place for place, test in enumerate(own)}
    return {
        "seconds": own,
        "lines": {
            file: {
                line: sorted(places[test] for test in tests & places.keys())
                for line, tests in by_line.items()
                if not tests.isdisjoint(places)
            }
            for file, by_line in lines.items()
        },
    }


def _measured(
    folder: Path, files: list[str], modules: list[str], workers: int
) -> tuple[dict[str, float], Lines]:
    """Run tests in copies whose files to break are written as a broken one would be."""
    shares = 2 * workers  # half of the time is waiting
    running = {}
    for share in range(min(shares, len(modules))):
        copy = folder / f"copy-{share}"
        copied(copy)
        for file in files:
            path = copy / PACKAGE / file
            path.write_text(ast.unparse(ast.parse(path.read_text("utf-8"))), "utf-8")
        running[in_fork(partial(_measure, copy, files, modules[share::shares]))] = copy
    for pid in running:
        os.waitpid(pid, 0)
    seconds: dict[str, float] = {}
    for copy in running.values():
        told = json.loads((copy.parent / f"{copy.name}.json").read_text("utf-8"))
        seconds |= told["seconds"]
        for test in told["failed"]:
            print(f"left out, as it fails before anything is broken: {test}", flush=True)
    lines: Lines = {file: defaultdict(set) for file in files}
    for part in folder.glob("coverage.*"):
        data = coverage.CoverageData(str(part))
        data.read()
        for name in data.measured_files():
            file = name.partition(f"{PACKAGE}/")[2]
            for line, contexts in data.contexts_by_lineno(name).items():
                lines[file][line] |= set(map(name_of, contexts))
    return seconds, lines


def _measure(copy: Path, files: list[str], tests: list[str]) -> int:
    moved_to(copy)
    configuration = copy.parent / f"{copy.name}.ini"
    include = ", ".join(str(copy / PACKAGE / file) for file in files)
    configuration.write_text(_CONFIGURATION.format(folder=copy.parent, files=include), "utf-8")
    os.environ["COVERAGE_PROCESS_START"] = str(configuration)  # for what the tests start
    measured = coverage.Coverage(config_file=str(configuration))
    measured.start()
    watching = _Watching(measured)
    quick_run(tests, watching)
    measured.stop()
    measured.save()
    passed = {test: took for test, took in watching.seconds.items() if test not in watching.failed}
    told = {"seconds": passed, "failed": sorted(watching.failed)}
    (copy.parent / f"{copy.name}.json").write_text(json.dumps(told), "utf-8")
    return 0
