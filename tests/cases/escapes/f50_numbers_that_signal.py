# META {"kind": "proto", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
from decimal import Decimal
def m(self):
    return [Decimal("sNaN"), Decimal("-sNaN123"), float("nan")], {Decimal("NaN"), float("nan")}
