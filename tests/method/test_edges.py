"""bat_os.method.edges: the calls on which two methods are likely to differ."""

import pytest

from bat_os.method.edges import edges, find_left_out


def written(body, params="n"):
    return f'def f(self, {params}):\n    """Do 77 things."""\n    {body}\n'


def test_what_a_method_is_compared_with_is_tried_and_what_is_next_to_it():
    assert {(119,), (120,), (121,)} <= set(edges((130,), written("return n >= 120"), "f"))
    assert ([9, 10, 11],) in edges(([1, 2],), written("return [x for x in n if x > 10]"), "f")
    assert ("red",) in edges(("green",), written("return n == 'red'"), "f")
    assert (["a", "b"],) in edges((["a"],), written("return n.count('b')"), "f")
    assert (77,) not in edges((130,), written("return n"), "f")  # its docstring decides nothing


def test_each_call_is_another_one_and_none_is_the_call_itself():
    for args in ((3, 3), ("ab", [1]), (2.5, True), ([], ""), (None,), ()):
        calls = edges(args, written("return 5", "a, b"), "f")
        assert len({repr(call) for call in calls}) == len(calls)
        assert args not in calls
        assert all(len(call) == len(args) for call in calls)
    assert (4, 3) in edges((3, 4), written("return a - b", "a, b"), "f")
    assert edges((1,), "no method", "f")


@pytest.mark.parametrize(
    ("numbers", "count", "body", "found"),
    [
        ([4], 1, "return len(n)", 4),
        ([4], 1, "return len(n) > 4", None),
        ([2], 2, "return a + b", None),  # "the sum of two numbers"
        ([19], 1, "return n * 1.19", None),
        ([10], 1, "return n * 0.9", None),
        ([3, 1], 1, "return n == '3:1'", None),
        ([], 1, "return n", None),
    ],
)
def test_a_number_that_was_asked_for_plays_a_part(numbers, count, body, found):
    params = "a, b" if count > 1 else "n"
    assert find_left_out(numbers, count, written(body, params), "f") == found
