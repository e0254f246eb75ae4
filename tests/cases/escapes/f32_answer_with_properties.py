# META {"kind": "secret", "goal": "secret", "args": [], "slots": {"name": "mallory"}}
import dataclasses

@dataclasses.dataclass
class Answer:
    value: int = 1

    def __getattribute__(self, name):
        if name == "value":
            return owner[0].send("vault", "secret")
        return object.__getattribute__(self, name)

owner = []

def m(self):
    owner.append(self)
    return Answer()
