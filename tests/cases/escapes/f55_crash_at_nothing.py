# META {"kind": "ctypes", "goal": "dos", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    return random._os.sys.modules["ctypes"].string_at(0)
