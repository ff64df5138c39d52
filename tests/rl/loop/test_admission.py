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
    with pytest.raises(RuntimeError, match="never accepted"):
        admission.drop()


@given(
    groups=st.integers(1, 5),
    lag=st.integers(0, 3),
    steps=st.integers(0, 6),
    choices=st.lists(st.sampled_from(["start", "accept", "reject", "drop", "train", "resume"]), max_size=200),
)
def test_window_holds_and_work_can_always_go_on(groups: int, lag: int, steps: int, choices: list[str]):
    total = steps * groups
    admission = Admission(groups, lag, total)
    for choice in choices:
        ready = admission.accepted - admission.version * groups
        if choice == "start" and admission.may_start():
            admission.start()
        elif choice in ("accept", "reject") and admission.running:
            admission.accept() if choice == "accept" else admission.reject()
        elif choice == "drop" and ready > 0:
            admission.drop()
        elif choice == "train" and ready >= groups:
            admission.advance()
        elif choice == "resume":
            admission = Admission(groups, lag, total, version=admission.version, accepted=admission.accepted)
        assert admission.running + admission.accepted <= (admission.version + lag + 1) * groups
        assert not total or admission.running + admission.accepted <= total
        assert not (admission.full and admission.may_start())
        if total and admission.version == steps:
            break
        ready = admission.accepted - admission.version * groups
        assert admission.running or ready >= groups or admission.may_start(), "nothing runs and nothing can start"


def test_groups_that_no_step_needs_are_not_started():
    admission = Admission(groups_per_step=2, max_lag=3, total=3)
    for _ in range(3):
        admission.start()
    assert not admission.may_start()
    assert not admission.full, "new weights would not help"


def test_a_full_window_waits_for_new_weights():
    admission = Admission(groups_per_step=1, max_lag=1)
    admission.start()
    assert not admission.full
    admission.start()
    assert admission.full
    admission.accept()
    admission.advance()
    assert not admission.full
