import codecs
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, PositiveInt, model_validator

from espalier.core.config import Config
from espalier.core.errors import ConfigError
from espalier.core.job import Job
from espalier.core.recipe import yaml12
from espalier.core.recipe.layers import read_layers
from espalier.core.recipe.resolve import Recipe, load_recipe, schema


class Optim(Config):
    lr: float = Field(default=1e-3, gt=0)
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.99)


class Maths(Config):
    kind: Literal["maths"] = "maths"
    level: PositiveInt = 1


class Chat(Config):
    kind: Literal["chat"] = "chat"
    file: Path
    """JSON lines of conversations."""


class Train(Config):
    steps: int = 10
    optim: Optim = Optim()
    tasks: tuple[Annotated[Maths | Chat, Field(discriminator="kind")], ...] = ()
    mode: Literal["fast", "slow"] = "fast"
    shuffle: bool = True
    names: dict[str, int] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _slow_needs_steps(self) -> "Train":
        if self.mode == "slow" and self.steps < 5:
            raise ValueError("slow mode takes 5 steps or more")
        return self

    @model_validator(mode="after")
    def _odd_rate(self) -> "Train":
        if self.optim.lr == 13:
            raise ValueError("optim.lr: 13 is unlucky")
        return self


JOB = Job("toy.train", "a toy", Train, lambda: lambda config, run: {})


def find(name: str) -> Job:
    if name != JOB.name:
        raise ConfigError(f"there is no job {name!r}")
    return JOB


Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def load(write: Write) -> Callable[..., Recipe]:
    def load(text: str, *overrides: str) -> Recipe:
        return load_recipe([write("r.yaml", f"job: toy.train\n{text}")], overrides, find)

    return load


Load = Callable[..., Recipe]


def train(recipe: Recipe) -> Train:
    assert isinstance(recipe.config, Train)
    return recipe.config


def test_files_merge_left_to_right_then_overrides(write: Write) -> None:
    a = write(
        "a.yaml", "job: toy.train\nsteps: 1\noptim: {lr: 1e-2, betas: [0.1, 0.2]}\ntasks: [{level: 3, kind: maths}]\n"
    )
    b = write("b.yaml", "optim:\n  lr: 3e-4\nseed: 4\n")
    recipe = load_recipe([a, b], ["tasks.0.level=7", "steps=2", "names.x=1"], find)
    assert train(recipe) == Train(
        steps=2, optim=Optim(lr=3e-4, betas=(0.1, 0.2)), tasks=(Maths(level=7),), names={"x": 1}
    )
    assert (recipe.run.seed, recipe.run.name) == (4, "b")
    origins = {key: origin for key, _, origin in recipe.values()}
    assert origins == {
        "job": f"{a}:1",
        "name": "default",
        "seed": f"{b}:3",
        "trackers": "default",
        "steps": "override steps=2",
        "optim.lr": f"{b}:2",
        "optim.betas": f"{a}:3",
        "tasks.0.kind": f"{a}:4",
        "tasks.0.level": "override tasks.0.level=7",
        "mode": "default",
        "shuffle": "default",
        "names.x": "override names.x=1",
    }


def test_a_list_is_replaced_and_its_old_origins_with_it(write: Write) -> None:
    a = write("a.yaml", "tasks:\n- {kind: maths}\n- {kind: chat, file: x}\n")
    b = write("b.yaml", "tasks:\n- {kind: maths, level: 2}\n")
    layers = read_layers([a, b])
    assert layers.data == {"tasks": [{"kind": "maths", "level": 2}]}
    assert layers.origins[("tasks", 0, "level")] == f"{b}:2"
    assert ("tasks", 1) not in layers.origins


def test_an_override_that_is_a_list_replaces_and_one_that_is_a_mapping_merges(load: Load) -> None:
    recipe = load("optim: {lr: 1}", "tasks=[{kind: maths, level: 2}]", "optim={betas: [0, 0]}")
    assert train(recipe).tasks == (Maths(level=2),)
    assert train(recipe).optim == Optim(lr=1, betas=(0, 0))
    assert train(load("optim: {lr: 1}", "optim={}")).optim == Optim(lr=1)
    assert ("tasks.0.level", 2, "override tasks=[{kind: maths, level: 2}]") in list(recipe.values())


def test_the_resolved_dump_reads_back_to_the_same_recipe(load: Load, write: Write) -> None:
    recipe = load("optim: {lr: 3e-4}\ntasks: [{kind: chat, file: a/b}]\nname: it", "seed=9", "trackers=[wandb]")
    again = load_recipe([write("again.yaml", yaml12.dump(recipe.resolved))], [], find)
    assert (again.run, again.config) == (recipe.run, recipe.config)


