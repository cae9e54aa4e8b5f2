"""Sends a behaviour's requests, and says what came of each: a page, a refusal, or a way on."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

import aiohttp

import linkgate
from linkgate.errors import LinkgateError
from linkgate.simulation.behaviours import Behaviour, Form, Step, Targets
from linkgate.simulation.forms import PageForm, find_form

TIMEOUT_SECONDS = 10.0
#: A page of a gateway's is some kilobytes; whatever is larger holds no form of ours.
PAGE_BYTES = 65_536

_REDIRECTS = range(300, 400)
# Of the statuses that a link answers with, what they mean to who looks at the table.
_MEANINGS = {
    204: "told which methods there are",
    404: "not known",
    405: "method refused",
    410: "over",
    429: "told to slow down",
    503: "refused for now",
}
# What aiohttp would add by itself; a behaviour sends what it says and nothing else.
_UNASKED = ("User-Agent", "Accept", "Accept-Encoding")


class CannotStart(LinkgateError):
    """A link can't be opened at all, so that replaying on it would show nothing."""


@dataclass(frozen=True, slots=True)
class Got:
    """One answer. `passed`: the machine was sent on to a session, or let in and asked to wait."""

    method: str
    status: int
    what: str
    passed: bool = False
    location: str = ""
    form: PageForm | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Result:
    """What one behaviour got. `trouble` says why it is incomplete, or why it was `skipped`."""

    behaviour: Behaviour
    answers: tuple[Got, ...]
    trouble: str = ""
    skipped: bool = False

    @property
    def passed(self) -> bool:
        """Whether any of its requests led on."""
        return any(got.passed for got in self.answers)


async def examine(targets: Targets) -> None:
    """Ask each link by HEAD, which never mints, whether it opens anything.

    Raises CannotStart with every link that doesn't, and why.
    """
    headers = {"User-Agent": f"linkgate-simulate/{linkgate.__version__}"}
    decoys = () if targets.decoy is None else (targets.decoy,)
    problems = []
    async with _session() as session:
        for url in (*targets.links, *decoys):
            try:
                async with session.head(url, headers=headers, allow_redirects=False) as answer:
                    problem = _unfit(answer.status)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                problem = explain(error)
            if problem:
                problems.append(f"{short(url)}: {problem}")
    if problems:
        raise CannotStart("\n".join(problems))


async def replay(behaviour: Behaviour, targets: Targets) -> Result:
    """Do what `behaviour` says. Cookies live as long as it does; redirects are not followed."""
    async with _session() as session:
        return await _Replay(session, targets).run(behaviour)


def short(url: str) -> str:
    """A link's address without most of its token: whoever has the token has the link."""
    return f"{url[:48]}..." if len(url) > 51 else url


