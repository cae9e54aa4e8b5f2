"""A HAR file, as browsers' developer tools and proxies save it: the requests in it.

Source of the format: the W3C's HAR 1.2 draft; `_resourceType` is Chromium's.
"""

import json
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from linkgate.classifying.described import Described, Unreadable, moment, with_host


def read_har(text: str, *, every: bool) -> list[Described]:
    """Return the requests that opened a page; `every` adds those that fetched something.

    Raises Unreadable if it is no HAR, or holds none of them.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable("is not JSON; save it as HAR from the browser's network tools") from None
    log = data.get("log") if isinstance(data, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list):
        raise Unreadable("is JSON, but no HAR: it has no log.entries")
    found = [
        one
        for entry in entries
        if isinstance(entry, dict) and (one := _described(entry))
        if every or _opens_page(entry, one)
    ]
    if not found:
        hint = "" if every or not entries else "; --all judges its other requests"
        raise Unreadable(f"holds no request that opened a page{hint}")
    return found


def _described(entry: dict[str, Any]) -> Described | None:
    request = entry.get("request")
    if not isinstance(request, dict) or not isinstance(request.get("url"), str):
        return None
    headers = [
        (header["name"], header["value"])
        for header in request.get("headers") or ()
        if isinstance(header, dict)
        and isinstance(header.get("name"), str)
        and isinstance(header.get("value"), str)
        # :authority and its kin are HTTP/2's own, and no headers.
        and not header["name"].startswith(":")
    ]
    url = request["url"]
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        return None
    if scheme not in {"http", "https"}:
        return None
    return Described(
        method=str(request.get("method") or "GET").upper(),
        headers=with_host(headers, url),
        url=url,
        secure=scheme == "https",
        at=_time(entry.get("startedDateTime")),
    )


def _opens_page(entry: dict[str, Any], request: Described) -> bool:
    if kind := entry.get("_resourceType"):
        return bool(kind == "document")
    if mode := request.header("sec-fetch-mode"):
        return mode == "navigate"
    return "text/html" in request.header("accept").lower()


def _time(text: object) -> float | None:
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment(at.timestamp()) if at.tzinfo else None
