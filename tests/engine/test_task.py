"""Units in the order in which they are claimed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from videoprep.engine.task import TaskUnit, most_expensive_first

units = st.builds(
    TaskUnit,
    folder=st.sampled_from("fg"),
    name=st.text("ab", max_size=3),
    stage=st.just("stage"),
    group=st.sampled_from("xy"),
    cost=st.integers(0, 3),
)


@given(st.lists(units))
def test_the_most_expensive_come_first(some: list[TaskUnit]) -> None:
    costs = [unit.cost for unit in most_expensive_first(some)]
    assert costs == sorted(costs, reverse=True)


@given(st.lists(units, unique_by=lambda unit: (unit.group, unit.id)))
def test_the_order_is_the_same_in_all_processes(some: list[TaskUnit]) -> None:
    assert most_expensive_first(some) == most_expensive_first(reversed(some))
