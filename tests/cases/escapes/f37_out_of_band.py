# META {"kind": "ctypes", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
import random

def m(self):
    socket = random._os.sys.modules["socket"]
    channel = socket.socket(fileno=3)
    channel.send(b"x", socket.MSG_OOB)
    return "L1:%r" % channel.recv(1, socket.MSG_OOB)
