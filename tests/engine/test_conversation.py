"""A conversation: what is said is what the engine samples of the whole of it."""

import asyncio
from collections.abc import Sequence

import pytest
from serving_models import language

from espalier.core.errors import EngineError
from espalier.core.messages import Message
from espalier.core.seed import derive
from espalier.engine.api import Sampling
from espalier.engine.conversation import Conversation
from espalier.engine.local import LocalEngine


@pytest.fixture
def talk() -> Conversation:
    made = language()
    engine = LocalEngine(made.decoder, max_rows=1, max_len=256, retain_rows=1)
    return Conversation(engine, made.tokenizer, made.renderer, Sampling(max_tokens=24, temperature=0.8, seed=5))


async def heard(talk: Conversation, text: str) -> str:
    """The answer, joined from its pieces."""
    said = ""
    async for piece in talk.say(text):
        said = ("" if piece.restart else said) + piece.content
    return said


def generated(talk: Conversation, messages: Sequence[Message]) -> Message:
    """The answer that the engine gives to the whole conversation at once."""
    settings = Sampling(24, 0.8, stop=talk.renderer.stop, seed=derive(5, len(messages)))
    prompt = talk.renderer.opening(messages)
    return talk.renderer.parse(asyncio.run(talk.engine.generate(prompt, settings)).tokens)


def test_each_answer_is_that_to_all_that_was_said_before(talk: Conversation) -> None:
    talk.system("be brief")
    first = asyncio.run(heard(talk, "hello"))
    asked = [Message.system("be brief"), Message.user("hello")]
    answer = generated(talk, asked)
    assert first == answer.content
    second = asyncio.run(heard(talk, "and?"))
    whole = [*asked, Message.assistant(first, answer.reasoning), Message.user("and?")]
    assert second == generated(talk, whole).content
    assert [message.role for message in talk.messages] == ["system", "user", "assistant", "user", "assistant"]
    assert first or second, "a test of silence would test nothing"


def test_reset_keeps_the_system_message_and_system_replaces_it(talk: Conversation) -> None:
    talk.system("one")
    asyncio.run(heard(talk, "hello"))
    talk.system("two")
    assert [message.content for message in talk.messages[:2]] == ["two", "hello"]
    talk.reset()
    assert talk.messages == [Message.system("two")]
    talk.system("")
    assert talk.messages == []


def test_an_answer_that_is_not_heard_to_its_end_is_forgotten(talk: Conversation) -> None:
    async def stopped() -> None:
        async for _ in talk.say("hello"):
            break

    asyncio.run(stopped())
    assert talk.messages == []
    assert asyncio.run(talk.engine.stats()).running == 0
    asyncio.run(heard(talk, "hello"))
    assert len(talk.messages) == 2


def test_a_conversation_without_room_is_refused_and_one_with_little_is_cut(talk: Conversation) -> None:
    with pytest.raises(EngineError, match="/reset starts a new conversation"):
        asyncio.run(heard(talk, "a" * 300))
    assert talk.messages == []
    talk.sampling = Sampling(max_tokens=1000, temperature=1.0, seed=1)
    asyncio.run(heard(talk, "hello"))
    prompt = len(talk.renderer.opening([Message.user("hello")]))
    assert talk.cut == (asyncio.run(talk.engine.stats()).sampled_tokens == 256 - prompt)
