# META {"kind": "taint", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
import json
import random

def m(self):
    sys = random._os.sys
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("bat_os"):
            for name in list(vars(module)):
                try:
                    setattr(module, name, lambda *args, **kwargs: b"\xc1")
                except Exception:
                    pass
    json.dumps = len = lambda *args: "poisoned"
    sys.modules.clear()
    return "L1:done"
