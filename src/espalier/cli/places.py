"""Finding what the user names: recipes and run folders."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from espalier.core.errors import ConfigError, RunError, nearest
from espalier.core.fetch.catalogue import ITEMS
from espalier.core.run.folder import read_state, standing

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
    is_file = Path(word).suffix in (".yaml", ".yml")
    close = get_close_matches(wanted, names if "/" in wanted else {path.stem for path in names.values()}, n=1)
    what = f"file {word}" if is_file else f"recipe {word!r}"
    meant = f"; did you mean {close[0]!r}?" if close else "; `espalier list` shows the recipes."
    raise ConfigError(f"there is no {what}{meant}{'' if is_file else ' An override is written key=value.'}")


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
    if runs := _runs(Path(word)):
        return runs[0]
    _check_name(word)
    raise RunError(f"{word} is not a run folder. Runs lie in {RUNS}/NAME/TIME.")


def newest_running() -> Path:
    """The run below `RUNS` that goes on now; of several, the one that began last. Raises RunError if there is none."""
    folders = sorted((config.parent for config in RUNS.glob("[!.]*/[!.]*/config.yaml")), key=lambda path: path.name)
    for path in reversed(folders):
        if standing(path, read_state(path)) == "running":
            return path
    raise RunError(f"no run goes on below {RUNS}/: name one, as `espalier runs` shows them")


def find_model(word: str) -> dict[str, Any]:
    """The `model:` section of what the user names: a pretrained model, a model folder, or a run's model. Of the runs of
    a name, the newest that has a model; a line says so where others are newer.

    Raises RunError where no run there has saved a model, ConfigError for a word that is none of these.
    """
    path = Path(word)
    if word in ITEMS or _is_file(path / "config.json"):
        return {"pretrained": word}
    if runs := _runs(path):
        for run in runs:
            if (run / "model" / "config.json").is_file():
                if run != runs[0]:
                    print(f"{runs[0]} has saved no model; this is that of {run}", file=sys.stderr)
                return {"pretrained": str(run / "model")}
        raise RunError(
            f"{word} holds no model: training saves it at its end. `espalier resume {runs[0]}` goes on with a run that "
            "was stopped"
        )
    if _is_dir(path):
        raise ConfigError(
            f"{word}: no run folder, and no model folder with config.json, model.safetensors, tokenizer.json"
        )
    if not _is_file(path) and path.parent != Path():
        _check_name(word)
    return {"pretrained": word}


def name_of(word: str) -> str:
    """What a model is called: by its run, or else the last part of `word`."""
    path = Path(word).absolute()
    run = path.parent if path.name == "model" else path
    return run.parent.name if _is_file(run / "config.yaml") else path.name


def _runs(path: Path) -> list[Path]:
    """The run folder itself, or the runs of a name, the newest first."""
    if _is_file(path / "config.yaml"):
        return [path]
    folder = path if _is_dir(path) else RUNS / path
    found = folder.glob("[!.]*/config.yaml") if _is_dir(folder) else ()
    return [config.parent for config in sorted(found, reverse=True)]


def _check_name(word: str) -> None:
    """Raises RunError where the folder of `word` holds runs, and none that is called so."""
    path = Path(word)
    root = RUNS if path.parent == Path() else path.parent
    if not _is_dir(path) and _is_dir(root):
        names = {config.parent.parent.name for config in root.glob("[!.]*/[!.]*/config.yaml")}
        if names:
            raise RunError(f"there is no run {path.name!r} in {root}{nearest(path.name, names)}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
