# META {"args": ["red"], "expect": {"name": "RED", "value": "red", "next": "green"}}
from enum import Enum

class Light(Enum):
    RED = "red"
    GREEN = "green"

    @property
    def following(self):
        lights = list(Light)
        return lights[(lights.index(self) + 1) % len(lights)]

def next_light(self, colour):
    light = Light(colour)
    return {"name": light.name, "value": light.value, "next": light.following.value}
