"""Begins to listen to a host before anything else is loaded. Standard library only.

Only where the command plainly serves over standard input and output: every other command, and every
option that is not known here, goes its usual way.
"""

import gc
import os
import signal
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clawver_orders import environment
from clawver_orders.errors import SetupError
from clawver_orders.serving.stdio.opener import Opener, claim_standard_streams
from clawver_orders.serving.stdio.surfaces import Surfaces
from clawver_orders.setting_names import SWITCHES, VARIABLES

if TYPE_CHECKING:
    from clawver_orders.settings import Settings

_OPTIONS = {"--sandbox", "--read-only"}
_SIGNALS = ("SIGINT", "SIGTERM", "SIGBREAK")
_SWITCH_INTERVAL_SECONDS = 0.0005
"""How soon the thread that listens gets its turn: importing leaves it none for ten times as long."""


class Early(NamedTuple):
    """Who listens already, and what is kept between starts."""

    opener: Opener
    surfaces: Surfaces

    def greet(self, settings: "Settings") -> None:
        """Answer the host with what is kept for these settings, unless it is answered already."""
        surface = None if self.opener.has_surface else self.surfaces.of(settings)
        if surface is not None:
            self.opener.answer_from(surface)


def listen_early(words: Sequence[str]) -> Early | None:
    """Listen to a host, and answer it where exactly these settings were found good before.

    Until the server is loaded, the end of input and each signal end the process at once.

    Args:
        words: The words after the command.

    Returns:
        What `serve` goes on with; None where this start goes the usual way.
    """
    variables = environment.variables()
    if not (_serves(words) and _may_answer(variables) and _is_pipe(0)):
        return None
    try:
        surfaces = Surfaces(_state_dir(variables), variables, words)
        opener = Opener(*claim_standard_streams())
    except (OSError, SetupError):
        return None
    surface = surfaces.of_these_settings()
    if surface is not None:
        opener.answer_from(surface)
    for name in _SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: os._exit(0))
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    gc.disable()  # what is imported stays: looking at it over and over takes a tenth of the time
    return Early(opener.start(), surfaces)


def _serves(words: Sequence[str]) -> bool:
    return not words or (words[0] == "serve" and {*words[1:]} <= _OPTIONS)


def _may_answer(variables: Mapping[str, str]) -> bool:
    return SWITCHES.get(variables.get(VARIABLES["opener"], "").strip().lower(), True)


def _is_pipe(descriptor: int) -> bool:
    """Whether a program is at the other end: a terminal is a person's, and a file asks nothing."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _state_dir(variables: Mapping[str, str]) -> Path:
    """The state folder, as `settings` understands the variable.

    Raises:
        SetupError: This user has no home folder.
        OSError: It is no whole path.
    """
    given = variables.get(VARIABLES["state_dir"], "").strip()
    if not given:
        return environment.default_state_dir()
    expanded = os.path.expanduser(given)  # noqa: PTH111  # it raises nothing
    if not os.path.isabs(expanded):  # noqa: PTH117  # a text, so far
        raise FileNotFoundError
    return Path(expanded)
