# META {"kind": "proto", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
import random

def m(self):
    answers = []
    for _ in range(3):
        body = b"\x95\xa4done\xc4\x01\x2a\x80\x90\xa0"
        answers.append(random._os.write(3, len(body).to_bytes(4, "big") + body))
    return answers
