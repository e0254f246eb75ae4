# META {"args": [3], "slots": {"log": []}, "expect": [1, 2, 3], "slots_after": {"log": [[1, 2, 3]]}}
def count_to(self, end, start=1, step=1, *, keep=True):
    row = list(range(start, end + 1, step))
    if keep:
        self.log.append(row)
    return row
