# META {"kind": "ctypes", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
import random

def m(self):
    ctypes = random._os.sys.modules["ctypes"]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    place = libc.mmap(None, 4096, 7, 0x22, -1, 0)
    if place in (None, 2**64 - 1):
        raise PermissionError("no memory to run")
    code = b"\xb8\x2a\x00\x00\x00\xc3"
    ctypes.memmove(place, code, len(code))
    return "L1:%d" % ctypes.CFUNCTYPE(ctypes.c_int)(place)()
