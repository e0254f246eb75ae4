# META {"kind": "proc", "goal": "escape", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    random._os._exit(72)
