"""The size of a micro-batch by that of the model."""

from espalier.lm.config import DecoderConfig
from espalier.rl.learner.batches.memory import BUDGET, activation_bytes, microbatch_tokens


def shape(hidden: int, inner: int, layers: int) -> DecoderConfig:
    return DecoderConfig.of(
        family="llama",
        vocab_size=100,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=8,
    )


def test_by_hand():
    """4 bytes x 30 layers x (14 x 576 + 4 x 1536)."""
    smollm2 = shape(576, 1536, 30)
    assert activation_bytes(smollm2) == 1_704_960
    assert microbatch_tokens(smollm2, "cpu") == BUDGET["cpu"] // 1_704_960 == 354
    assert microbatch_tokens(smollm2, "cuda") == 2519


def test_bounds():
    assert microbatch_tokens(shape(128, 352, 4), "cpu") == 4096
    assert microbatch_tokens(shape(4096, 12288, 36), "cpu") == 128
    assert microbatch_tokens(shape(128, 352, 4), "mps") == microbatch_tokens(shape(128, 352, 4), "cuda") == 65536
