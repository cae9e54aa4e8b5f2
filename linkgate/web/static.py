"""The few files that pages load: two scripts, and the operator's logo."""

import mimetypes
from pathlib import Path

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from linkgate.config import Config

_STATIC = Path(__file__).parent / "static"
_HEADERS = {
    "cache-control": "public, max-age=3600",
    "x-content-type-options": "nosniff",
    # An SVG opened by itself is a document: it must not run scripts on the gateway's origin.
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}


def handlers(config: Config) -> list[HTTPRouteHandler]:
    """Return the handlers of the files; they are read once, at the start."""
    served = [
        _file(f"/static/{name}", (_STATIC / name).read_bytes(), "text/javascript")
        for name in ("press.js", "retry.js")
    ]
    if config.brand.logo:
        kind = mimetypes.guess_type(config.brand.logo.name)[0] or "application/octet-stream"
        served.append(_file("/brand/logo", config.brand.logo.read_bytes(), kind))
    return served


def _file(path: str, content: bytes, media_type: str) -> HTTPRouteHandler:
    @get(path, include_in_schema=False, name=path, sync_to_thread=False)
    def file() -> Response[bytes]:
        return Response(content, media_type=media_type, headers=_HEADERS)

    return file
