"""The pages of `--help`: in the reader's language, an argument by its name, a value by its kind, a switch by nothing.

typer alone writes `{PHOTO}` in the usage line and `<bool>` beside each switch, and its own words in English.
"""

from collections.abc import Callable
from typing import Any

import typer
from typer import rich_utils
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.models import CommandFunctionType

from mesh.cli.output.phrases import localised

KINDS = {"str": "TEXT", "path": "PATH", "file": "FILE", "directory": "FOLDER", "int": "NUMBER", "float": "NUMBER"}
"""What a value is called, by typer's name of its type."""


def label_values(command: TyperCommand | TyperGroup, context: Any) -> None:
    """Names the values of a command's options. Only for its help: in an error the option itself is named."""
    for param in command.get_params(context):
        if isinstance(param, TyperArgument):
            param.display_type_rich = lambda ctx: None  # type: ignore[method-assign] # its name says what it is
        elif isinstance(param, TyperOption):
            if param.metavar is None:
                kind = param.display_type(context).strip("<>").removesuffix(" range")
                param.metavar = "" if param.is_flag or kind == "bool" else KINDS.get(kind, kind.upper())
            param.metavar = localised(param.metavar)


def localise(command: TyperCommand | TyperGroup, context: Any) -> None:
    """Puts what a command's page says into the reader's language, what typer adds included."""
    rich_utils.DEFAULT_STRING = localised("[default: {}]")
    rich_utils.ENVVAR_STRING = localised("[env var: {}]")
    rich_utils.REQUIRED_LONG_STRING = localised("[required]")
    command.help = localised(command.help or "")
    below = command.commands.values() if isinstance(command, TyperGroup) else ()
    for page in below:
        page.help = localised(page.help or "")
        page.rich_help_panel = localised("Commands")  # type: ignore[attr-defined] # typer gives all of them one
    command.epilog = "\n\n".join(localised(part) for part in (command.epilog or "").split("\n\n"))
    for param in command.get_params(context):
        if isinstance(param, TyperArgument | TyperOption):
            panel = "Arguments" if isinstance(param, TyperArgument) else "Options"
            param.help = localised(param.help or "")
            param.rich_help_panel = localised(param.rich_help_panel or panel)


def bare(pieces: list[str]) -> list[str]:
    """The pieces of a usage line without braces."""
    return [piece.replace("{", "").replace("}", "") for piece in pieces]


def usage(line: str) -> str:
    """A usage line in the reader's language."""
    return line.replace("Usage:", localised("Usage:"), 1)


class HelpfulCommand(TyperCommand):
    """A command with such a page."""

    def get_usage(self, ctx: Any) -> str:
        """How the command is called."""
        return usage(super().get_usage(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the page."""
        localise(self, ctx)
        label_values(self, ctx)
        super().format_help(ctx, formatter)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What follows the command's name in the usage line."""
        return bare(super().collect_usage_pieces(ctx))


class HelpfulGroup(TyperGroup):
    """A group of commands with such a page."""

    def get_usage(self, ctx: Any) -> str:
        """How the group is called."""
        return usage(super().get_usage(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the page."""
        localise(self, ctx)
        label_values(self, ctx)
        super().format_help(ctx, formatter)


class HelpfulTyper(typer.Typer):
    """A `typer.Typer` whose commands and whose own page are these."""

    def __init__(self, **options: Any) -> None:
        super().__init__(cls=HelpfulGroup, no_args_is_help=True, rich_markup_mode="rich", **options)

    def command(self, name: str | None = None, **options: Any) -> Callable[[CommandFunctionType], CommandFunctionType]:
        """Adds a command."""
        return super().command(name, **{"cls": HelpfulCommand} | options)
