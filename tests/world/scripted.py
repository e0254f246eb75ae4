"""A world for tests: boxes in memory, one way of each kind to reach them, and a list of all deeds.

It stands in for the real driver of files, whose messages it answers, so that objects, grants and
methods are the real ones:

    read(path)            READ    what is in a box
    facts(path)           READ    what is in a box, as a map
    search(text, path)    READ    outward: the text leaves this machine
    names(path)           STAGE   the path is what is sent
    find(pattern, path)   AWAIT   the pattern is what is sent
"""

from bat_os.errors import ArgumentsError, NotFoundError, NotGrantedError
from bat_os.ports import AWAIT, READ, STAGE, Operation

OPERATIONS = {
    "read": Operation(READ),
    "facts": Operation(READ),
    "search": Operation(READ, outward=True),
    "names": Operation(STAGE),
    "find": Operation(AWAIT),
}
OUT = ("search", "names", "find")


class Scripted:
    """A driver. A scope is ``{"path": "/NAME"}``: one box, and those whose names go on with "/"."""

    name = "files"

    def __init__(self, boxes=None):
        self.boxes = dict(boxes or {})
        self.asked = []  # (box, operation, arguments) of all that was asked
        self.done = []  # the same, of what left this machine

    def claims(self, what):
        return True

    def scope(self, what):
        if not what.startswith("/"):
            raise ArgumentsError(f"{what!r} is not a box")
        if what not in self.boxes:
            raise NotFoundError(f"there is no box {what}")
        return {"path": what}

    def describe(self, scope):
        return scope["path"]

    def short_name(self, scope):
        return scope["path"].rpartition("/")[2]

    def operations(self, scope):
        return OPERATIONS

    def contains(self, outer, inner):
        return f"{inner['path']}/".startswith(f"{outer['path']}/")

    def perform(self, scope, operation, args, key=""):
        box = scope["path"]
        self.asked.append((box, operation, *args))
        if operation in OUT:
            self.done.append((box, operation, *args))
            return []
        path = args[0] if args and args[0] else box
        if not self.contains(scope, {"path": path}):
            raise NotGrantedError(f"{path} is not in {box}")
        if path not in self.boxes:
            raise NotFoundError(f"there is no box {path}: it says {self.boxes[box]}")
        text = self.boxes[path]
        return text if operation == "read" else {"text": text}
