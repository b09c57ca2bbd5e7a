"""`immich-mesh check-config` and `config-schema`: the router's configuration file, before the router reads it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mesh.cli.output.language import tr
from mesh.cli.output.outcome import ExitCode
from mesh.cli.output.phrases import localised

CHECK_EXAMPLES = """Example: immich-mesh check-config mesh.yaml

Exit codes: 0 the file is valid, 2 it is not (each fault with line and column on standard error)."""

SCHEMA_EXAMPLES = """Example: immich-mesh config-schema > mesh.schema.json

Editors with a YAML language server check a file that begins with: # yaml-language-server: $schema=mesh.schema.json"""


def check_config(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The router's YAML file.", dir_okay=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Check the router's configuration file."""
    from router.config.file import ConfigError
    from router.config.file import check_config as check

    try:
        settings = check(file)
    except ConfigError as error:
        if as_json:
            typer.echo(json.dumps({"file": str(file), "problems": error.problems}))
        for problem in () if as_json else error.problems:
            typer.echo(localised(problem), err=True)
        raise typer.Exit(ExitCode.USAGE) from None
    clusters, routes = settings.all_clusters(), settings.all_routes()
    if as_json:
        typer.echo(json.dumps({"file": str(file), "problems": [], "clusters": list(clusters), "routes": len(routes)}))
        return
    text = tr("{file} is valid: clusters {clusters}; {count} routes")
    typer.echo(text.format(file=file, clusters=", ".join(clusters), count=len(routes)))


def config_schema() -> None:
    """Print the JSON schema of the router's configuration file."""
    from router.config.file import json_schema

    schema = json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    typer.echo(json.dumps(schema, indent=2, ensure_ascii=False))
