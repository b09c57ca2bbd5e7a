"""How a page is looked at: as a phone, for what hangs over its edge."""

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
