"""`linkgate classify`: judges visits that are described by options, curl, a HAR file or a log."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs; see linkgate.cli

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from linkgate.cli.context import configuration
from linkgate.errors import ConfigError, Invalid, Problem

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
    scan_minutes: Annotated[
        int | None,
        typer.Option(
            metavar="MINUTES",
            min=0,
            max=1440,
            help="How long after that scanners are expected, as the campaign says; 0: not at all.",
        ),
    ] = None,
    decoy: Annotated[bool, typer.Option("--decoy", help="The visit opened a decoy.")] = False,
    no_config: Annotated[
        bool, typer.Option("--no-config", help="Judge by linkgate's own rules alone.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge a visit without making it.

    Shows what each rule finds. The visit is described by options, or read from a curl command line,
    a HAR file or an access log. Nothing is sent or stored. Status 0 whatever the verdict.
    """
    from linkgate.classifying import judge_described
    from linkgate.cli import judgements
    from linkgate.cli.reading import Options, read

    options = Options(agent, tuple(header or ()), method, curl, har, log, every)
    around = _circumstances(address, at, sent_at, http=http, decoy=decoy)
    _check_combination(options, address=address, at=at, http=http)
    if scan_minutes is not None and sent_at is None:
        raise Invalid([Problem("--scan-minutes", "counts from --sent-at; give that too")])
    in_force = ruleset_in_force(ctx, no_config=no_config)
    minutes = in_force.scan_minutes if scan_minutes is None else scan_minutes
    around = replace(around, scan_seconds=minutes * 60.0)
    described, skipped = read(options)
    judged = (judge_described(one, around, in_force.rules) for one in described)
    judgements.show(judged, len(described), skipped, in_force.whose, as_json=as_json)


class InForce(NamedTuple):
    """Rules to judge by, whose they are, and the scan window's length where no campaign says."""

    rules: "Ruleset"
    whose: str
    scan_minutes: float = 10


def ruleset_in_force(ctx: typer.Context, *, no_config: bool) -> "InForce":
    """Return the rules to judge by: the configuration's if there is one, else linkgate's own.

    Raises ConfigError if the configuration can't be used.
    """
    if no_config or not _has_configuration(ctx):
        from linkgate.detection import RULES

        return InForce(RULES, "built-in")
    try:
        settings = configuration(ctx).detection
    except ConfigError as error:
        hint = "judges by linkgate's own rules, without the configuration"
        raise ConfigError([*error.problems, Problem("--no-config", hint)]) from None
    from linkgate.bench import Bench

    return InForce(Bench.of(settings).rules, "configuration", settings.scan_minutes)


def _has_configuration(ctx: typer.Context) -> bool:
    """Whether anything is configured, by a file or by variables: a container may have no file."""
    from linkgate.config.loading import CONFIG_VARIABLE, DEFAULT_FILE

    by_variable = any(name.startswith("LINKGATE_") and "__" in name for name in os.environ)
    named = ctx.obj is not None or bool(os.environ.get(CONFIG_VARIABLE))
    return named or by_variable or DEFAULT_FILE.exists()


def _circumstances(
    address: str | None, at: str | None, sent_at: str | None, *, http: bool, decoy: bool
) -> "Circumstances":
    from linkgate.addresses import normalise
    from linkgate.classifying import Circumstances

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

    from linkgate.classifying.described import moment

    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        if "T" in text and at.tzinfo and (seconds := moment(at.timestamp())) is not None:
            return seconds
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
