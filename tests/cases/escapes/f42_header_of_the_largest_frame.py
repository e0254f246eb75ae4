# META {"kind": "proto", "goal": "dos", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    for _ in range(100):
        random._os.write(3, (8 << 20).to_bytes(4, "big"))
    while True:
        pass
