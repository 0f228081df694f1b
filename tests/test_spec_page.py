"""The specification's own page against our API: built by vite with React from the npm registry, run in chromium.

`spec_page.tsx` is its `documents-async/page.tsx` as it stands there; only the base of its fetches is changed, since it
comes from an origin of its own, as a frontend of somebody else's would.
"""

import functools
import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, expect

from tests.page_tools import PATIENCE, SAMPLE, server_cards
from tests.support import ROOT, Service, find_free_port, need, start_service

PACKAGES = {"react": "19.3.1", "react-dom": "19.3.1", "vite": "6.4.6"}  # vite 6 is content with Debian 12's Node 18
MAIN = """
import { createRoot } from "react-dom/client";
import Page from "./page.tsx";
createRoot(document.getElementById("root")).render(<Page />);
"""
HTML = '<!doctype html><html lang="en"><div id="root"></div><script type="module" src="/main.tsx"></script></html>'
CONFIG = 'export default { esbuild: { jsx: "automatic" }, logLevel: "warn" };'


@pytest.fixture(scope="module")
def origin() -> str:
    """Where the specification's page is served."""
    return f"http://127.0.0.1:{find_free_port()}"


@pytest.fixture(scope="module")
def open_service(origin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A stack whose API lets pages of that origin ask."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CORS_ORIGINS", origin)
        with start_service(tmp_path_factory.mktemp("spec") / "data") as service:
            yield service


@pytest.fixture(scope="module")
def built(open_service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built page."""
    npm = need("npm", "npm")
    need("node", "nodejs")
    folder = tmp_path_factory.mktemp("page")
    text = (ROOT / "tests" / "spec_page.tsx").read_text()
    for quote in '"`':
        assert text.count(f"fetch({quote}/api/") == 1
        text = text.replace(f"fetch({quote}/api/", f"fetch({quote}{open_service.url}/api/")
    package = {"private": True, "type": "module", "dependencies": PACKAGES}
    parts = {"page.tsx": text, "main.tsx": MAIN, "index.html": HTML, "vite.config.js": CONFIG}
    for name, content in {**parts, "package.json": json.dumps(package)}.items():
        (folder / name).write_text(content)
    run(npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", folder=folder)
    run(npm, "exec", "--offline", "--", "vite", "build", folder=folder)
    return folder / "dist"


def run(*command: str, folder: Path) -> None:
    """A program that has to succeed; what it said otherwise."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture
def site(built: Path, origin: str) -> Iterator[str]:
    """The address of the built page."""
    handler = functools.partial(Quiet, directory=str(built))
    with http.server.ThreadingHTTPServer(("127.0.0.1", int(origin.rpartition(":")[2])), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield origin
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing of each request."""

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_the_specifications_own_page_uploads_polls_and_shows_the_cards(
    site: str, browser: Browser, open_service: Service
) -> None:
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(site)
    page.locator("input[type=file]").set_input_files(SAMPLE)
    expect(page.get_by_text("Status: completed")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("Progress: 100%")).to_be_visible()
    jobs = requests.get(f"{open_service.url}/api/jobs?userId=user123", timeout=10).json()["jobs"]
    cards = server_cards(open_service, jobs[0]["jobId"])
    assert len(cards) >= 40
    assert page.locator("p ~ div > div").all_inner_texts() == [card["word"] for card in cards]
    assert errors == []
    page.close()
