"""How a refund goes through a client that cannot ask its person. The one place that knows."""

from typing import Any

from tests.clients.talk import Talk


def refund(talk: Talk, order_id: str, amount_in_cents: int) -> dict[str, Any]:
    """Refund, with the confirmation if the server wants one.

    Returns:
        The answer after which the money has moved.
    """
    answer = talk.call(
        "refund_order", order_id=order_id, amount_in_cents=amount_in_cents, reason="Smudged"
    ).data
    if answer["status"] == "needs_approval":
        shown = {"refund_id": answer["refund_id"], "revision": answer["revision"]}
        answer = talk.call("confirm_refund", **shown).data
    return answer
