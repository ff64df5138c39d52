"""What lets a policy be paid for no answer: known faults of verifiers, for each of them."""

import asyncio
import inspect
from collections.abc import Callable

import pytest
from hostile import HOSTILE, LIMIT_S, seconds

from espalier.core.messages import Message
from espalier.envs.api import Episode, Task
from espalier.rewards.answer import Answer
from espalier.rewards.config import AnyComponentConfig
from espalier.rewards.domains.chart import ChartConfig
from espalier.rewards.domains.choice import ChoiceConfig
from espalier.rewards.domains.count import CountConfig
from espalier.rewards.domains.ocr import OcrConfig
from espalier.rewards.domains.quantity import QuantityConfig
from espalier.rewards.form import FormatConfig, form
from espalier.rewards.mathematics.maths import MathsConfig
from espalier.rewards.rubric import build

VERIFIERS: dict[str, tuple[AnyComponentConfig, str]] = {
    "maths": (MathsConfig(unmarked="wrong"), "12"),
    "quantity": (QuantityConfig(), "12 m/s"),
    "chart": (ChartConfig(), "12"),
    "chart of names": (ChartConfig(), "Chile"),
    "count": (CountConfig(), "12"),
    "choice": (ChoiceConfig(), "C"),
    "choice to fill in": (ChoiceConfig(fill_in=True), "C"),
    "ocr": (OcrConfig(), "12"),
}


@pytest.fixture(scope="module", params=VERIFIERS)
def verifier(request: pytest.FixtureRequest):
    """A function that judges a response, and the answer that is right."""
    config, answer = VERIFIERS[request.param]
    reward = build(config)

    def judge(response: str, finish: str = "stop") -> float:
        data = (
            {"answer": answer, "choices": ["no", "yes", "Peru"]}
            if isinstance(config, ChoiceConfig)
            else {"answer": answer}
        )
        question = Message.user(f"Is it {answer}, or one of 17? Put the answer into \\boxed{{}}.")
        episode = Episode(Task("sums", "k", data), [question, Message.assistant(response)], finish=finish)
        value = reward(episode)
        return asyncio.run(_awaited(value)) if inspect.isawaitable(value) else value

    yield judge, "Peru" if request.param == "choice to fill in" else answer
    if hasattr(reward, "close"):
        reward.close()


async def _awaited(value: object) -> float:
    return await value  # type: ignore[misc]


Verifier = tuple[Callable[..., float], str]


def test_the_right_answer_is_right_in_every_mark(verifier: Verifier):
    judge, right = verifier
    marks = ["\\boxed{%s}", "<|begin_of_box|>%s<|end_of_box|>", "<answer>%s</answer>", "<think>17</think>\\boxed{%s}."]
    assert [judge(mark.replace("%s", right)) for mark in marks] == [1.0] * 4


@pytest.mark.parametrize(
    "response",
    [
        "%s",
        "The answer is %s.",
        "#### %s",
        "\\boxed{} %s",
        "\\boxed{ }\n%s",
        "\\boxed{%s",
        "\\boxed{%s} \\boxed{",
        "\\boxed{%s}, which I put into \\boxed{}",
        "\\boxed{%s} is wrong, it is \\boxed{99}",
        "<answer>99</answer> %s",
        "<answer>99</answer> \\boxed{%s}",
        "<answer></answer>%s",
        "<answer>%s",
        "<|begin_of_box|><|end_of_box|> %s",
        "<|begin_of_box|>99<|end_of_box|> %s",
        "<|begin_of_box|>%s",
        "<think>\\boxed{%s}",
        "<think>\\boxed{%s}</think>",
        "You ask whether it is %s, or one of 17, and want it in \\boxed{}.",
        "",
    ],
)
def test_what_is_no_answer_is_paid_nothing(verifier: Verifier, response: str):
    judge, right = verifier
    assert judge(response.replace("%s", right)) == 0.0


def test_a_response_that_was_cut_off_is_paid_nothing(verifier: Verifier):
    judge, right = verifier
    assert judge(f"\\boxed{{{right}}}", "length") == 0.0
    assert judge(f"<answer>{right}</answer> and so", "length") == 0.0


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("name", [name for name in VERIFIERS if name != "maths"])
def test_hostile_responses_are_judged_in_time(name: str, kind: str):
    config, answer = VERIFIERS[name]
    data = {"answer": answer} | ({"choices": ["no", "yes", "Peru"]} if name.startswith("choice") else {})
    episode = Episode(Task("sums", "k", data), [Message.user("?"), Message.assistant(HOSTILE[kind])])
    for one in (config, config.model_copy(update={"unmarked": "announced"})):
        judge = build(one)
        assert judge(episode) in (0.0, 1.0) or name == "ocr"
        assert seconds(lambda judge=judge: judge(episode)) < LIMIT_S


@pytest.mark.parametrize("kind", HOSTILE)
def test_form_and_answer_take_their_time_from_the_length_alone(kind: str):
    episode = Episode(Task("sums", "k", {"answer": "Chile"}), [Message.user("?"), Message.assistant(HOSTILE[kind])])
    assert seconds(lambda: form(FormatConfig(tags=True, box="required"), episode)) < LIMIT_S
    assert seconds(lambda: Answer()(episode)) < 1.0


@pytest.mark.parametrize("kind", HOSTILE)
def test_maths_refuses_what_is_too_long_before_any_worker_sees_it(verifier_of_maths: Callable[[str], float], kind: str):
    if len(HOSTILE[kind]) > 1000:
        assert seconds(lambda: verifier_of_maths(HOSTILE[kind])) < LIMIT_S
    assert verifier_of_maths(HOSTILE[kind]) in (0.0, 1.0)


@pytest.fixture(scope="module")
def verifier_of_maths():
    reward = build(MathsConfig(unmarked="wrong"))

    def judge(response: str) -> float:
        messages = [Message.user("?"), Message.assistant(response)]
        return asyncio.run(_awaited(reward(Episode(Task("sums", "k", {"answer": "12"}), messages))))

    yield judge
    reward.close()  # type: ignore[attr-defined]
