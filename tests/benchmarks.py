"""What everything costs, as ratios inside one run: `uv run python -m tests.benchmarks`, with `--brief` in a minute."""

from tests.instruments.benchmarks.__main__ import main

if __name__ == "__main__":
    main()
