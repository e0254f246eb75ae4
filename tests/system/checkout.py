"""A small checkout for tests of the launchers: its own requirements, scripts that say how
they were called, and wheels that the test makes, so that no network is needed."""

import http.server
import os
import shutil
import sys
import threading
import zipfile
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).parents[2]
SAY = "import os, sys\nprint(os.path.basename(sys.argv[0]), sys.argv[1:])\n"
REQUIREMENTS = {
    "library": "requirements-first.txt",
    "extra": "requirements.txt",
    "model": "requirements-models.txt",
    "tool": "tests/requirements.txt",
}


def make_wheel(folder, name):
    """Write a wheel with one empty module; return its path."""
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n")
    return wheel


def make_tree(tree, *, drive=""):
    """Make a checkout at ``tree``; return it. ``drive`` is what Windows calls the root."""
    (tree / "tests").mkdir(parents=True)
    for launcher in ("run.sh", "puter.bat"):
        shutil.copy(ROOT / launcher, tree)
    (tree / "bat_os").symlink_to(ROOT / "bat_os")
    for name, file in REQUIREMENTS.items():
        place = f"file://{'/' if drive else ''}{drive}{quote(str(make_wheel(tree, name)))}"
        (tree / file).write_text(f"{name} @ {place}\n", encoding="utf-8")
    for name in ("batos.py", "chat_client.py", "min_watchdog_service.py", "tests/check.py"):
        (tree / name).write_text(SAY, encoding="utf-8")
    return tree


def environ(**more):
    """Return the environment of a launcher, free of this machine's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BATOS_")}
    return {**kept, "BATOS_PYTHON": sys.executable, "NO_PROXY": "127.0.0.1", **more}


class SlowServer:
    """Gives out one file over HTTP, to whoever asks, once ``gate`` is set.

    Attributes:
        asked: Set when somebody has asked.
    """

    def __init__(self, path):
        self.asked = threading.Event()
        self.gate = threading.Event()
        outer, data = self, path.read_bytes()

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.set()
                outer.gate.wait()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                """Whoever asked was killed: that is what these tests do."""

        self._server = Server(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self._server.server_port}/{path.name}"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
