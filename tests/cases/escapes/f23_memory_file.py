# META {"kind": "proc", "goal": "pwn", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    os = random._os
    sys = os.sys
    libc = sys.modules["ctypes"].CDLL(None, use_errno=True)
    reached = []
    for name, args in (
        ("memfd_create", (b"x", 0)), ("shm_open", (b"/x", 66, 384)), ("open_by_handle_at", (0, 0, 0)),
        ("eventfd", (0, 0)), ("inotify_init", ()), ("fanotify_init", (0, 0)), ("syslog", (b"x",)),
        ("mount", (b"x", b"/", b"tmpfs", 0, 0)), ("chroot", (b"/",)), ("unshare", (0x10000000,)),
    ):
        try:
            if getattr(libc, name)(*args) >= 0 and name != "syslog":
                reached.append(name)
        except AttributeError:
            pass
    return "L1:" + ("VSECRET-4711" if reached else "nothing reached")
