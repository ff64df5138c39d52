import pytest

from espalier.core.errors import DataError
from espalier.core.messages import Message, Role, ToolCall, ToolSpec
from espalier.lm.chat import PlainRenderer
from espalier.lm.tokens import char_tokenizer

TOKENIZER = char_tokenizer('0123456789+*=[]{}":,()abcdefghijklmnopqrstuvwxyz ')
PLAIN = PlainRenderer(TOKENIZER)
END = TOKENIZER.eos_id
CALCULATOR = ToolSpec("calculator", "", {"type": "object", "properties": {"expression": {"type": "string"}}})
COUNTER = ToolSpec("count", "", {"type": "object", "properties": {"n": {"type": "integer"}}})
PAIR = ToolSpec("pair", "", {"type": "object", "properties": {"a": {}, "b": {}}})


def ids(markup: str) -> list[int]:
    return TOKENIZER.encode_markup(markup)


def call(tool: ToolSpec, **arguments: object) -> Message:
    return Message.assistant("", tool_calls=(ToolCall(tool.name, arguments),))


def test_a_question_is_bare_text_and_one_marker() -> None:
    assert PLAIN.opening([Message.user("12*34=")]) == ids("12*34=<|assistant|>")
    assert PLAIN.stop == (END,)


def test_later_messages_carry_one_marker_each() -> None:
    history = [Message.system("add"), Message.user("1+2="), Message.assistant("3"), Message.user("4+5=")]
    assert PLAIN.opening(history) == ids("add<|user|>1+2=<|assistant|>3<|end|><|user|>4+5=<|assistant|>")


def test_a_calculator_conversation_token_for_token() -> None:
    conversation = [
        Message.user("12*34="),
        call(CALCULATOR, expression="12*34"),
        Message.tool("408"),
        Message.assistant("408"),
    ]
    assert PLAIN.demonstration(conversation, [CALCULATOR]) == [
        (ids("12*34=<|assistant|>"), False),
        (ids("[12*34]<|end|>"), True),
        (ids("<|tool|>408<|assistant|>"), False),
        (ids("408<|end|>"), True),
    ]


def test_following_closes_only_a_turn_that_is_open() -> None:
    new = [Message.tool("408")]
    stopped, cut = ids("<|tool|>408<|assistant|>"), ids("<|end|><|tool|>408<|assistant|>")
    assert PLAIN.following(new) == PLAIN.following(new, last=END) == stopped
    assert PLAIN.following(new, last=TOKENIZER.id("4")) == cut


def test_brackets_are_calls_only_where_tools_are_offered() -> None:
    said = ids("so [3*4]<|end|>")
    assert PLAIN.parse(said) == Message.assistant("so [3*4]")
    expected = Message.assistant("so ", tool_calls=(ToolCall("calculator", {"expression": "3*4"}),))
    assert PLAIN.parse(said, [CALCULATOR]) == expected


def test_the_schema_decides_the_type_of_an_argument() -> None:
    assert PLAIN.parse(ids("[34]"), [CALCULATOR]).tool_calls[0].arguments == {"expression": "34"}
    assert PLAIN.parse(ids("[34]"), [COUNTER]).tool_calls[0].arguments == {"n": 34}


@pytest.mark.parametrize(
    ("tools", "message", "text"),
    [
        ([CALCULATOR, COUNTER], call(COUNTER, n=3), "[count 3]"),
        ([PAIR], call(PAIR, a=1, b="x"), '[{"a":1,"b":"x"}]'),
        ([PAIR, COUNTER], call(PAIR, a=1), '[pair {"a":1}]'),
        ([COUNTER], Message.assistant("", tool_calls=call(COUNTER, n=1).tool_calls * 2), "[1][1]"),
    ],
)
def test_calls_with_several_tools_or_parameters(tools: list[ToolSpec], message: Message, text: str) -> None:
    assert PLAIN.answer(message, tools) == ids(text + "<|end|>")
    assert PLAIN.parse(ids(text), tools) == message


@pytest.mark.parametrize("text", ["[nothing 3]", "[count]x", "[pair 3]", "[pair", "3]", ""])
def test_what_is_not_a_call_stays_content(text: str) -> None:
    assert PLAIN.parse(ids(text), [PAIR, COUNTER]) == Message.assistant(text)


def test_a_call_that_the_syntax_cannot_hold_is_an_error() -> None:
    with pytest.raises(DataError, match="bracket"):
        PLAIN.answer(call(CALCULATOR, expression="[1]"), [CALCULATOR])
    with pytest.raises(DataError, match="not among the tools"):
        PLAIN.answer(call(CALCULATOR, expression="1"), [])


def test_reasoning_stands_before_one_token() -> None:
    message = Message.assistant("12", reasoning="3*4=")
    assert PLAIN.answer(message) == ids("3*4=</think>12<|end|>")
    assert PLAIN.parse(PLAIN.answer(message)) == message


def test_control_tokens_out_of_place_stay_visible() -> None:
    assert PLAIN.parse(ids("4<|user|>2<|end|>")).content == "4<|user|>2"


def test_tokens_after_the_stop_token_do_not_count() -> None:
    assert PLAIN.parse(ids("42<|end|>7")).content == "42"


@pytest.mark.parametrize(
    ("roles", "complaint"),
    [("u", "must end with the assistant's"), ("uau", "must end"), ("", "must end"), ("uaa", "messages 1 and 2")],
)
def test_a_demonstration_alternates_and_ends_with_the_assistant(roles: str, complaint: str) -> None:
    messages = [Message(Role.USER if role == "u" else Role.ASSISTANT, "1") for role in roles]
    with pytest.raises(DataError, match=complaint):
        PLAIN.demonstration(messages)
