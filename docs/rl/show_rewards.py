"""Score answers to one question with a rubric of three components, and with one that has penalties."""

import asyncio

from espalier.core.messages import Message
from espalier.envs.api import Episode, Task
from espalier.rewards.form import FormatConfig
from espalier.rewards.mathematics.numeric import NumericConfig
from espalier.rewards.penalties.penalties import PenaltiesConfig
from espalier.rewards.repetition import RepetitionConfig
from espalier.rewards.rubric import Rubric

TASK = Task("gsm8k", "demo", {"answer": "1,234"})


def show(rubric: Rubric, *answers: str, finish: str = "stop") -> None:
    """One line for each answer."""
    for answer in answers:
        episode = Episode(TASK, [Message.user("600+634?"), Message.assistant(answer)], finish)
        scores = asyncio.run(rubric.score(episode))
        parts = "  ".join(f"{name} {value:5.2f}" for name, value in scores.components.items())
        shown = answer if len(answer) <= 48 else f"{answer[:18]} ... {answer[-15:]}"
        print(f"{scores.total:5.2f} = {parts}   {shown!a}{', finish=length' if finish == 'length' else ''}")


three = Rubric([NumericConfig(), FormatConfig(weight=0.1, once=("####",)), RepetitionConfig(weight=-0.2, n=2)])
show(three, "600+634=1234\n#### 1234.0", "I think it is 1234", "#### 1 no #### 1 no #### 1 no #### $1,234")
print()
penalised = Rubric([NumericConfig(), PenaltiesConfig()])
show(penalised, "#### 1234", "#### 1235", "wait, " * 20 + "#### 1234", "it is\ufffd #### 1234")
show(penalised, "#### 1234", finish="length")
