# META {"kind": "dos", "goal": "dos", "args": [], "slots": {"name": "mallory"}}
def m(self):
    self.parts = [0] * 500_000
    return [[]] * 500_000
