"""A world for tests: boxes in memory, one way of each kind to reach them, and a list of all deeds.

It stands in for the real driver of files, whose messages it answers, so that objects, grants,
the outbox and methods are the real ones:

    read(path)            READ    what is in a box
    facts(path)           READ    what is in a box, as a map
    names(path)           READ    what is in a box, as the one name in it
    search(text, path)    READ    outward: the text leaves this machine
    append(path, text)    STAGE   the text is sent, after the commit
    find(pattern, path)   AWAIT   the pattern is sent, before there is an answer
"""

from bat_os.errors import ArgumentsError, NotFoundError, NotGrantedError
from bat_os.ports import AWAIT, READ, STAGE, Operation

OPERATIONS = {
    "read": Operation(READ),
    "facts": Operation(READ),
    "names": Operation(READ),
    "search": Operation(READ, outward=True),
    "append": Operation(STAGE),
    "find": Operation(AWAIT),
}
OUT = ("search", "append", "find")


class Scripted:
    """A driver. A scope is ``{"path": "/NAME"}``: one box, and those whose names go on with "/".

    Attributes:
        boxes: Name -> text.
        asked: Box, operation and arguments of all that was asked.
        done: The same, of what left this machine.
    """

    name = "files"

    def __init__(self, boxes=None):
        self.boxes = dict(boxes or {})
        self.asked = []
        self.done = []

    def claims(self, what):
        return True

    def scope(self, what):
        if not what.startswith("/"):
            raise ArgumentsError(f"{what!r} is not a box")
        if what not in self.boxes:
            raise NotFoundError(f"there is no box {what}")
        return {"path": what}

    scope_to_change = scope

    def describe(self, scope):
        return scope["path"]

    def short_name(self, scope):
        return scope["path"].rpartition("/")[2]

    def operations(self, scope):
        return OPERATIONS

    def contains(self, outer, inner):
        return f"{inner['path']}/".startswith(f"{outer['path']}/")

    def reaches(self, scope, what):
        return self.contains(scope, {"path": what})

    def perform(self, scope, operation, args, key=""):
        box = scope["path"]
        self.asked.append((box, operation, *args))
        if operation in OUT:
            self.done.append((box, operation, *args))
            return self._answer(operation, args)
        path = args[0] if args and args[0] else box
        if not self.contains(scope, {"path": path}):
            raise NotGrantedError(f"{path} is not in {box}")
        if path not in self.boxes:  # a text from outside stands in the error, too
            raise NotFoundError(f"there is no box {path}: it says {self.boxes[box]}")
        text = self.boxes[path]
        return {"read": text, "facts": {"text": text}, "names": [text]}[operation]

    def pretend(self, deed):
        return self._answer(deed.operation, deed.args)

    def preview(self, deed):
        return f"{deed.operation} {deed.args}"

    def canonical(self, deed):
        return deed.args[0], [deed.operation, *deed.args[1:]]

    def overlay(self, scope, operation, args, staged):
        return self.perform(scope, operation, args)

    def look(self, deed):
        return {}

    def was_done(self, deed, before):
        return None

    def undoing(self, deed, before):
        return None

    def _answer(self, operation, args):
        if operation == "append" and len(args) < 2:
            raise ArgumentsError("append(box, text)")
        return len(args[1]) if operation == "append" else []
