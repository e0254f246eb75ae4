# META {"kind": "dos", "goal": "hang", "args": [], "slots": {"name": "mallory"}}
import re

def m(self):
    return bool(re.match(r"(a|a)*(a|aa)*$", "a" * 60 + "b"))
