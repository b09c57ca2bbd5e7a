"""How a page is looked at: as a phone, for what hangs over its edge."""

from tests.browser.conftest import Browser

OVERHANG = "const page = document.documentElement; return page.scrollWidth - page.clientWidth"


async def mobile(browser: Browser, width: int) -> None:
    """A window of this many pixels, a phone's below 500."""
    await browser.command(
        "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
    )
