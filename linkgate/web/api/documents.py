"""What the OpenAPI document says about errors."""

from dataclasses import dataclass
from typing import Annotated

from litestar.openapi.datastructures import ResponseSpec
from msgspec import Meta


@dataclass(frozen=True, slots=True)
class WrongField:
    """One wrong value in the request."""

    field: Annotated[str, Meta(description="Its path, as in destination.line_items.0.price")]
    message: Annotated[str, Meta(description="What is wrong with it, and the mend")]


@dataclass(frozen=True, slots=True)
class ProblemDetails:
    """An error, as in RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: Annotated[
        tuple[WrongField, ...] | None, Meta(description="With 422: every wrong field")
    ] = None


_WORDS = {
    400: "The body can't be read as JSON; `detail` names the line and column.",
    401: "No API key, or one that is not known; WWW-Authenticate says which.",
    403: "The API key lacks the scope that `detail` names.",
    404: "There is no such thing.",
    409: "It exists already, has ended, or was changed by someone else in between.",
    413: "The body is larger than server.max_body_bytes.",
    422: "Some fields can't be accepted; `errors` names every one.",
    503: "The store does not answer; nothing was changed. Retry-After says when to try again.",
}


def errors(*statuses: int) -> dict[int, ResponseSpec]:
    """Describe the errors of a route: these, and those that every route can answer with."""
    return {
        status: ResponseSpec(
            ProblemDetails,
            description=_WORDS[status],
            media_type="application/problem+json",
            generate_examples=False,
        )
        for status in sorted({401, 403, 503, *statuses})
    }


#: Of every route that takes a body.
BODY = (400, 413, 422)
