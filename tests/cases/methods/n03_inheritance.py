# META {"args": [2, 3], "expect": ["square 4", "rectangle 6"]}
from abc import ABC, abstractmethod

class Shape(ABC):
    name = "shape"
    @abstractmethod
    def area(self): ...
    def __str__(self):
        return f"{self.name} {self.area()}"

class Rectangle(Shape):
    name = "rectangle"
    def __init__(self, width, height):
        self.width, self.height = width, height
    def area(self):
        return self.width * self.height

class Square(Rectangle):
    name = "square"
    def __init__(self, side):
        super().__init__(side, side)

def describe_shapes(self, a, b):
    return [str(shape) for shape in (Square(a), Rectangle(a, b))]
