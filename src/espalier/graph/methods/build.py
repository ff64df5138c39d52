"""Builds a method from a recipe section: one explicit table."""

from __future__ import annotations

from espalier.graph.methods.api import Method
from espalier.graph.methods.baselines import Random, Raw, Supervised
from espalier.graph.methods.config import AnyMethod, RandomConfig, RawConfig, SCRConfig, SupervisedConfig
from espalier.graph.methods.contrastive.bgrl import BGRL
from espalier.graph.methods.contrastive.cca_ssg import CCASSG
from espalier.graph.methods.contrastive.config import BGRLConfig, CCAConfig, DGIConfig, GRACEConfig, MVGRLConfig
from espalier.graph.methods.contrastive.dgi import DGI
from espalier.graph.methods.contrastive.grace import GRACE
from espalier.graph.methods.contrastive.mvgrl import MVGRL
from espalier.graph.methods.generative.argva import ARGVA
from espalier.graph.methods.generative.config import ARGVAConfig, VGAEConfig
from espalier.graph.methods.generative.gae import GAE
from espalier.graph.methods.generative.vgae import VGAE
from espalier.graph.methods.masked.config import GraphMAE2Config, GraphMAEConfig, PGTConfig
from espalier.graph.methods.masked.graphmae import GraphMAE
from espalier.graph.methods.masked.graphmae2 import GraphMAE2
from espalier.graph.methods.masked.pgt import PGT
from espalier.graph.methods.scr import SCR
from espalier.graph.random import seeded


def build_method(config: AnyMethod, n_features: int, n_classes: int = 0, seed: int = 0) -> Method:
    """The method of `config`, with weights initialised from `seed`. Methods that learn from labels need `n_classes`."""
    with seeded(seed, "init"):
        match config:
            case GraphMAEConfig():
                return GraphMAE(config, n_features)
            case GraphMAE2Config():
                return GraphMAE2(config, n_features)
            case PGTConfig():
                return PGT(config, n_features)
            case DGIConfig():
                return DGI(config, n_features)
            case MVGRLConfig():
                return MVGRL(config, n_features)
            case GRACEConfig():
                return GRACE(config, n_features)
            case BGRLConfig():
                return BGRL(config, n_features)
            case CCAConfig():
                return CCASSG(config, n_features)
            case ARGVAConfig():
                return ARGVA(config, n_features)
            case VGAEConfig():
                return VGAE(config, n_features)
            case SCRConfig():
                return SCR(config, n_features, n_classes)
            case SupervisedConfig():
                return Supervised(config, n_features, n_classes)
            case RandomConfig():
                return Random(config, n_features)
            case RawConfig():
                return Raw()
            case _:
                return GAE(config, n_features)
