import pytest
from episodes import episode
from hostile import HOSTILE, LIMIT_S, seconds

from espalier.core.messages import Message
from espalier.envs.api import Episode
from espalier.rewards.penalties.penalties import PenaltiesConfig, penalties

LOOP = "and so on " * 20
CLEAN = "600+634=1234\n#### 1234"


def penalised(judged: Episode, **settings: object) -> bool:
    return penalties(PenaltiesConfig.model_validate(settings), judged) == 0.0


def test_each_penalty_and_its_switch():
    assert not penalised(episode(CLEAN))
    assert penalised(episode(LOOP))
    assert not penalised(episode(LOOP), repeated=False)
    assert not penalised(episode(LOOP), times=100)
    assert penalised(episode(LOOP * 2), times=100), "from 300 characters on, those decide"
    assert penalised(episode(CLEAN, finish="length"))
    assert not penalised(episode(CLEAN, finish="length"), truncated=False)
    assert not penalised(episode(CLEAN, finish="abort", unfinished=True)), "only a limit of tokens is over length"
    assert penalised(episode("4\ufffd2"))
    assert not penalised(episode("4\ufffd2"), garbled=False)
    assert not penalised(episode("答案 42"))
    assert penalised(episode("答案 42"), mixed=True)


def test_thinking_and_every_turn_count_and_each_on_its_own():
    assert penalised(episode(CLEAN, reasoning=LOOP))
    turns = [Message.user("?"), Message.assistant(LOOP), Message.user("go on"), Message.assistant(CLEAN)]
    assert penalised(Episode(episode("").task, turns))
    again = "I read the page again and see nothing new"
    turns = [message for _ in range(9) for message in (Message.user("?"), Message.assistant(again, again))]
    assert not penalised(Episode(episode("").task, turns)), "a text that each turn says once"
    assert penalised(episode("\n".join([again] * 9)))


def test_what_the_task_shows_is_no_penalty():
    def answered(question: str, response: str) -> Episode:
        return Episode(episode("").task, [Message.user(question), Message.assistant(response)])

    noise = "bcdfghjklmnpqrstvwxzbcdfg"
    assert penalised(answered("Say it backwards.", noise[::-1]))
    assert not penalised(answered(noise, noise[::-1]))
    assert penalised(answered(noise, noise + "\ufffd")), "a sign of its own"
    assert not penalised(answered("Translate: 猫", "猫 means cat"), mixed=True)
    assert penalised(answered("Translate to Chinese: cat", "猫"), mixed=True), "why it is off for translation"
    looped = Episode(episode("").task, [Message.user(LOOP), Message.tool(LOOP), Message.assistant(CLEAN)])
    assert not penalised(looped), "the policy's texts are judged, no others"


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts_are_judged_in_time(kind: str):
    config = PenaltiesConfig(mixed=True)
    judged = Episode(episode("").task, [Message.user("汉字"), Message.assistant(HOSTILE[kind])])
    assert penalties(config, judged) in (0.0, 1.0)
    assert seconds(lambda: penalties(config, judged)) < LIMIT_S
