"""Where the data sets of the recipes come from. They are not fetched by us: each has its own terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Source:
    """A public repository of GitHub. licence: as it states it; empty where it states none that we know of."""

    what: str
    repository: str
    licence: str = ""

    def __str__(self) -> str:
        return f"github.com/{self.repository}" + (f", {self.licence}" if self.licence else "")


_PLANETOID = Source("citation graph, Planetoid's raw files", "kimiyoung/planetoid")
_BENCHMARK = Source("graph of gnn-benchmark, .npz", "EdisonLeeeee/GraphData")
_TU = Source("set of graphs, TU's raw files", "muhanzhang/pytorch_DGCNN")
_TERRAIN = Source("simulated outdoor terrain, point cloud", "ZJU-FAST-Lab/FSGP_BGK")
_CODEX = Source("knowledge graph", "tsafavi/codex", "MIT")

SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "graph/Cora": _PLANETOID,
        "graph/CiteSeer": _PLANETOID,
        "graph/Photo": _BENCHMARK,
        "graph/CS": _BENCHMARK,
        "graph/MUTAG": _TU,
        "graph/PROTEINS": _TU,
        "graph/IMDB-BINARY": _TU,
        "kg/codex-s": _CODEX,
        "kg/codex": _CODEX,
        "terrain/forest.pcd": _TERRAIN,
        "terrain/desert.pcd": _TERRAIN,
        "terrain/vocano.pcd": _TERRAIN,
        "text/gsm8k": Source("grade-school maths problems, JSON lines", "openai/grade-school-math", "MIT"),
        "traces/azure_conv.csv": Source("request trace, CSV", "Azure/AzurePublicDataset", "CC-BY 4.0"),
        "traces/mooncake_synthetic.jsonl": Source("request trace, JSON lines", "kvcache-ai/Mooncake", "Apache-2.0"),
    }
)
"""By path below the data root, of a file or of a folder of files."""


def source_of(place: str) -> Source | None:
    """The source of a path below the data root, its own or that of a folder it lies in; None where none is known."""
    path = PurePosixPath(place)
    return next((SOURCES[str(one)] for one in (path, *path.parents) if str(one) in SOURCES), None)
