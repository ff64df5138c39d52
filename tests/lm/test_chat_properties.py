"""What every renderer promises, for any conversation."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espalier.core.messages import Message, ToolCall, ToolSpec
from espalier.lm.chat import GLMRenderer, PlainRenderer, Renderer, TemplateRenderer
from espalier.lm.tokens import Tokenizer, char_tokenizer, train_bpe

LETTERS = "0123456789+*=() abc"
CHATML = """{% if tools %}<|system|>{{ tools | tojson }}
{% endif %}{% for m in messages %}<|user|>{{ m.role }}
{% if m.reasoning_content and (loop.last or messages[loop.index].role == 'tool') -%}
<think>{{ m.reasoning_content }}</think>
{% endif %}{{ m.content }}{% for c in m.tool_calls or [] %}
<tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}<|endoftext|>
{% endfor %}{% if add_generation_prompt %}<|user|>assistant
{% endif %}"""

CHARS = char_tokenizer(LETTERS + "[]")
BPE = train_bpe(["user assistant tool search hello world\n"] * 3, 320)
TOOL = ToolSpec("search", "", {"type": "object", "properties": {"q": {"type": "string"}}})
MARKUP = st.lists(st.sampled_from([*sorted(BPE.control), "\ufdd0", "{", "[3]", "é"])).map("".join)
TEXTS = {"plain": st.text(LETTERS, max_size=8), "markup": st.text(max_size=12) | MARKUP}
RENDERERS: dict[str, tuple[Renderer, Tokenizer, str]] = {
    "plain": (PlainRenderer(CHARS), CHARS, "plain"),
    "glm": (GLMRenderer(BPE), BPE, "markup"),
    "template": (TemplateRenderer(BPE, CHATML), BPE, "markup"),
}
every_renderer = pytest.mark.parametrize("name", RENDERERS)


def answers(kind: str) -> st.SearchStrategy[Message]:
    """Canonical assistant messages: renderers for real models strip text, so it comes stripped."""
    text = TEXTS[kind].map(str.strip)
    calls = st.lists(st.builds(lambda q: ToolCall("search", {"q": q}), TEXTS[kind]), max_size=2).map(tuple)
    return st.builds(Message.assistant, text, text, calls)


@st.composite
def conversations(draw: st.DrawFn, kind: str) -> list[Message]:
    """A question, then rounds of answer and reply, then an answer. Results follow calls, as in a rollout."""
    messages = [Message.user(draw(TEXTS[kind]))]
    for _ in range(draw(st.integers(0, 3))):
        answer = draw(answers(kind))
        results = [Message.tool(draw(TEXTS[kind])) for _ in answer.tool_calls]
        messages += [answer, *(results or [Message.user(draw(TEXTS[kind]))])]
    return [*messages, draw(answers(kind))]


def joined(spans: Sequence[tuple[list[int], bool]]) -> list[int]:
    return [token for ids, _ in spans for token in ids]


@every_renderer
@settings(deadline=None)
@given(data=st.data())
def test_a_sampled_answer_parses_to_the_message(name: str, data: st.DataObject) -> None:
    renderer, _, kind = RENDERERS[name]
    message = data.draw(answers(kind))
    assert renderer.parse(renderer.answer(message, [TOOL]), [TOOL]) == message


@every_renderer
@settings(deadline=None)
@given(data=st.data())
def test_a_demonstration_is_what_a_rollout_would_hold(name: str, data: st.DataObject) -> None:
    """The rollout: opening, then whatever is sampled, then only what that has not said. It trains stop tokens too."""
    renderer, _, kind = RENDERERS[name]
    messages = data.draw(conversations(kind))
    tokens = renderer.opening(messages[:1], [TOOL])
    trained = [False] * len(tokens)
    waiting: list[Message] = []
    for message in messages[1:]:
        if message.role != "assistant":
            waiting.append(message)
            continue
        if waiting:
            new = renderer.following(waiting, last=tokens[-1])
            tokens, trained, waiting = tokens + new, trained + [False] * len(new), []
        said = renderer.answer(message, [TOOL])
        assert said[-1] in renderer.stop
        assert not set(said[:-1]) & set(renderer.stop)
        tokens, trained = tokens + said, trained + [True] * len(said)
    spans = renderer.demonstration(messages, [TOOL])
    assert joined(spans) == tokens
    assert [flag for ids, flag in spans for _ in ids] == trained


@every_renderer
@settings(deadline=None)
@given(data=st.data())
def test_turn_by_turn_equals_one_rendering(name: str, data: st.DataObject) -> None:
    """Without thinking, which formats drop from old turns, the spans are the rendering of the whole conversation."""
    renderer, _, kind = RENDERERS[name]
    messages = [Message(m.role, m.content, "", m.tool_calls, m.tool_call_id) for m in data.draw(conversations(kind))]
    reply = Message.tool("1") if messages[-1].tool_calls else Message.user("1")
    tokens = joined(renderer.demonstration(messages, [TOOL]))
    assert renderer.opening([*messages, reply], [TOOL]) == tokens + renderer.following([reply], tokens[-1])


@every_renderer
@settings(deadline=None)
@given(data=st.data())
def test_thinking_stays_in_a_tool_loop(name: str, data: st.DataObject) -> None:
    """No user speaks after the calls, so one rendering keeps all thinking, as a rollout does."""
    renderer, _, kind = RENDERERS[name]
    messages = [Message.user("1")]
    for thought in data.draw(st.lists(TEXTS[kind].map(str.strip), min_size=1, max_size=3)):
        call = Message.assistant("", thought, (ToolCall("search", {"q": "1"}),))
        messages += [call, Message.tool("2")]
    spans = renderer.demonstration(messages[:-1], [TOOL])
    tokens = joined(spans) + renderer.following(messages[-1:], spans[-1][0][-1])
    assert renderer.opening(messages, [TOOL]) == tokens


@every_renderer
@settings(deadline=None)
@given(data=st.data())
def test_parse_never_raises_and_a_sampled_token_is_never_lost(name: str, data: st.DataObject) -> None:
    renderer, tokenizer, _ = RENDERERS[name]
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size + 3), max_size=40))
    tools = data.draw(st.sampled_from([(), (TOOL,), (TOOL, ToolSpec("odd", "", {"properties": 3}))]))
    assert renderer.parse(ids, tools).role == "assistant"
    last = ids[-1] if ids else tokenizer.id("1")
    whole = renderer.following([Message.user("1")], last=-1)
    assert renderer.following([Message.user("1")], last=last) == (whole[1:] if last == whole[0] else whole)


@every_renderer
@settings(deadline=None)
@given(data=st.data())
def test_text_from_outside_brings_no_control_token(name: str, data: st.DataObject) -> None:
    renderer, tokenizer, kind = RENDERERS[name]
    text = data.draw(TEXTS[kind])
    control = {tokenizer.id(name) for name in tokenizer.control}

    def markers(text: str) -> list[int]:
        messages = [Message.user(text), Message.assistant("1"), Message.tool(text)]
        return [token for token in renderer.opening(messages) if token in control]

    assert markers(text) == markers("1")
