"""Converts PyTorch Geometric's `Data` and `Batch` to a graph, with errors for what is not supported."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from espalier.core.errors import DataError, MissingExtraError
from espalier.graph.data.arrays import as_features, as_integers, as_labels, as_mask
from espalier.graph.data.graph import Graph, check_members, symmetric, warn_unread
from espalier.graph.ops.csr import CSR
from espalier.graph.ops.features import pack

MASKS = ("train", "val", "test")


def from_pyg(data: Any, name: str) -> Graph:
    """The graph of a `Data`, or the set of graphs of a `Batch`. Edges are made symmetric; duplicates and self-loops are
    removed.

    Weights and attributes of edges are not read; a warning names them. If a mask has several splits, the first is used.
    Raises DataError if edges, features, labels or masks are not usable.
    """
    try:
        from torch_geometric.data import Data
    except ModuleNotFoundError as error:
        raise MissingExtraError("torch_geometric", "graph") from error
    if not isinstance(data, Data):
        advice = ": data.to_homogeneous() makes one graph of it" if hasattr(data, "to_homogeneous") else ""
        raise DataError(f"{name}: a {type(data).__name__} is not a torch_geometric.data.Data{advice}")
    n = int(data.num_nodes or 0)
    source, target = _edges(data, name)
    adj = symmetric(source, target, n, name)
    for key in ("edge_weight", "edge_attr"):
        if data.get(key) is not None:
            warn_unread(name, f"{key} is")
    x = data.x
    if x is None:
        raise DataError(f"{name}: the Data has no features x; torch_geometric.transforms.OneHotDegree makes some")
    features = as_features(_array(x, f"{name}: x"), f"{name}: x")
    if len(features) != n:
        raise DataError(f"{name}: x has {len(features)} rows for {n} nodes")
    ptr = _members(data, adj, name)
    count = n if ptr is None else ptr.numel() - 1
    y = None if data.y is None else _labels(data.y, count, name)
    splits = {key: _mask(data[f"{key}_mask"], n, f"{name}: {key}_mask") for key in MASKS if f"{key}_mask" in data}
    return Graph(adj, pack(torch.from_numpy(features)), y, splits, ptr, name=name).to(x.device)


def _edges(data: Any, name: str) -> Tensor:
    """(2, E) int64."""
    edges = data.edge_index
    if edges is None:
        also = "; it has adj_t: leave torch_geometric.transforms.ToSparseTensor out" if "adj_t" in data else ""
        raise DataError(f"{name}: the Data has no edge_index{also}")
    if not isinstance(edges, Tensor) or edges.dim() != 2 or edges.shape[0] != 2:
        raise DataError(f"{name}: edge_index is {_kind(edges)}, where a tensor of (2, edges) is needed")
    if edges.is_floating_point() or edges.is_complex() or edges.dtype == torch.bool:
        raise DataError(f"{name}: edge_index is {_kind(edges)}: node numbers must be integers: use edge_index.long()")
    return edges.detach().cpu().long()


def _members(data: Any, adj: CSR, name: str) -> Tensor | None:
    """(G + 1,) where the member graphs of a `Batch` begin; None for one graph."""
    if "ptr" not in data:
        if "batch" in data:
            raise DataError(f"{name}: it has `batch` but no `ptr`: Batch.from_data_list(graphs) makes both")
        return None
    ptr = torch.from_numpy(as_integers(_array(data.ptr, f"{name}: ptr"), f"{name}: ptr"))
    check_members(ptr, adj, f"{name}: ptr")
    return ptr


def _labels(y: Any, count: int, name: str) -> Tensor:
    values = _array(y, f"{name}: y")
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if values.shape != (count,):
        advice = "; a graph of its own label belongs in a Batch" if values.size == 1 else ""
        raise DataError(f"{name}: y is of shape {values.shape}, where {count} labels are needed{advice}")
    return torch.from_numpy(as_labels(values, f"{name}: y"))


def _mask(mask: Any, n: int, where: str) -> Tensor:
    values = _array(mask, where)
    return torch.from_numpy(as_mask(values[:, 0] if values.ndim == 2 and values.shape[1] else values, where, n))


def _array(values: Any, where: str) -> Any:
    if not isinstance(values, Tensor):
        raise DataError(f"{where} is {_kind(values)}, where a tensor is needed")
    values = values.detach().cpu()
    values = values if values.layout == torch.strided else values.to_dense()
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


def _kind(value: Any) -> str:
    return f"{value.dtype} of {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
