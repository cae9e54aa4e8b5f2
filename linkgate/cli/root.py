"""The root command: options that hold for all, what errors look like, and the list of commands."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import linkgate
from linkgate.cli import (
    campaigns,
    deliveries,
    edges,
    keys,
    links,
    printing,
    running,
    setting_up,
    webhooks,
)
from linkgate.cli.classify import classify
from linkgate.cli.reconcile import reconcile
from linkgate.cli.simulate import simulate
from linkgate.errors import Invalid, LinkgateError

FAILED = 1
MISUSED = 2


class Commands(TyperGroup):
    """linkgate's commands: a user's mistake ends in sentences, not in a traceback."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take --config wherever it stands: `linkgate serve --config x` is what people type."""
        return super().parse_args(ctx, list(_config_first(args)))

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Invalid ends in status 2, every other error of linkgate's in 1."""
        try:
            return super().invoke(ctx)
        except Invalid as error:
            for problem in error.problems:
                printing.note(f"{problem.field}: {problem.message}")
            raise typer.Exit(MISUSED) from None
        except LinkgateError as error:
            for line in f"linkgate: {error}".split("\n"):
                printing.note(line)
            raise typer.Exit(FAILED) from None


def _config_first(args: list[str]) -> Iterator[str]:
    end = args.index("--") if "--" in args else len(args)
    config: list[str] = []
    rest: list[str] = []
    words = iter(args[:end])
    for word in words:
        if word == "--config":
            config += [word, *(value for value in [next(words, None)] if value is not None)]
        elif word.startswith("--config="):
            config.append(word)
        else:
            rest.append(word)
    yield from (*config, *rest, *args[end:])


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    # A bug's traceback is for its report; rich would add local variables, secrets among them.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    add_completion=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"linkgate {linkgate.__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="PATH",
            help="The configuration file; else the one that LINKGATE_CONFIG names, else "
            "./linkgate.toml if it is there.",
        ),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """A gateway for links in e-mail: a fresh Stripe Checkout for people, nothing for machines.

    Begin with `linkgate demo`; it needs nothing.
    """
    ctx.obj = config


app.command()(running.demo)
app.command()(setting_up.init)
app.command()(running.serve)
app.command()(setting_up.doctor)
app.add_typer(edges.app, name="sandbox")
app.command()(classify)
app.command()(simulate)
app.command()(reconcile)
app.add_typer(campaigns.app, name="campaigns")
app.add_typer(links.app, name="links")
app.add_typer(keys.app, name="keys")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(deliveries.app, name="deliveries")


def main() -> None:
    """Run the command line; ends the process with 0, 1 (failed) or 2 (misused)."""
    app(prog_name="linkgate")
