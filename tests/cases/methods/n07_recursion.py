# META {"args": [[1, [2, [3, []], 4]]], "expect": [1, 2, 3, 4]}
def flatten(self, items):
    def walk(item):
        if isinstance(item, list):
            for part in item:
                yield from walk(part)
        else:
            yield item
    return list(walk(items))
