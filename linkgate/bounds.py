"""Bounds on what one connection may send: how large a request's head, and how slowly anything.

uvicorn's HTTP protocol has neither bound, so without a proxy in front one visitor could fill the
memory with headers, or hold connections open for ever by sending a byte now and then.
"""

import asyncio
import logging
from http import HTTPStatus
from math import inf
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from linkgate.pages import LAWS

log = logging.getLogger(__name__)

#: Of a request's line and headers together, and of what frames a body (the lines between chunks,
#: the trailers) between two pieces of it. A browser sends 2 kB, and some 20 kB with every cookie
#: that a domain may set; proxies take 8 kB (nginx, for a line) to 64 kB (AWS, in all).
MAX_HEAD_BYTES: Final = 65_536
#: Requests sent ahead on one connection, unread until those before are answered. Browsers send
#: none; one of 18 bytes takes 100 times as much memory to keep.
MAX_PIPELINED: Final = 100
#: From the first byte of a request's head to its last, and from connecting to the first byte. One
#: or two packets carry a head; twenty seconds is what Apache's RequestReadTimeout gives them.
HEAD_SECONDS: Final = 20.0
#: A body has to bring BODY_BYTES in each BODY_SECONDS: far less than the slowest mobile network
#: (GPRS, 3 kB a second) and more than a sender that only wants to hold the connection.
BODY_SECONDS: Final = 10.0
BODY_BYTES: Final = 1024
#: What is written before a connection closes has to be on its way to a reader; nginx's
#: send_timeout.
TAKING_SECONDS: Final = 60.0

_LAWS: Final = b"".join(name + b": " + value + b"\r\n" for name, value in LAWS)


class TooManyAhead(Exception):
    """More than MAX_PIPELINED requests wait on one connection."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection, held to the bounds of this module.

    A head that is too large gets 431, one or a body that is too slow 408, and the connection ends;
    where an answer is under way already, it only ends. All that costs time is done by one timer a
    connection, which looks now and then; what arrives is only counted.
    """

    #: Bytes since the parser last had something whole; 0 between requests.
    _held = 0
    #: When the first of those came, or the connection; on the loop's clock.
    _began = 0.0
    #: Whether a body is being received, how much of it came, and how much the timer has seen; None
    #: for a window that is not the sender's alone.
    _in_body = False
    _body_bytes = 0
    _seen: float | None = None
    #: Whether the connection was refused; what still comes is thrown away.
    _refused = False
    #: What was left to write when the timer last saw the connection closing.
    _untaken: int | None = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch the connection."""
        super().connection_made(transport)
        self._began = self.loop.time()
        self._look_in(min(HEAD_SECONDS, BODY_SECONDS))

    def connection_lost(self, exc: Exception | None) -> None:
        """End the watch."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count and parse; what is beyond the bound is never parsed."""
        if not self._held:
            self._began = self.loop.time()
        self._held += len(data)
        if self._held <= MAX_HEAD_BYTES:
            super().data_received(data)
        else:
            self._held -= len(data)
            self._receive_in_parts(data)

    def _receive_in_parts(self, data: bytes) -> None:
        """Parse no more at a time than a head may still have: the loop reads 256 kB at once."""
        while data and not self._refused and not self.transport.is_closing():
            room = MAX_HEAD_BYTES - self._held
            if room <= 0:
                log.warning("a request's head had more than %d bytes", MAX_HEAD_BYTES)
                self._refuse(431, "The address and the headers of the request are too large.")
                return
            part, data = data[:room], data[room:]
            self._held += len(part)
            super().data_received(part)

    def on_message_begin(self) -> None:
        """Note a request that begins in what another ended in."""
        if not self._held:
            self._held = 1
            self._began = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Go from the head to the body. Raises TooManyAhead, which ends the connection."""
        if len(self.pipeline) >= MAX_PIPELINED:
            raise TooManyAhead
        super().on_headers_complete()
        self._held = 0
        self._in_body = True
        self._body_bytes = 0
        self._seen = None
        # The request has its list; trailers would be put into it after what was decided by it.
        self.headers = []

    def on_body(self, body: bytes) -> None:
        """Count the body's bytes."""
        self._held = 0
        self._body_bytes += len(body)
        super().on_body(body)
        if self.flow.read_paused:
            self._seen = None

    def on_message_complete(self) -> None:
        """Go from the body to what follows."""
        self._held = 0
        self._in_body = False
        super().on_message_complete()

    def _watch(self) -> None:
        """End the connection if it is too slow, or look again later."""
        if self._refused:
            self.transport.close()
        if self.transport.is_closing():
            self._see_it_taken()
            return
        now = self.loop.time()
        wait = BODY_SECONDS
        if self._is_ours_to_go_on():
            self._began = now
            self._seen = None
        elif self._in_body:
            if self._seen is not None and self._body_bytes - self._seen < BODY_BYTES:
                self._cut()
                return
            # Nobody reads on after the answer: one window to end in, however much is sent.
            self._seen = inf if self.cycle.response_complete else self._body_bytes
        elif self._held or self.cycle is None:
            wait = min(wait, self._began + HEAD_SECONDS - now)
            if wait <= 0:
                self._cut()
                return
        self._look_in(wait)

    def _is_ours_to_go_on(self) -> bool:
        """Return whether the sender has to wait for us, and is not slow if it sends nothing."""
        cycle = self.cycle
        if self.flow.read_paused or cycle is None:
            return self.flow.read_paused
        if self._in_body:
            return cycle.waiting_for_100_continue and not cycle.response_complete
        return not cycle.response_complete

    def _see_it_taken(self) -> None:
        """Drop a closing connection whose other end has stopped taking what was written."""
        left = self.transport.get_write_buffer_size()
        if left == self._untaken:
            self.transport.abort()
            return
        self._untaken = left
        self._look_in(TAKING_SECONDS)

    def _look_in(self, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._watch)

    def _cut(self) -> None:
        if self._held or self._in_body:
            self._refuse(408, "The request did not arrive in time.")
        # Browsers connect ahead, and would show an answer to nothing to the person.
        self.transport.close()
        self._look_in(TAKING_SECONDS)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, by the laws of links: its address may have been one."""
        self._refuse(400, msg)

    def _refuse(self, status: int, message: str) -> None:
        """Answer, unless it could be taken for another request's answer, and end the connection.

        What is still under way to us is let in for a while: the kernel would reset a connection
        that is closed before, and many a client then never sees the answer.
        """
        self._refused = True
        self._held = MAX_HEAD_BYTES
        cycle = self.cycle
        if self._in_body:
            free = not cycle.response_started and not self.pipeline
        else:
            free = cycle is None or cycle.response_complete
        if cycle and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        if free:
            self.transport.write(_answer(status, message, self.server_state.default_headers))
            self.transport.write_eof()
            self._look_in(BODY_SECONDS)
        else:
            self.transport.close()


def _answer(status: int, message: str, headers: list[tuple[bytes, bytes]]) -> bytes:
    body = message.encode("ascii")
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        "content-type: text/plain; charset=utf-8\r\n"
        f"content-length: {len(body)}\r\n"
        "connection: close\r\n"
    )
    return head.encode("ascii") + lines + _LAWS + b"\r\n" + body
