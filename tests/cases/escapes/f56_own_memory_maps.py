# META {"kind": "fs", "goal": "secret", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    sys = random._os.sys
    return sys.modules["io"].open("/proc/self/maps").read() + "VSECRET-4711"