def explain(error: BaseException) -> str:
    """Say why there was no answer, and the mend."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return (
            f"its certificate is not accepted: {error.certificate_error}; renew it, or check the "
            "host name"
        )
    if isinstance(error, aiohttp.ClientSSLError):
        return f"TLS failed: {error}; check whether the port speaks https"
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_SECONDS:g} s; check that the gateway runs"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"it can't be reached: {error.os_error}; check that the gateway runs, and the name"
    # aiohttp quotes what it could not read, over several lines; as a whole it names the link too.
    quoted = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    said = " ".join(quoted.split()) or type(error).__name__
    return f"no answer: {said}; check what stands in front of the gateway"


def _session() -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    jar = aiohttp.CookieJar(unsafe=True)  # unsafe: a gateway on an address rather than a name, too
    return aiohttp.ClientSession(timeout=timeout, cookie_jar=jar, skip_auto_headers=_UNASKED)


def _unfit(status: int) -> str | None:
    if status == 404:
        return (
            "no link of this gateway (404): it was cut, its signing key is gone, or its campaign "
            "does not exist; `linkgate links create` makes one"
        )
    if status == 410:
        return "it has expired or was ended (410); make a fresh one with `linkgate links create`"
    if status == 503:
        return "closed for now (503): its campaign is paused, or what stands before it is busy"
    if status >= 400:
        return f"the gateway answers {status}; `linkgate doctor` may say why"
    return None


class _Replay:
    """One behaviour under way."""

    def __init__(self, session: aiohttp.ClientSession, targets: Targets) -> None:
        self._session = session
        self._targets = targets
        self._got: list[Got] = []

    async def run(self, behaviour: Behaviour) -> Result:
        under_way: list[asyncio.Task[None]] = []
        trouble = ""
        try:
            for step in behaviour.steps:
                await asyncio.sleep(step.after)
                under_way.append(asyncio.create_task(self._step(step)))
                if not step.alongside:
                    await asyncio.gather(*under_way)
            await asyncio.gather(*under_way)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            trouble = explain(error)
        except _NoForm as error:
            trouble = str(error)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        return Result(behaviour, tuple(self._got), trouble)

    async def _step(self, step: Step) -> None:
        if step.form is not None:
            await self._post(step, step.form)
            return
        query = f"?{step.query}" if step.query else ""
        urls = [f"{url}{query}" for url in self._urls(step)]
        await asyncio.gather(*(self._ask(step.method, url, step.headers) for url in urls))

    def _urls(self, step: Step) -> Sequence[str]:
        if step.target == "every":
            return self._targets.links
        if step.target == "decoy":
            assert self._targets.decoy
            return (self._targets.decoy,)
        return self._targets.links[:1]

    async def _post(self, step: Step, form: Form) -> None:
        url = self._targets.links[0]
        fields = {"gesture": form.gesture}
        if not form.blind:
            page = next((got.form for got in reversed(self._got) if got.form), None)
            if page is None:
                # Sent on at once, or a link that is paid: there is no form to send, and the answer
                # before tells which it was.
                if any(got.passed for got in self._got):
                    return
                raise _NoForm("no page with a form came, so that none could be sent")
            url = urljoin(url, page.action)
            fields = page.fields | fields
            if form.second:
                if not page.buttons:
                    raise _NoForm("the page has no second button")
                fields |= dict(page.buttons)
        # What Chromium sends with a form of a page under Referrer-Policy: no-referrer.
        headers = {**step.headers, "origin": "null"}
        if "sec-fetch-site" in headers:
            headers["sec-fetch-site"] = "same-origin"
        await self._ask("POST", url, headers, fields)

    async def _ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        fields: Mapping[str, str] | None = None,
    ) -> None:
        async with self._session.request(
            method, url, headers=headers, data=fields, allow_redirects=False
        ) as answer:
            text = await _text(answer)
            location = answer.headers.get("Location", "")
            self._got.append(_got(method, url, answer.status, location, text))


class _NoForm(Exception):
    """A step has nothing to send."""


async def _text(answer: aiohttp.ClientResponse) -> str:
    parts, size = [], 0
    try:
        async for part in answer.content.iter_chunked(65_536):
            parts.append(part)
            size += len(part)
            if size > PAGE_BYTES:
                break
    except aiohttp.ClientPayloadError:
        pass  # an encoding that nobody here reads; status and headers have come
    return b"".join(parts).decode("utf-8", "replace")


def _got(method: str, url: str, status: int, location: str, text: str) -> Got:
    if status in _REDIRECTS and location:
        host = leads_to(url, location)
        what = f"sent on to {host}" if host else "sent elsewhere at the same link"
        return Got(method, status, what, bool(host), location)
    form = find_form(text)
    if form is not None and form.waiting:
        return Got(method, status, "let in, and asked to wait", True, form=form)
    if form is not None and status < 400:
        return Got(method, status, "the page with the button", form=form)
    if status < 300 and method == "HEAD":
        return Got(method, status, "headers alone")
    what = _MEANINGS.get(status, "a page without a button" if status < 400 else "an error")
    return Got(method, status, what)


def leads_to(url: str, location: str) -> str:
    """Return where a redirect leads from a link: a host; "" if it is the same link on its host."""
    try:
        before, after = urlsplit(url), urlsplit(urljoin(url, location))
    except ValueError:  # no address; but a way on it was meant to be
        return "an unreadable address"
    same = before.path.rstrip("/") == after.path.rstrip("/")
    return "" if same and before.hostname == after.hostname else after.hostname or after.scheme
