"""The methods: what each paper says of them, on cases small enough to see through."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from graphs import random_graph, with_dtype
from torch import Tensor

from espalier.core.errors import ConfigError
from espalier.graph.config import PretrainConfig
from espalier.graph.data.graph import Graph
from espalier.graph.methods.build import build_method
from espalier.graph.methods.config import SCRConfig, SupervisedConfig
from espalier.graph.methods.contrastive.augment import mask_columns, view
from espalier.graph.methods.contrastive.config import BGRLConfig, CCAConfig, DGIConfig, GRACEConfig, MVGRLConfig
from espalier.graph.methods.contrastive.dgi import real_or_not
from espalier.graph.methods.contrastive.grace import contrast
from espalier.graph.methods.generative.config import ARGVAConfig, GAEConfig, VGAEConfig
from espalier.graph.methods.generative.gae import link_loss
from espalier.graph.methods.masked.config import GraphMAE2Config, GraphMAEConfig, PGTConfig
from espalier.graph.methods.masked.corrupt import draw_mask
from espalier.graph.methods.masked.cosine import cosine, projected_cosine, sce
from espalier.graph.methods.masked.graphmae import GraphMAE
from espalier.graph.methods.masked.sequences import Sequences
from espalier.graph.methods.scr import consistency
from espalier.graph.methods.teacher import follow
from espalier.graph.nn.config import EncoderConfig
from espalier.graph.nn.encoder import Encoder
from espalier.graph.ops.csr import CSR
from espalier.graph.ops.features import dense
from espalier.graph.random import seeded
from espalier.graph.sampling.clusters import Clusters
from espalier.graph.sampling.config import ContextConfig

SMALL = EncoderConfig(hidden=8, heads=2)
GCN = EncoderConfig(kind="gcn", hidden=8)

EVERY = [
    GraphMAEConfig(encoder=SMALL),
    GraphMAE2Config(encoder=SMALL, projection=4),
    DGIConfig(encoder=GCN),
    MVGRLConfig(hidden=8),
    GRACEConfig(encoder=GCN),
    BGRLConfig(encoder=EncoderConfig(kind="gcn", hidden=8, norm="batch")),
    CCAConfig(encoder=GCN),
    GAEConfig(encoder=GCN, code=4),
    VGAEConfig(encoder=GCN, code=4),
    ARGVAConfig(encoder=GCN, code=4),
    SCRConfig(hidden=8, warm_up=0.0),
    SupervisedConfig(encoder=GCN),
]


@pytest.mark.parametrize("config", EVERY, ids=lambda config: config.name)
def test_every_method_has_a_finite_loss_with_gradients_and_embeddings_without(config: object) -> None:
    graph = random_graph()
    method = build_method(config, 12, 3)
    loss = method.loss(graph)
    loss.backward()
    assert loss.isfinite()
    reached = [p for p in method.parameters() if p.requires_grad and p.grad is not None and bool((p.grad != 0).any())]
    assert reached
    z = method.embed(graph)
    assert z.shape[0] == 30
    assert not z.requires_grad
    assert method.training
    torch.testing.assert_close(method.embed(graph), z)


@pytest.mark.parametrize("config", EVERY, ids=lambda config: config.name)
def test_equal_seeds_draw_equal_weights(config: object) -> None:
    one, two, other = (build_method(config, 12, 3, seed=seed) for seed in (1, 1, 2))
    both = list(zip(one.parameters(), two.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in both)
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


# ---- GraphMAE


def dense_graphmae(method: GraphMAE, graph: Graph) -> Tensor:
    """The loss as the paper writes it: every reconstruction formed, every row encoded."""
    config, x = method.config, dense(graph.x)
    mask = draw_mask(graph.n_nodes, config.mask_rate, config.replace_rate)
    seen = x if mask.shows is None else x[mask.shows]
    seen = seen.index_copy(0, mask.hidden, method.token.expand(mask.hidden.numel(), -1))
    codes = method.bridge(method.encoder(graph.looped, seen))
    codes = codes.index_fill(0, mask.masked, 0.0)
    rebuilt = method.decoder(graph.looped, codes)[mask.masked]
    return (1.0 - F.cosine_similarity(rebuilt, x[mask.masked], eps=1e-12)).pow(config.alpha).mean()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("sparse", [True, False])
def test_graphmae_equals_the_dense_model_in_loss_and_gradients(
    dtype: torch.dtype, tolerance: float, sparse: bool
) -> None:
    graph = with_dtype(random_graph(60, 200, sparse=sparse), dtype)
    method = build_method(GraphMAEConfig(encoder=SMALL, replace_rate=0.2), 12).to(dtype)
    assert isinstance(method, GraphMAE)
    with torch.no_grad():
        method.decoder.bias.normal_()
        method.token.normal_()
    found = []
    for loss_of in (method.loss, lambda graph: dense_graphmae(method, graph)):
        method.zero_grad()
        with seeded(5):
            loss = loss_of(graph)
        loss.backward()
        found.append((loss.detach(), [p.grad for p in method.parameters()]))
    (ours, our_grads), (theirs, their_grads) = found
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    for (name, _), a, b in zip(method.named_parameters(), our_grads, their_grads, strict=True):
        torch.testing.assert_close(a, b, rtol=10 * tolerance, atol=tolerance, msg=name)


def test_masked_features_do_not_reach_the_encoder() -> None:
    graph = random_graph(sparse=False)
    method = build_method(GraphMAEConfig(encoder=SMALL), 12)
    with seeded(7):
        mask = draw_mask(30, 0.5)
    losses = []
    for scale in (1.0, 100.0):
        x = dense(graph.x).clone()
        x[mask.masked] *= scale  # the direction of the target stays, so the loss may not change at all
        with seeded(7):
            losses.append(method.loss(Graph(graph.adj, x)))
    torch.testing.assert_close(losses[0], losses[1])


def test_the_mask_has_the_sizes_of_the_paper() -> None:
    mask = draw_mask(100, 0.5, 0.1)
    assert (mask.masked.numel(), mask.kept.numel(), mask.hidden.numel()) == (50, 50, 45)
    assert mask.shows is not None
    changed = (mask.shows != torch.arange(100)).nonzero().squeeze(1)
    assert set(changed.tolist()) <= set(mask.masked.tolist()) - set(mask.hidden.tolist())
    assert sorted([*mask.masked.tolist(), *mask.kept.tolist()]) == list(range(100))
    few = draw_mask(20, 0.5, 0.05)  # floor(0.05 * 10) = 0 noise nodes: not all of them
    assert few.shows is None
    assert few.hidden.numel() == 9


def test_the_scaled_cosine_error_by_hand() -> None:
    a, b = torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]]), torch.tensor([[4.0, 3.0], [0.0, 2.0], [1.0, 1.0]])
    torch.testing.assert_close(cosine(a, b), torch.tensor([0.96, 0.0, 0.0]))
    assert sce(cosine(a, b), 1).item() == pytest.approx((0.04 + 1 + 1) / 3)
    assert sce(cosine(a, b), 3).item() == pytest.approx((0.04**3 + 1 + 1) / 3)
    gaps = torch.rand(50)
    assert sce(1 - gaps, 3) < sce(1 - gaps, 2) < sce(1 - gaps, 1)


def test_the_cosine_to_sparse_features() -> None:
    graph = with_dtype(random_graph(), torch.float64)
    h, weight, bias = (torch.randn(*shape, dtype=torch.float64) for shape in ((30, 5), (5, 12), (12,)))
    torch.testing.assert_close(
        projected_cosine(h, weight, bias, graph.x), cosine(h @ weight + bias, graph.x.dense()), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("decoder", ["gat", "gcn", "gin", "mlp", "linear"])
@pytest.mark.parametrize("criterion", ["sce", "mse"])
def test_graphmae_with_every_decoder(decoder: str, criterion: str) -> None:
    config = GraphMAEConfig.of(encoder=SMALL, decoder=decoder, criterion=criterion, drop_edge=0.2)
    loss = build_method(config, 12).loss(random_graph())
    loss.backward()
    assert loss.isfinite()


# ---- GraphMAE2


@pytest.mark.parametrize("momentum", [0.0, 1.0, 0.5])
def test_the_teacher_follows_between_its_limits(momentum: float) -> None:
    teacher, student = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    before = teacher.weight.detach().clone()
    follow(teacher, student, momentum)
    torch.testing.assert_close(teacher.weight, momentum * before + (1 - momentum) * student.weight)


def test_graphmae2_with_one_fixed_view_and_no_latent_loss_is_graphmae() -> None:
    graph = random_graph()
    first = build_method(GraphMAEConfig(encoder=SMALL), 12)
    config = GraphMAE2Config(encoder=SMALL, remask="fixed", latent=0.0, tokens="zeros", projection=4)
    second = build_method(config, 12)
    second.load_state_dict(first.state_dict(), strict=False)
    with seeded(1):
        a = first.loss(graph)
    with seeded(1):
        b = second.loss(graph)
    torch.testing.assert_close(a, b)


def test_graphmae2_reads_the_latent_loss_at_the_targets_only() -> None:
    graph = random_graph()
    method = build_method(GraphMAE2Config(encoder=SMALL, projection=4, views=1), 12)
    batch = Graph(graph.adj, graph.x, targets=torch.tensor([0]))
    with seeded(1):
        whole = method.loss(graph)
    with seeded(1):
        one = method.loss(batch)
    assert not torch.equal(whole, one)


def test_the_teacher_waits_for_its_delay() -> None:
    method = build_method(GraphMAE2Config(encoder=SMALL, momentum=0.0, delay=0.5, projection=4), 12)
    with torch.no_grad():
        method.encoder.layers[0].weight += 1.0
    method.after_step(0.4)
    assert not torch.equal(method.teacher[0].layers[0].weight, method.encoder.layers[0].weight)
    method.after_step(0.5)
    assert torch.equal(method.teacher[0].layers[0].weight, method.encoder.layers[0].weight)


# ---- contrastive


def test_graces_contrast_by_hand_and_in_blocks() -> None:
    u, v = (F.normalize(torch.randn(7, 3, dtype=torch.float64), dim=1) for _ in range(2))
    tau, total = 0.5, 0.0
    for i in range(7):
        positive = math.exp(float(u[i] @ v[i]) / tau)
        others = sum(math.exp(float(u[i] @ v[j]) / tau) for j in range(7))
        others += sum(math.exp(float(u[i] @ u[j]) / tau) for j in range(7) if j != i)
        total -= math.log(positive / others) / 7
    assert contrast(u, v, tau, 100).item() == pytest.approx(total)
    u.requires_grad_()
    whole = torch.autograd.grad(contrast(u, v, tau, 100), u)[0]
    blocks = torch.autograd.grad(contrast(u, v, tau, 3), u)[0]
    torch.testing.assert_close(whole, blocks)


def test_dgis_loss_at_no_knowledge_is_log_two() -> None:
    assert real_or_not(torch.zeros(5), torch.zeros(5)).item() == pytest.approx(math.log(2))


def test_cca_ssg_by_hand() -> None:
    graph = random_graph()
    method = build_method(CCAConfig(encoder=GCN, drop_edges=0.0, drop_features=0.0), 12)
    z = method.encode(graph)
    z = (z - z.mean(0)) / z.std(0)
    c = z.t() @ z / 30
    gap = (torch.eye(8) - c).square().sum()
    torch.testing.assert_close(method.loss(graph), -torch.trace(c) + 1e-3 * 2 * gap)


def test_bgrls_teacher_slows_down_to_a_stop() -> None:
    method = build_method(BGRLConfig(encoder=GCN, momentum=0.0), 12)
    with torch.no_grad():
        method.encoder.layers[0].weight += 1.0
    before = method.teacher.layers[0].weight.clone()
    method.after_step(1.0)
    assert torch.equal(method.teacher.layers[0].weight, before)
    method.after_step(0.0)
    assert torch.equal(method.teacher.layers[0].weight, method.encoder.layers[0].weight)


def test_views_mask_whole_columns() -> None:
    graph = random_graph()
    torch.manual_seed(0)
    x = dense(mask_columns(graph.x, 0.5))
    full = dense(graph.x)
    zeroed = (x == 0).all(0)
    assert 0 < int(zeroed.sum()) < 12
    torch.testing.assert_close(x[:, ~zeroed], full[:, ~zeroed])
    csr, _ = view(graph, 0.5, 0.0)
    assert csr.nnz < graph.looped.nnz


def test_mvgrls_diffusion_is_the_inverse_of_the_paper() -> None:
    graph = random_graph()
    method = build_method(MVGRLConfig(hidden=8, tolerance=1e-7, teleport=0.2), 12)
    csr, weights = method.diffusion(graph)
    found = torch.zeros(30, 30).index_put((csr.rows, csr.columns), weights)
    looped = graph.looped
    a = torch.zeros(30, 30).index_put((looped.rows, looped.columns), torch.ones(looped.nnz))
    scale = a.sum(1).rsqrt()
    exact = 0.2 * torch.linalg.inv(torch.eye(30) - 0.8 * scale[:, None] * a * scale)
    torch.testing.assert_close(found, exact, rtol=1e-3, atol=1e-4)


def test_mvgrl_samples_a_larger_graph() -> None:
    method = build_method(MVGRLConfig(hidden=8, sample=10, samples=2), 12)
    assert method.loss(random_graph()).isfinite()


# ---- generative


def test_the_link_loss_by_hand() -> None:
    adj = CSR(torch.tensor([0, 1, 2, 2]), torch.tensor([1, 0], dtype=torch.int32), 3)
    graph = Graph(adj, torch.zeros(3, 1))
    z = torch.tensor([[1.0], [2.0], [-1.0]])
    edges = [1.0, 2.0, 2.0, 4.0, 1.0]  # (0,0) (0,1) (1,0) (1,1) (2,2)
    absent = [-1.0, -1.0, -2.0, -2.0]
    mean = lambda xs: sum(xs) / len(xs)  # noqa: E731
    expected = 0.5 * (mean([math.log1p(math.exp(-s)) for s in edges]) + mean([math.log1p(math.exp(s)) for s in absent]))
    assert link_loss(z, graph, 10**6).item() == pytest.approx(expected)
    assert link_loss(z, graph, 1).isfinite()


def test_argvas_players_do_not_train_each_other() -> None:
    method = build_method(ARGVAConfig(encoder=GCN, code=4, adversary=0.0), 12)
    method.loss(random_graph()).backward()
    alone = [p.grad.clone() for p in method.discriminator.parameters()]
    assert all(bool((g != 0).any()) for g in alone[:1])
    plain = build_method(VGAEConfig(encoder=GCN, code=4), 12)
    plain.load_state_dict(method.state_dict(), strict=False)
    with seeded(2):
        plain.loss(random_graph()).backward()
    method.zero_grad()
    with seeded(2):
        method.loss(random_graph()).backward()
    for a, b in zip(plain.encoder.parameters(), method.encoder.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


# ---- SCR


def test_consistency_by_hand() -> None:
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(2.0), 0.0]])
    sharp = torch.tensor([0.8, 0.2])  # (2/3, 1/3) squared and normalised
    kl = consistency(student, teacher, SCRConfig(temperature=0.5))
    assert kl.item() == pytest.approx(sum(0.5 * math.log(0.5 / q) for q in sharp.tolist()))
    mse = consistency(student, teacher, SCRConfig(temperature=0.5, distance="mse"))
    assert mse.item() == pytest.approx(0.3**2 + 0.3**2)


def test_scr_propagates_as_its_paper_says() -> None:
    graph = random_graph(sparse=False)
    method = build_method(SCRConfig(hidden=8, hops=2), 12, 3).eval()
    looped = graph.looped
    a = torch.zeros(30, 30).index_put((looped.rows, looped.columns), torch.ones(looped.nnz))
    walk = a / a.sum(1, keepdim=True)
    weights = method.student.first.weight.t().split(8, 1)[1:]
    captured: list[Tensor] = []
    for norm in method.student.norms:
        norm.register_forward_pre_hook(lambda _, given: captured.append(given[0]))
    method.logits(graph)
    for k, weight in enumerate(weights):
        expected = torch.linalg.matrix_power(walk, k) @ graph.x @ weight
        torch.testing.assert_close(captured[k], expected, rtol=1e-4, atol=1e-5)


def test_scr_with_a_mean_teacher_predicts_by_the_teacher() -> None:
    method = build_method(SCRConfig(hidden=8, momentum=0.9), 12, 3)
    graph = random_graph()
    with torch.no_grad():
        for p in method.student.parameters():
            p.add_(torch.randn_like(p))
    method.eval()
    torch.testing.assert_close(method.logits(graph), method.teacher(graph, None))


# ---- encoders


@pytest.mark.parametrize("kind", ["gat", "gcn", "gin", "sage", "mlp", "transformer"])
def test_encoders_are_permutation_equivariant(kind: str) -> None:
    graph = random_graph(sparse=False)
    encoder = Encoder(EncoderConfig.of(kind=kind, hidden=8, heads=2, norm="layer"), 12).eval()
    order = torch.randperm(30)
    back = torch.argsort(order)
    edges = back[graph.adj.rows], back[graph.adj.columns]
    moved = Graph(CSR.from_pairs(*edges, 30, 30), graph.x[order])
    torch.testing.assert_close(
        encoder(moved.looped, moved.x), encoder(graph.looped, graph.x)[order], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("kind", ["gat", "gcn", "gin", "sage", "mlp", "transformer"])
@pytest.mark.parametrize("sparse", [True, False])
def test_an_encoders_rows_are_rows_of_its_whole_output(kind: str, sparse: bool) -> None:
    graph = random_graph(sparse=sparse)
    encoder = Encoder(EncoderConfig.of(kind=kind, hidden=8, heads=2, norm="layer", residual="match"), 12).eval()
    rows = torch.tensor([4, 0, 29])
    torch.testing.assert_close(encoder(graph.looped, graph.x, rows), encoder(graph.looped, graph.x)[rows])


def test_experts_route_and_a_trained_gate_learns() -> None:
    graph = random_graph(sparse=False)
    for gate, learns in (("trained", True), ("fixed", False)):
        encoder = EncoderConfig.of(hidden=8, heads=2, experts=4, gate=gate)
        method = build_method(GraphMAEConfig(encoder=encoder), 12)
        method.loss(graph).backward()
        grad = method.encoder.layers[0].experts.gate.weight.grad
        assert (grad is not None and bool((grad != 0).any())) == learns


def test_a_section_given_in_part_keeps_its_methods_defaults() -> None:
    config = PretrainConfig.of(data={"name": "Cora"}, method={"name": "grace", "encoder": {"dropout": 0.1}})
    assert config.method.encoder.kind == "gcn"
    assert config.method.encoder.widths == (256, 128)
    assert config.method.encoder.dropout == 0.1


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ConfigError, match="3 heads do not divide"):
        EncoderConfig.of(hidden=512, heads=3)


# ---- PGT


def contexts(graph: Graph, nodes: Tensor) -> Graph:
    return next(Clusters(graph, nodes.numel(), ContextConfig(size=8, tolerance=1e-3)).around(nodes))


def test_pgt_hides_masked_nodes_from_its_encoder() -> None:
    batch = contexts(random_graph(sparse=False), torch.arange(6))
    method = build_method(PGTConfig(hidden=8, heads=2, dropout=0.0, structure=0.0), 12)
    seen: list[Tensor] = []
    method.encoder[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    method.loss(batch)
    sizes = batch.ptr.diff()
    visible = sizes - (0.5 * sizes).long()
    assert seen[0].shape[1] == int(visible.max())  # the cost falls with the visible share


def test_pgts_codes_do_not_depend_on_what_stands_beside_a_context() -> None:
    graph = random_graph(sparse=False)
    method = build_method(PGTConfig(hidden=8, heads=2), 12)
    together = method.embed(contexts(graph, torch.arange(6)))
    alone = torch.cat([method.embed(contexts(graph, torch.tensor([k]))) for k in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_pgts_structure_loss_by_hand() -> None:
    batch = contexts(random_graph(12, 20, sparse=False), torch.arange(5))
    method = build_method(PGTConfig(hidden=8, heads=2, tau=0.2), 12)
    places = Sequences.of(batch)
    decoded = torch.randn(*places.real.shape, 8)
    z = F.normalize(method.similarity(places.flat(decoded)), dim=1)
    terms = []
    for u, v in zip(batch.adj.rows.tolist(), batch.adj.columns.tolist(), strict=True):
        others = [w for w in range(batch.n_nodes) if batch.member[w] == batch.member[u] and w != u]
        exponents = {w: math.exp(float(z[u] @ z[w]) / 0.2) for w in others}
        terms.append(-math.log(exponents[v] / sum(exponents.values())))
    found = method._structure(decoded, places, batch)
    assert found.item() == pytest.approx(sum(terms) / len(terms), rel=1e-4)


def test_pgt_learns_the_structure_of_contexts() -> None:
    batch = contexts(random_graph(30, 40, sparse=False), torch.arange(30))
    method = build_method(PGTConfig(hidden=16, heads=2, dropout=0.0, structure=1.0), 12)
    optimizer = torch.optim.Adam(method.parameters(), 1e-2)
    places, losses = Sequences.of(batch), []
    for step in range(60):
        with seeded(step):
            loss = method.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    counts = (places.sizes - 1).float().log()[places.row[batch.adj.rows]]
    assert losses[0] > losses[-1]
    assert min(losses[-5:]) < 1.0 + float(counts.mean())  # guessing: every other member alike, and no feature right
