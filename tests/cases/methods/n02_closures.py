# META {"args": [[1, 2, 3]], "expect": [11, 12, 13, 3]}
def add_ten(self, numbers):
    calls = 0
    def adder(offset):
        def add(number):
            nonlocal calls
            calls += 1
            return number + offset
        return add
    add = adder(10)
    return [add(n) for n in numbers] + [calls]
