"""The names of the settings, and which of them an unknown name may have been meant for. No I/O.

No check of a value finds a misspelt name: the merchant believes that the server is read-only, and
nothing says otherwise.
"""

import re
from collections.abc import Iterable

VARIABLES = {
    "api_key": "CLAW_API_KEY",
    "api_url": "CLAWVER_API_URL",
    "stores": "CLAWVER_STORES",
    "store": "CLAWVER_STORE",
    "sandbox": "CLAWVER_SANDBOX",
    "read_only": "CLAWVER_READ_ONLY",
    "toolsets": "CLAWVER_TOOLSETS",
    "refund_limit_in_cents": "CLAWVER_REFUND_LIMIT_CENTS",
    "refund_daily_limit_in_cents": "CLAWVER_REFUND_DAILY_LIMIT_CENTS",
    "refund_approval": "CLAWVER_REFUND_APPROVAL",
    "refund_pin_above_in_cents": "CLAWVER_REFUND_PIN_ABOVE_CENTS",
    "refund_policy": "CLAWVER_REFUND_POLICY",
    "refund_verify_seconds": "CLAWVER_REFUND_VERIFY_SECONDS",
    "requests_per_minute": "CLAWVER_REQUESTS_PER_MINUTE",
    "requests_per_day": "CLAWVER_REQUESTS_PER_DAY",
    "state_dir": "CLAWVER_STATE_DIR",
    "database_url": "CLAWVER_DATABASE_URL",
    "allow_host": "CLAWVER_ALLOW_HOST",
    "seal_key": "CLAWVER_SEAL_KEY",
    "http_token": "CLAWVER_HTTP_TOKEN",
    "http_hosts": "CLAWVER_HTTP_HOSTS",
    "board_url": "CLAWVER_BOARD_URL",
    "webhook_secret": "CLAWVER_WEBHOOK_SECRET",
    "webhook_hosts": "CLAWVER_WEBHOOK_HOSTS",
    "inbox_days": "CLAWVER_INBOX_DAYS",
    "history": "CLAWVER_HISTORY",
    "history_days": "CLAWVER_HISTORY_DAYS",
    "time_zone": "CLAWVER_TIME_ZONE",
    "pii": "CLAWVER_PII",
    "timeout_seconds": "CLAWVER_TIMEOUT_SECONDS",
    "proxy": "CLAWVER_PROXY",
    "ca_certificates": "CLAWVER_CA_FILE",
    "log_level": "CLAWVER_LOG_LEVEL",
    "opener": "CLAWVER_OPENER",
}
"""Each setting and the environment variable that carries it."""
SWITCHES = {
    "1": True, "true": True, "yes": True, "on": True,
    "0": False, "false": False, "no": False, "off": False,
}  # fmt: skip
"""What says on and off."""
_OURS = frozenset("CLAWVER")
_PREFIX = re.compile("^CLAW(?:VER)?")
_GUARDS = {
    "(?<!TH)READ": "READ",  # THREADS are what many programs are told, and they protect nothing
    "REFUND": "REFUND",
    "APPROV": "APPROV",
    "LIMIT": "LIMIT",
    "(?<![A-Z])PINS?(?![A-Z])": "_PIN_",  # a word of its own: SHIPPING and SPINNER have it too
    "PII": "PII",
    "MASK": "PII",
}
"""What names of settings that protect may have in them anywhere, and what those settings have."""
_END_OF_A_WORD = re.compile("|".join([r"[\W_]", *_GUARDS]))


def meant(name: str, settings: Iterable[str]) -> list[str]:
    """The settings that a variable of another name was probably meant for.

    Letter case, `-` and `_` make no difference, nor does `CLAW_` in place of `CLAWVER_`.

    Args:
        name: The variable's name.
        settings: The names of all settings.

    Returns:
        The settings whose names differ in at most two letters. If the variable is one of ours and its
        name speaks of protection, the settings that protect so: those among the first that do, if any
        do, else all of them as well. Empty for a name that was meant for none.
    """
    if not may_be_meant(name):
        return []
    ours, upper = is_ours(name), name.upper()
    names = list(settings)
    near = {each for each in names if _is_near(name, each)}
    words = {word for sign, word in _GUARDS.items() if ours and re.search(sign, upper)}
    found = {each: sum(word in each for word in words) for each in names}
    most = max(found.values())
    similar = {each for each in names if most and found[each] == most}
    chosen = near & similar or near | similar
    return [each for each in names if each in chosen]


def may_be_meant(name: str) -> bool:
    """Whether a variable may be one of ours or meant for one. Most variables are somebody else's."""
    return name.upper().startswith("CL") or is_ours(name)


def is_ours(name: str) -> bool:
    """Whether the first word of a variable's name is that of this server's, misspelt or not.

    A slip of two letters counts: who lets a program correct CLAWVER gets CLOVER or CLEVER.
    """
    word = _END_OF_A_WORD.split(name.upper().lstrip("_-."), maxsplit=1)[0]
    return (
        word == "CLAW"
        or word.startswith("CLAWVER")
        or (
            len(_OURS.intersection(word)) >= 5  # two letters can take no more away: tells it fast
            and word != "CRAWLER"  # a kind of program, with limits and read timeouts of its own
            and _differ_by_at_most(2, word, "CLAWVER")
        )
    )


def shown(name: str) -> str:
    """A variable's name, as far as it is safe to repeat; an ellipsis stands for the rest."""
    safe = re.sub(r"[^A-Za-z0-9_.-].*", "", name, flags=re.DOTALL)[:64]
    return safe if safe == name else f"{safe}…"


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).upper()


def _is_near(name: str, setting: str) -> bool:
    """Whether the names differ in at most two letters, their prefixes apart or not."""
    one, other = _letters(name), _letters(setting)
    bare = _PREFIX.sub("", other)
    most = 2 if len(bare) > 3 else 1  # with two of three letters changed it is another word
    return _differ_by_at_most(most, one, other) or (
        _PREFIX.match(one) is not None and _differ_by_at_most(most, _PREFIX.sub("", one), bare)
    )


def _differ_by_at_most(most: int, one: str, other: str) -> bool:
    """Whether so many letters to add, drop or replace make one of the other (Levenshtein)."""
    if abs(len(one) - len(other)) > most:
        return False
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        if min(row) > most:
            return False
        above, row = row, [place]
        for at, wanted in enumerate(other):
            row.append(min(above[at] + (letter != wanted), above[at + 1] + 1, row[at] + 1))
    return row[-1] <= most
