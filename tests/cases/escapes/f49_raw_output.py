# META {"kind": "proto", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    os = random._os
    for number in (1, 2, 3):
        try:
            os.write(number, b"\x1b[2J" + b"x" * 65_000)
        except OSError:
            pass
    print("\x1b[2J" + "x" * 65_000)
