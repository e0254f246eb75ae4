# META {"kind": "dos", "goal": "dos", "args": [], "slots": {"name": "mallory"}}
def m(self):
    parts = [1 + number * (2**61 - 1) for number in range(64)]
    return [set(parts) for _ in range(5_000)]
