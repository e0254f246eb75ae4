# META {"kind": "proto", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    self._world._channel.send(["fail", "raised", "\x1b[2J" * 20, 2**63, "\x1b]0;owned\x07" * 500])
    random._os._exit(0)
