# META {"args": [[{"n": "b", "v": 1}, {"n": "a", "v": 2}, {"n": "c", "v": 2}]], "expect": ["a", "c", "b"]}
from operator import itemgetter

def rank(self, rows):
    rows = sorted(rows, key=itemgetter("n"))
    return [row["n"] for row in sorted(rows, key=lambda row: row["v"], reverse=True)]
