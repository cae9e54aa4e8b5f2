"""Who may do what: API keys as bearer tokens (RFC 6750).

What a route needs stands in its `security`, in OpenAPI's own terms, so that the document and the
guard can't differ: a list of alternatives, each naming the scopes that it takes.
"""

from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.openapi.spec import SecurityRequirement

from linkgate.gateway import Gateway
from linkgate.store.apikeys import ApiKey, Scope

_CHALLENGE = 'Bearer realm="linkgate"'


def needs(*alternatives: Scope) -> list[SecurityRequirement]:
    """Say that a route takes a key with any of these scopes; with none given, any key at all."""
    return [{"bearer": [scope.value]} for scope in alternatives] or [{"bearer": []}]


async def authorize(
    connection: ASGIConnection[None, None, None, State], handler: BaseRouteHandler
) -> None:
    """Let only a key through that may do what the route does; runs before the body is read.

    Raises NotAuthorizedException (401) and PermissionDeniedException (403).
    """
    if connection.scope.get("method") == "OPTIONS":
        return
    key = await _key(connection)
    # A route that forgot to say what it needs is the administrator's alone.
    assert isinstance(handler, HTTPRouteHandler)
    required = handler.resolve_security() or needs(Scope.ADMIN)
    wanted = [set(map(Scope, alternative["bearer"])) for alternative in required]
    if not any(all(key.may(scope) for scope in scopes) for scopes in wanted):
        names = sorted(scope.value for scopes in wanted for scope in scopes)
        raise PermissionDeniedException(
            f"This takes an API key with the scope {' or '.join(names)}, or admin; "
            f"key {key.id} has {', '.join(sorted(key.scopes)) or 'none'}.",
            headers={
                "www-authenticate": f'{_CHALLENGE}, error="insufficient_scope", scope="{names[0]}"'
            },
        )


async def _key(connection: ASGIConnection[None, None, None, State]) -> ApiKey:
    scheme, _, text = connection.headers.get("authorization", "").strip().partition(" ")
    text = text.strip()
    # RFC 6750, section 3.1: no error code for a request that shows no key at all.
    if scheme.lower() != "bearer" or not text:
        raise NotAuthorizedException(
            "This takes an API key, sent as `Authorization: Bearer lg_...`.",
            headers={"www-authenticate": _CHALLENGE},
        )
    gateway: Gateway = connection.app.state.gateway
    key = await gateway.store.keys.find(text)
    if key is None:
        # The key is not quoted: answers end up in logs.
        raise NotAuthorizedException(
            "This API key is not known here: it was mistyped, revoked, or made for another store.",
            headers={"www-authenticate": f'{_CHALLENGE}, error="invalid_token"'},
        )
    return key
