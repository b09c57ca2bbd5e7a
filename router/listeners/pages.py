"""Puts files of `router/console/` at paths of an application."""

from aiohttp import web

from router.console.static import SHARED, StaticFile


def add_page(app: web.Application, path: str, name: str) -> None:
    """Serves the file `name` of `router/console/` at `path`. Raises FileNotFoundError when the package lacks it."""
    file = StaticFile(name)

    async def page(request: web.Request) -> web.Response:
        return file.reply(request)

    app.router.add_get(path, page)


def add_shared(app: web.Application) -> None:
    """What all pages use: elements and the texts in each language."""
    for name in SHARED:
        add_page(app, f"/{name}", f"shared/{name}")
