"""What keeps the event loop of a kernel from its sockets: for how long, and where.

    the loop's thread between two looks at its sockets    its processor time is the silence
    a second thread that wants to look every few ms       how long nobody gave it the interpreter

Time by the clock says little on a busy machine, so what counts is the processor time of a thread.
Each silence is a line of JSON: ``kind``, ``work`` and ``wall`` in seconds, and ``stack``, where the
thread was in the meantime (``loop``), or right after it (``interpreter``).
"""

import json
import selectors
import sys
import threading
import time
import traceback
from pathlib import Path

LIMIT = 0.05
EVERY = 0.005
FRAMES = 14


class Ear:
    """Listens to this process for silences, and writes them to a file.

    Attributes:
        begun: The loop's processor time when it came from its sockets; None while it waits there.
    """

    def __init__(self, file):
        self._file = file.open("a", encoding="utf-8")
        self._loop = threading.main_thread().ident
        self.begun = None
        self._wall, self._stack = 0.0, ()

    def listen(self):
        """Begin; for the thread that will run the loop."""
        kind, ear = selectors.DefaultSelector, self
        select = kind.select

        def look(selector, timeout=None):
            if threading.get_ident() != ear._loop:
                return select(selector, timeout)
            ear._leave()
            try:
                return select(selector, timeout)
            finally:
                ear._wall, ear._stack = time.monotonic(), ()
                ear.begun = time.thread_time()

        kind.select = look
        threading.Thread(target=self._watch, daemon=True, name="ear").start()

    def _leave(self):
        if self.begun is not None:
            work = time.thread_time() - self.begun
            if work > LIMIT:
                self._write("loop", work, time.monotonic() - self._wall, self._stack)
        self.begun = None

    def _watch(self):
        own, before = threading.get_ident(), {}
        looked, stood = time.monotonic(), _stood_in_line()
        loop = time.pthread_getcpuclockid(self._loop)
        while True:
            time.sleep(EVERY)
            begun, now, frames = self.begun, time.monotonic(), sys._current_frames()
            spent = {one: _work_of(one) for one in frames if one != own}
            if begun is not None and time.clock_gettime(loop) - begun > LIMIT / 2:
                self._stack = self._stack or _shown(frames[self._loop])
            most = max(spent, key=lambda one: spent[one] - before.get(one, spent[one]))
            work = spent[most] - before.get(most, spent[most])
            in_line = _stood_in_line()
            silent = now - looked - (in_line - stood)  # another program has the processor else
            if min(silent, work) > LIMIT and most != self._loop:
                self._write("interpreter", work, now - looked, _shown(frames[most]))
            before, looked, stood = spent, time.monotonic(), in_line

    def _write(self, kind, work, wall, stack):
        line = {"kind": kind, "work": round(work, 4), "wall": round(wall, 4), "stack": [*stack]}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def _work_of(thread):
    """Return the processor time of a thread, or 0 if it has ended."""
    try:
        return time.clock_gettime(time.pthread_getcpuclockid(thread))
    except OSError:
        return 0.0


def _stood_in_line():
    """Return the seconds for which this thread could have run and had no processor."""
    text = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat").read_text()
    return int(text.split()[1]) / 1e9


def _shown(frame):
    found = traceback.extract_stack(frame)[-FRAMES:]
    return [f"{one.filename.rpartition('bat_os/')[2]}:{one.lineno} {one.name}" for one in found]


def read_silences(file):
    """Return what was written, the longest first."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return sorted(map(json.loads, lines), key=lambda one: -one["work"])
