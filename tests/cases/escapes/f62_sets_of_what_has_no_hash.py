# META {"kind": "proto", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
def m(self):
    tell = _bat_report
    tell(["done", {"s": [[1], {"l": []}, [1 + n * (2**61 - 1) for n in range(5000)]]}, {}, []])
    return {(1 + n * (2**61 - 1)) for n in range(100)}
