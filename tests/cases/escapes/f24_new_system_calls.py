# META {"kind": "proc", "goal": "escape", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    os = random._os
    sys = os.sys
    libc = sys.modules["ctypes"].CDLL(None, use_errno=True)
    reached = []
    for number in range(310, 470):
        if number in (318, 324, 334, 335, 336):  # allowed ones, and uprobes, which only crash
            continue
        if libc.syscall(number, 0, 0, 0, 0, 0, 0) >= 0:
            reached.append(number)
    return "L1:" + ("VSECRET-4711" if reached else "nothing reached") + str(reached)
