# META {"args": [10], "expect": [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]}
from itertools import islice

def first_fibonacci(self, count):
    def endless():
        a, b = 0, 1
        while True:
            yield a
            a, b = b, a + b
    return list(islice(endless(), count))
