"""How far a swarm is from the shape of its formation by the graph of its distances, with the gradient by one's place.

f_s = ||L - L_des||_F^2, where L = I - D^-1/2 A D^-1/2 and A_ij = ||p_i - p_j||^2 on the edges of a graph. It stays the
same when all are moved, turned, mirrored or scaled. Source: Swarm-Formation (Quan et al., T-RO 2023).

How it is summed is ours. With u = d^-1/2, f_s is the sum of (A_jk u_j u_k - W_jk)^2. Of the others among themselves,
only the degrees d change with one's own position. Squared distances have rank 5: A_jk = h_j' G h_k where
h = (1, x, y, z, r^2), and W_jk = s_j s_k g_j' G g_k likewise of the slots. So on a complete graph the others' sum takes
but 5 x 5 moments, of the u_j^2 h_j h_j' and of the u_j s_j h_j g_j': exact, and O(n). On a sparse graph it is summed
over the edges.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from espalier.robots.swarm.traj.quintic import Floats

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Five = tuple[float, float, float, float, float]
LEAST_DEGREE = 1e-9
"""Square metres; a vehicle that is where all its neighbours are counts as if it had this degree."""
LEAST_EDGES = 4
"""Of a vehicle in a sparse graph, where there are so many others."""


class Wanted(NamedTuple):
    """The desired graph of n others and oneself. lifted, dual: (5, n), g and G g of the others' slots. shares: (n,), s.
    linked: (n,) 1 for an edge to oneself, else 0. own: (n,) the W of these. complete: whether all pairs are edges; else
    first, second: (e,) ends of the edges among the others, and weights: (e,) their W. square: the sum of W_jk^2 among
    the others of a complete one. scale: mean degree, square metres.
    """

    lifted: Floats
    dual: Floats
    shares: Floats
    linked: Floats
    own: Floats
    complete: bool
    first: Ints
    second: Ints
    weights: Floats
    square: float
    scale: float


class Graph(NamedTuple):
    """The others at moments. times: (k,) seconds, absolute, ascending. middles: (k, 3) of the others. lifted, dual:
    (k, 5, n), h and G h about the middles. degrees: (k, n) among the others. squares: (k, e) lengths of edges, squared.
    """

    times: Floats
    middles: Floats
    lifted: Floats
    dual: Floats
    degrees: Floats
    squares: Floats
    wanted: Wanted


def wanted(own: Floats, slots: Floats, edges: Flags | None = None) -> Wanted:
    """For one's own slot (3,) and those of n others (n, 3). edges: (n + 1, n + 1), symmetric, oneself last; None for
    all.
    """
    n, lifted = len(slots), _lifted(np.concatenate([slots, own[None]]) - slots.mean(0))
    dual, linked = _dual(lifted), np.ones(n) if edges is None else edges[n, :n].astype(np.float64)
    pairs = np.empty((2, 0), np.int64) if edges is None else np.array(np.nonzero(np.triu(edges, 1)))
    degrees = dual.T @ lifted.sum(1)
    if edges is not None:
        squares = ((lifted[1:4, pairs[0]] - lifted[1:4, pairs[1]]) ** 2).sum(0)
        degrees = np.bincount(pairs.ravel(), np.tile(squares, 2), n + 1)
    shares = 1.0 / np.sqrt(np.maximum(degrees, LEAST_DEGREE))
    first, second = np.ascontiguousarray(pairs[:, pairs[1] < n])
    weights = ((lifted[1:4, first] - lifted[1:4, second]) ** 2).sum(0) * shares[first] * shares[second]
    to_own = linked * ((lifted[1:4, :n] - lifted[1:4, n:]) ** 2).sum(0) * shares[:n] * shares[n]
    lifted, dual, shares, scale = lifted[:, :n].copy(), dual[:, :n].copy(), shares[:n], float(degrees.mean())
    square = float(((shares**2 * lifted) @ lifted.T * ((shares**2 * dual) @ dual.T)).sum())
    return Wanted(lifted, dual, shares, linked, to_own, edges is None, first, second, weights, square, scale)


def graph(times: Floats, others: Floats, wanted: Wanted) -> Graph:
    """With the others at (k, n, 3) at times (k,)."""
    middles = others.mean(1)
    lifted = _lifted(others - middles[:, None])
    dual = _dual(lifted)
    squares, degrees = _lengths(lifted, wanted.first, wanted.second)
    if wanted.complete:
        degrees = (dual * lifted.sum(2)[..., None]).sum(1)
    return Graph(times, middles, lifted, dual, degrees, squares, wanted)


def random_edges(n: int, share: float, rng: np.random.Generator) -> Flags:
    """(n, n), symmetric: this share of all pairs. Everybody is linked to two before and two behind in a random circle,
    which makes the least number of edges; the others are drawn. Ours.
    """
    edges, circle = np.zeros((n, n), np.bool_), rng.permutation(n)
    for step in range(1, LEAST_EDGES // 2 + 1):
        edges[circle, np.roll(circle, step)] = edges[np.roll(circle, step), circle] = True
    np.fill_diagonal(edges, False)
    first, second = np.nonzero(np.triu(~edges, 1))
    more = max(round(share * n * (n - 1) / 2) - int(edges.sum()) // 2, 0)
    drawn = rng.permutation(len(first))[:more]
    edges[first[drawn], second[drawn]] = edges[second[drawn], first[drawn]] = True
    return edges


def _lifted(points: Floats) -> Floats:
    """h = (1, x, y, z, r^2) of points (..., n, 3): (..., 5, n)."""
    lifted = np.ones((*points.shape[:-2], 5, points.shape[-2]))
    lifted[..., 1:4, :], lifted[..., 4, :] = np.swapaxes(points, -1, -2), (points**2).sum(-1)
    return lifted


def _dual(lifted: Floats) -> Floats:
    """G h of h (..., 5, n): h' G h of two points is their squared distance."""
    dual = np.ones_like(lifted)
    dual[..., 0, :], dual[..., 1:4, :] = lifted[..., 4, :], -2.0 * lifted[..., 1:4, :]
    return dual


