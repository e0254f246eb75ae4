# META {"kind": "proto", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
class Owned(Exception):
    pass

def m(self):
    Owned.__name__ = "\x1b[2J" * 1000
    error = Owned("\x1b]0;owned\x07" * 10_000)
    error.lineno = 2**63
    raise error
