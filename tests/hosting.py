"""Pages in a browser without a gateway: a server on loopback that shows what it is given."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from linkgate import web
from linkgate.pages import Page

_STATIC = Path(web.__file__).parent / "static"
SCRIPTS = {f"/static/{name}": _STATIC / name for name in ("press.js", "retry.js")}
LOGO = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="80" height="40"><path d="M0 0h80v40z"/></svg>'
)


class Host:
    """Serves given pages on loopback, answers each POST with a redirect, and keeps what came."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.posted: list[tuple[str, dict[str, list[str]]]] = []
        self.gotten: list[str] = []
        self.redirect = "/arrived"
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.gotten.append(self.path)
                page = host.pages.get(self.path)
                if page is not None:
                    self.answer(
                        page.status, page.body, [(k.decode(), v.decode()) for k, v in page.headers]
                    )
                elif self.path == "/brand/logo":
                    self.answer(200, LOGO, [("content-type", "image/svg+xml")])
                elif self.path in SCRIPTS:
                    script = SCRIPTS[self.path].read_bytes()
                    self.answer(200, script, [("content-type", "text/javascript")])
                elif self.path == "/nothing":
                    self.answer(204, b"", [])
                elif self.path == "/arrived":
                    self.answer(200, b"<h1>Arrived</h1>", [("content-type", "text/html")])
                else:
                    self.answer(404, b"", [])

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                host.posted.append((self.path, parse_qs(body, keep_blank_values=True)))
                self.answer(303, b"", [("location", host.redirect)])

            def answer(self, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
