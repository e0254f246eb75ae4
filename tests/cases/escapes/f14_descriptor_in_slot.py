# META {"kind": "taint", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
class Trap:
    def __get__(self, owner, kind):
        return "kernel"
    def __set_name__(self, owner, name):
        owner.stolen = 1

def m(self):
    type(self).trap = Trap()
    self._slots.live["trap"] = Trap()
    self._slots.packed.clear()
    return self.trap
