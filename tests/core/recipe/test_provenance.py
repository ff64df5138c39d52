from pathlib import Path

from espalier.core.config import Config
from espalier.core.errors import ConfigError
from espalier.core.job import Job
from espalier.core.recipe.provenance import Setting, read_origins, save_origins, settings
from espalier.core.recipe.resolve import load_recipe


class Item(Config):
    size: int = 1
    word: str


class Section(Config):
    every: int = 1


class Whole(Config):
    items: list[Item]
    rate: float = 0.5
    section: Section = Section(every=50)


JOB = Job("toy.job", "", Whole, lambda: lambda config, run: {})


def find_job(name: str) -> Job:
    if name != JOB.name:
        raise ConfigError(name)
    return JOB


def test_each_setting_that_was_set_with_its_default_its_origin_and_what_the_recipe_says(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("job: toy.job\nitems:\n  - {word: x, size: 1}\nrate: 0.25\nsection: {every: 7}\n")
    found = settings(load_recipe([file], ["rate=1", "seed=3", "section.every=50"], find_job), [file])
    assert {setting.key: setting for setting in found} == {
        "job": Setting("job", "toy.job", f"{file}:1"),
        "seed": Setting("seed", 3, "override seed=3", default=0),
        "items.0.word": Setting("items.0.word", "x", f"{file}:3"),
        "items.0.size": Setting("items.0.size", 1, f"{file}:3", default=1, differs=False),
        "rate": Setting("rate", 1.0, "override rate=1", default=0.5, recipe=0.25),
        "section.every": Setting("section.every", 50, "override section.every=50", default=50, recipe=7, differs=False),
    }
    save_origins(found, tmp_path / "origins.json")
    assert [row["key"] for row in read_origins(tmp_path / "origins.json")] == [setting.key for setting in found]
    assert read_origins(tmp_path / "none.json") == []


def test_the_default_of_a_named_variant_is_the_variants() -> None:
    from espalier.cli.jobs import find_job
    from espalier.cli.places import SHIPPED

    files = [SHIPPED / "rl/quickstart.yaml"]
    found = {
        s.key: s
        for s in settings(load_recipe(files, ["algorithm.name=dapo", "algorithm.clip_high=0.28"], find_job), files)
    }
    assert (found["algorithm.name"].default, found["algorithm.name"].recipe) == ("grpo", "grpo")
    assert (found["algorithm.clip_high"].default, found["algorithm.clip_high"].differs) == (0.28, False)
