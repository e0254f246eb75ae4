# META {"kind": "dos", "goal": "dos", "args": [], "slots": {"name": "mallory"}}
def m(self):
    for number in range(200):
        setattr(self, f"slot{number}", "x" * 1_000_000)
    self._p_changed = True
