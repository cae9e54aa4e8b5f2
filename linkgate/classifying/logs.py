"""A line of an access log: nginx's and Apache's combined and common formats, or JSON.

Such a line tells the method, the address, the user agent and the referer, and of the other headers
nothing; Caddy's JSON holds them all.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from linkgate.classifying.described import Described, Unreadable, moment

_COMBINED = frozenset({"user-agent", "referer"})
# A virtual host may stand before the address, and further fields after the user agent.
# Source: nginx's log_format combined; Apache's LogFormat of common, combined and vhost_combined.
_LINE = re.compile(
    r"(?:\S+:\d+ )?(?P<address>\S+) \S+ .*?\[(?P<at>[^\]]{1,64})\] "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}|-) (?:\d+|-)'
    r'(?P<rest> "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)".*)?\s*'
)
_REQUEST = re.compile(r"([A-Z][A-Z-]{0,15}) (\S+)(?: HTTP/[\d.]+)?")
# nginx writes a quote as \x22, Apache as \".
_ESCAPE = re.compile(r'\\(?:x([0-9a-fA-F]{2})|(["\\]))')

# Names by which JSON logs call these, in nginx's own variables, Traefik's and others' words.
_NAMES = {
    "method": ("request_method", "method", "RequestMethod", "verb"),
    "url": ("request_uri", "uri", "RequestPath", "path", "url"),
    "request": ("request", "requestLine"),
    "address": ("remote_addr", "remote_ip", "client_ip", "ClientHost", "clientip", "remoteIp"),
    "agent": ("http_user_agent", "user_agent", "userAgent", "agent", "request_User-Agent"),
    "referer": ("http_referer", "referer", "referrer", "request_Referer"),
    "at": ("time_iso8601", "time_local", "timestamp", "@timestamp", "StartUTC", "time", "msec"),
}


def read_line(line: str) -> Described:
    """Return the request that a line of a log tells of. Raises Unreadable."""
    return _from_json(line) if line.lstrip().startswith("{") else _from_text(line)


def _from_text(line: str) -> Described:
    found = _LINE.fullmatch(line.strip())
    if found is None:
        raise Unreadable("is no line of a combined or common access log")
    method, url = _request(found["request"])
    known = _COMBINED if found["rest"] else frozenset()
    headers = {"user-agent": found["agent"], "referer": found["referer"]}
    return _described(method, url, found["address"], headers, _time(found["at"]), known)


def _from_json(line: str) -> Described:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        raise Unreadable("begins like JSON, and is none") from None
    request = data.get("request")
    if isinstance(request, dict) and isinstance(request.get("headers"), dict):
        return _from_caddy(request, data.get("ts"))
    found = {
        part: next((data[name] for name in names if data.get(name) not in (None, "")), None)
        for part, names in _NAMES.items()
    }
    known = frozenset(
        name
        for name, part in (("user-agent", "agent"), ("referer", "referer"))
        if any(key in data for key in _NAMES[part])
    )
    method, url = _request(str(found["request"])) if found["request"] else ("GET", "")
    method = str(found["method"] or method).upper()
    if not known and not found["address"]:
        raise Unreadable("is JSON without a user agent and an address under a known name")
    headers = {"user-agent": found["agent"], "referer": found["referer"]}
    url = str(found["url"] or url)
    return _described(method, url, str(found["address"] or ""), headers, _time(found["at"]), known)


def _from_caddy(request: Mapping[str, Any], at: object) -> Described:
    """Caddy's JSON: all headers are there, each with a list of values."""
    headers = [
        (str(name), str(value))
        for name, values in request["headers"].items()
        for value in (values if isinstance(values, list) else [values])
    ]
    if request.get("host"):
        headers.insert(0, ("host", str(request["host"])))
    return Described(
        method=str(request.get("method") or "GET").upper(),
        headers=tuple(headers),
        url=str(request.get("uri") or ""),
        address=str(request.get("client_ip") or request.get("remote_ip") or ""),
        secure=True if request.get("tls") else None,
        at=_time(at),
    )


def _described(
    method: str,
    url: str,
    address: str,
    headers: Mapping[str, object],
    at: float | None,
    known: frozenset[str],
) -> Described:
    # A dash is how a log writes that a header was not sent.
    sent = {name: _unescaped(str(value)) for name, value in headers.items() if value is not None}
    return Described(
        method=method,
        headers=tuple((name, value) for name, value in sent.items() if value not in ("", "-")),
        url=url,
        address=address,
        at=at,
        known=known,
    )


def _request(text: str) -> tuple[str, str]:
    """Method and path. A scanner's junk in place of a request is no GET, whatever it says."""
    found = _REQUEST.fullmatch(text)
    if found is None:
        return "", ""
    try:
        urlsplit(found[2])
    except ValueError:
        return found[1], ""
    return found[1], found[2]


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else m[2], text)


def _time(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return moment(value)
    text = str(value or "")
    if re.fullmatch(r"\d{9,11}(?:\.\d+)?", text):
        return float(text)
    for read in (datetime.fromisoformat, _common_time):
        try:
            at = read(text)
        except ValueError:
            continue
        return moment(at.timestamp()) if at.tzinfo else None
    return None


def _common_time(text: str) -> datetime:
    return datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z")
