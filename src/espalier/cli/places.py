"""Finding what the user names: recipes and run folders."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from espalier.core.errors import ConfigError, RunError, nearest

RECIPES = Path("recipes")
"""Recipes of the user's own, in the working directory."""
RUNS = Path("runs")
"""Where runs go unless `--runs-dir` says otherwise."""
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
        called = [name for name, path in names.items() if path in same]
        raise ConfigError(f"several recipes are called {word!r}: {', '.join(called)}")
    if Path(word).suffix or word.startswith("."):
        raise ConfigError(f"there is no file {word}")
    close = get_close_matches(wanted, names if "/" in wanted else {path.stem for path in names.values()}, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else "; `espalier list` shows them"
    raise ConfigError(f"there is no recipe {word!r}{meant} An override is written key=value.")


def all_recipes() -> dict[str, Path]:
    """The package's recipes and those below `recipes/` of the working directory, which go before, by name."""
    found = {
        path.relative_to(root).with_suffix("").as_posix(): path
        for root in (SHIPPED, RECIPES)
        for path in root.rglob("*.yaml")
    }
    return dict(sorted(found.items()))


def find_run(word: str) -> Path:
    """The run folder `word`, or the newest run of a name: `runs/quickstart`, or `quickstart` for the same."""
    path = Path(word)
    if runs := _runs(path) or _runs(RUNS / path):
        return runs[0]
    if not path.exists() and (names := _names(RUNS if path.parent == Path() else path.parent)):
        raise RunError(f"there is no run {path.name!r}{nearest(path.name, names)}")
    raise RunError(f"{word} is not a run folder. Runs lie in {RUNS}/NAME/TIME.")


def find_model(word: str) -> dict[str, Any]:
    """The `model:` section of what the user names: a model folder, a run's model, or a pretrained model. Of the runs in
    a folder (`runs/quickstart`), the newest that has a model.

    Raises RunError where no run there has saved a model, ConfigError for a word that is none of these.
    """
    path = Path(word)
    if (path / "config.json").is_file():
        return {"pretrained": word}
    if runs := _runs(path):
        for run in runs:
            if (run / "model" / "config.json").is_file():
                return {"pretrained": str(run / "model")}
        raise RunError(
            f"{word} holds no model: training saves it at its end. `espalier resume {runs[0]}` goes on with a run that "
            "was stopped"
        )
    if path.is_dir():
        raise ConfigError(
            f"{word}: no run folder, and no model folder with config.json, model.safetensors, tokenizer.json"
        )
    if not path.exists() and (names := _names(path.parent)):
        raise RunError(f"there is no run {path.name} in {path.parent}{nearest(path.name, names)}")
    return {"pretrained": word}


def _runs(path: Path) -> list[Path]:
    """The run folder itself, or the runs in a folder, the newest first."""
    if (path / "config.yaml").is_file():
        return [path]
    return [config.parent for config in sorted(path.glob("[!.]*/config.yaml"), reverse=True)]


def _names(root: Path) -> list[str]:
    """The names of the runs below a folder such as `runs`."""
    return sorted({config.parent.parent.name for config in root.glob("[!.]*/[!.]*/config.yaml")})
