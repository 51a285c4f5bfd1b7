"""The two envelopes every answer of a shop comes in."""

import json
from typing import Any

from starlette.responses import Response

STATUSES = {
    "VALIDATION_ERROR": 400,
    "UNAUTHORIZED": 401,
    "FORBIDDEN": 403,
    "RESOURCE_NOT_FOUND": 404,
    "CONFLICT": 409,
    "RATE_LIMITED": 429,
    "INTERNAL_ERROR": 500,
}
_CODES = {status: code for code, status in STATUSES.items()}


def answer(payload: object, status: int = 200) -> Response:
    """Any JSON at all."""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, media_type="application/json")


def success(data: dict[str, Any], **beside: Any) -> Response:
    """What was asked for, and what belongs beside it."""
    return answer({"success": True, "data": data, **beside})


def failure(status: int, message: str, request_id: str | None) -> Response:
    """What went wrong, with the code that fits the status."""
    code = _CODES.get(status, "VALIDATION_ERROR" if status < 500 else "INTERNAL_ERROR")
    error = {"code": code, "message": message, "requestId": request_id}
    return answer({"success": False, "error": error}, status)
