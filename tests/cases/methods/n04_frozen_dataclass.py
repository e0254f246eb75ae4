# META {"args": [[["b", 2], ["a", 2], ["c", 1]]], "expect": ["c", "a", "b"]}
from dataclasses import dataclass, field

@dataclass(order=True, frozen=True)
class Task:
    priority: int
    name: str
    tags: list = field(default_factory=list, compare=False)

def order_tasks(self, rows):
    return [task.name for task in sorted(Task(priority, name) for name, priority in rows)]
