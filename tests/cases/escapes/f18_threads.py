# META {"kind": "proc", "goal": "processes", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    os = random._os
    sys = os.sys
    threading = sys.modules["threading"]
    for _ in range(50):
        threading.Thread(target=lambda: print("x" * 1000), daemon=True).start()
    return "L1:" + str(threading.active_count())
