"""What Python and pytest make of the code, made once for all processes of a run.

Each of them reads every test before it runs some. For that pytest puts words of its own into each
`assert`, which takes longer than all the rest. What was made is used for as long as a file stays
the same, also where Python is told to keep nothing of it.
"""

import compileall
import multiprocessing
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from py_compile import PycInvalidationMode

import pytest
from _pytest.assertion import rewrite

import clawver_sandbox

TESTS = Path(__file__).parent
SERVER = Path(clawver_sandbox.__file__).parents[1]
_REWRITTEN = re.compile(r"[/\\](test_\w+|conftest)\.py$")


def keep(config: pytest.Config) -> None:
    """Compile what isn't yet, on all cores."""
    if sys.dont_write_bytecode:
        by_content = PycInvalidationMode.CHECKED_HASH
        compileall.compile_dir(SERVER, quiet=1, invalidation_mode=by_content)
        compileall.compile_dir(TESTS, quiet=1, invalidation_mode=by_content, rx=_REWRITTEN)
    files = [path for path in TESTS.rglob("*.py") if _REWRITTEN.search(str(path))]
    new = [path for path in files if rewrite._read_pyc(path, kept_as(path)) is None]
    if sys.platform == "win32":  # which cannot fork
        rewrite_all(config, new)
        return
    several, cores = multiprocessing.get_context("fork"), os.cpu_count() or 1
    shares = [new[each::cores] for each in range(cores) if new[each::cores]]
    working = [several.Process(target=rewrite_all, args=(config, share)) for share in shares]
    for each in working:
        each.start()
    for each in working:
        each.join()


def kept_as(path: Path) -> Path:
    """Where pytest looks for what it made of a file."""
    return rewrite.get_cache_dir(path) / f"{path.stem}{rewrite.PYC_TAIL}"


def rewrite_all(config: pytest.Config, paths: Sequence[Path]) -> None:
    """Do what pytest does when it imports a test, but for running it."""
    state = config.stash[rewrite.assertstate_key]
    for path in paths:
        source, code = rewrite._rewrite_test(path, config)
        kept_as(path).parent.mkdir(exist_ok=True)
        rewrite._write_pyc(state, code, source, kept_as(path))
