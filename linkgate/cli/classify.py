"""`linkgate classify`: judges visits that are described by options, curl, a HAR file or a log."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs; see linkgate.cli

import time
from typing import TYPE_CHECKING, Annotated

import typer

from linkgate.errors import Invalid, Problem

if TYPE_CHECKING:
    from linkgate.classifying import Circumstances
    from linkgate.cli.reading import Options
    from linkgate.detection import Ruleset


def classify(
    ctx: typer.Context,
    agent: Annotated[
        str | None, typer.Option("--agent", "-A", metavar="TEXT", help="The user agent.")
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", metavar="'NAME: VALUE'", help="A header; may be repeated."),
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", "-X", metavar="METHOD", help="GET if not given.")
    ] = None,
    http: Annotated[
        bool, typer.Option("--http", help="The visit came by plain http rather than https.")
    ] = False,
    curl: Annotated[
        str | None,
        typer.Option(metavar="COMMAND", help="A whole curl command line, as one argument."),
    ] = None,
    har: Annotated[
        str | None, typer.Option(metavar="FILE", help="The pages opened in a HAR file; - reads in.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Of a HAR file, all requests and not only pages.")
    ] = False,
    log: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The lines of an access log; - reads standard input."),
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="IP", help="The visitor's address.")
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="When the visit came; else now.")
    ] = None,
    sent_at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When the e-mail went out: 2026-05-01T08:00:00Z."),
    ] = None,
    decoy: Annotated[bool, typer.Option("--decoy", help="The visit opened a decoy.")] = False,
    no_config: Annotated[
        bool, typer.Option("--no-config", help="Judge by linkgate's own rules alone.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge a visit without making it, and show each rule's evidence.

    The visit is described by options, or read from a curl command line, a HAR file or an access
    log. Nothing is sent or stored. Status 0 whatever the verdict.
    """
    from linkgate.classifying import judge_described
    from linkgate.cli import judgements
    from linkgate.cli.reading import Options, read

    options = Options(agent, tuple(header or ()), method, curl, har, log, every)
    around = _circumstances(address, at, sent_at, http=http, decoy=decoy)
    _check_combination(options, address=address, at=at, http=http)
    rules, named = ruleset_in_force(ctx, no_config=no_config)
    described, skipped = read(options)
    judged = (judge_described(one, around, rules) for one in described)
    judgements.show(judged, len(described), skipped, named, as_json=as_json)


def ruleset_in_force(ctx: typer.Context, *, no_config: bool) -> "tuple[Ruleset, str]":
    """Return the rules to judge by, and whose they are: "configuration" or "built-in".

    They are the configuration's if there is one; raises ConfigError if it can't be used.
    """
    from linkgate.detection import RULES

    return RULES, "built-in"


def _circumstances(
    address: str | None, at: str | None, sent_at: str | None, *, http: bool, decoy: bool
) -> "Circumstances":
    from linkgate.classifying import Circumstances
    from linkgate.signals import normalise

    problems: list[Problem] = []
    if address is not None and not normalise(address):
        problems.append(Problem("--address", f"{address!r} is no IP address"))
    moments = {"--at": _moment("--at", at, problems)}
    moments["--sent-at"] = _moment("--sent-at", sent_at, problems)
    if problems:
        raise Invalid(problems)
    now = moments["--at"]
    return Circumstances(
        now=time.time() if now is None else now,
        secure=not http,
        address=address or "",
        sent_at=moments["--sent-at"],
        decoy=decoy,
    )


def _moment(option: str, text: str | None, problems: list[Problem]) -> float | None:
    from datetime import datetime

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if "T" in text and moment.tzinfo:
            return moment.timestamp()
    except (ValueError, OverflowError):
        pass
    problems.append(
        Problem(option, f"{text!r} is no time with a zone; write it as 2026-05-01T08:00:00Z")
    )
    return None


def _check_combination(
    options: "Options", *, address: str | None, at: str | None, http: bool
) -> None:
    """Refuse options that the others leave without a meaning, rather than ignore them."""
    problems: list[Problem] = []
    sources = {"--curl": options.curl, "--har": options.har, "--log": options.log}
    given = [name for name, value in sources.items() if value is not None]
    by_hand = {"--agent": options.agent, "--header": options.headers, "--method": options.method}
    described = [name for name, value in by_hand.items() if value]
    if len(given) > 1:
        problems.append(Problem(given[1], f"and {given[0]} can't be given together"))
    elif given and described:
        problems.append(Problem(described[0], f"can't be added to what {given[0]} describes"))
    elif not given and not described:
        mend = "give --agent, --header, --curl, --har or --log"
        problems.append(Problem("classify", f"no visit is described; {mend}"))
    if options.every and options.har is None:
        problems.append(Problem("--all", "goes with --har"))
    if at and (options.har or options.log):
        problems.append(Problem("--at", f"the times stand in the file of {given[0]}"))
    if address and options.log:
        problems.append(Problem("--address", "the addresses stand in the log"))
    if http and (options.har or options.curl):
        problems.append(Problem("--http", "whether it was http stands in the URL"))
    if problems:
        raise Invalid(problems)
