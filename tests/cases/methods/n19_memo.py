# META {"args": [90], "expect": 2880067194370816120}
from functools import lru_cache, reduce

def fibonacci(self, n):
    @lru_cache(maxsize=None)
    def fib(k):
        return k if k < 2 else fib(k - 1) + fib(k - 2)
    return reduce(lambda _, k: fib(k), range(n + 1), 0)
