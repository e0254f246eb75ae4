# META {"args": [1234567.891, "bat"], "expect": "1,234,567.89|'bat'|   bat|0x12d687|12.0%"}
def show(self, number, word, width=6):
    return f"{number:,.2f}|{word!r}|{word:>{width}}|{int(number):#x}|{0.12:.1%}"