NOBODY = Graph(
    np.empty(0),
    np.empty((0, 3)),
    np.empty((0, 5, 1)),
    np.empty((0, 5, 1)),
    np.empty((0, 1)),
    np.empty((0, 0)),
    wanted(np.zeros(3), np.ones((1, 3))),
)
"""No graph."""


@njit(cache=True)
def _lengths(lifted: Floats, first: Ints, second: Ints) -> tuple[Floats, Floats]:
    """Squared lengths of edges (k, e), and degrees (k, n)."""
    squares, degrees = np.zeros((len(lifted), len(first))), np.zeros((len(lifted), lifted.shape[2]))
    for k in range(len(lifted)):
        for e in range(len(first)):
            i, j = first[e], second[e]
            for x in range(1, 4):
                squares[k, e] += (lifted[k, x, i] - lifted[k, x, j]) ** 2
            degrees[k, i] += squares[k, e]
            degrees[k, j] += squares[k, e]
    return squares, degrees


@njit(cache=True, error_model="numpy")
def shape_error(graph: Graph, k: int, point: Floats, pull: Floats) -> float:
    """f_s with oneself at a point (3,) at moment k; pull: (3,) gets its gradient."""
    linked, own, among = graph.wanted.linked, graph.wanted.own, graph.degrees[k]
    hx, hy, hz, n = graph.lifted[k, 1], graph.lifted[k, 2], graph.lifted[k, 3], len(linked)
    x, y, z = point[0] - graph.middles[k, 0], point[1] - graph.middles[k, 1], point[2] - graph.middles[k, 2]
    squares, roots, degree = np.empty(n), np.empty(n), 0.0
    for j in range(n):
        squares[j] = linked[j] * ((x - hx[j]) ** 2 + (y - hy[j]) ** 2 + (z - hz[j]) ** 2)
        degree += squares[j]
    for j in range(n):
        roots[j] = 1.0 / np.sqrt(max(among[j] + squares[j], LEAST_DEGREE))
    root, by_root, by_roots = 1.0 / np.sqrt(max(degree, LEAST_DEGREE)), 0.0, np.zeros(n)
    value = _by_moments(graph, k, roots, by_roots) if graph.wanted.complete else _by_edges(graph, k, roots, by_roots)
    by_squares = np.empty(n)
    for j in range(n):
        over = squares[j] * root * roots[j] - own[j]
        value += 2.0 * over * over
        by_root += 4.0 * over * squares[j] * roots[j]
        by_degree = -0.5 * (by_roots[j] + 4.0 * over * squares[j] * root) * roots[j] * roots[j] * roots[j]
        by_squares[j] = 4.0 * over * root * roots[j] + (by_degree if among[j] + squares[j] > LEAST_DEGREE else 0.0)
    by_own = -0.5 * by_root * root**3 if degree > LEAST_DEGREE else 0.0
    px, py, pz = 0.0, 0.0, 0.0
    for j in range(n):
        push = 2.0 * linked[j] * (by_squares[j] + by_own)
        px += push * (x - hx[j])
        py += push * (y - hy[j])
        pz += push * (z - hz[j])
    pull[0], pull[1], pull[2] = px, py, pz
    return value


