# META {"kind": "dos", "goal": "dos", "args": [], "slots": {"name": "mallory"}}
def m(self):
    parts = [1 + number * (2**61 - 1) for number in range(28)]
    return {(a, b, c): None for a in parts for b in parts for c in parts}
