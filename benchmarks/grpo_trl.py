"""TRL's GRPOTrainer on the workload, with settings that suit it on a CPU.

One generation batch is one optimizer step, so that TRL skips its pass for old log-probs. Gradient checkpointing (its
default) is off, precision fp32, attention SDPA; no reference model, logging, saving or progress bar.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    PreTrainedTokenizerFast,
    PrinterCallback,
    StoppingCriteria,
    StoppingCriteriaList,
    TrainerCallback,
)
from trl import GRPOConfig, GRPOTrainer

from grpo_workload import LEARNING_RATE, Step, Workload, reward


@dataclass(frozen=True, slots=True)
class Seen:
    """One step of TRL's: its rows, and the gradient norm it found before clipping."""

    prompts: list[str]
    completions: list[list[int]]
    rewards: list[float]
    grad_norm: float


class StopAt(StoppingCriteria):  # type: ignore[misc]
    """Ends each row one token before its length: the padding token that follows is the end token, and counts."""

    def __init__(self, lengths: list[int], longest: int) -> None:
        self._sampled = torch.tensor([n if n == longest else n - 1 for n in lengths])
        self._prompt: int | None = None

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Which rows have reached their length, [rows] bool."""
        if self._prompt is None:
            self._prompt = input_ids.shape[1] - 1
        return input_ids.shape[1] - self._prompt >= self._sampled


class Peer(TrainerCallback):  # type: ignore[misc]
    """Runs the trainer and calls `between` after each of its steps, outside of its clock."""

    def __init__(self, folder: Path, work: Workload, batch: int) -> None:
        self.work, self.steps = work, list[Step]()
        self._folder, self._batch = folder, batch
        self._phases = {"generate": 0.0, "prepare": 0.0}

    def run(self, steps: int, between: Callable[[Step, Seen], None]) -> None:
        """Train. Raises AssertionError where the number of sampled tokens is not the workload's."""
        self._between = between
        trainer = self._trainer(steps)
        self._model_generate = trainer.model.generate
        trainer.model.generate = self._generate
        trainer._generate_single_turn = self._timed(trainer._generate_single_turn, "generate")
        trainer._generate_and_score_completions = self._timed(trainer._generate_and_score_completions, "prepare")
        clip = trainer.accelerator.clip_grad_norm_

        def clip_and_note(*args: Any, **kwargs: Any) -> Any:
            norm = clip(*args, **kwargs)
            self._norm = float(norm)
            return norm

        trainer.accelerator.clip_grad_norm_ = clip_and_note
        trainer.add_callback(self)
        self._begun = time.perf_counter()
        trainer.train()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Close the books on a step."""
        total = time.perf_counter() - self._begun
        generate, prepare = self._phases["generate"], self._phases["prepare"]
        step = {"total": total, "generate": generate, "score": prepare - generate, "train": total - prepare}
        sampled = [len(ids) for ids in self._rows[1]]
        assert sum(sampled) == sum(self.work.lengths(len(self.steps))), "TRL sampled another number of tokens"
        self.steps.append(step)
        self._between(step, Seen(*self._rows, self._norm))
        self._phases = dict.fromkeys(self._phases, 0.0)
        self._begun = time.perf_counter()

    def _trainer(self, steps: int) -> GRPOTrainer:
        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        warnings.simplefilter("ignore", FutureWarning)
        model = AutoModelForCausalLM.from_pretrained(self._folder, dtype=torch.float32, attn_implementation="sdpa")
        if self.work.lora:
            model = PeftModel.from_pretrained(model, self._folder / "adapters", is_trainable=True)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(self._folder, padding_side="left")
        tokenizer.pad_token = tokenizer.eos_token
        arguments = GRPOConfig(
            output_dir=str(self._folder / "trl"),
            use_cpu=True,
            bf16=False,
            per_device_train_batch_size=self._batch,
            gradient_accumulation_steps=self.work.rows // self._batch,
            gradient_checkpointing=False,
            num_generations=self.work.samples,
            max_completion_length=self.work.longest,
            generation_kwargs={"min_new_tokens": self.work.longest},  # the end token is never sampled
            max_steps=steps,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="constant",
            adam_beta2=0.95,
            max_grad_norm=1.0,
            beta=0.0,
            loss_type="dapo",
            epsilon_high=0.28,
            shuffle_dataset=False,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        prompts = [prompt for step in range(steps) for prompt in self.work.prompts(step)]
        data = Dataset.from_dict({"prompt": prompts})
        trainer = GRPOTrainer(model, self._score, arguments, data, processing_class=tokenizer)
        trainer.remove_callback(PrinterCallback)
        return trainer

    def _score(
        self, prompts: list[str], completions: list[str], prompt_ids: Any = None, completion_ids: Any = None, **_: Any
    ) -> list[float]:
        rewards = [reward(text) for text in completions]
        self._rows = (list(prompts), list(completion_ids), rewards)
        return rewards

    def _generate(self, **kwargs: Any) -> Any:
        lengths = self.work.lengths(len(self.steps))
        stop = StoppingCriteriaList([StopAt(lengths, self.work.longest)]) if self.work.ragged else None
        return self._model_generate(**kwargs, stopping_criteria=stop)

    def _timed(self, call: Callable[..., Any], phase: str) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = call(*args, **kwargs)
            self._phases[phase] += time.perf_counter() - start
            return result

        return run
