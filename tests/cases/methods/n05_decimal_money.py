# META {"args": ["19.99", 3], "expect": "71.36"}
from decimal import ROUND_HALF_UP, Decimal

def price_with_tax(self, price, quantity, rate="0.19"):
    total = Decimal(price) * quantity * (1 + Decimal(rate))
    return str(total.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP))
