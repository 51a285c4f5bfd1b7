"""Folders for one user alone, with all that is missing above them."""

from pathlib import Path


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, closed to everybody else.

    `Path.mkdir(parents=True)` gives its mode to the last one only. With a permissive umask anybody
    could then move the ones above away, and the refunds noted in them would be forgotten.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
