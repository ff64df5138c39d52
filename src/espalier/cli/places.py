"""Finding what the user names: recipes and run folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from espalier.core.errors import ConfigError, RunError, nearest

RECIPES = Path("recipes")
"""Recipes of the user's own, in the working directory."""
SHIPPED = Path(__file__).resolve().parents[1] / "recipes"
"""Those of the package, which are found from anywhere."""


def split_words(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Recipe files and `key=value` overrides, told apart by the `=`."""
    overrides = [word for word in words if "=" in word and not Path(word).is_file()]
    files = [find_recipe(word) for word in words if word not in overrides]
    if not files:
        raise ConfigError("name a recipe: a YAML file, or one of those that `espalier list` shows")
    return files, overrides


def find_recipe(word: str) -> Path:
    """The file `word`, or the recipe that is called so (`rl/quickstart`, `quickstart`): see `all_recipes`."""
    if Path(word).is_file():
        return Path(word)
    names = all_recipes()
    wanted = word.removesuffix(".yaml").removeprefix(f"{RECIPES}/")
    if wanted in names:
        return names[wanted]
    same = [path for path in names.values() if path.stem == wanted]
    if len(same) == 1:
        return same[0]
    if same:
        raise ConfigError(f"several recipes are called {word!r}: {', '.join(map(str, same))}")
    stems = {path.stem for path in names.values()} if "/" not in wanted else names
    raise ConfigError(f"there is no recipe {word!r}{nearest(wanted, stems)}")


def all_recipes() -> dict[str, Path]:
    """The package's recipes and those below `recipes/` of the working directory, which go before, by name."""
    found = {
        path.relative_to(root).with_suffix("").as_posix(): path
        for root in (SHIPPED, RECIPES)
        for path in root.rglob("*.yaml")
    }
    return dict(sorted(found.items()))


def find_run(word: str) -> Path:
    """The run folder `word`, or the newest run in the folder `word` (`runs/quickstart`)."""
    path = Path(word)
    if (path / "config.yaml").is_file():
        return path
    newest = max(path.glob("[!.]*/config.yaml"), default=None)
    if newest is None:
        raise RunError(f"{word} is not a run folder. Runs lie in runs/<name>/<time>.")
    return newest.parent


def find_model(word: str) -> dict[str, Any]:
    """The `model:` section of what the user names: a model folder, a run's model, or a pretrained model.

    Raises RunError for a run that has saved no model, ConfigError for a word that is none of these.
    """
    path = Path(word)
    if (path / "config.json").is_file():
        return {"pretrained": word}
    if (path / "config.yaml").is_file() or any(path.glob("[!.]*/config.yaml")):
        run = find_run(word)
        if (run / "model" / "config.json").is_file():
            return {"pretrained": str(run / "model")}
        raise RunError(f"{run} holds no model: a run saves it at its end. `espalier resume {run}` goes on with it.")
    if path.is_dir():
        raise ConfigError(
            f"{word}: no run folder, and no model folder with config.json, model.safetensors, tokenizer.json"
        )
    return {"pretrained": word}
