"""Commands that run until they are told to stop: demo, serve, sandbox."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs; see linkgate.cli

from pathlib import Path
from typing import Annotated

import typer

from linkgate.cli import printing
from linkgate.cli.context import environment
from linkgate.errors import Invalid, Problem


def serve(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="The port to listen on; 0 takes a free one."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="How many processes serve.")
    ] = None,
) -> None:
    """Serve links, the API and Stripe's webhooks.

    The options go before the configuration's server.host, server.port and server.workers.
    SIGTERM and Ctrl-C let requests under way finish first.
    """
    from linkgate.config import load
    from linkgate.logs import set_up
    from linkgate.workers import serve as serve_with

    overrides = {"server.host": host, "server.port": port, "server.workers": workers}
    env = environment(ctx, overrides)
    config = load(None, env)
    set_up(config.log)
    serve_with(config, env, printing.line)


def demo(
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            help="The gateway's port; the sandbox takes the next one. 0 takes free ones.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the data in this folder. Else it is removed."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, for scripts.")
    ] = False,
) -> None:
    """Try linkgate, with a stand-in for Stripe.

    Starts a store, the stand-in and the gateway, makes sample campaigns, and prints links to click
    and lines to paste. Needs no configuration, no key and no server, and moves no money. Ctrl-C
    ends it.
    """
    from linkgate.cli.tour import as_line, show
    from linkgate.demo import Audience, run_demo

    audience = (
        Audience(lambda tour: printing.line(as_line(tour)))
        if as_json
        else Audience(show, printing.line)
    )
    run_demo(port, data, audience)
    what = "was removed" if data is None else f"is kept in {data}"
    printing.note(f"The demo has ended; its data {what}.")


def sandbox(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="The port to listen on; 0 takes a free one.")
    ] = 8081,
    public_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where browsers reach it, if that is another address."),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="The key that opens it, sk_test_...; else a fresh one."),
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where events go, like http://.../webhooks/stripe."),
    ] = None,
    webhook_secret: Annotated[
        str | None,
        typer.Option(metavar="SECRET", help="What signs them, whsec_...; else a fresh one."),
    ] = None,
) -> None:
    """Run the stand-in for Stripe alone.

    For staging: Stripe's API, pay pages and signed webhooks, and no money. It keeps everything in
    memory, and forgets it when it ends. The commands below it order a running one about.
    """
    if ctx.invoked_subcommand is not None:
        _refuse_options(ctx)
        return
    from linkgate.cli.sandbox import Wishes, run_sandbox

    def say(text: str) -> None:
        for line in text.split("\n"):
            printing.line(line)

    run_sandbox(Wishes(host, port, public_url, api_key, webhook, webhook_secret), say)


def _refuse_options(ctx: typer.Context) -> None:
    """Raise Invalid for options that start a sandbox, given where one is only talked to."""
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            raise Invalid(
                [
                    Problem(
                        parameter.opts[0],
                        f"starts a sandbox, so it can't go before {ctx.invoked_subcommand}; to "
                        "talk to a running one, --url and --api-key go after it",
                    )
                ]
            )
