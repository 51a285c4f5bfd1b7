"""What would start our package or image by its name alone, or claims a home that is not ours."""

import re

from clawver_orders.install import installation

_BETWEEN = re.compile(r"(?:[\s\"',\[\]{}()`]|:(?=[\s\"']|$)|(?<=\s)=(?=\s))+")
_WORDING = re.compile(r" (?:--arg=|--arg |args[:=]? |-- )")
_STARTED = re.compile(
    r"\b(?:uvx|npx|bunx|pipx (?:run|install)|uv tool (?:run|install)|uv add|pip3? install"
    r"|kind uv package|registryType pypi identifier)"
    r"(?: -\S+)* (clawver[-_]orders(?![\w/-])\S*)"
)
_IMAGE = re.compile(r"\b(?:docker|podman) (?:run|pull)(?: \S+){0,12}? clawver-orders(?![\w/-])")
_HOME = re.compile(
    r"github\.com/[\w.-]+\S*|io\.github\.[\w-]+\S*|(?:ghcr|docker|quay)\.io/\S+"
    r"|@clawver-orders/\S+|marketplace add [\w-]+/[\w-]+"
)


def bare_names(text: str) -> list[str]:
    """The places that start the package or the image by a name that anybody could take.

    The published version, pinned, is ours; so is an image that is never downloaded.
    """
    words = _WORDING.sub(" ", _BETWEEN.sub(" ", text))
    ours = f"{installation.NAME}=={installation.PUBLISHED}"
    started = [found[0] for found in _STARTED.finditer(words) if found[1] != ours]
    images = [found[0] for found in _IMAGE.finditer(words) if "--pull=never" not in found[0]]
    return started + images


def homes(text: str) -> list[str]:
    """The places that name an organisation or a registry's namespace."""
    return [found[0] for found in _HOME.finditer(text)]
