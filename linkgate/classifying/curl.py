"""A curl command line, as browsers' developer tools copy it: what it would send.

Nothing is run, and no file that it names is read.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from linkgate.classifying.described import Described, Unreadable, with_host
from linkgate.classifying.shellwords import words

#: What curl calls itself without -A. Source: curl.se/docs/manpage.html; the version is one of 2026.
CURL_AGENT = "curl/8.16.0"
_FORM = "application/x-www-form-urlencoded"

# Options that take a value, and the short names that other options go by. Source:
# curl.se/docs/manpage.html, 2026-11.
_SHORT = {
    **{"A": "user-agent", "b": "cookie", "d": "data", "e": "referer", "F": "form", "G": "get"},
    **{"H": "header", "I": "head", "K": "config", "T": "upload-file", "X": "request"},
    **{"c": "", "C": "", "D": "", "E": "", "h": "", "m": "", "o": "", "P": "", "Q": "", "r": ""},
    **{"t": "", "u": "", "U": "", "w": "", "x": "", "y": "", "Y": "", "z": ""},
}
_DATA = {"data", "data-raw", "data-binary", "data-ascii", "data-urlencode", "json", "form"}
_DATA |= {"form-string"}
_HEEDED = {"user-agent", "cookie", "referer", "header", "upload-file", "request", "url", "config"}
_VALUED = _DATA | _HEEDED
_UNHEEDED = """
aws-sigv4 cacert capath cert cert-type ciphers connect-timeout connect-to continue-at cookie-jar
curves dns-servers doh-url dump-header expect100-timeout interface keepalive-time key key-type
limit-rate local-port max-filesize max-redirs max-time noproxy oauth2-bearer output pass
preproxy proto proto-redir proxy proxy-header proxy-user range rate resolve retry retry-delay
retry-max-time socks5 socks5-hostname speed-limit speed-time stderr time-cond tls-max
tls13-ciphers trace trace-ascii unix-socket user write-out
"""
_FLAGS = """
anyauth basic compressed compressed-ssh create-dirs digest disable fail fail-with-body get
globoff head http0.9 http1.0 http1.1 http2 http2-prior-knowledge http3 http3-only include
insecure ipv4 ipv6 junk-session-cookies location location-trusted negotiate netrc no-alpn
no-buffer no-keepalive no-progress-meter no-sessionid ntlm parallel path-as-is post301 post302
post303 progress-bar proxytunnel raw remote-header-name remote-name remote-time show-error
silent ssl ssl-reqd sslv2 sslv3 styled-output tcp-fastopen tcp-nodelay tlsv1 tlsv1.0 tlsv1.1
tlsv1.2 tlsv1.3 tr-encoding verbose
"""
_TAKES_VALUE = frozenset({*_VALUED, *_UNHEEDED.split()})
_SWITCHES = frozenset(_FLAGS.split())


def read_curl(text: str) -> Described:
    """Return the request that a curl command line makes. Raises Unreadable."""
    line = list(words(text))
    if not line or not re.fullmatch(r"(?:.*[/\\])?curl(?:\.exe)?", line[0]):
        raise Unreadable("must begin with curl; copy the request as cURL in the browser's tools")
    request = _Request()
    _read_options(request, line[1:])
    return request.described()


@dataclass(slots=True)
class _Request:
    options: dict[str, str] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    headers: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def option(self, name: str, value: str) -> None:
        if name == "header":
            self.headers.append(value)
        elif name == "url":
            self.urls.append(value)
        elif name in _VALUED:
            self.options[name] = value
        if value.startswith("@") and name in {"header", "data", "data-binary", "data-ascii"}:
            self.notes.append(f"The file {value[1:]} of --{name} was not read.")
        if name == "config":
            self.notes.append("The file of --config was not read.")

    def described(self) -> Described:
        if not self.urls:
            raise Unreadable("names no URL; give the whole command line, in quotes")
        if len(self.urls) > 1:
            self.notes.append(f"Of {len(self.urls)} URLs only one is judged.")
        # An unknown option's value looks like a URL to us; the real one is likely written out.
        url = next((url for url in self.urls if "://" in url), f"http://{self.urls[0]}")
        try:
            scheme = urlsplit(url).scheme.lower()
        except ValueError:
            raise Unreadable(f"names a URL that can't be read: {url}") from None
        if scheme not in {"http", "https"}:
            raise Unreadable(f"asks by {scheme}; only http and https can be judged")
        return Described(
            method=self._method(),
            headers=with_host(self._sent(), url),
            url=url,
            secure=scheme == "https",
            notes=tuple(self.notes),
        )

    def _method(self) -> str:
        if "request" in self.options:
            return self.options["request"].upper()
        if "head" in self.flags:
            return "HEAD"
        if self.options.keys() & _DATA and "get" not in self.flags:
            return "POST"
        return "PUT" if "upload-file" in self.options else "GET"

    def _sent(self) -> list[tuple[str, str]]:
        """curl's own headers, unless the command line has them otherwise or takes them out."""
        own = {"user-agent": CURL_AGENT, "accept": "*/*"}
        if self.options.keys() & _DATA and "get" not in self.flags:
            multipart = "form" in self.options or "form-string" in self.options
            own["content-type"] = "multipart/form-data" if multipart else _FORM
        if "json" in self.options:
            own |= {"content-type": "application/json", "accept": "application/json"}
        if "compressed" in self.flags:
            own["accept-encoding"] = "deflate, gzip, br, zstd"
        for option in ("user-agent", "referer"):
            if option in self.options:
                own[option] = self.options[option].removesuffix(";auto")
        if "=" in self.options.get("cookie", ""):
            own["cookie"] = self.options["cookie"]
        given: list[tuple[str, str]] = []
        for line in self.headers:
            name, colon, value = line.partition(":")
            if not colon and line.endswith(";"):  # `X;` sends X without a value, `X:` not at all
                name = line[:-1]
                given.append((name, ""))
            elif value.strip() and name:  # HTTP/2's :authority has no name here
                given.append((name.strip(), value.strip()))
            own.pop(name.strip().lower(), None)
        return [(name, value) for name, value in own.items() if value] + given


def _read_options(request: _Request, arguments: list[str]) -> None:
    rest = iter(arguments)
    for word in rest:
        if word.startswith("--") and len(word) > 2:
            _long(request, word[2:], rest)
        elif word.startswith("-") and len(word) > 1:
            _short(request, word[1:], rest)
        else:
            request.urls.append(word)


def _long(request: _Request, name: str, rest: Iterator[str]) -> None:
    if name in _TAKES_VALUE:
        request.option(name, next(rest, ""))
    elif name in _SWITCHES or name.removeprefix("no-") in _SWITCHES:
        request.flags.add(name)
    else:
        request.notes.append(f"The option --{name} is not known, and was taken as a switch.")


def _short(request: _Request, letters: str, rest: Iterator[str]) -> None:
    """Switches may stand together, and the last of them may take a value: -sSLHfoo:bar."""
    for place, letter in enumerate(letters):
        name = _SHORT.get(letter)
        if name in {"get", "head"}:
            request.flags.add(name)
        elif name is not None:
            request.option(name, letters[place + 1 :] or next(rest, ""))
            return
