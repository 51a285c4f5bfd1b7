"""The checks of an installation in a terminal."""

import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from clawver_orders.cli.options import (
    DONE,
    FAILED,
    named_store,
    say,
    set_up_logging,
    show_progress,
    store_options,
)
from clawver_orders.cli.output import Output, output_options

if TYPE_CHECKING:
    from clawver_orders.reports.checks import Finding

HEADINGS = ("", "", "")


@click.command()
@output_options
@store_options
def doctor(form: str | None, sandbox: bool) -> None:
    """Check settings, key, store, clock, state folder, database and refunds; exit code 1 when something is wrong.

    Where there are several stores and none is named, all of them are checked.
    """
    output = Output(form)
    import anyio

    from clawver_orders.reports.checks import examine

    set_up_logging("error")

    async def run() -> int:
        decided: dict[str, object] = {"sandbox": True} if sandbox else {}
        if store := named_store():
            decided["store"] = store
        findings = await examine(os.environ, lambda: datetime.now(UTC), **decided)
        if output.is_json:
            output.document([asdict(finding) for finding in findings])
        elif output.draws:
            output.table(HEADINGS, [_cells(finding) for finding in findings])
        else:
            for finding in findings:
                say(f"{_mark(finding):3} {_about(finding)}: {finding.says}")
                if finding.next_step:
                    say(f"    {finding.next_step}")
        return DONE if all(finding.is_fine for finding in findings) else FAILED

    show_progress("Checking")
    sys.exit(anyio.run(run))


def _mark(finding: "Finding") -> str:
    return "ok" if finding.is_fine else "BAD"


def _cells(finding: "Finding") -> tuple[str, ...]:
    said = f"{finding.says}\n{finding.next_step}" if finding.next_step else finding.says
    return _mark(finding), _about(finding), said


def _about(finding: "Finding") -> str:
    return f"{finding.store} {finding.subject}".lstrip()
