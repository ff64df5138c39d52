"""Score three answers to one question with a rubric of three components."""

import asyncio

from espalier.core.messages import Message
from espalier.envs.api import Episode, Task
from espalier.rewards.form import FormatConfig
from espalier.rewards.mathematics.numeric import NumericConfig
from espalier.rewards.repetition import RepetitionConfig
from espalier.rewards.rubric import Rubric

rubric = Rubric([NumericConfig(), FormatConfig(weight=0.1, once=("####",)), RepetitionConfig(weight=-0.2, n=2)])
task = Task("gsm8k", "demo", {"answer": "1,234"})
for answer in ("600+634=1234\n#### 1234.0", "I think it is 1234", "#### 1 no #### 1 no #### 1 no #### $1,234"):
    episode = Episode(task, [Message.user("600+634?"), Message.assistant(answer)])
    scores = asyncio.run(rubric.score(episode))
    parts = "  ".join(f"{name} {value:5.2f}" for name, value in scores.components.items())
    print(f"{scores.total:5.2f} = {parts}   {answer!r}")
