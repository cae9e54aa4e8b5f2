"""How well visits are judged, measured on data of your own.

    python -m tests.detection_report FILE.jsonl [--headers none|chrome|as-given] [--misses 20]
                                     [--unique] [--json]

FILE (gzip or not, `-` for standard input) holds a JSON object a line: `ua` and `label` ("bot" or
"human"), and if known `headers` (an object), `method`, `secure`, `address`, `at` and `sent_at`
(Unix seconds). A line that can't be used is named by its number and skipped. The exit status is 0,
1 if no line could be used, 2 if the file can't be read.
"""

import argparse
import contextlib
import gzip
import hashlib
import io
import json
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from linkgate.addresses import TrustedProxies
from linkgate.detection import NOTHING_KNOWN, Standing, Verdict, judge, read_agent
from linkgate.detection.consistency import FETCH_METADATA_SINCE
from linkgate.signals import gather

NO_PROXIES = TrustedProxies()
# Chrome sends client hints from 89 on (MDN's compatibility data).
HINTS_SINCE = 89
# An address kept for documentation (RFC 5737): of nobody, and in no network that is known.
NOBODY = "203.0.113.7"
LABELS = ("bot", "human")
BAD_LINES_NAMED = 20
ROWS = (
    ("bots", "bot", ""),
    ("  automated (recall)", "bot", "automated"),
    ("  suspect: the button", "bot", "suspect"),
    ("  human: a session in adaptive", "bot", "human"),
    ("people", "human", ""),
    ("  human: straight through", "human", "human"),
    ("  suspect: the extra press", "human", "suspect"),
    ("  automated: refused at first", "human", "automated"),
)


class BadLine(ValueError):
    """A line that can't be used, and why."""


def perfect_headers(user_agent: str, *, own: bool = True) -> dict[str, str]:
    """What a browser sends when it opens a page, besides `user_agent`: the one that this claims to
    be (Chrome if it can't be told), or Chrome where not `own`. Client hints fit the user agent.
    """
    agent = read_agent(user_agent)
    engine = agent.engine if own else "blink"
    page = "text/html,application/xhtml+xml,application/xml;q=0.9,"
    pictures = "image/avif,image/webp,image/apng,"
    headers = {
        "accept": f"{page}{pictures}*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
        "accept-language": "en-GB,en;q=0.9",
        "accept-encoding": "gzip, deflate, br, zstd",
        "sec-fetch-site": "none",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "document",
        "sec-fetch-user": "?1",
    }
    if engine in {"gecko", "webkit", "goanna"}:
        headers["accept"] = f"{page}*/*;q=0.8"
    if engine == "webkit":  # Safari tells no user activation
        del headers["sec-fetch-user"]
    since = FETCH_METADATA_SINCE.get(engine)
    if own and since is not None and agent.major < since:
        headers = {name: value for name, value in headers.items() if name[:4] != "sec-"}
    if agent.engine == "blink" and agent.major >= HINTS_SINCE:
        edge = "Edg/" in user_agent or "EdgA/" in user_agent
        brand = "Microsoft Edge" if edge else "Google Chrome"
        if agent.webview and agent.system == "Android":
            brand = "Android WebView"
        v = agent.major
        headers["sec-ch-ua"] = f'"Chromium";v="{v}", "{brand}";v="{v}", "Not/A)Brand";v="8"'
        headers["sec-ch-ua-mobile"] = "?1" if "Mobile" in user_agent else "?0"
        headers["sec-ch-ua-platform"] = f'"{agent.system or "Unknown"}"'
    return headers


@dataclass(frozen=True, slots=True)
class Line:
    """One visit, as the file tells it. `headers` is None where it tells none."""

    ua: str
    label: str
    headers: Mapping[str, str] | None
    method: str
    secure: bool
    address: str
    at: float | None
    sent_at: float | None


def read_line(text: bytes) -> Line:
    """Raises BadLine where the line can't be used."""
    try:
        item = json.loads(text)
    except ValueError:
        raise BadLine("not JSON") from None
    if not isinstance(item, dict):
        raise BadLine("not an object")

    def take(key: str, kinds: type | tuple[type, ...], what: str, otherwise: Any = None) -> Any:
        value = item.get(key)
        if value is None:
            return otherwise
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
            raise BadLine(f"{key} is not {what}")
        return value

    headers = take("headers", dict, "an object")
    if headers is not None and not all(isinstance(value, str) for value in headers.values()):
        raise BadLine("a value in headers is not a string")
    ua = take("ua", str, "a string")
    if ua is None:
        ua = next((v for k, v in (headers or {}).items() if k.lower() == "user-agent"), None)
    if ua is None:
        raise BadLine("no ua")
    if item.get("label") not in LABELS:
        raise BadLine('label is neither "bot" nor "human"')
    return Line(
        ua=ua,
        label=item["label"],
        headers=headers,
        method=take("method", str, "a string", "GET"),
        secure=take("secure", bool, "true or false", True),
        address=take("address", str, "a string", NOBODY),
        at=take("at", (int, float), "a number"),
        sent_at=take("sent_at", (int, float), "a number"),
    )


def judge_line(line: Line, headers: str, now: float) -> Verdict:
    """Judge the visit with the headers that `headers` chooses (as the option --headers does)."""
    given = line.headers if headers == "as-given" else None
    if given is None:
        own = headers == "as-given"
        given = {} if headers == "none" else perfect_headers(line.ua, own=own)
    sent = {"host": "go.example.com"} | {name.lower(): value for name, value in given.items()}
    sent["user-agent"] = line.ua
    signals = gather(
        line.method,
        [(name.encode(), value.encode("latin-1", "replace")) for name, value in sent.items()],
        line.address,
        "https" if line.secure else "http",
        NO_PROXIES,
        sent_at=line.sent_at,
    )
    return judge(signals, NOTHING_KNOWN, now if line.at is None else line.at)


