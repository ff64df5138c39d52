"""The properties of a model family, and the known fields of its config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One architecture of transformers. The defaults are Llama's.

    A field of config.json is read, harmless or neutral; any other field is an error.
    """

    architecture: str
    """The class of transformers that computes the same."""
    rotary_share: float = 1.0
    """Share of each head that is rotated, unless config.json gives another. 1: always the whole head."""
    interleaved: bool = False
    """Whether rotary pairs are adjacent, rather than half a rotary width apart."""
    post_norms: bool = False
    """Whether the outputs of attention and MLP are normed before they are added."""
    fused_mlp: bool = False
    """Whether gate and up projection of a dense MLP are one matrix."""
    attention_bias: bool | None = None
    """Whether the query, key and value projections have biases; None: given by config.json."""
    output_bias: bool = True
    """With `attention_bias`, attention's output projection has a bias too."""
    qk_norm: bool | None = False
    """Whether query and key heads are normed; None: given by config.json."""
    gate: Literal["sigmoid", "softmax"] | None = None
    """Gate of the mixture of experts; None: MLPs are dense."""
    expert_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names in config.json of fields of `MoEConfig`, if they differ; the first name is written."""
    expert_limits: Mapping[str, Any] = field(default_factory=dict)
    """The only allowed value of fields of `MoEConfig` that the family does not have."""
    absent: Mapping[str, Any] = field(default_factory=dict)
    """Defaults of transformers for missing fields of config.json, if they differ from `DecoderConfig`."""
    writes: Mapping[str, Any] = field(default_factory=dict)
    """Additional fields that are written to config.json, because transformers has another default for them."""
    reads: frozenset[str] = frozenset()
    """Additional fields that affect the decoder, beyond `READ`."""
    harmless: frozenset[str] = frozenset()
    """Additional fields that never affect the logits, beyond `HARMLESS`."""
    neutral: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Additional fields that have no effect with these values only, beyond `NEUTRAL`. For a list, all items must be
    among them."""

    def objection(self, name: str, value: Any) -> str | None:
        """Why a field of config.json that is not null is not supported; None if it is."""
        if name in READ | self.reads | HARMLESS | self.harmless:
            return None
        neutral = {**NEUTRAL, **self.neutral, "architectures": (self.architecture,)}
        if name not in neutral:
            return "is not known here, and might change what the model computes"
        if all(item in neutral[name] for item in (value if isinstance(value, list) else [value])):
            return None
        return f"is not implemented, only {' or '.join(map(repr, neutral[name])) or 'an empty list'}"


READ = frozenset(
    {
        *("model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
        *("num_key_value_heads", "head_dim", "max_position_embeddings", "rms_norm_eps", "tie_word_embeddings"),
        *("attention_bias", "rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor"),
        *("bos_token_id", "eos_token_id", "pad_token_id"),
    }
)
"""Fields that are read in every family."""

HARMLESS = frozenset(
    {
        # where the file comes from, and how others hold the model
        *("transformers_version", "_name_or_path", "dtype", "torch_dtype", "use_bfloat16", "torchscript", "use_cache"),
        *("_attn_implementation", "attn_implementation", "tokenizer_class", "unsloth_version", "unsloth_fixed"),
        "transformers.js_config",
        # initial weights, and heads of other tasks
        *("initializer_range", "id2label", "label2id", "num_labels", "problem_type", "finetuning_task"),
        *("task_specific_params", "tf_legacy_loss"),
        # what a forward pass returns besides logits
        *("output_hidden_states", "output_attentions", "output_scores", "return_dict", "return_dict_in_generate"),
        # sampling, which transformers 4 wrote here
        *("prefix", "max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups"),
        *("diversity_penalty", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty"),
        *("no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences"),
        *("forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty"),
        *("suppress_tokens", "begin_suppress_tokens", "sep_token_id", "decoder_start_token_id", "is_decoder"),
    }
)
"""Fields that never affect the logits in any family."""

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "attention_dropout": (0,),
    "mlp_bias": (False,),
    "use_sliding_window": (False,),
    "sliding_window": (None,),
    "layer_types": ("full_attention",),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "tie_encoder_decoder": (False,),
    "chunk_size_feed_forward": (0,),
    "pruned_heads": ({},),
    "rope_interleaved": (False,),
}
"""Fields that have no effect with these values."""
