"""A refusal, in the shape that Stripe gives it.

The body is `{"error": {"type", "code", "param", "message", "request_log_url"}}`; keys without a
value are left out, as Stripe does. Source: https://docs.stripe.com/api/errors.
"""

from typing import Any


class ApiError(Exception):
    """One answer other than 200; `param` is written as in the form (`line_items[0][price]`)."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param

    def body(self, request_id: str) -> dict[str, Any]:
        """The JSON body; `request_id` goes into the log address, as with Stripe."""
        error: dict[str, Any] = {"message": self.message, "type": self.kind}
        if self.code is not None:
            error["code"] = self.code
            error["doc_url"] = f"https://docs.stripe.com/error-codes/{self.code.replace('_', '-')}"
        if self.param is not None:
            error["param"] = self.param
        error["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request_id}"
        return {"error": error}


def missing_param(param: str) -> ApiError:
    return ApiError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def no_such(noun: str, object_id: str, param: str, *, status: int = 400) -> ApiError:
    """An id that leads to nothing: 404 when it stood in the address, 400 when in a parameter."""
    return ApiError(
        f"No such {noun}: '{object_id}'", status=status, code="resource_missing", param=param
    )
