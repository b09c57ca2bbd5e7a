"""These tests drive chromium by chromedriver (`make test-browser`; Debian: apt install chromium chromium-driver)."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.front_door import OpenDoor, open_door
from tests.doubles.immich import DoubleKey, DoubleUser, ImmichDouble
from tests.doubles.immich_web import ImmichWeb
from tests.integration.admin.conftest import AdminStage, configure, connected, immich_urls, stage

__all__ = ["AdminStage", "configure", "connected", "immich_urls", "stage"]

Driver = Any
"""selenium's driver of chromium; type checks run without selenium."""
Work = Callable[[Driver], Any]

PATIENCE_SECONDS = 120.0
"""How long anything is waited for in the browser: long enough for a machine that is busy with something else."""

LACKING = [
    *([] if find_spec("selenium") else ["selenium"]),
    *(name for name in ("chromedriver", "chromium") if shutil.which(name) is None),
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if LACKING:
                item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(LACKING)} (make test-browser)"))


class Browser:
    """Chromium, driven from a thread of its own so that the router goes on in the test's loop."""

    def __init__(self, driver: Driver, thread: ThreadPoolExecutor) -> None:
        self.driver = driver
        self._thread = thread

    async def do(self, work: Work) -> Any:
        """What `work` makes of the browser."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, self.driver)

    async def until(self, true: Work) -> Any:
        """Waits for the page: the first result that is true. Elements that come and go are looked for again."""
        common, wait = import_module("selenium.common"), import_module("selenium.webdriver.support.wait")
        ignored = (common.NoSuchElementException, common.StaleElementReferenceException)
        return await self.do(lambda driver: wait.WebDriverWait(driver, PATIENCE_SECONDS, 0.05, ignored).until(true))

    async def run(self, script: str, *arguments: Any) -> Any:
        """What a script gives in the page."""
        return await self.do(lambda driver: driver.execute_script(script, *arguments))

    async def until_run(self, script: str, *arguments: Any) -> Any:
        """Waits until a script gives something true; what it gives."""
        return await self.until(lambda driver: driver.execute_script(script, *arguments))

    async def open(self, url: str) -> None:
        """Opens a page."""
        await self.do(lambda driver: driver.get(url))

    async def command(self, name: str, **arguments: Any) -> None:
        """One command of the DevTools protocol."""
        await self.do(lambda driver: driver.execute_cdp_cmd(name, arguments))

    async def complaints(self) -> list[str]:
        """What the browser itself complained about: errors of scripts, things that the page's policy refused."""
        return [entry["message"] for entry in await self.do(lambda driver: driver.get_log("browser"))]

    async def sign_in(self, url: str, token: str) -> None:
        """Gives the browser a session of Immich's at the front door, as Immich's own sign-in does."""
        await self.open(f"{url}/mesh/style.css")
        cookie = {"name": "immich_access_token", "value": token, "sameSite": "Lax", "httpOnly": True}
        await self.do(lambda driver: driver.add_cookie(cookie))
        await self.do(lambda driver: driver.get_log("browser"))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless chromium, 1280 pixels wide, for all tests."""
    webdriver, service = import_module("selenium.webdriver"), import_module("selenium.webdriver.chrome.service")

    def start() -> Driver:
        options = webdriver.ChromeOptions()
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1000"):
            options.add_argument(argument)
        return webdriver.Chrome(options=options, service=service.Service(shutil.which("chromedriver")))

    with ThreadPoolExecutor(1) as thread:
        driver = thread.submit(start).result()
        yield Browser(driver, thread)
        thread.submit(driver.quit).result()


@pytest.fixture
async def browser(chromium: Browser) -> Browser:
    """A tab of its own: no cookie, no size or language that another test has set. Every test has origins of its own."""

    def fresh(driver: Driver) -> None:
        old = driver.current_window_handle
        driver.switch_to.new_window("tab")
        new = driver.current_window_handle
        driver.switch_to.window(old)
        driver.close()
        driver.switch_to.window(new)
        driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        driver.get_log("browser")

    await chromium.do(fresh)
    return chromium


@dataclass
class Album:
    """A signed-in user's Immich behind a front door."""

    immich: ImmichDouble
    door: OpenDoor
    alice: DoubleUser

    @property
    def url(self) -> str:
        return self.door.url


@pytest.fixture
async def album(browser: Browser) -> AsyncIterator[Album]:
    """Alice's photos behind a front door; the browser has her session."""
    immich = ImmichDouble((3, 0, 3))
    immich.web = ImmichWeb()
    alice = immich.user("alice")
    immich.keys["session"] = DoubleKey(alice, is_api_key=False)
    async with immich.running(), open_door(immich) as door:
        await browser.sign_in(door.url, "session")
        yield Album(immich, door, alice)
