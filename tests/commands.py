"""The commands of a group, which loads each when it is asked for it."""

import click


def inside(command: click.Command) -> dict[str, click.Command]:
    """The commands of a group by their names; none where it is no group."""
    if not isinstance(command, click.Group):
        return {}
    context = click.Context(command)
    every = {name: command.get_command(context, name) for name in command.list_commands(context)}
    return {name: each for name, each in every.items() if each is not None}
