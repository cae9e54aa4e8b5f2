"""The path of one API request: key, endpoint, parameters, fault, ledger, work, answer."""

import asyncio
import base64
import binascii
import hmac
import json
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send

from linkgate.sandbox import faults, forms, reading, versions, wire
from linkgate.sandbox.errors import ApiError
from linkgate.sandbox.faults import Fault, FaultBook
from linkgate.sandbox.idempotency import Answer, Ledger
from linkgate.sandbox.limits import Limits
from linkgate.sandbox.nouns import OPERATIONS
from linkgate.sandbox.operations import Call, Operation, expand
from linkgate.sandbox.world import Cause, World

HELP = "or we can help at https://support.stripe.com/."
LARGEST_BODY = 1_000_000
#: Told of each request that reached an endpoint: its name, and its parameters as they were sent.
OnRequest: TypeAlias = Callable[[str, Mapping[str, forms.Raw]], None]


@dataclass(slots=True)
class Request:
    """One request as it came, and what its answer's headers need."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    id: str
    body: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def sent(self) -> dict[str, forms.Raw]:
        """The parameters; raises ApiError when they don't nest."""
        return forms.decode(self.body if self.method == "POST" else self.query)

    @property
    def idempotency_key(self) -> str | None:
        """Only a POST is idempotent by key; Stripe ignores it elsewhere."""
        return self.headers.get("idempotency-key") or None if self.method == "POST" else None


class Api:
    """Everything under /v1 as an ASGI application."""

    def __init__(
        self,
        world: World,
        api_key: str,
        book: FaultBook,
        ledger: Ledger,
        limits: Limits,
        on_request: OnRequest | None = None,
    ) -> None:
        self._world = world
        self._api_key = api_key
        self._faults = book
        self._ledger = ledger
        self._limits = limits
        self._on_request = on_request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            return
        request = Request(
            method=scope["method"],
            # The mount takes its own prefix away.
            path="/v1/" + scope["path"].strip("/"),
            query=scope["query_string"].decode("latin-1"),
            headers=wire.headers_of(scope),
            id=self._world.new_id("req_", 14),
        )
        fault: Fault | None = None
        try:
            raw = await wire.body_of(receive, LARGEST_BODY)
            self.authorise(request.headers)
            operation, object_id = _route(request)
            self._world.requests[operation.name] += 1
            self._world.sweep()
            self._limit(request, operation)
            request.body = _form(raw, request.headers)
            if self._on_request is not None:
                self._on_request(operation.name, request.sent)
            fault = self._fault(request, operation)
            answer = await self._answer(request, operation, object_id, fault)
        except ApiError as error:
            answer = _refused(request, error)
        await self._deliver(scope, receive, send, request, answer, fault)

    def authorise(self, headers: Mapping[str, str]) -> None:
        """Bearer or basic (the key as the user name); raises Stripe's 401 otherwise."""
        given = _key(headers.get("authorization", ""))
        if not given:
            raise ApiError(
                "You did not provide an API key. You need to provide your API key in the "
                "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer "
                "YOUR_SECRET_KEY'). See https://docs.stripe.com/api#authentication for details, "
                + HELP,
                status=401,
            )
        if not hmac.compare_digest(given.encode(), self._api_key.encode()):
            shown = f"{given[:8]}{'*' * 8}{given[-4:]}" if len(given) > 16 else "*" * len(given)
            raise ApiError(f"Invalid API Key provided: {shown}", status=401)
        version = headers.get("stripe-version")
        if version and not re.fullmatch(r"\d{4}-\d{2}-\d{2}(\.[a-z_]+)?", version):
            raise ApiError(f"Invalid Stripe API version: {version[:40]}.")

    def _limit(self, request: Request, operation: Operation) -> None:
        if not operation.creates:
            return
        try:
            self._limits.enter(operation.name)
        except ApiError:
            request.extra["Stripe-Rate-Limited-Reason"] = "endpoint-rate"
            raise

    def _fault(self, request: Request, operation: Operation) -> Fault | None:
        key = request.idempotency_key
        replayed = key is not None and self._ledger.stored(key) is not None
        return self._faults.take(operation.name, replayed=replayed)

    async def _answer(
        self, request: Request, operation: Operation, object_id: str, fault: Fault | None
    ) -> Answer:
        if fault and not fault.executed and fault.at_the_edge:
            cut = Answer(200, {"id": "cut_short", "object": "cut_short"}, request.id)
            return _ordered(request, fault) if fault.mode == "status" else cut
        sent = request.sent
        work = self._work(request, operation, object_id, sent, fault)
        if (key := request.idempotency_key) is None:
            answer = await work
        else:
            answer = await self._once(request, key, sent, work)
        if fault and fault.executed and fault.mode == "status":
            return _ordered(request, fault)
        return answer

    async def _once(
        self,
        request: Request,
        key: str,
        sent: Mapping[str, forms.Raw],
        work: Coroutine[Any, Any, Answer],
    ) -> Answer:
        """Do the work under its idempotency key, or replay what it gave the first time."""
        try:
            endpoint = f"{request.method} {request.path}"
            kept = self._ledger.begin(key, endpoint, sent, self._world.now())
        except ApiError:
            work.close()
            raise
        if kept is not None:
            work.close()
            request.extra["Idempotent-Replayed"] = "true"
            request.extra["Original-Request"] = kept.request_id
            return kept
        try:
            answer = await work
        except BaseException:
            self._ledger.abandon(key)
            raise
        request.extra["Original-Request"] = request.id
        self._ledger.finish(key, answer)
        return answer

    async def _work(
        self,
        request: Request,
        operation: Operation,
        object_id: str,
        sent: Mapping[str, forms.Raw],
        fault: Fault | None,
    ) -> Answer:
        """Check, then run; raises ApiError for what the check refuses, answers for the rest."""
        params = reading.read(operation.params, sent, dict(operation.limits))
        cause = Cause(request.id, request.idempotency_key)
        call = Call(self._world, object_id, params, cause)
        operation.check(call)
        if fault and fault.mode == "slow":
            await asyncio.sleep(fault.seconds)
        if fault and fault.from_within and not fault.executed:
            return _ordered(request, fault)
        try:
            body = expand(self._world, operation.run(call), params.get("expand") or [])
            body = versions.answer(self._world, body, self._version(request))
        except ApiError as error:
            return _refused(request, error)
        if fault and fault.from_within:
            return _ordered(request, fault)
        return Answer(200, body, request.id)

    def _version(self, request: Request) -> str:
        return request.headers.get("stripe-version") or self._world.api_version

    async def _deliver(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        request: Request,
        answer: Answer,
        fault: Fault | None,
    ) -> None:
        if fault and fault.mode == "hang":
            await wire.stay_silent(receive, fault.seconds)
        if fault and fault.mode in ("hang", "drop"):
            await wire.cut(scope, receive)
            return
        headers = _headers(request, answer, self._version(request))
        if fault and fault.mode == "status":
            headers |= faults.headers(fault)
        body = json.dumps(answer.body, indent=2, default=str).encode()
        if fault and fault.mode == "truncate":
            half = len(body) // 2
            await wire.answer(send, answer.status, headers, body[:half], body[half:])
            await wire.cut(scope, receive)
            return
        await wire.answer(send, answer.status, headers, body)


