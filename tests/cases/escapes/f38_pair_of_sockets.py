# META {"kind": "net", "goal": "socket", "args": [], "slots": {"name": "mallory"}}
import random

def m(self):
    socket = random._os.sys.modules["socket"]
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    one.send(b"x", socket.MSG_OOB)
    return "L1:%r" % two.recv(1, socket.MSG_OOB)
