"""A running sandbox, as the commands below `linkgate sandbox` talk to it."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs; see linkgate.cli

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from linkgate.cli.context import configuration
from linkgate.errors import Invalid, LinkgateError, Problem

STRIPES_OWN = "https://api.stripe.com"
SECONDS = 30.0

Url = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Where the sandbox is; else stripe.api_base says it."),
]
Key = Annotated[
    str | None,
    typer.Option("--api-key", metavar="KEY", help="Its key; else stripe.api_key says it."),
]
Json = Annotated[bool, typer.Option("--json", help="Print what it answers as JSON.")]


@dataclass(frozen=True, slots=True)
class Remote:
    """A sandbox at `url`, opened by `key`."""

    url: str
    key: str

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Use a control; raises LinkgateError for what it refuses and for no answer."""
        return asyncio.run(self._ask(method, f"{self.url}/sandbox/{path}", body))

    async def _ask(self, method: str, url: str, body: Any) -> Any:
        import aiohttp

        headers = {"Authorization": f"Bearer {self.key}"}
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        try:
            async with (
                aiohttp.ClientSession(headers=headers, timeout=timeout) as client,
                client.request(method, url, json=body, allow_redirects=False) as answer,
            ):
                told = await answer.json(content_type=None) if answer.status != 204 else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise LinkgateError(
                f"no sandbox answers at {self.url} ({type(error).__name__}); start one with "
                "`linkgate sandbox`, or say where it is with --url"
            ) from error
        if answer.status >= 400:
            raise LinkgateError(_words(told, answer.status))
        return told


def find(ctx: typer.Context, url: str | None, key: str | None) -> Remote:
    """The sandbox that the options name, or the configuration; raises Invalid for Stripe itself."""
    if url is None or key is None:
        stripe = configuration(ctx).stripe
        url = url or stripe.api_base
        key = key or stripe.api_key.get_secret_value()
    url = url.rstrip("/")
    problems = []
    if url == STRIPES_OWN:
        problems.append(Problem("--url", "is missing: stripe.api_base is Stripe itself"))
    elif not url.startswith(("http://", "https://")):
        problems.append(Problem("--url", "must be a full http or https URL"))
    if not key.startswith("sk_test_"):
        # A live key must not be sent to whatever answers there.
        problems.append(Problem("--api-key", "must start with sk_test_"))
    if problems:
        raise Invalid(problems)
    return Remote(url, key)


def _words(told: Any, status: int) -> str:
    if isinstance(told, dict):
        error = told.get("error")
        said = error.get("message") if isinstance(error, dict) else told.get("detail")
        extra = told.get("extra")
        if isinstance(extra, list):
            parts = [
                f"{each.get('key')}: {each.get('message')}"
                for each in extra
                if isinstance(each, dict)
            ]
            said = "; ".join([str(said), *parts])
        if said:
            return f"the sandbox refuses: {said}"
    return f"the sandbox answers {status}"
