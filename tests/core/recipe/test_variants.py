"""Sections with variants: a later layer that names another one gets it, whatever earlier layers set for the former."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field, model_validator

from espalier.core.config import Config
from espalier.core.job import Job
from espalier.core.recipe.resolve import Recipe, load_recipe

ROWS: dict[str, dict[str, Any]] = {"plain": {}, "wide": {"clip": 0.9}}


class Method(Config):
    selector: ClassVar[str | None] = "name"
    name: str = "plain"
    clip: float = 0.2
    bonus: float = 0.0

    @model_validator(mode="before")
    @classmethod
    def _row(cls, given: Any) -> Any:
        return {**ROWS[given.get("name", "plain")], **given}


class Chars(Config):
    kind: Literal["char"] = "char"
    alphabet: str = "ab"


class Pairs(Config):
    kind: Literal["bpe"] = "bpe"
    size: int = 10


class Toy(Config):
    method: Method = Method()
    tokenizer: Annotated[Chars | Pairs, Field(discriminator="kind")] = Chars()
    tasks: tuple[Annotated[Chars | Pairs, Field(discriminator="kind")], ...] = ()


JOB = Job("toy.train", "a toy", Toy, lambda: lambda config, run: {})
BASE = """job: toy.train
method: {clip: 0.3, bonus: 0.1}
tokenizer: {kind: char, alphabet: xyz}
tasks:
- {kind: char, alphabet: abc}
- {kind: bpe, size: 3}
"""


def load(tmp_path: Path, *overrides: str, files: tuple[str, ...] = ()) -> tuple[Recipe, Toy]:
    paths = [tmp_path / f"{i}.yaml" for i in range(1 + len(files))]
    for path, text in zip(paths, (BASE, *files), strict=True):
        path.write_text(text)
    recipe = load_recipe(paths, overrides, lambda name: JOB)
    assert isinstance(recipe.config, Toy)
    return recipe, recipe.config


def test_an_override_that_names_another_variant_drops_what_the_file_set(tmp_path: Path) -> None:
    recipe, toy = load(tmp_path, "method.name=wide")
    assert toy.method == Method(name="wide", clip=0.9, bonus=0.0)
    assert recipe.layers.dropped == [
        "override method.name=wide: method.name is wide now, so what was set for plain is dropped: "
        f"clip=0.3 ({tmp_path}/0.yaml:2), bonus=0.1 ({tmp_path}/0.yaml:2)"
    ]


@pytest.mark.parametrize(
    "overrides", [("method.name=wide", "method.bonus=0.5"), ("method.bonus=0.5", "method.name=wide")]
)
def test_what_is_typed_beside_the_name_counts_in_either_order(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    assert load(tmp_path, *overrides)[1].method == Method(name="wide", clip=0.9, bonus=0.5)


def test_a_later_file_that_names_another_variant_replaces_the_section(tmp_path: Path) -> None:
    recipe, toy = load(tmp_path, files=("method: {name: wide, bonus: 0.4}\n",))
    assert toy.method == Method(name="wide", clip=0.9, bonus=0.4)
    assert len(recipe.layers.dropped) == 1


def test_the_same_name_keeps_what_was_set(tmp_path: Path) -> None:
    recipe, toy = load(tmp_path, "method.name=plain", files=("method: {bonus: 0.4}\n",))
    assert toy.method == Method(clip=0.3, bonus=0.4)
    assert recipe.layers.dropped == []


def test_members_of_a_union_are_variants_too_also_in_lists(tmp_path: Path) -> None:
    recipe, toy = load(tmp_path, "tokenizer.kind=bpe", "tasks.0.kind=bpe", "tasks.1.size=4")
    assert (toy.tokenizer, toy.tasks) == (Pairs(), (Pairs(), Pairs(size=4)))
    assert len(recipe.layers.dropped) == 2


def test_the_origin_of_a_value_says_what_its_variant_has(tmp_path: Path) -> None:
    origins = {key: origin for key, _, origin in load(tmp_path, "method.name=wide", "method.clip=0.5")[0].values()}
    assert origins["method.clip"] == "override method.clip=0.5 (wide has 0.9)"
    assert origins["method.bonus"] == "default of wide"
    assert origins["tasks.1.size"] == f"{tmp_path}/0.yaml:6"
