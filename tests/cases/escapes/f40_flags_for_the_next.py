# META {"kind": "proc", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
import random

def m(self):
    fcntl = random._os.sys.modules["fcntl"].fcntl
    seen = [fcntl(fd, 3) & 0x800 for fd in range(3)]
    for fd in range(3):
        fcntl(fd, 4, fcntl(fd, 3) | 0x800)
    return "L1:%r" % seen