@dataclass(slots=True)
class Report:
    """What was counted, by label. `misses` keeps the first `kept` of each sort."""

    kept: int
    bad: int = 0
    repeated: int = 0
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    rules: Counter[tuple[str, str]] = field(default_factory=Counter)
    misses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, number: int, line: Line, verdict: Verdict) -> None:
        label = line.label
        self.verdicts[label, verdict.value] += 1
        if verdict.kind is not None:
            self.kinds[label, verdict.kind] += 1
        found = list(dict.fromkeys(evidence.rule for evidence in verdict.evidence))
        self.rules.update((label, rule) for rule in found)
        if verdict.value is not (Standing.AUTOMATED if label == "bot" else Standing.HUMAN):
            misses = self.misses.setdefault(f"{label} judged {verdict.value}", [])
            if len(misses) < self.kept:
                misses.append({"line": number, "ua": line.ua, "rules": found})

    def total(self, label: str) -> int:
        return sum(n for (of, _), n in self.verdicts.items() if of == label)

    def table(self, counter: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
        """The counts as {name: {"bot": n, "human": n}}, most frequent first."""
        names: Counter[str] = Counter()
        for (_, name), n in counter.items():
            names[name] += n
        return {name: {of: counter[of, name] for of in LABELS} for name, _ in names.most_common()}

    def as_json(self) -> dict[str, Any]:
        bots, people, verdicts = self.total("bot"), self.total("human"), self.verdicts
        return {
            "lines": {"bot": bots, "human": people, "bad": self.bad, "repeated": self.repeated},
            "recall": _share(verdicts["bot", "automated"], bots),
            "bots_given_a_session": _share(verdicts["bot", "human"], bots),
            "people_asked_to_press": _share(verdicts["human", "suspect"], people),
            "people_refused": _share(verdicts["human", "automated"], people),
            "verdicts": self.table(verdicts),
            "kinds": self.table(self.kinds),
            "rules": self.table(self.rules),
            "misses": self.misses,
        }

    def as_text(self) -> Iterator[str]:
        for title, label, value in ROWS:
            total = self.total(label)
            n = self.verdicts[label, value] if value else total
            share = f"{100 * n / total:9.3f}%" if value and total else ""
            yield f"{title:<32}{n:>10,}{share}"
        for title, counter in (("kind", self.kinds), ("rule", self.rules)):
            yield ""
            yield f"{title:<32}{'bots':>10}{'people':>10}"
            for name, counts in self.table(counter).items():
                yield f"{name:<32}{counts['bot']:>10,}{counts['human']:>10,}"
        for sort, misses in self.misses.items():
            label, _, value = sort.partition(" judged ")
            if misses:
                yield ""
                yield f"{sort} ({len(misses)} of {self.verdicts[label, value]:,})"
            for miss in misses:
                yield f"  line {miss['line']}: {miss['ua'][:200]!r}"
                yield f"    {', '.join(miss['rules']) or 'nothing found'}"


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def opened(name: str) -> BinaryIO:
    """The file, or standard input for `-`, unpacked where it is gzip. Raises OSError."""
    file = io.BufferedReader(io.FileIO(0 if name == "-" else name, closefd=name != "-"))
    if file.peek(2)[:2] == b"\x1f\x8b":
        return cast(BinaryIO, gzip.open(file, "rb"))
    return file


def measure(lines: Iterable[bytes], options: argparse.Namespace, now: float) -> Report:
    """Judge every line. Memory doesn't grow with the file, but for 16 bytes a user agent where
    each is to be counted once.
    """
    report = Report(kept=options.misses)
    seen: set[bytes] = set()
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            line = read_line(text)
        except BadLine as error:
            report.bad += 1
            if report.bad <= BAD_LINES_NAMED:
                print(f"line {number}: {error}", file=sys.stderr)
            continue
        if options.unique:
            key = f"{line.label} {line.ua}".encode("utf-8", "surrogatepass")
            if (digest := hashlib.blake2b(key, digest_size=16).digest()) in seen:
                report.repeated += 1
                continue
            seen.add(digest)
        report.add(number, line, judge_line(line, options.headers, now))
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.detection_report", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", metavar="FILE", help="JSON lines, gzip or not; - for stdin")
    parser.add_argument(
        "--headers",
        choices=["none", "chrome", "as-given"],
        default="as-given",
        help="none but the user agent; Chrome's; the line's, else the claimed browser's own",
    )
    parser.add_argument("--misses", type=int, default=20, help="how many to show of each sort")
    parser.add_argument("--unique", action="store_true", help="count each user agent once")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    options = parser.parse_args(arguments)
    try:
        with opened(options.file) as file:
            report = measure(file, options, time.time())
    except (OSError, EOFError, zlib.error) as error:
        print(f"{options.file} can't be read: {error}", file=sys.stderr)
        return 2
    if report.bad > BAD_LINES_NAMED:
        print(f"{report.bad - BAD_LINES_NAMED:,} more bad lines", file=sys.stderr)
    text = json.dumps(report.as_json(), indent=2) if options.json else "\n".join(report.as_text())
    with contextlib.suppress(BrokenPipeError):  # `| head` has seen enough
        print(text, flush=True)
    return 0 if report.verdicts else 1


if __name__ == "__main__":
    sys.exit(main())
