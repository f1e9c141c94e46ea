"""The Temp-LoRA loop as the paper means it, on transformers and PEFT: plain, one sequence at a time.

Settings carry the names of templora's config keys. Definitions that the goldens rest on:
- A chunk [first, end) is scored on the sequence [last L_X tokens | chunk], clipped at the document's start;
  without context its first token is neither scored nor labelled.
- After chunk c was scored, training runs on chunk c - lag_chunks (none while that is negative), on the sequence
  [last L_T tokens | chunk], after the last chunk too.
- Warm-up by steps counts s = 1, 2, ... over the whole document, by chunks k = 0, 1, ... the chunks trained on.
- label_prefix labels all tokens of the training sequence that have a token before them.
- update_every_chunks k trains on chunks 0, k, 2k, ... only; hard_quantile q only on a chunk whose mean NLL is at least
  the ceil(q n)-th smallest of the n earlier chunks', once n has reached hard_after_chunks.
- optimizer "sgd" and "rms" are dynamic evaluation (Krause et al. 2018), written out in DynamicEvaluation.
- lora.rows "chunk": the base makes keys and values of the prefix but its last token, which stand as constants; that
  token and the chunk are computed behind them with the adapter. prefix_gradient false: the adapter makes them.
- replay_share s: each step's mean takes in one piece of an earlier chunk, s / (1 - s) times as many labels, behind its
  own prefix; pieces are drawn by C++'s std::mt19937_64 (draws.py).
- rate_decay "sqrt" divides the rate by the root of 1 + k, k counting the adapter's chunks from 0; "linear" multiplies
  it by the share of the adapter's tokens that are not before the chunk trained on.
- decay_to_start of "adamw" moves every weight by that share of the way to its first value before the step.
- A Reading goes on from document to document: one adapter, its optimizer and all its counts.
- lora.update "full": no LoRA; the projections themselves learn (full_weights.py).
- moments "reset" makes a fresh optimizer before each chunk's training: Adam's step count restarts, the
  warm-up's does not.
"""

import math
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from transformers import DynamicCache

from .adapters import lora_parameters
from .draws import Mt19937_64
from .full_weights import FullWeights

DEFAULTS = {
    "window.chunk_tokens": 24, "window.context_tokens": 40, "window.first_chunk_tokens": 24,
    "train.prefix_tokens": 40, "train.epochs": 2, "train.learning_rate": 5e-3,
    "train.warmup_chunks": None, "train.warmup_steps": 2, "train.clip_norm": 1.0,
    "train.adam_beta1": 0.9, "train.adam_beta2": 0.999, "train.adam_eps": 1e-7, "train.weight_decay": 0.0,
    "train.moments": "keep", "train.lag_chunks": 0,
}
# Absent from the goldens' settings unless a variant names them, so that older ones stay as they are.
ABLATIONS = {
    "train.label_prefix": False, "train.optimizer": "adamw", "train.rms_eps": 1e-7, "train.decay_to_start": 0.0,
    "train.update_every_chunks": 1, "train.hard_quantile": 0.0, "train.hard_after_chunks": 8,
    "lora.rows": "all", "train.prefix_gradient": True, "train.replay_share": 0.0, "seed": 42,
    "train.rate_decay": "none", "lora.update": "low_rank",
}


@dataclass
class ChunkResult:
    chunk: int
    first_token: int
    tokens: int
    context_tokens: int
    base: list[float]                 # NLL of each scored token, nats
    lora: list[float]
    adapter_version: int              # chunks that the scoring adapter had been trained on
    trained_chunk: int | None = None
    train_loss: list[float] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)   # before clipping
    learning_rate: list[float] = field(default_factory=list)

    def record(self) -> dict:
        return {"chunk": self.chunk, "first_token": self.first_token, "tokens": self.tokens,
                "scored_tokens": len(self.lora), "context_tokens": self.context_tokens,
                "base_nll": sum(self.base) / len(self.base), "lora_nll": sum(self.lora) / len(self.lora),
                "adapter_version": self.adapter_version, "trained_chunk": self.trained_chunk,
                "train_loss": self.train_loss, "grad_norm": self.grad_norm, "learning_rate": self.learning_rate,
                "base_token_nll": self.base, "lora_token_nll": self.lora}


