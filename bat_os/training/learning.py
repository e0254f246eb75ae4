"""Trains a LoRA adapter on lessons, on the CPU, by peft; writes it as a folder.

    lessons -> tokens -> batches of similar length -> loss on the answers alone -> AdamW

The base model stays as it is; only the adapter's matrices learn. The same lessons, recipe,
number of threads and libraries give the same adapter, also if the training was interrupted and
went on from a checkpoint. Import it after ``engines.base.prepare``.

On a GPU the same steps run there; with ``nf4`` the base is quantized to 4 bits (QLoRA, Dettmers
et al. 2023, arXiv 2305.14314), for models that do not fit otherwise.
"""

from __future__ import annotations

import json
import math
import random
import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import peft
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from bat_os.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bat_os.training.examples import Lesson

WEIGHTS: Final = "adapter_model.safetensors"
CONFIG: Final = "adapter_config.json"
TARGETS: Final = (*("q_proj", "k_proj", "v_proj", "o_proj"), *("gate_proj", "up_proj", "down_proj"))
_WARM_UP: Final = 10
_SHORT: Final = 50  # steps; fewer have only a short time to warm up in
_SHORT_WARM_UP: Final = 2
_POOL: Final = 6  # batches whose lessons are sorted by length together
_MOST_OF_A_CLUSTER: Final = 0.25  # of a batch
_MOMENTS: Final = ("step", "exp_avg", "exp_avg_sq")  # what AdamW keeps of each weight


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train."""

    steps: int = 250  # updates of the adapter, one batch each
    batch: int = 8  # lessons per step
    rank: int = 16  # rank of the adapter's matrices; alpha is twice that
    rate: float = 5e-4  # highest learning rate; it rises for ten steps and then falls to a tenth
    seed: int = 1  # for the first weights and the order
    # ``float32``, or ``bfloat16`` for the products: twice as fast on a processor with AVX512-BF16
    # or AMX, and slower on others; ``nf4``, on a GPU, also packs the base into 4 bits
    precision: str = "float32"
    device: str = "cpu"  # or ``cuda``

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        done = step / max(1, self.steps - 1)
        fall = 0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2
        rise = _WARM_UP if self.steps >= _SHORT else _SHORT_WARM_UP
        return self.rate * min(1.0, (step + 1) / rise) * fall


class _Encoded(NamedTuple):
    """A lesson as the model sees it."""

    tokens: list[int]
    start: int  # where the answer begins
    cluster: str = ""


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
                base, dtype=torch.float32, use_safetensors=True, **safe, **_placed(recipe)
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # between peft and transformers
                if recipe.precision == "nf4":
                    net = peft.prepare_model_for_kbit_training(net)  # type: ignore[no-untyped-call]
                self._net: Any = peft.get_peft_model(net, config)
        except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
            raise ModelError(f"{base} is not a model that can be trained: {error}") from error
        self._trained = {
            name: weight for name, weight in self._net.named_parameters() if weight.requires_grad
        }
        self._optimizer = torch.optim.AdamW(
            self._trained.values(), lr=recipe.rate, weight_decay=0.01
        )
        self.step = 0  # how many are done
        self._end: int = self._tokenizer.eos_token_id
        if self._tokenizer.chat_template is None or self._end is None:
            raise ModelError(f"{base}: its tokenizer has no chat template or no end token")

    def learn(
        self,
        lessons: Sequence[Lesson],
        tell: Callable[[int, float], None],
        goes_on: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Train on the lessons, each once; ``steps`` times ``batch`` of them are needed.

        Begins after the step that ``take_up`` gave. Asks ``goes_on`` after each step, and returns
        False if that ends it before the last one.

        Raises:
            ModelError: The loss is not finite; a lower rate may help.
        """
        recipe = self._recipe
        self._net.train()
        for batch in self._batches(lessons)[self.step :]:
            for group in self._optimizer.param_groups:
                group["lr"] = recipe.rate_at(self.step)
            loss = self._descend(batch)
            if not math.isfinite(loss):
                raise ModelError(f"the loss of step {self.step + 1} is {loss}; lower the rate")
            torch.nn.utils.clip_grad_norm_(self._trained.values(), 1.0)
            self._optimizer.step()
            self._optimizer.zero_grad()
            self.step += 1
            tell(self.step, loss)
            if self.step < recipe.steps and not goes_on():
                return False
        return True

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all that a training needs to go on: the adapter, and AdamW's two moments."""
        kept = {f"weight/{name}": weight.detach() for name, weight in self._trained.items()}
        for name, weight in self._trained.items():
            state = self._optimizer.state[weight]
            kept |= {f"{moment}/{name}": state[moment] for moment in _MOMENTS if moment in state}
        return {name: tensor.contiguous() for name, tensor in kept.items()}

    def take_up(self, step: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on after ``step``, with what ``tensors`` gave then.

        Raises:
            ModelError: They are those of another model or recipe.
        """
        moments = _MOMENTS if step else ()
        wanted = {f"{kind}/{name}" for name in self._trained for kind in ("weight", *moments)}
        if wanted != tensors.keys() or any(
            tensors[f"weight/{name}"].shape != weight.shape
            for name, weight in self._trained.items()
        ):
            raise ModelError("the checkpoint belongs to another model or another recipe")
        for name, weight in self._trained.items():
            with torch.no_grad():
                weight.copy_(tensors[f"weight/{name}"])
            if moments:
                own = {kind: tensors[f"{kind}/{name}"].clone() for kind in _MOMENTS[1:]}
                own = {kind: tensor.to(weight.device) for kind, tensor in own.items()}
                self._optimizer.state[weight] = {"step": tensors[f"step/{name}"].clone(), **own}
        self.step = step

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

    def _batches(self, lessons: Sequence[Lesson]) -> list[list[_Encoded]]:
        """Return ``steps`` batches."""
        size, steps = self._recipe.batch, self._recipe.steps
        if len(lessons) < size * steps:
            raise ModelError(f"{len(lessons)} lessons are too few for {steps} steps of {size}")
        encoded = [self._encode(lesson) for lesson in lessons[: size * steps]]
        draw = random.Random(self._recipe.seed)  # noqa: S311 - an order, no secret
        batches = []
        for first in range(0, len(encoded), size * _POOL):
            some = divide(encoded[first : first + size * _POOL], size)
            draw.shuffle(some)
            batches += some
        return batches

    def _encode(self, lesson: Lesson) -> _Encoded:
        messages = [{"role": role, "content": text} for role, text in lesson.prompt.messages]
        chat = self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        # Apart from each other, as they are when a model goes on from the prompt.
        asked = self._tokenizer(chat + lesson.prompt.prefill, add_special_tokens=False)
        answer = self._tokenizer(lesson.answer, add_special_tokens=False)
        tokens: list[int] = asked["input_ids"]
        whole = tokens + answer["input_ids"] + [self._end]
        return _Encoded(whole, len(tokens), lesson.cluster)

    def _descend(self, batch: Sequence[_Encoded]) -> float:
        """Return the mean cross entropy of the answers' tokens, and add its gradients.

        One lesson after the other: eight long ones at once are no faster, and took 6.8 GB where
        one takes 1.9.
        """
        of, found = sum(len(one.tokens) - one.start for one in batch), 0.0
        mixed = self._recipe.precision != "float32"
        for one in batch:
            with torch.autocast(self._recipe.device, torch.bfloat16, enabled=mixed):
                loss = self._loss(one) / of
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
            found += loss.item()
        return found

    def _loss(self, one: _Encoded) -> torch.Tensor:
        """Return the sum of the cross entropy of the answer's tokens."""
        tokens = torch.tensor(one.tokens, device=self._recipe.device)
        inner = self._net.get_base_model()
        states = inner.model(input_ids=tokens[None], use_cache=False)[0]
        # The head has 49,152 rows: it is computed only where there is something to learn.
        scores = inner.lm_head(states[0, one.start - 1 : -1])
        return torch.nn.functional.cross_entropy(
            scores.float(), tokens[one.start :], reduction="sum"
        )


def divide(pool: Iterable[_Encoded], size: int) -> list[list[_Encoded]]:
    """Return batches of lessons of similar length, few of one cluster in each where that can be."""
    left = sorted(pool, key=lambda one: len(one.tokens))
    batches = []
    while left:
        batch: list[_Encoded] = []
        later: list[_Encoded] = []
        count = Counter[str]()
        for one in left:
            is_full = len(batch) == size
            if is_full or (one.cluster and count[one.cluster] >= _MOST_OF_A_CLUSTER * size):
                later.append(one)
            else:
                batch.append(one)
                count[one.cluster] += 1
        rest = batch + later
        batches.append(rest[:size])
        left = rest[size:]
    return batches


def _placed(recipe: Recipe) -> dict[str, Any]:
    """Return how ``from_pretrained`` has to place and pack the base."""
    if recipe.precision != "nf4":
        return {} if recipe.device == "cpu" else {"device_map": recipe.device}
    from transformers import BitsAndBytesConfig  # of use on a GPU only

    packed = BitsAndBytesConfig(  # type: ignore[no-untyped-call]  # nor has this
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"device_map": recipe.device, "quantization_config": packed}
