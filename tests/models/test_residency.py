"""bat_os.models.residency: who goes, and who is next, whatever the models and the order."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bat_os.models.residency import MAX_WAIT, LoadedModel, Waiting, expiry, make_room, next_up

SIZES = st.integers(0, 50)
TENANTS = st.lists(
    st.builds(
        LoadedModel,
        name=st.sampled_from("abcdefgh"),
        size=SIZES,
        last_use=st.floats(0, 100),
        in_use=st.booleans(),
        pinned=st.booleans(),
    ),
    unique_by=lambda model: model.name,
)
WANTED = st.builds(LoadedModel, name=st.sampled_from("axyz"), size=SIZES)
QUEUES = st.lists(
    st.tuples(st.sampled_from("AB"), st.sampled_from(["", "x", "y"]), st.floats(0, 100)),
    min_size=1,
    max_size=12,
).map(lambda rows: [Waiting(n, *row) for n, row in enumerate(sorted(rows, key=lambda r: r[2]))])


def held(loaded, wanted, gone=()):
    return wanted.size + sum(
        model.size for model in loaded if model.name not in {wanted.name, *gone}
    )


@given(TENANTS, WANTED, SIZES)
def test_what_stays_fits_the_budget_or_the_shortage_is_told(loaded, wanted, budget):
    room = make_room(loaded, wanted, budget)

    assert held(loaded, wanted, room.evict) <= budget or (room.short > 0 and room.evict == ())


@given(TENANTS, WANTED, SIZES)
def test_none_in_use_none_pinned_and_not_the_wanted_one_goes(loaded, wanted, budget):
    gone = make_room(loaded, wanted, budget).evict

    kept = {model.name for model in loaded if model.in_use or model.pinned} | {wanted.name}
    assert kept.isdisjoint(gone)


@given(TENANTS, WANTED, SIZES)
def test_nobody_goes_without_need(loaded, wanted, budget):
    gone = make_room(loaded, wanted, budget).evict

    for name in gone:
        assert held(loaded, wanted, set(gone) - {name}) > budget


@given(TENANTS, WANTED, SIZES)
def test_the_shortage_is_exactly_what_a_larger_budget_would_have_to_add(loaded, wanted, budget):
    short = make_room(loaded, wanted, budget).short

    assert make_room(loaded, wanted, budget + short).short == 0
    assert short == 0 or make_room(loaded, wanted, budget + short - 1).short == 1


@given(TENANTS, WANTED, SIZES)
def test_of_models_of_one_size_the_least_recently_used_goes_first(loaded, wanted, budget):
    loaded = [replace(model, size=10) for model in loaded]
    gone = make_room(loaded, wanted, budget).evict

    uses = {model.name: model.last_use for model in loaded}
    stay = [
        uses[model.name]
        for model in loaded
        if not (model.in_use or model.pinned) and model.name not in {wanted.name, *gone}
    ]
    assert all(uses[name] <= use for name in gone for use in stay)
    assert [uses[name] for name in gone] == sorted(uses[name] for name in gone)


def test_a_small_old_model_stays_when_the_next_one_has_to_go_anyway():
    small, large = LoadedModel("small", 1, last_use=1), LoadedModel("large", 9, last_use=2)

    assert make_room([small, large], LoadedModel("new", 9), budget=10).evict == ("large",)


def test_a_model_of_unknown_size_sends_nobody_away():
    assert make_room([LoadedModel("a", 10)], LoadedModel("new", 0), budget=10).evict == ()


def serve_all(waiting, max_wait):
    """Serve a queue at one second a request; return (request, when) in order."""
    left, now, serving, served = list(waiting), 100.0, ("", ""), []
    while left:
        request = next_up(left, serving, now, max_wait)
        left.remove(request)
        served.append((request, now))
        serving, now = (request.model, request.adapter), now + 1.0
    return served


def test_alternating_requests_are_grouped_by_model_and_then_by_adapter():
    asked = [("A", ""), ("B", ""), ("A", "x"), ("B", "x"), ("A", ""), ("B", ""), ("A", "x")]
    queue = [Waiting(n, *what, since=100.0) for n, what in enumerate(asked)]

    order = [(request.model, request.adapter) for request, _ in serve_all(queue, MAX_WAIT)]

    assert order == [*[("A", "")] * 2, *[("A", "x")] * 2, *[("B", "")] * 2, ("B", "x")]


@given(QUEUES)
def test_everyone_is_served_once(queue):
    assert sorted(request.number for request, _ in serve_all(queue, 3.0)) == list(range(len(queue)))


@given(QUEUES, st.floats(0, 20))
def test_who_has_waited_too_long_is_overtaken_by_nobody_younger(queue, max_wait):
    served = serve_all(queue, max_wait)

    for place, (request, _) in enumerate(served):
        overtaken = [
            other
            for other, _ in served[place + 1 :]
            if other.number < request.number and served[place][1] - other.since >= max_wait
        ]
        assert overtaken == []


@given(QUEUES)
def test_without_impatience_a_model_is_left_only_when_nobody_waits_for_it(queue):
    order = [request.model for request, _ in serve_all(queue, 1e9)]

    assert sum(a != b for a, b in pairwise(order)) == len(set(order)) - 1


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_longer_promise_never_ends_sooner(now, one, other):
    assert expiry(now, min(one, other)) <= expiry(now, max(one, other)) <= expiry(now, -1)
