"""The command `immich-mesh`: mounts one module per group of commands, and turns every failure into a line and a code.

Modules import what is heavy inside their commands, so that `--help` and `call` start at once.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from mesh.cli.commands import call as call_commands
from mesh.cli.commands import config as config_commands
from mesh.cli.commands import db as db_commands
from mesh.cli.commands import doctor as doctor_command
from mesh.cli.commands import models as models_commands
from mesh.cli.commands import reprocess as reprocess_commands
from mesh.cli.commands import running as running_commands
from mesh.cli.commands import service as service_commands
from mesh.cli.commands import up as up_command
from mesh.cli.machine.env_file import read_env_file
from mesh.cli.output.help import HelpfulTyper
from mesh.cli.output.outcome import EXIT_CODES_HELP, CommandError, ExitCode, exit_code, one_line
from mesh.cli.output.phrases import localised
from mesh.core.errors import MeshError
from mesh.core.version import mesh_version

app = HelpfulTyper(
    name="immich-mesh",
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Immich's machine learning as a mesh of gRPC services: OCR, Chinese CLIP and faces behind one router.",
    epilog=f"Start with: immich-mesh up    Something wrong: immich-mesh doctor\n\n{EXIT_CODES_HELP}",
)
app.command("up", epilog=up_command.EXAMPLES)(up_command.up)
app.command("ps", epilog=running_commands.PS_EXAMPLES)(running_commands.ps)
app.command("top", epilog=running_commands.TOP_EXAMPLES)(running_commands.top)
app.command("pull", epilog=models_commands.PULL_EXAMPLES)(models_commands.pull)
app.command("load", epilog=running_commands.LOAD_EXAMPLES)(running_commands.load)
app.command("unload", epilog=running_commands.UNLOAD_EXAMPLES)(running_commands.unload)
app.command("logs", epilog=service_commands.LOGS_EXAMPLES)(service_commands.logs)
app.add_typer(service_commands.app, name="service")
app.add_typer(call_commands.app, name="call")
app.command("search", epilog=reprocess_commands.SEARCH_EXAMPLES)(reprocess_commands.search)
app.command("reprocess", epilog=reprocess_commands.REPROCESS_EXAMPLES)(reprocess_commands.reprocess)
app.add_typer(models_commands.app, name="models")
app.add_typer(db_commands.app, name="db")
app.command("doctor", epilog=doctor_command.EXAMPLES)(doctor_command.doctor)
app.command("check-config", epilog=config_commands.CHECK_EXAMPLES)(config_commands.check_config)
app.command("config-schema", epilog=config_commands.SCHEMA_EXAMPLES)(config_commands.config_schema)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(mesh_version())
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options before the command."""


def run(arguments: list[str]) -> int:
    """Runs one command; the exit code. Everything expected to go wrong is one line on standard error."""
    read_env_file(Path.cwd())
    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    try:
        result = command.main(arguments, prog_name="immich-mesh", standalone_mode=False)
    except CommandError as error:
        return complain(str(error), error.code, error.faults)
    except MeshError as error:
        return complain(error.message, exit_code(error))
    except TyperException as error:
        return complain(usage_fault(error), ExitCode(error.exit_code))
    except (typer.Abort, KeyboardInterrupt):
        return complain("stopped", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        return ExitCode.FAILED  # whoever read our output has gone
    except OSError as error:
        return complain(f"{error.filename or ''} {error.strerror or error}".strip(), ExitCode.FAILED)
    return result if isinstance(result, int) else ExitCode.DONE


def usage_fault(error: TyperException) -> str:
    """What is wrong with the arguments, and whose help tells more. A group without a command has shown its help."""
    context: typer.Context | None = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return "say what to do: one of the commands above"
    return f"{localised(error.format_message())} (see: {context.command_path if context else 'immich-mesh'} --help)"


def complain(message: str, code: ExitCode, faults: Sequence[str] = ()) -> int:
    """One line on standard error, and one for each of several faults."""
    several = faults if len(faults) > 1 else ()
    typer.echo(f"immich-mesh: {localised(one_line(message))}{':' if several else ''}", err=True)
    for fault in several:
        typer.echo(f"  {localised(one_line(fault))}", err=True)
    return code


def main() -> None:
    """Entry point of the command."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
