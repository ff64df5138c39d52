"""Print the guess rate of each environment of the catalogue, a held-out task, and what a perfect oracle says to it."""

from random import Random

from espalier.core.data import DataRoot
from espalier.envs.api import guess_rate
from espalier.envs.build import build_tasks
from espalier.envs.catalogue.brackets import BracketsConfig
from espalier.envs.catalogue.calculator import CalculatorConfig
from espalier.envs.catalogue.chain_sums import ChainSumsConfig
from espalier.envs.catalogue.countdown import CountdownConfig
from espalier.envs.catalogue.factoring import FactoringConfig
from espalier.envs.catalogue.guess_number import GuessNumberConfig
from espalier.envs.catalogue.multiplication import MultiplicationConfig
from espalier.envs.catalogue.paths import PathsConfig
from espalier.envs.catalogue.programs import ProgramsConfig
from espalier.envs.catalogue.quantities import QuantitiesConfig
from espalier.envs.catalogue.reverse import ReverseConfig
from espalier.envs.catalogue.sorting import SortingConfig

CONFIGS = [
    MultiplicationConfig(direct=0, slips=0),
    ChainSumsConfig(direct=0, slips=0),
    CountdownConfig(direct=0),
    SortingConfig(slips=0),
    SortingConfig(slips=0, steps=True),
    ReverseConfig(slips=0),
    BracketsConfig(slips=0),
    PathsConfig(nodes=8, direct=0, slips=0),
    ProgramsConfig(length=2, direct=0, slips=0),
    FactoringConfig(direct=0, slips=0),
    QuantitiesConfig(direct=0, slips=0),
    QuantitiesConfig(direct=0, slips=0, form="fill"),
    CalculatorConfig(direct=0),
    GuessNumberConfig(slips=0),
]

for config in CONFIGS:
    tasks = build_tasks([config], seed=0, data=DataRoot(None))
    question, *talk = tasks.demonstrate(tasks.task("heldout", 0), Random(0))
    said = [message.content or f"[{message.tool_calls[0].arguments['expression']}]" for message in talk]
    print(f"{config.env:14} {guess_rate(tasks):6.2%}   {question.content:24} {'   '.join(said)}")
