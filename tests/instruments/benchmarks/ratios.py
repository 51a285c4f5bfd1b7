"""Two things measured in turns, so that a noisy machine disturbs both alike."""

import statistics
import time
from collections.abc import Callable

WIDTH = 56


def heading(*columns: str) -> None:
    print(f"\n{columns[0]:<{WIDTH}}" + "".join(f"{column:>12}" for column in columns[1:]))


def row(title: str, *cells: str) -> None:
    print(f"{title:<{WIDTH}}" + "".join(f"{cell:>12}" for cell in cells), flush=True)


def spent(run: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(
    title: str, ours: Callable[[], object], floor: Callable[[], object], rounds: int
) -> None:
    """Print the medians, and the median of the ratios of neighbours."""
    pairs = [(spent(floor), spent(ours)) for _ in range(rounds + 1)][1:]  # the first one warms up
    lower, upper = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratio = statistics.median(ours / floor for floor, ours in pairs)
    row(title, f"{upper * 1000:.1f} ms", f"{lower * 1000:.1f} ms", f"{ratio:.2f}")
