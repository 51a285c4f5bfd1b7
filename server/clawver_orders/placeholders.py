"""Tells a value from a placeholder. No I/O.

A host may pass on a placeholder that it did not resolve, and a person may copy an example as it is.
"""

import re

_PLACEHOLDER = re.compile(
    r"""[$\#]\{.*\}                  # ${X}, ${env:X}, ${X:-none}, ${{ secrets.X }}, #{X}
    |   \{\{.*\}\}                  # {{X}}
    |   \$\(.*\) | `.*`            # a command that no shell has run
    |   \$[a-z_][\w.:-]*           # $X, $env:X
    |   %[a-z_]\w*% | @+[a-z_]\w*@+ | __[a-z]\w*__  # %X%, @X@, __X__
    |   [<{\[]+[a-z_][\w\s.:'\u2019…-]*[>}\]]+  # <your key>, <<X>>, {env:X}, [X]
    |   (?:op|vault|secrets?|keychain|keyring)://.*  # where a password manager keeps it
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_REFERENCE = re.compile(
    r"""[a-z][a-z0-9+.-]*:.+       # env:X, file:/x, arn:x, aws-sm://x: keys of Clawver have no colon
    |   @?[a-z_][\w.]*[\[(].*[\])] # ENV[X], getenv("X"), @Microsoft.KeyVault(x)
    |   (?:[a-z]\w*\.)*env(?:iron)?[./].+ | (?:vars?|secrets?)\..+  # process.env.X, environ/X, secrets.X
    |   !\w+[/\s].+                # !ref/x, !env X
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_INSTRUCTION = re.compile(
    r"""(?=  .*(?<![a-z])(?:your|here|change[\s_-]?me|replace|insert|paste|placeholder)(?![a-z])
        |    (?!claw_sk) .*(?<![a-z])key(?![a-z])
        ) [a-z\s'\u2019._-]*       # YOUR_API_KEY, the store's key, claw_sk_…_YOUR_KEY_HERE
    |   [a-z_-]*(?:x{4,}|\*{4,})   # claw_sk_…_xxxx
    |   .*(?:\.\.\.|…).*           # claw_sk_live_...
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_INSIDE = re.compile(
    r"\{.*\}|<.*>|\$\(.*\)|`.*`|%[a-z_()]{3,}%|@\w+@|(?<![^/\\])\$[a-z_]\w*",
    re.IGNORECASE | re.DOTALL,
)


def is_placeholder(value: str) -> bool:
    """Whether a value as a whole is a placeholder. It may hold any of their signs inside."""
    return _PLACEHOLDER.fullmatch(value) is not None


def is_no_secret(value: str) -> bool:
    """Whether a value is a placeholder, says where a secret is kept, or is what examples show.

    Where it is in doubt it is no secret: whoever sends an example's text as one sends what all know.
    """
    return is_placeholder(value) or any(
        pattern.fullmatch(value) for pattern in (_REFERENCE, _INSTRUCTION)
    )


def has_placeholder(path: str) -> bool:
    """Whether a part of a path is a placeholder."""
    return _INSIDE.search(path) is not None
