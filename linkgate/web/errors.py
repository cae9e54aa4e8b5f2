"""The one map from linkgate's errors to HTTP, as RFC 9457 problem+json."""

import json
import logging
from http import HTTPStatus
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException

from linkgate.errors import (
    Conflict,
    ExpiredToken,
    Invalid,
    LinkgateError,
    NotFound,
    StoreUnavailable,
    TokenError,
)

log = logging.getLogger(__name__)

STATUS: dict[type[LinkgateError], int] = {
    Invalid: 422,
    NotFound: 404,
    Conflict: 409,
    ExpiredToken: 410,
    TokenError: 400,
    StoreUnavailable: 503,
}


def problem(status: int, detail: str, **members: Any) -> Response[bytes]:
    """Return a problem+json answer; `members` are added to the standard ones."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **members,
    }
    return Response(
        json.dumps(body).encode(),
        status_code=status,
        media_type="application/problem+json",
        headers={"cache-control": "no-store"},
    )


def answer_linkgate_error(_: Request[Any, Any, Any], error: LinkgateError) -> Response[bytes]:
    """Answer one of linkgate's own errors."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    if isinstance(error, Invalid):
        fields = [{"field": p.field, "message": p.message} for p in error.problems]
        return problem(status, "Some fields can't be accepted as they are.", errors=fields)
    if isinstance(error, StoreUnavailable):
        log.error("the store is away: %s", error)
        answer = problem(
            status,
            "The store does not answer, so this may or may not have been carried out. "
            "Look before you repeat it.",
        )
        answer.headers["retry-after"] = "2"
        return answer
    return problem(status, _sentence(str(error)))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def answer_http_error(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer an error of the framework's: no such route, wrong method, body too large."""
    detail = _DETAILS.get(error.status_code) if error.detail == _phrase(error) else None
    answer = problem(error.status_code, detail or error.detail)
    answer.headers.update(error.headers or {})
    return answer


def _phrase(error: HTTPException) -> str:
    return HTTPStatus(error.status_code).phrase


#: Where the framework has nothing to say but the status's own name.
_DETAILS = {
    404: "There is nothing at this address.",
    405: "This address does not take this method; the Allow header names those that it takes.",
    413: "The body is larger than this server takes (server.max_body_bytes).",
}


def answer_bug(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer what should not have happened, without a word about its inside."""
    # The route's pattern, not the path: a path may hold a token.
    log.exception("a %s request failed", request.method, exc_info=error)
    return problem(500, "Something went wrong inside linkgate; its log says what.")
