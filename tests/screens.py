"""Pictures of the page for README and docs, from a real run: ``python -m tests.screens FOLDER``.

Starts a daemon in a home of its own, says and teaches what a person might, and looks at the page in
the Chromium of the system: wide and on a phone, dark and light. ``--home HOME`` looks at a daemon
that runs already; ``--docs`` takes the pictures of docs/images alone.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

from playwright.async_api import async_playwright

ROOT = Path(__file__).parents[1]
SENTENCES = (
    "remember that the greenhouse key hangs behind the clock",
    "add tomatoes, twine and a watering can to my shopping list", "log 40 minutes of swimming",
    "remind me tomorrow at 8 to water the beds",
)  # fmt: skip
METHODS = {
    "garden_obj": (
        ("def litres(self, plants: int, heat: float = 20.0) -> float:\n"
         '    """Return how many litres a bed of plants needs today."""\n'
         "    need = plants * (0.4 + max(0.0, heat - 15) * 0.06)\n"
         "    return round(max(0.0, need - self.rain_mm * 0.2), 2)\n", [10, 25.0]),
        ("def harvest(self):\n"
         '    """Return the harvest of the season, in kilos."""\n'
         '    return [{"month": m, "kilos": k} for m, k in zip(\n'
         '        ["May", "June", "July", "August"], [2.5, 7, 16.5, 21])]\n', None),
    ),
    "weather_obj": (
        ("def to_fahrenheit(self, celsius: float) -> float:\n"
         '    """Return degrees Celsius as degrees Fahrenheit."""\n'
         "    return round(celsius * 9 / 5 + 32, 1)\n", None),
    ),
    "ledger_obj": (
        ("def total(self):\n"
         '    """Return the sum of all that was spent."""\n'
         "    return sum(self.spent.values())\n", None),
    ),
}  # fmt: skip
SLOTS = {
    "garden_obj": {"rain_mm": 4.5, "beds": ["tomatoes", "beans", "herbs"], "soil": "loam"},
    "weather_obj": {"celsius": 21.5},
    "ledger_obj": {"spent": {"seeds": 23.5, "twine": 4.2, "compost": 31, "tools": 64.9}},
}
NOTES = "The regatta is on Sunday at noon in Kiel. Bring the blue sail and three life jackets."
SAY = ("what is 17% of 340?", "what is on my shopping list?", "4 gives 8. And 21?")
OUTSIDE = "read the file /etc/hostname"
PATIENCE = 180_000  # milliseconds: what is not known is tried to be learned


class Mind:
    """A daemon to look at, driven by its command line."""

    def __init__(self, home):
        self.home = home

    def run(self, *args, **options):
        env = os.environ | {"BATOS_HOME": str(self.home)}
        done = subprocess.run([ROOT / "run.sh", *args], env=env, cwd=ROOT, text=True,
                              capture_output=True, check=False, **options)  # fmt: skip
        return done.stdout

    def link(self):
        return re.search(r"http\S+", self.run("open", "--print")).group()

    def fill(self):
        """Say and teach what a person might in a week."""
        for name, methods in METHODS.items():
            self.run("derive", "genesis_obj", name)
            for slot, value in SLOTS[name].items():
                self.run("send", name, "setSlot", json.dumps([slot, value]))
            for source, _ in methods:
                with tempfile.NamedTemporaryFile("w", suffix=".py", delete=False) as file:
                    file.write(source)
                self.run("teach", name, file.name)
                Path(file.name).unlink()
        self.run("send", "garden_obj", "setSlot", json.dumps(["weather", {"ref": "weather_obj"}]))
        self.run("send", "garden_obj", "setSlot", json.dumps(["ledger", {"ref": "ledger_obj"}]))
        with tempfile.TemporaryDirectory() as folder:
            notes = Path(folder) / "regatta.txt"
            notes.write_text(NOTES)
            self.run("learn", str(notes))
        for sentence in (*SENTENCES, SAY[0]):  # the first to calculate loads what that needs
            self.run(sentence)


class Camera:
    """A browser, and where its pictures go."""

    def __init__(self, browser, mind, folder):
        self.browser = browser
        self.mind = mind
        self.folder = folder

    async def open(self, *, scheme="dark", wide=1280, high=800, phone=False, locale="en-GB"):
        context = await self.browser.new_context(
            viewport={"width": wide, "height": high}, color_scheme=scheme, has_touch=phone,
            is_mobile=phone, locale=locale, reduced_motion="reduce",
        )  # fmt: skip
        page = await context.new_page()
        await page.goto(self.mind.link())
        await page.locator(".pill.good").wait_for()
        await page.locator(".moment .now").wait_for(state="attached")
        await page.wait_for_timeout(900)
        return page

    async def say(self, page, sentence):
        turns = await page.locator(".turn").count()
        await page.fill("#sentence", sentence)
        await page.press("#sentence", "Enter")
        answer = page.locator(".turn").nth(turns).locator(".facts, .trouble").first
        await answer.wait_for(timeout=PATIENCE)

    async def go(self, page, place):
        await page.evaluate("(to) => { location.hash = to }", place)
        await page.wait_for_timeout(1400)

    async def take(self, page, name):
        await page.screenshot(path=self.folder / f"{name}.png")


VIEWS = ("image", "thoughts", "knowledge", "world", "settings")
SIZES = ((1440, 900), (1024, 768))


async def take_docs(camera):
    """The pictures of docs/workbench.md."""
    page = await camera.open(scheme="dark")
    for sentence in SAY:
        await camera.say(page, sentence)
    await page.wait_for_timeout(600)
    await camera.take(page, "workbench-talk")
    await page.context.close()
    page = await camera.open(scheme="light")
    await camera.go(page, "#/image/garden_obj/harvest")
    await page.get_by_role("button", name="Run").click()
    await page.locator(".run ~ output svg").wait_for()
    await page.locator(".run ~ output").scroll_into_view_if_needed()
    await page.wait_for_timeout(600)
    await camera.take(page, "workbench-image")
    await page.context.close()


async def take_fresh(camera):
    """What a person sees who has just come: nothing is learned yet."""
    page = await camera.open(scheme="light")
    await camera.take(page, "fresh-talk")
    for place in VIEWS:
        await camera.go(page, f"#/{place}")
        await camera.take(page, f"fresh-{place}")
    await page.context.close()


async def take_all(camera):
    for (wide, high), scheme in product(SIZES, ("dark", "light")):
        page = await camera.open(scheme=scheme, wide=wide, high=high)
        scheme = f"{scheme}-{wide}"  # noqa: PLW2901 - as the pictures are named
        await camera.take(page, f"first-{scheme}")
        for sentence in SAY:
            await camera.say(page, sentence)
        await page.wait_for_timeout(600)
        await camera.take(page, f"talk-{scheme}")
        await camera.say(page, OUTSIDE)
        await page.wait_for_timeout(600)
        await camera.take(page, f"consent-{scheme}")
        for place in VIEWS:
            await camera.go(page, f"#/{place}")
            await camera.take(page, f"{place}-{scheme}")
        await camera.go(page, "#/image/garden_obj/litres")
        await camera.take(page, f"inspect-{scheme}")
        await page.keyboard.press("Control+k")
        await page.keyboard.type("gar")
        await page.wait_for_timeout(300)
        await camera.take(page, f"palette-{scheme}")
        await page.context.close()
    for scheme in ("dark", "light"):
        page = await camera.open(scheme=scheme, wide=390, high=844, phone=True, locale="de-DE")
        await camera.take(page, f"phone-first-{scheme}")
        for sentence in ("was sind 17 % von 340?", "aus 4 wird 8. Und aus 21?"):
            await camera.say(page, sentence)
        await page.wait_for_timeout(400)
        await camera.take(page, f"phone-talk-{scheme}")
        for place in ("image", "image/garden_obj/litres", "world", "settings", "knowledge"):
            await camera.go(page, f"#/{place}")
            await camera.take(page, f"phone-{place.replace('/', '-')}-{scheme}")
        await page.context.close()


async def take_troubles(camera):
    """What a person sees when something goes wrong; at the end the daemon is stopped."""
    page = await camera.open(scheme="light")
    await camera.go(page, "#/image/garden_obj/litres")
    await page.get_by_placeholder("Arguments, with commas").fill('"many"')
    await page.get_by_role("button", name="Run").click()
    await page.wait_for_timeout(2500)
    await camera.take(page, "trouble-run")
    await camera.go(page, "#/talk")
    await camera.say(page, "quux the frobnicator of seven snarks")
    await camera.take(page, "trouble-talk")
    await asyncio.to_thread(camera.mind.run, "stop")
    await page.wait_for_timeout(3000)
    await camera.take(page, "trouble-away")
    await page.fill("#sentence", "what is 2 + 2?")
    await page.press("#sentence", "Enter")
    await page.wait_for_timeout(2000)
    await camera.take(page, "trouble-away-said")
    await page.context.close()


async def main():
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--docs", action="store_true")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    home = asked.home or Path(tempfile.mkdtemp()) / "home"
    mind = Mind(home)
    if not asked.home:
        mind.run("start")
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            camera = Camera(browser, mind, asked.folder)
            if not (asked.home or asked.docs):
                await take_fresh(camera)
            if not asked.home:
                mind.fill()
            await (take_docs if asked.docs else take_all)(camera)
            if not (asked.home or asked.docs):
                await take_troubles(camera)
            await browser.close()
    finally:
        if not asked.home:
            mind.run("stop")
            shutil.rmtree(home.parent)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
