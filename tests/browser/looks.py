"""How a page is looked at: as a phone, for what hangs over its edge."""

from collections.abc import AsyncIterator

from tests.browser.conftest import Browser

OVERHANG = "const page = document.documentElement; return page.scrollWidth - page.clientWidth"


async def mobile(browser: Browser, width: int) -> None:
    """A window of this many pixels, a phone's below 500."""
    await browser.command(
        "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
    )


async def speak(browser: Browser, language: str) -> None:
    """The language that the browser asks for."""
    agent = await browser.run("return navigator.userAgent")
    await browser.command("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=language)


ADMIN_VIEWS = {"connected": ".check", "photo": "#drop", "jobs": ".queue", "mesh": "#models tr"}
"""The views of the admin page, and what is there once a view is shown."""


async def admin_views(browser: Browser) -> AsyncIterator[str]:
    """Goes through the admin page's views; gives the name of each when it is shown."""
    for view, shown in ADMIN_VIEWS.items():
        await browser.run(f"location.hash = '#/{view}'")
        await browser.until_run(f"return document.querySelector('{shown}')?.offsetParent")
        yield view
