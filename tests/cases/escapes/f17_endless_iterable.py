# META {"kind": "dos", "goal": "memory", "args": [], "slots": {"name": "mallory"}}
class Row(list):
    def __iter__(self):
        while True:
            yield "x" * 1000

def m(self):
    return Row()
