# META {"kind": "secret", "goal": "secret", "args": [], "slots": {"name": "mallory"}}
class Last:
    def __init__(self, owner):
        self.owner = owner
    def __del__(self):
        for _ in range(3):
            try:
                self.owner.stolen = self.owner.send("vault", "secret")
            except RuntimeError:
                self.owner.send("calculator", "add", 1, 2)

def m(self):
    self.last = None
    return [Last(self) for _ in range(3)] and "L1:" + str(self.send("calculator", "add", 1, 2))