def cut(count: int, settings: dict) -> list[tuple[int, int]]:
    """[first, end) of every chunk."""
    ends = list(range(min(count, settings["window.first_chunk_tokens"]), count, settings["window.chunk_tokens"]))
    return list(zip([0] + ends, ends + [count]))


def token_nlls(model, tokens: torch.Tensor, first: int, end: int, before: int) -> torch.Tensor:
    """NLL in nats of the tokens [first, end) that have a token before them in the window: float [scored]."""
    start = max(0, first - before)
    logits = model(input_ids=tokens[None, start:end]).logits[0]
    skip = max(first - start, 1)
    return torch.nn.functional.cross_entropy(logits[skip - 1:-1], tokens[start + skip:end], reduction="none")


def nlls_behind(peft_model, tokens: torch.Tensor, first: int, end: int, before: int, by_base: bool) -> torch.Tensor:
    """token_nlls() of the last prefix token and the chunk behind keys that stand: the base's, or the adapter's."""
    start = max(0, first - before)
    held = max(0, first - 1 - start)
    cache = DynamicCache()
    if held > 0:
        with torch.no_grad(), peft_model.disable_adapter() if by_base else nullcontext():
            cache = peft_model(input_ids=tokens[None, start:start + held], past_key_values=cache,
                               use_cache=True).past_key_values
    logits = peft_model(input_ids=tokens[None, start + held:end], past_key_values=cache, use_cache=True).logits[0]
    return torch.nn.functional.cross_entropy(logits[:-1], tokens[start + held + 1:end], reduction="none")


def replayed(chunks: list, c: int, labels: int, settings: dict) -> list[tuple[int, int]]:
    """[first, end) of the earlier tokens that each step on chunk c learns too, of document 0."""
    share = settings["train.replay_share"]
    if share == 0 or c == 0:
        return []
    wanted, random, pieces = math.floor(share / (1 - share) * labels + 0.5), Mt19937_64([settings["seed"], 0, 0, c]), []
    for _ in range(settings["train.epochs"]):
        first, end = chunks[random.next() % c]
        count = min(max(1, wanted), end - first)
        first += random.next() % (end - first - count + 1)
        pieces.append((first, first + count))
    return pieces


def rate(settings: dict, step: int, trained_chunks: int, left: float = 1.0) -> float:
    """Learning rate of step `step` (from 1), in the training of an adapter's chunk `trained_chunks` (from 0), at which
    `left` of its tokens are still to come, those of the chunk included."""
    warm, done = ((settings["train.warmup_chunks"], trained_chunks)
                  if settings["train.warmup_chunks"] is not None else (settings["train.warmup_steps"], step))
    decay = {"none": 1.0, "sqrt": 1 / math.sqrt(1 + trained_chunks), "linear": left}
    return (settings["train.learning_rate"] * (min(1.0, done / warm) if warm else 1.0)
            * decay[settings.get("train.rate_decay", "none")])


class DynamicEvaluation:
    """One tensor at a time, in float64 between the float32 values that a step reads and writes. The mean of the root
    mean squares runs over the weights of all tensors; the statistics over the steps so far, this one included."""

    def __init__(self, parameters: list, settings: dict):
        self.parameters, self.settings, self.steps = parameters, settings, 0
        self.start = [p.detach().double().clone() for p in parameters]
        self.squares = [torch.zeros_like(start) for start in self.start]
        self.param_groups = [{"lr": 0.0}]

    def zero_grad(self, set_to_none: bool) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        self.steps += 1
        rate, decay = self.param_groups[0]["lr"], self.settings["train.decay_to_start"]
        grads = [p.grad.double() for p in self.parameters]
        for square, grad in zip(self.squares, grads):
            square += grad ** 2
        roots = [(square / self.steps).sqrt() for square in self.squares]
        mean = torch.cat([root.flatten() for root in roots]).mean()
        for parameter, start, grad, root in zip(self.parameters, self.start, grads, roots):
            back, scale = torch.tensor(decay).double(), 1.0
            if self.settings["train.optimizer"] == "rms":
                back, scale = (decay * root / mean).clamp(max=1), root + self.settings["train.rms_eps"]
            value = parameter.double()
            parameter.copy_(value + back * (start - value) - rate * grad / scale)


@torch.no_grad()
def go_back(parameters: list, start: list, share: float) -> None:
    for parameter, first in zip(parameters, start):
        parameter.copy_(parameter.double() + share * (first - parameter.double()))


