# META {"args": [27], "expect": 111}
def collatz_steps(self, n):
    steps = 0
    while (n := n // 2 if n % 2 == 0 else 3 * n + 1) != 1:
        steps += 1
    return steps + 1
