"""Projects features of different graphs to one space of `dim` columns: bag-of-words, and texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch

from espalier.core.errors import EspalierError
from espalier.graph.data.graph import Graph
from espalier.graph.ops.csr import SparseMatrix


class TextEncoder(Protocol):
    """Encodes texts as vectors."""

    def __call__(self, texts: Sequence[str]) -> Any:
        """(n, dim) floats."""


def hashed_text(dim: int, seed: int = 0) -> TextEncoder:
    """Words and word pairs, hashed, weighted by TF-IDF, and projected on the `dim` strongest directions of the
    texts.

    It needs no model file; any other encoder, such as `sentence_transformer`, can be used instead.
    """

    def encode(texts: Sequence[str]) -> Any:
        from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

        counts = HashingVectorizer(n_features=2**18, ngram_range=(1, 2), alternate_sign=False, norm=None)
        return _strongest(TfidfTransformer().fit_transform(counts.transform(texts)), dim, seed)

    return encode


def sentence_transformer(name: str) -> TextEncoder:
    """A sentence-transformers model by name or path."""

    def encode(texts: Sequence[str]) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
        except ModuleNotFoundError as error:
            raise EspalierError(f"the text encoder {name!r} needs: pip install sentence-transformers") from error
        return SentenceTransformer(name).encode(list(texts))

    return encode


def project_words(graph: Graph, dim: int, seed: int = 0) -> Graph:
    """The graph with its bag of words as TF-IDF on the `dim` strongest directions, in order of strength."""
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfTransformer

    if isinstance(graph.x, SparseMatrix):
        parts = (graph.x.values.numpy(), graph.x.csr.indices.numpy(), graph.x.csr.indptr.numpy())
        words = csr_matrix(parts, shape=graph.x.shape)
    else:
        words = csr_matrix(graph.x.numpy())
    return with_features(graph, _strongest(TfidfTransformer().fit_transform(words), dim, seed))


def with_features(graph: Graph, x: Any) -> Graph:
    """The graph with features x (N, dim), scaled so that rows are of length 1 on average."""
    values = torch.as_tensor(np.asarray(x), dtype=torch.float32)
    return replace(graph, x=values / values.norm(dim=1).mean().clamp(min=1e-12))


def centred(graph: Graph) -> Graph:
    """The graph with its own mean feature vector subtracted. Source: GraphAlign, section 4.1."""
    assert not isinstance(graph.x, SparseMatrix), "project the features first"
    return replace(graph, x=graph.x - graph.x.mean(0))


def _strongest(x: Any, dim: int, seed: int) -> Any:
    from sklearn.decomposition import TruncatedSVD

    rank = min(dim, min(x.shape) - 1)
    flat = TruncatedSVD(rank, random_state=seed).fit_transform(x)
    # the sign of a direction is arbitrary: its largest entry is made positive
    signs = np.sign(flat[np.abs(flat).argmax(0), np.arange(rank)])
    return np.pad(flat * signs, ((0, 0), (0, dim - rank)))