@dataclass
class Reading:
    """What one adapter has read and done, over all documents so far."""
    all_tokens: int
    tokens: int = 0
    chunks: int = 0
    steps: int = 0
    version: int = 0
    optimizer: object = None
    start: list = None                # the first weights, in float64


def is_hard(means: list[float], settings: dict) -> bool:
    """Whether the last of `means`, the scored chunks' mean NLLs, calls for training."""
    *earlier, own = means
    if settings["train.hard_quantile"] == 0 or len(earlier) < settings["train.hard_after_chunks"]:
        return True
    return own >= sorted(earlier)[max(1, math.ceil(settings["train.hard_quantile"] * len(earlier))) - 1]


def run_loop(peft_model, tokens: torch.Tensor, settings: dict, reading: Reading | None = None) -> list[ChunkResult]:
    """Scores and trains through `tokens` [count]; `peft_model` carries the initial adapter and is trained in place.
    With `reading` it goes on from where the document before left it."""
    settings = {**DEFAULTS, **ABLATIONS, **settings}
    reading = reading or Reading(len(tokens))
    parameters = (peft_model.parameters if isinstance(peft_model, FullWeights)
                  else [parameter for _, parameter in lora_parameters(peft_model)])

    def new_optimizer():
        if settings["train.optimizer"] != "adamw":
            return DynamicEvaluation(parameters, settings)
        return torch.optim.AdamW(
            parameters, lr=0.0, betas=(settings["train.adam_beta1"], settings["train.adam_beta2"]),
            eps=settings["train.adam_eps"], weight_decay=settings["train.weight_decay"], foreach=False, fused=False)

    def learnt(first, end, before):
        if settings["lora.rows"] == "chunk" or not settings["train.prefix_gradient"]:
            return nlls_behind(peft_model, tokens, first, end, before, settings["lora.rows"] == "chunk")
        return token_nlls(peft_model, tokens, first, end, before)

    reading.optimizer = reading.optimizer or new_optimizer()
    reading.start = reading.start or [p.detach().double().clone() for p in parameters]
    chunks, results = cut(len(tokens), settings), []
    for c, (first, end) in enumerate(chunks):
        before = settings["window.context_tokens"]
        with torch.no_grad():
            lora = (nlls_behind(peft_model, tokens, first, end, before, True) if settings["lora.rows"] == "chunk"
                    else token_nlls(peft_model, tokens, first, end, before))
            with peft_model.disable_adapter():
                base = token_nlls(peft_model, tokens, first, end, before)
        result = ChunkResult(c, first, end - first, min(before, first), base.tolist(), lora.tolist(), reading.version)
        results.append(result)

        target = c - settings["train.lag_chunks"]
        place = reading.chunks + target
        if target < 0 or place % settings["train.update_every_chunks"] != 0:
            continue
        if not is_hard([sum(r.lora) / len(r.lora) for r in results[:target + 1]], settings):
            continue
        if settings["train.moments"] == "reset":
            reading.optimizer = new_optimizer()
        result.trained_chunk = target
        (labelled, end), before = chunks[target], settings["train.prefix_tokens"]
        left = (reading.all_tokens - reading.tokens - labelled) / reading.all_tokens
        if settings["train.label_prefix"]:
            labelled, before = max(0, labelled - before), 0
        pieces = replayed(chunks, target, end - max(labelled, 1), settings)
        optimizer = reading.optimizer
        for s in range(settings["train.epochs"]):
            reading.steps += 1
            parts = [learnt(labelled, end, before)]
            if pieces and pieces[s][1] > max(pieces[s][0], 1):
                parts.append(learnt(*pieces[s], settings["train.prefix_tokens"]))
            loss = torch.cat(parts).mean()
            optimizer.zero_grad(set_to_none=False)
            loss.backward()
            limit = settings["train.clip_norm"] or float("inf")
            result.grad_norm.append(torch.nn.utils.clip_grad_norm_(parameters, limit, foreach=False).item())
            optimizer.param_groups[0]["lr"] = rate(settings, reading.steps, place, left)
            result.learning_rate.append(optimizer.param_groups[0]["lr"])
            if settings["train.optimizer"] == "adamw" and settings["train.decay_to_start"] > 0:
                go_back(parameters, reading.start, settings["train.decay_to_start"])
            optimizer.step()
            result.train_loss.append(loss.item())
        reading.version += 1
    reading.tokens += len(tokens)
    reading.chunks += len(chunks)
    return results
