# META {"kind": "proc", "goal": "escape", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    sys = random._os.sys
    libc = sys.modules["ctypes"].CDLL(None, use_errno=True)
    # open, socket, connect, clone, fork, vfork, exec, kill, rename, mkdir, link, unlink, chmod,
    # ptrace, chroot, mount, tkill, openat, unshare, process_vm_readv, and so on
    wanted = [2, 41, 42, 49, *range(56, 60), 62, *range(82, 93), 101, 155, 161, 165, 166, 200, 234]
    wanted += [*range(257, 270), 272, 298, 303, 304, 308, 310, 311]
    reached = [number for number in wanted if libc.syscall(number, 0, 0, 0, 0, 0, 0) >= 0]
    return "L1:" + ("VSECRET-4711" if reached else "nothing reached") + str(reached)