@njit(cache=True, error_model="numpy")
def _by_edges(graph: Graph, k: int, roots: Floats, by_roots: Floats) -> float:
    """The others' sum over their edges, and its gradient by the roots u."""
    first, second, weights, squares = graph.wanted.first, graph.wanted.second, graph.wanted.weights, graph.squares[k]
    value = 0.0
    for e in range(len(first)):
        i, j = first[e], second[e]
        over = squares[e] * roots[i] * roots[j] - weights[e]
        value += 2.0 * over * over
        by_roots[i] += 4.0 * over * squares[e] * roots[j]
        by_roots[j] += 4.0 * over * squares[e] * roots[i]
    return value


@njit(cache=True, error_model="numpy")
def _by_moments(graph: Graph, k: int, roots: Floats, by_roots: Floats) -> float:
    """The same of a complete graph: sum_jk A^2 u^2 u^2 - 2 A W u u + W^2, by moments."""
    h, g, shares, n = graph.lifted[k], graph.wanted.lifted, graph.wanted.shares, len(roots)
    gh, gg, one, both, cross = graph.dual[k], graph.wanted.dual, np.empty(n), np.empty(n), np.zeros(n)
    for a in range(5):
        for j in range(n):
            part = gh[a, j] * roots[j]
            one[j], both[j] = part * roots[j], part * shares[j]
        p, q = _dots(one, gh), _dots(both, gg)
        for j in range(n):
            alone = p[0] * h[0, j] + p[1] * h[1, j] + p[2] * h[2, j] + p[3] * h[3, j] + p[4] * h[4, j]
            mixed = q[0] * g[0, j] + q[1] * g[1, j] + q[2] * g[2, j] + q[3] * g[3, j] + q[4] * g[4, j]
            cross[j] += h[a, j] * shares[j] * mixed
            by_roots[j] += 4.0 * h[a, j] * (roots[j] * alone - shares[j] * mixed)
    value = graph.wanted.square
    for j in range(n):
        value += roots[j] * (0.25 * by_roots[j] - cross[j])
    return value


@njit(cache=True, fastmath={"reassoc", "nsz", "arcp", "contract"})
def _dots(one: Floats, rows: Floats) -> Five:
    """Of (n,) with each of rows (5, n). No loop that also writes may be summed in any order, as this is: the order
    would depend on where in memory the arrays happen to be.
    """
    a = b = c = d = e = 0.0
    for j in range(len(one)):
        a += one[j] * rows[0, j]
        b += one[j] * rows[1, j]
        c += one[j] * rows[2, j]
        d += one[j] * rows[3, j]
        e += one[j] * rows[4, j]
    return a, b, c, d, e
