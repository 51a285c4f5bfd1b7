"""The long runs: one server on one state folder, or several servers that share a database.

python -m tests.instruments.crash --iterations 2000 --seed 1
python -m tests.instruments.crash --iterations 1000 --seed 1 --servers 2
python -m tests.instruments.crash --iterations 1000 --seed 1 --servers 3
"""

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

from tests.instruments.crash import run, several


def main() -> int:
    """Run, print the table, and fail where a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.instruments.crash",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--servers", type=int, default=1, help="More than one share a database.")
    parser.add_argument("--iterations", type=int, default=2000)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="Keep stores, ledgers and stderr here.")
    chosen = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # lines are cut on purpose
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        numbers = range(chosen.first, chosen.first + chosen.iterations)
        folder = chosen.folder or Path(scratch)
        if chosen.servers == 1:
            results = run.run(folder, chosen.seed, numbers)
            said, complaints = run.table(results), run.broken(results)
        else:
            intents = several.run(folder, chosen.seed, numbers, chosen.servers)
            said = several.table(intents, chosen.servers)
            complaints = several.broken(intents)
    print(said)
    minutes = (time.monotonic() - began) / 60
    print(
        f"seed {chosen.seed}, iterations {numbers.start} to {numbers.stop - 1}, {minutes:.1f} minutes"
    )
    print(*complaints, sep="\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
