"""Trains a LoRA adapter on lessons, on the CPU, by peft; writes it as a folder.

    lessons -> tokens -> batches of similar length -> loss on the answers alone -> AdamW

The base model stays as it is; only the adapter's matrices learn. The same lessons, recipe,
number of threads and libraries give the same adapter. Import it after ``engines.base.prepare``.
"""

from __future__ import annotations

import json
import math
import random
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import peft
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from bat_os.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bat_os.training.examples import Lesson

WEIGHTS: Final = "adapter_model.safetensors"
CONFIG: Final = "adapter_config.json"
TARGETS: Final = (*("q_proj", "k_proj", "v_proj", "o_proj"), *("gate_proj", "up_proj", "down_proj"))
_WARM_UP: Final = 10
_POOL: Final = 6  # batches whose lessons are sorted by length together
_UNLABELLED: Final = -100  # the label that cross entropy leaves out


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train."""

    steps: int = 250  # updates of the adapter, one batch each
    batch: int = 8  # lessons per step
    rank: int = 16  # rank of the adapter's matrices; alpha is twice that
    rate: float = 5e-4  # highest learning rate; it rises for ten steps and then falls to a tenth
    seed: int = 1  # for the first weights and the order
    # ``float32``, or ``bfloat16`` for the products: twice as fast on a processor with AVX512-BF16
    # or AMX, and slower on others
    precision: str = "float32"

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        done = step / max(1, self.steps - 1)
        fall = 0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2
        return self.rate * min(1.0, (step + 1) / _WARM_UP) * fall


class Apprentice:
    """A base model with an adapter that learns.

    Args:
        base: Folder of the base model, as ``engines/gguf.py`` writes it.
        recipe: How to train.

    Raises:
        ModelError: The folder does not hold a model that can be trained.
    """

    def __init__(self, base: Path, recipe: Recipe) -> None:
        self._recipe = recipe
        torch.manual_seed(recipe.seed)
        safe = {"trust_remote_code": False, "local_files_only": True}
        config = peft.LoraConfig(
            r=recipe.rank,
            lora_alpha=2 * recipe.rank,
            target_modules=list(TARGETS),
            task_type="CAUSAL_LM",
        )
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(base, **safe)
            net: Any = AutoModelForCausalLM.from_pretrained(
                base, dtype=torch.float32, use_safetensors=True, **safe
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # between peft and transformers
                self._net: Any = peft.get_peft_model(net, config)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise ModelError(f"{base} is not a model that can be trained: {error}") from error
        self._end: int = self._tokenizer.eos_token_id
        if self._tokenizer.chat_template is None or self._end is None:
            raise ModelError(f"{base}: its tokenizer has no chat template or no end token")

    def learn(self, lessons: Sequence[Lesson], tell: Callable[[int, float], None]) -> None:
        """Train on the lessons, each once; ``steps`` times ``batch`` of them are needed.

        Raises:
            ModelError: The loss is not finite; a lower rate may help.
        """
        trained = [weight for weight in self._net.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=self._recipe.rate, weight_decay=0.01)
        mixed = self._recipe.precision == "bfloat16"
        self._net.train()
        for step, batch in enumerate(self._batches(lessons)):
            for group in optimizer.param_groups:
                group["lr"] = self._recipe.rate_at(step)
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                loss = self._loss(batch)
            if not math.isfinite(loss.item()):
                raise ModelError(f"the loss of step {step + 1} is {loss.item()}; lower the rate")
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            tell(step + 1, loss.item())

    def save(self, folder: Path, *, base: str, card: str) -> None:
        """Write the adapter; the folder appears whole or not at all, and replaces an old one."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".training-") as work:
            partial = Path(work) / "new"
            self._net.save_pretrained(partial, safe_serialization=True)
            half = {name: t.half() for name, t in load_file(partial / WEIGHTS).items()}
            save_file(half, partial / WEIGHTS, metadata={"format": "pt"})
            config = json.loads((partial / CONFIG).read_text(encoding="utf-8"))
            config |= {
                "base_model_name_or_path": base,
                "target_modules": sorted(config["target_modules"]),
                "inference_mode": True,
            }
            text = json.dumps(config, indent=2, sort_keys=True) + "\n"
            (partial / CONFIG).write_text(text, encoding="utf-8")
            (partial / "README.md").write_text(card, encoding="utf-8")
            if folder.exists():
                folder.rename(Path(work) / "old")
            partial.rename(folder)

    def _batches(self, lessons: Sequence[Lesson]) -> list[list[tuple[list[int], int]]]:
        """Return ``steps`` batches of (tokens, where the answer begins)."""
        size, steps = self._recipe.batch, self._recipe.steps
        if len(lessons) < size * steps:
            raise ModelError(f"{len(lessons)} lessons are too few for {steps} steps of {size}")
        encoded = [self._encode(lesson) for lesson in lessons[: size * steps]]
        draw = random.Random(self._recipe.seed)  # noqa: S311 - an order, no secret
        batches = []
        for first in range(0, len(encoded), size * _POOL):
            pool = sorted(encoded[first : first + size * _POOL], key=lambda one: len(one[0]))
            some = [pool[at : at + size] for at in range(0, len(pool), size)]
            draw.shuffle(some)
            batches += some
        return batches

    def _encode(self, lesson: Lesson) -> tuple[list[int], int]:
        messages = [{"role": role, "content": text} for role, text in lesson.prompt.messages]
        chat = self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        # Apart from each other, as they are when a model goes on from the prompt.
        asked = self._tokenizer(chat + lesson.prompt.prefill, add_special_tokens=False)
        answer = self._tokenizer(lesson.answer, add_special_tokens=False)
        tokens: list[int] = asked["input_ids"]
        return tokens + answer["input_ids"] + [self._end], len(tokens)

    def _loss(self, batch: list[tuple[list[int], int]]) -> torch.Tensor:
        """Return the mean cross entropy of the answers' tokens."""
        longest = max(len(tokens) for tokens, _ in batch)
        inputs = torch.full((len(batch), longest), self._end)
        seen = torch.zeros((len(batch), longest), dtype=torch.long)
        labels = torch.full((len(batch), longest), _UNLABELLED)
        for row, (tokens, start) in enumerate(batch):
            inputs[row, : len(tokens)] = torch.tensor(tokens)
            seen[row, : len(tokens)] = 1
            labels[row, start : len(tokens)] = torch.tensor(tokens[start:])
        inner = self._net.get_base_model()
        states = inner.model(input_ids=inputs, attention_mask=seen, use_cache=False)[0]
        # The head has 49,152 rows: it is computed only where there is something to learn.
        learnt = labels[:, 1:] != _UNLABELLED
        scores = inner.lm_head(states[:, :-1][learnt])
        return torch.nn.functional.cross_entropy(scores.float(), labels[:, 1:][learnt])