@given(st.floats(min_value=1e-12, max_value=1e12))
def test_every_float_survives_override_and_dump(lr: float) -> None:
    layers = read_layers([], ["job=toy.train", f"optim.lr={lr!r}"])
    config = Train.model_validate({"optim": layers.data["optim"]})
    assert yaml12.load(yaml12.dump(config.model_dump(mode="json")))["optim"]["lr"] == lr


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("stepz: 1", (), r"r\.yaml:2: unknown key 'stepz'; did you mean 'steps'\?"),
        ("sead: 1", (), r"r\.yaml:2: unknown key 'sead'; did you mean 'seed'\?"),
        ("lr: 1", (), r"r\.yaml:2: unknown key 'lr'; did you mean 'optim\.lr'\?"),
        ("optim:\n  lr: 1\n  beta: 1", (), r"r\.yaml:4: unknown key 'optim\.beta'; did you mean 'betas'\?"),
        ("optim: {xyz: {a: 1}}", (), r"r\.yaml:2: unknown key 'optim\.xyz'; there is betas, lr"),
        ("", ("optim.lrr=1",), r"override optim\.lrr=1: unknown key 'optim\.lrr'; did you mean 'lr'\?"),
        ("optim:\n  lr: 1", ("optim.lr=13",), r"^override optim\.lr=13: optim\.lr: 13 is unlucky$"),
        ("tasks:\n- kind: maths\n  levl: 1", (), r"r\.yaml:4: unknown key 'tasks\.0\.levl'; did you mean 'level'\?"),
        ("tasks:\n- kind: math", (), r"r\.yaml:3: 'tasks\.0' cannot have kind 'math'; did you mean 'maths'\?"),
        ("tasks:\n- level: 1", (), r"r\.yaml:3: 'tasks\.0' must have a key 'kind'"),
        ("tasks:\n- kind: chat", (), r"r\.yaml:3: 'tasks\.0\.file' is missing \(JSON lines of conversations\.\)"),
        ("steps: many", (), r"r\.yaml:2: 'steps' must be a whole number, not 'many'"),
        ("steps: 1.5", (), r"'steps' must be a whole number, not 1\.5"),
        ("shuffle: perhaps", (), r"'shuffle' must be true or false, not 'perhaps'"),
        ("optim: 3", (), r"r\.yaml:2: 'optim' must be a mapping"),
        ("tasks: 3", (), r"'tasks' must be a list, not 3"),
        ("optim:\n  lr: -1", (), r"r\.yaml:3: 'optim\.lr' must be greater than 0, not -1"),
        ("mode: fats", (), r"'mode' cannot be 'fats'; did you mean 'fast'\?"),
        ("mode: slow\nsteps: 1", (), "slow mode takes 5 steps or more"),
        ("trackers: [wandbb]", (), r"'trackers\.0' cannot be 'wandbb'; did you mean 'wandb'\?"),
        ("name: ../up", (), "'name'"),
        ("steps: 1\nsteps: 2", (), r"r\.yaml:3: the key 'steps' appears twice"),
        ("steps: [", (), r"r\.yaml:\d: this is not YAML"),
        ("tasks: [{kind: maths}]", ("tasks.1.level=2",), r"tasks is a list of 1; '1' must be an index from 0 to 0"),
        ("", ("seed",), "'seed' is not an override: write key=value"),
        ("", ("=3",), "'=3' is not an override"),
        ("", ("seed=[",), r"the value in 'seed=\[' is not YAML"),
    ],
)
def test_mistakes_are_told_in_plain_words(load: Load, text: str, overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(text, *overrides)


def test_all_mistakes_are_told_at_once(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load("stepz: 1\noptim: {lr: x}", "seed=y")
    assert len(str(caught.value).splitlines()) == 3


def test_a_recipe_must_name_a_known_job(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.yaml: a recipe names its job"):
        load_recipe([write("a.yaml", "steps: 1")], [], find)
    with pytest.raises(ConfigError, match=r"a\.yaml:1: there is no job 'toy\.trian'"):
        load_recipe([write("a.yaml", "job: toy.trian")], [], find)
    with pytest.raises(ConfigError, match=r"cannot read .*none\.yaml"):
        load_recipe([tmp_path / "none.yaml"], [], find)
    with pytest.raises(ConfigError, match="must be a mapping"):
        load_recipe([write("a.yaml", "- 1")], [], find)


def test_the_schema_has_the_keys_of_run_and_job_with_their_help() -> None:
    made = schema(JOB)
    assert made["required"] == ["job"]
    assert {"job", "seed", "trackers", "steps", "optim"} <= made["properties"].keys()
    assert made["$defs"]["Optim"]["properties"]["lr"]["description"] == "Peak learning rate."
    assert made["additionalProperties"] is False


BOMB = "a0: &a0 [1, 1]\n" + "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 12))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a: 1\nb: \xff\n", r"a\.yaml:2: byte 0xff is not UTF-8"),
        (b"a: 1\nb: \x07\n", r"a\.yaml:2: the character U\+0007 may not stand in YAML"),
        (b"a: &me [*me]\n", r"a\.yaml: .* an alias \(\*name\) holds itself"),
        (b"a: " + b"[" * 5000, r"a\.yaml: this is nested too deeply"),
        (BOMB.encode(), r"a\.yaml:\d+: there are more than 100,000 values here"),
        (b"a: 1\nb: " + b"9" * 5000, r"a\.yaml:2: '9+\.\.\.9+' is no value of the type int"),
        (b"a: 1\nb: !!float x\n", r"a\.yaml:2: 'x' is no value of the type float"),
        (b"a: 1\nb: !!bool perhaps\n", r"a\.yaml:2: 'perhaps' is no value of the type bool"),
        (b"a: 1\nb: !!timestamp now\n", r"a\.yaml:2: 'now' is no value of the type timestamp"),
        (b"a: 1\nb: !!python/name:os.system x\n", r"a\.yaml:2: could not determine a constructor"),
    ],
)
def test_a_file_that_is_no_recipe_is_named_by_line(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        read_layers([tmp_path / "a.yaml"])


@pytest.mark.parametrize("override", ["a=" + "[" * 5000, "a=" + "9" * 5000, "a=!!float x", "a=&me [*me]", "a=\x07"])
def test_an_override_that_is_none_is_named(override: str) -> None:
    with pytest.raises(ConfigError, match="a="):
        read_layers([], [override])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_a_recipe_may_have_any_encoding_that_says_so(tmp_path: Path, encoding: str) -> None:
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    (tmp_path / "a.yaml").write_bytes(mark + "a: é\r\nb: 2\r\n".encode(encoding))
    layers = read_layers([tmp_path / "a.yaml"])
    assert layers.data == {"a": "é", "b": 2}
    assert layers.origins["b",].endswith("a.yaml:2")
