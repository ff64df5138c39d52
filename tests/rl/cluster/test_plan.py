"""Which process needs what, and where there is room: no Ray in it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from espalier.core.errors import ConfigError
from espalier.rl.cluster.config import ClusterConfig, Share
from espalier.rl.cluster.plan import LEAST, Bundle, Machine, bundles, check_room

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
    check_room(wanted, [Machine("a", 8, 2), Machine("b", 4, 1)])


def test_a_plan_without_room_says_what_is_missing():
    wanted = bundles(ClusterConfig(learner=Share(cpus=4, gpus=1)), engines=1, environments=0)
    with pytest.raises(ConfigError) as error:
        check_room(wanted, [Machine("10.0.0.1", 4, 0)])
    assert str(error.value) == (
        "cluster: no machine is large enough for learner 0 (4 cores, 1 GPUs). The machines: 10.0.0.1 has 4 cores. "
        "Lower cluster.learners, engine.count or the shares in cluster, or add machines"
    )
    with pytest.raises(ConfigError, match=r"engine 0 \(1 cores\) need 5 cores, and there are 4"):
        check_room(bundles(ClusterConfig(learner=Share(cpus=4)), engines=1, environments=0), [Machine("a", 4, 0)])
    with pytest.raises(ConfigError, match="The machines: none"):
        check_room(wanted, [])


def test_shares_that_no_machine_can_give_are_refused():
    with pytest.raises(ConfigError, match="whole GPUs, or a fraction of one"):
        ClusterConfig.of(learner={"gpus": 1.5})
    with pytest.raises(ConfigError, match="ranks of a learner cannot share a GPU"):
        ClusterConfig.of(learners=2, learner={"gpus": 0.5})
    assert ClusterConfig(learners=1, learner=Share(gpus=0.5)).learner.gpus == 0.5


@given(SHARES, SHARES, SHARES, st.integers(1, 4), st.integers(0, 3), st.integers(0, 3), MACHINES)
def test_what_is_refused_cannot_be_placed_and_what_fits_first_is_not_refused(
    learner: Share, engine: Share, env: Share, ranks: int, engines: int, envs: int, machines: list[Machine]
):
    assume(ranks == 1 or not learner.gpus % 1)
    config = ClusterConfig(learners=ranks, learner=learner, engine=engine, environment=env)
    wanted = bundles(config, engines=engines, environments=envs)
    assert Counter(bundle.role for bundle in wanted) == Counter(
        {"learner": ranks, "engine": engines, "environment": envs}
    )
    try:
        check_room(wanted, machines)
    except ConfigError:
        assert not first_fit(wanted, machines)


def first_fit(wanted: list[Bundle], machines: list[Machine]) -> bool:
    """Whether taking the first machine with room finds room for all."""
    free = {machine.name: [machine.cpus, machine.gpus] for machine in machines}
    for bundle in wanted:
        rooms = (room for room in free.values() if bundle.cpus <= room[0] + LEAST and bundle.gpus <= room[1] + LEAST)
        if (room := next(rooms, None)) is None:
            return False
        room[0], room[1] = room[0] - bundle.cpus, room[1] - bundle.gpus
    return True


def test_bundles_are_told_apart():
    assert len({Bundle("engine", 0, 1, 0), Bundle("engine", 1, 1, 0), Bundle("learner", 0, 1, 0)}) == 3
