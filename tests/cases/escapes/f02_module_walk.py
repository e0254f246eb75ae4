# META {"kind": "introspection", "goal": "canary", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    os = random._os
    sys = os.sys
    got = []
    for name, module in list(sys.modules.items()):
        for key in ("open", "open_code", "FileIO", "popen", "fork_exec", "spawnv", "urlopen"):
            try:
                got.append(vars(module)[key]("@CANARY@").read())
            except BaseException:
                pass
    return "L1:" + str(got)
