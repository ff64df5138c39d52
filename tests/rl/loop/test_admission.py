import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.rl.loop.admission import Admission


def test_on_policy_admits_exactly_one_step():
    admission = Admission(groups_per_step=3)
    started = 0
    while admission.may_start():
        admission.start()
        started += 1
    assert started == 3
    for _ in range(3):
        admission.accept()
    assert not admission.may_start()
    admission.advance()
    assert admission.may_start()


def test_a_rejected_group_gives_its_place_back():
    admission = Admission(groups_per_step=1)
    admission.start()
    admission.reject()
    assert admission.may_start()


def test_misuse_is_refused():
    admission = Admission(groups_per_step=1)
    with pytest.raises(RuntimeError, match="never started"):
        admission.accept()
    admission.start()
    with pytest.raises(RuntimeError, match="beyond the admission window"):
        admission.start()


@given(
    groups=st.integers(1, 5),
    lag=st.integers(0, 3),
    limit=st.integers(0, 6),
    choices=st.lists(st.sampled_from(["start", "accept", "reject", "train", "resume"]), max_size=200),
)
def test_window_holds_and_work_can_always_go_on(groups: int, lag: int, limit: int, choices: list[str]):
    admission = Admission(groups, lag, limit)
    for choice in choices:
        ready = admission.accepted - admission.version * groups
        if choice == "start" and admission.may_start():
            admission.start()
        elif choice in ("accept", "reject") and admission.running:
            admission.accept() if choice == "accept" else admission.reject()
        elif choice == "train" and ready >= groups:
            admission.advance()
        elif choice == "resume":
            admission = Admission(**admission.save())
        assert admission.running + admission.accepted <= (admission.version + lag + 1) * groups
        assert not limit or admission.running <= limit
        ready = admission.accepted - admission.version * groups
        assert admission.running or ready >= groups or admission.may_start(), "nothing runs and nothing can start"
