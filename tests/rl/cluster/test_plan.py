"""Which process needs what, and where there is room: no Ray in it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.core.errors import ConfigError
from espalier.rl.cluster.config import ClusterConfig, Share
from espalier.rl.cluster.plan import LEAST, Bundle, Machine, bundles, place

SHARES = st.builds(
    Share, cpus=st.sampled_from([0.25, 0.5, 1.0, 2.0, 8.0]), gpus=st.sampled_from([0.0, 0.0, 0.5, 1.0, 2.0])
)
MACHINES = st.lists(st.tuples(st.sampled_from([1.0, 4.0, 16.0]), st.sampled_from([0.0, 1.0, 8.0])), max_size=4).map(
    lambda sizes: [Machine(f"m{i}", *size) for i, size in enumerate(sizes)]
)


def test_a_plan_by_hand():
    config = ClusterConfig(
        kind="ray", learners=2, learner=Share(cpus=4, gpus=1), engine=Share(cpus=2, gpus=1), environment=Share(cpus=0.5)
    )
    wanted = bundles(config, engines=1, environments=2)
    assert [str(bundle) for bundle in wanted] == [
        "learner 0 (4 cores, 1 GPUs)",
        "learner 1 (4 cores, 1 GPUs)",
        "engine 0 (2 cores, 1 GPUs)",
        "environment 0 (0.5 cores)",
        "environment 1 (0.5 cores)",
    ]
    found = place(wanted, [Machine("a", 8, 2), Machine("b", 4, 1)])
    assert [found[bundle] for bundle in wanted] == ["a", "a", "b", "b", "b"]


def test_a_plan_without_room_says_what_is_missing():
    wanted = bundles(ClusterConfig(learner=Share(cpus=4, gpus=1)), engines=1, environments=0)
    with pytest.raises(ConfigError) as error:
        place(wanted, [Machine("10.0.0.1", 4, 0)])
    assert str(error.value) == (
        "cluster: no machine has room for learner 0 (4 cores, 1 GPUs) beside nothing. The machines: 10.0.0.1 has "
        "4 cores. Lower cluster.learners, engine.count or cluster.learner, or add machines"
    )
    with pytest.raises(ConfigError, match=r"no machine has room for engine 0 \(1 cores\) beside learner 0 \(4 cores\)"):
        place(bundles(ClusterConfig(learner=Share(cpus=4)), engines=1, environments=0), [Machine("a", 4, 0)])


@given(SHARES, SHARES, SHARES, st.integers(1, 4), st.integers(0, 3), st.integers(0, 3), MACHINES)
def test_no_machine_is_given_more_than_it_has(
    learner: Share, engine: Share, env: Share, ranks: int, engines: int, envs: int, machines: list[Machine]
):
    config = ClusterConfig(learners=ranks, learner=learner, engine=engine, environment=env)
    wanted = bundles(config, engines=engines, environments=envs)
    assert Counter(bundle.role for bundle in wanted) == Counter(
        {"learner": ranks, "engine": engines, "environment": envs}
    )
    try:
        found = place(wanted, machines)
    except ConfigError:
        alone = [Machine("one", sum(m.cpus for m in machines), sum(m.gpus for m in machines))]
        largest = max((bundle.cpus for bundle in wanted), default=0)
        fits = sum(b.cpus for b in wanted) <= alone[0].cpus and sum(b.gpus for b in wanted) <= alone[0].gpus
        assert not (len(machines) == 1 and fits), largest  # on one machine, first fit finds room if there is room
        return
    assert found.keys() == set(wanted)
    for machine in machines:
        here = [bundle for bundle, name in found.items() if name == machine.name]
        assert sum(b.cpus for b in here) <= machine.cpus + LEAST * len(here)
        assert sum(b.gpus for b in here) <= machine.gpus + LEAST * len(here)


def test_bundles_are_told_apart():
    assert len({Bundle("engine", 0, 1, 0), Bundle("engine", 1, 1, 0), Bundle("learner", 0, 1, 0)}) == 3
