"""The checks of an installation in a terminal."""

import os
import sys
from datetime import UTC, datetime

import click

from clawver_orders.cli.options import FAILED, sandbox_option


@click.command()
@sandbox_option
def doctor(sandbox: bool) -> None:
    """Check settings, key, store, clock, state folder and refunds; exit code 1 when something is wrong."""
    import anyio

    from clawver_orders.cli.checks import examine
    from clawver_orders.logs import set_up

    set_up("error")

    async def run() -> int:
        decided = {"sandbox": True} if sandbox else {}
        findings = await examine(os.environ, lambda: datetime.now(UTC), **decided)
        for finding in findings:
            click.echo(f"{'ok ' if finding.is_fine else 'BAD'} {finding.subject}: {finding.says}")
            if finding.next_step:
                click.echo(f"    {finding.next_step}")
        return 0 if all(finding.is_fine for finding in findings) else FAILED

    sys.exit(anyio.run(run))
