"""Where a person decides in a browser. Nothing of the page is imported before it is needed."""

from anyio import to_thread

from clawver_orders.services import Services

MOUNTED_AT = "/board"
"""Where it is on the server of `serve --http`."""


async def page_of(services: Services, path: str) -> str | None:
    """Where something is decided; where no page of the store is up, this process starts one.

    Args:
        services: What it works with.
        path: What it is about, such as `refund/` and its id.

    Returns:
        Its address; None where browsers could not reach it.

    Raises:
        ClawverError: No page can be started.
    """
    if services.settings.http_hosts and not services.settings.board_url:
        return None  # whoever is to approve sits at another machine
    await to_thread.run_sync(_import_page)  # it takes a moment, and other calls go on
    from clawver_orders.web.starting import link_to, start_within

    return link_to(await start_within(services), path)


def _import_page() -> None:
    import clawver_orders.web.page
    import clawver_orders.web.starting  # noqa: F401  # both are only loaded here
