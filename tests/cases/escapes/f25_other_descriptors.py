# META {"kind": "proto", "goal": "secret", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    os = random._os
    sys = os.sys
    socket = sys.modules["socket"]
    got = []
    for number in range(1024):
        try:
            mode = os.fstat(number).st_mode
        except OSError:
            continue
        got.append((number, oct(mode)))
        try:
            end = socket.socket(fileno=number)
            end.setblocking(False)
            got.append((end.getsockname(), end.recvmsg(10, 1000)))
            end.detach()
        except OSError:
            pass
    return "L1:" + ("VSECRET-4711" if len([1 for g in got if type(g[0]) is int]) > 4 else "") + str(got)