def _key(authorization: str) -> str:
    scheme, _, credentials = authorization.partition(" ")
    credentials = credentials.strip()
    if scheme.lower() == "bearer":
        return credentials
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _route(request: Request) -> tuple[Operation, str]:
    for operation in OPERATIONS:
        object_id = operation.match(request.method, request.path)
        if object_id is not None:
            return operation, object_id
    raise ApiError(
        f"Unrecognized request URL ({request.method}: {request.path}). Please see "
        f"https://docs.stripe.com {HELP}",
        status=404,
    )


def _form(raw: str, headers: Mapping[str, str]) -> str:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if raw and kind != "application/x-www-form-urlencoded":
        raise ApiError(
            "Invalid request (check that your POST content type is "
            "application/x-www-form-urlencoded). If you have any questions, we can help at "
            "https://support.stripe.com/."
        )
    return raw


def _refused(request: Request, error: ApiError) -> Answer:
    return Answer(error.status, error.body(request.id), request.id)


def _ordered(request: Request, fault: Fault) -> Answer:
    return _refused(request, faults.refusal(fault))


def _headers(request: Request, answer: Answer, version: str) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "Cache-Control": "no-cache, no-store",
        "Request-Id": request.id,
        "Stripe-Version": version,
        **request.extra,
    }
    if request.idempotency_key is not None:
        headers["Idempotency-Key"] = request.idempotency_key
    if answer.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="Stripe"'
    # A 500 is kept under its key, so asking again would only replay it.
    if answer.status in (409, 502, 503, 504):
        headers["Stripe-Should-Retry"] = "true"
    elif answer.status >= 400 and answer.status != 429:
        headers["Stripe-Should-Retry"] = "false"
    return headers
