"""The long run: `python -m tests.instruments.crash --iterations 2000 --seed 1`."""

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

from tests.instruments.crash.run import broken, run, table


def main() -> int:
    """Run, print the table, and fail where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.instruments.crash", description=__doc__)
    parser.add_argument("--iterations", type=int, default=2000)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="Keep stores, ledgers and stderr here.")
    chosen = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # lines are cut on purpose
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        numbers = range(chosen.first, chosen.first + chosen.iterations)
        results = run(chosen.folder or Path(scratch), chosen.seed, numbers)
    print(table(results))
    minutes = (time.monotonic() - began) / 60
    print(
        f"seed {chosen.seed}, iterations {numbers.start} to {numbers.stop - 1}, {minutes:.1f} minutes"
    )
    complaints = broken(results)
    print(*complaints, sep="\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
