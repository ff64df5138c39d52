"""EPTree on a real engine: forks, their places, what is recomputed, conversations, and which leaves are trained."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import TASK, ScriptedEnv, ScriptedTasks, talker, tokenizer
from tree_rows import PROMPT, branch, chain

from espalier.core.errors import ConfigError
from espalier.core.messages import Message
from espalier.core.seed import rng
from espalier.engine.local import LocalEngine
from espalier.engine.pool.routing import key_of
from espalier.envs.api import Step
from espalier.lm.chat.plain import PlainRenderer
from espalier.lm.decoder import Decoder
from espalier.rewards.config import ENV_REWARD
from espalier.rewards.rubric import Rubric
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.rollout.attempts import Attempts
from espalier.rl.rollout.config import RolloutConfig
from espalier.rl.rollout.groups import GroupPlayer
from espalier.rl.rollout.replay import Fork
from espalier.rl.rollout.tree.config import TreeConfig
from espalier.rl.rollout.tree.forks import Place, choose, places
from espalier.rl.rollout.tree.nodes import Tree
from espalier.rl.rollout.tree.search import TreePlayer

TOKENS = tokenizer()
LETTERS = "abcdefgh"


@pytest.fixture(scope="module")
def model() -> Decoder:
    return talker()


def search(
    model: Decoder,
    make: Callable[[], ScriptedEnv],
    tree: TreeConfig,
    *,
    seed: int = 0,
    members: int | None = None,
    **settings: object,
) -> tuple[ScoredGroup, LocalEngine]:
    config = RolloutConfig.model_validate({"samples_per_group": 4, "max_tokens": 16, "tree": tree, **settings})
    engine = LocalEngine(model, max_rows=40, max_len=128)
    tasks = ScriptedTasks(make)
    attempts = Attempts(engine, PlainRenderer(TOKENS), tasks, Rubric(ENV_REWARD), config, seed=seed)
    player = TreePlayer(attempts, tree, TOKENS.pieces, correct_above=0.99)
    return asyncio.run(player.play(7, TASK, members)), engine


def letter(turn: int, action: Message) -> Step:
    """Right if the answer begins with one of some letters."""
    return Step(reward=float(action.content[:1] in LETTERS))


def three_turns(turn: int, action: Message) -> Step:
    """Two answers that depend on what was said, then the end."""
    if turn == 3:
        return Step(reward=1.0)
    return Step(messages=[Message.user(f"{turn}{action.content[:2]}?")], done=False, reward=0.25)


def all_rows(group: ScoredGroup) -> list:
    return sorted([*group.rows, *group.others], key=lambda row: row.member)


def test_a_search_makes_m_times_one_plus_nlt_leaves_and_trains_some(model: Decoder):
    tree = TreeConfig(chains=3, forks=2, rounds=2, branches=2, markers=())
    group, engine = search(model, lambda: ScriptedEnv(letter), tree)
    rows = all_rows(group)
    assert len(rows) == tree.attempts == 27 == group.figures["tree/leaves"]
    assert len(group.rows) == len(group.episodes) == 4
    assert {row.origin is None for row in rows[:3]} == {True}
    origins = Counter(row.origin for row in rows[3:])
    assert set(origins.values()) == {2}, "T branches at each place, and no place twice"
    assert all(row.origin[1] >= PROMPT for row in rows[3:])
    assert [row.info.get("surprisal") is None for row in rows] == [True] * 3 + [False] * 24
    for row in rows:
        row.check()
    asyncio.run(check_scores(engine, rows))


async def check_scores(engine: LocalEngine, rows: list) -> None:
    """The recorded log-probs of each leaf are those of its tokens, the shared ones included."""
    for row in rows:
        scored = await engine.score(row.tokens)
        for place, sampled in enumerate(row.mask):
            if sampled:
                assert scored[place] == pytest.approx(row.logprobs[place], abs=1e-4)


def test_paths_join_to_the_tokens_of_the_leaves(model: Decoder):
    group, _ = search(model, lambda: ScriptedEnv(letter), TreeConfig(chains=2, forks=2, rounds=2, branches=1))
    rows = {row.member: row for row in all_rows(group)}
    tree = Tree(list(rows.values()))
    for member, path in tree.paths.items():
        segments = [tree.segments[i] for i in path]
        joined = [token for s in segments for token in rows[s.member].tokens[s.start : s.end]]
        assert joined == rows[member].tokens[rows[member].turns[0].end :]


def test_forks_compute_nothing_again(model: Decoder):
    group, engine = search(
        model, lambda: ScriptedEnv(letter), TreeConfig(chains=3, forks=2, rounds=2, branches=2), max_tokens=30
    )
    rows = all_rows(group)
    forked = [row for row in rows if row.origin]
    assert group.figures["tree/recomputed"] <= len(forked), "at most the last token of a prefix"
    shared = sum(row.origin[1] for row in forked)
    assert shared > 5 * group.figures["tree/recomputed"]
    stats = asyncio.run(engine.stats())
    own = sum(len(row.tokens) - (row.origin[1] if row.origin else row.turns[0].end) for row in rows)
    assert stats.sampled_tokens == own
    assert not engine._stepper.index.pin.any(), "nothing is kept after the search"


def test_without_forks_a_search_is_a_group_of_chains(model: Decoder):
    config = RolloutConfig(samples_per_group=4, max_tokens=16)
    engine = LocalEngine(model, max_rows=40, max_len=128)
    tasks = ScriptedTasks(lambda: ScriptedEnv(letter))
    attempts = Attempts(engine, PlainRenderer(TOKENS), tasks, Rubric(ENV_REWARD), config, seed=0)
    chains = asyncio.run(GroupPlayer(attempts).play(7, TASK))
    for tree in (TreeConfig(chains=4, forks=0), TreeConfig(chains=4, rounds=0)):
        group, _ = search(model, lambda: ScriptedEnv(letter), tree)
        assert [row.tokens for row in group.rows] == [row.tokens for row in chains.rows]
        assert group.others == []


def test_equal_seeds_give_equal_trees(model: Decoder):
    tree = TreeConfig(chains=2, rounds=2, places="random")
    one, _ = search(model, lambda: ScriptedEnv(letter), tree)
    again, _ = search(model, lambda: ScriptedEnv(letter), tree, max_in_flight=3)
    other, _ = search(model, lambda: ScriptedEnv(letter), tree, seed=1)
    assert [row.tokens for row in one.rows] == [row.tokens for row in again.rows]
    assert [row.tokens for row in one.rows] != [row.tokens for row in other.rows]


def test_a_right_leaf_is_trained_where_there_is_one(model: Decoder):
    rare: Callable[[int, Message], Step] = lambda turn, action: Step(reward=float(action.content[:1] in "a"))  # noqa: E731
    seen = 0
    for seed in range(12):
        group, _ = search(model, lambda: ScriptedEnv(rare), TreeConfig(), seed=seed, samples_per_group=2)
        right = [row for row in all_rows(group) if row.reward == 1.0]
        assert any(row.reward == 1.0 for row in group.rows) == bool(right)
        assert group.figures["tree/solved"] == float(bool(right))
        seen += bool(right)
    assert seen > 2


def test_conversations_are_forked_and_replayed(model: Decoder):
    made: list[ScriptedEnv] = []

    def make() -> ScriptedEnv:
        made.append(ScriptedEnv(three_turns))
        return made[-1]

    tree = TreeConfig(chains=2, forks=3, rounds=1, branches=1, markers=())
    group, engine = search(model, make, tree, max_turns=4, max_tokens=24)
    rows = all_rows(group)
    assert len(rows) == 8
    assert any(row.origin and row.origin[1] > row.turns[2].start for row in rows), "a fork in a later turn"
    for row, episode in zip(group.rows, group.episodes, strict=True):
        roles = [message.role.value for message in episode.messages]
        assert [turn.role for turn in row.turns[1:]] == roles[1:]
        said = [turn for turn in row.turns if turn.role == "assistant"]
        assert episode.turns == len(said)
        assert episode.env_reward == pytest.approx(sum(turn.reward or 0.0 for turn in said))
        renderer = PlainRenderer(TOKENS)
        for turn, message in zip(said, (m for m in episode.messages if m.role == "assistant"), strict=True):
            assert renderer.parse(row.tokens[turn.start : turn.end]).content == message.content
    asyncio.run(check_scores(engine, rows))
    assert all(env.closed == 1 for env in made)


def test_forks_where_turns_begin(model: Decoder):
    tree = TreeConfig(chains=2, forks=2, branches=2, at="turns")
    group, _ = search(model, lambda: ScriptedEnv(three_turns), tree, max_turns=4, max_tokens=40)
    forked = [row for row in all_rows(group) if row.origin]
    assert forked
    for row in forked:
        assert row.origin is not None
        assert row.origin[1] in {turn.start for turn in row.turns if turn.role == "assistant"}
        assert row.origin[1] > row.turns[1].end


def test_an_environment_that_does_not_repeat_itself_cannot_be_forked(model: Decoder):
    calls = iter(range(10_000))

    def random(turn: int, action: Message) -> Step:
        return Step(messages=[Message.user(f"{next(calls)}?")], done=turn == 3, reward=0.0)

    tree = TreeConfig(chains=2, forks=2, at="turns")
    group, _ = search(model, lambda: ScriptedEnv(random), tree, max_turns=3, max_tokens=40, repairs=0)
    assert {row.origin for row in all_rows(group)} == {None}
    assert any("must answer the same actions with the same messages" in error for error in group.errors)


def test_a_search_without_any_attempt_is_not_usable(model: Decoder):
    group, _ = search(model, lambda: ScriptedEnv(letter, broken="step raises"), TreeConfig(), repairs=0)
    assert (group.rows, group.usable) == ([], False)
    assert len(group.errors) == 6


def test_markers_end_the_places():
    row = chain(0, 8)
    texts = dict(zip(row.tokens[PROMPT:], ["2", "+", " ", "</th", "ink>", "7", "#", "7"], strict=True))
    config = TreeConfig(markers=("</think>", "#"))

    def pieces(ids: object) -> list[str]:
        return [texts[token] for token in ids]  # type: ignore[attr-defined]

    assert sorted(place.at for place in places([row], config, pieces)) == [2, 3, 4, 5, 6]
    every = TreeConfig(markers=())
    assert sorted(place.at for place in places([row], every, pieces)) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert [place.at for place in places([row], every, pieces)] == [9, 8, 7, 6, 5, 4, 3, 2], "most surprising first"


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(3, 40)), unique=True, max_size=30), st.integers(0, 8))
def test_every_choice_is_of_distinct_places_and_as_many_as_there_are(found: list[tuple[int, int]], forks: int):
    candidates = [Place(member, at, 1.0 / (1 + i)) for i, (member, at) in enumerate(found)]
    for how in ("surprisal", "diverse", "random"):
        chosen = choose(candidates, TreeConfig(forks=forks, places=how), rng(0))
        assert len(chosen) == len(set(chosen)) == min(forks, len(candidates))
        assert set(chosen) <= set(candidates)


def test_the_first_token_of_a_branch_is_not_forked_again_but_that_of_a_chain_may_be():
    one = chain(0, 4)
    two = branch(one, 3, 1, 3)
    found = {place.origin for place in places([one, two], TreeConfig(markers=()), lambda ids: [""] * len(ids))}
    assert found == {(0, 2), (0, 4), (0, 5), (1, 4), (1, 5)}
    first = branch(one, 2, 2, 3)
    tree = Tree([one, first])
    assert [(s.member, s.start, s.parent, s.leaves) for s in tree.segments] == [(0, 2, -1, [0]), (2, 2, -1, [2])]


def test_one_engine_of_a_pool_plays_a_whole_search(model: Decoder):
    names: list[str] = []

    class Noted(LocalEngine):
        async def generate(self, prompt, sampling, *, session=""):  # type: ignore[no-untyped-def]
            names.append(session)
            return await super().generate(prompt, sampling, session=session)

    config = RolloutConfig(samples_per_group=4, max_tokens=16, tree=TreeConfig())
    engine = Noted(model, max_rows=40, max_len=128)
    tasks = ScriptedTasks(lambda: ScriptedEnv(letter))
    attempts = Attempts(engine, PlainRenderer(TOKENS), tasks, Rubric(ENV_REWARD), config, seed=0)
    player = TreePlayer(attempts, TreeConfig(markers=()), TOKENS.pieces, correct_above=0.99)
    asyncio.run(player.play(7, TASK))
    assert len(set(names)) == 30
    assert len({key_of(name, []) for name in names}) == 1


def test_a_fork_before_an_inserted_text_is_not_forced():
    row = chain(0, 4)
    row.insert([9])
    row.sample([8], [-0.1], [0])
    row.info["forced"] = True
    assert "forced" not in Fork(row, [], 4).begin(1).info
    assert Fork(row, [], 7).begin(2).info["forced"] is True
    assert row.info["forced"] is True


def test_diverse_places_are_far_apart():
    ats = [10, 11, 12, 13, 50, 30, 29, 31, 10, 9]
    candidates = [Place(0, at, 9.0 - i) for i, at in enumerate(ats)]
    chosen = choose(candidates, TreeConfig(forks=3, places="diverse"), rng(0))
    assert [place.at for place in chosen] == [10, 50, 30]
    assert [place.at for place in choose(candidates, TreeConfig(forks=2), rng(0))] == [10, 11]


def test_more_trained_rows_than_leaves_are_refused():
    with pytest.raises(ConfigError, match=r"rollout.tree makes 8 attempts.*fewer than the 16"):
        RolloutConfig.of(samples_per_group=16, tree={"chains": 2, "branches": 1, "forks": 3})
