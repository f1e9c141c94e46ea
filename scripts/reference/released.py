"""What the released code prints for one document, by its own formulas (dropout 0), on transformers and PEFT.

Differences to temp_lora.py: windows with labels and the library's own loss; the first chunk has 1024 tokens
whatever the chunk size is and yet weighs chunk_tokens; chunks are scored on the training window; the schedule is the
library's constant one with warm-up, advanced once a chunk after its training, so that chunk 0 trains at rate 0; the
printed number is the token-weighted mean of the chunks' perplexities.
"""

import math

import torch
from transformers import get_scheduler

from .adapters import lora_parameters

FIRST_CHUNK = 1024


def windows(count: int, prefix: int, chunk: int) -> list[tuple[int, int, int, int]]:
    """(start, first labelled token, end, weight) of each window."""
    result = [(0, 0, min(count, FIRST_CHUNK), min(count, chunk))]
    for first in range(FIRST_CHUNK, count, chunk):
        end = min(first + chunk, count)
        result.append((max(0, first - prefix), first, end, end - first))
    return result


def run_released(peft_model, tokens: torch.Tensor, chunk: int, prefix: int, learning_rate: float,
                 warmup: int = 2, epochs: int = 2) -> dict:
    """Trains `peft_model` in place; returns chunk losses (mean NLL, nats) and the two printed perplexities."""
    parameters = [parameter for _, parameter in lora_parameters(peft_model)]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.999), eps=1e-7, weight_decay=0.0,
                                  foreach=False, fused=False)
    plan = windows(len(tokens), prefix, chunk)
    schedule = get_scheduler("constant_with_warmup", optimizer=optimizer, num_warmup_steps=warmup,
                             num_training_steps=len(plan))

    def loss_of(start, first, end):
        labels = tokens[start:end].clone()
        labels[:first - start] = -100
        return peft_model(input_ids=tokens[None, start:end], labels=labels[None]).loss

    records, total, printed = [], 0, {"base": 0.0, "lora": 0.0}
    for start, first, end, weight in plan:
        with torch.no_grad():
            with peft_model.disable_adapter():
                base = loss_of(start, first, end).item()
            lora = loss_of(start, first, end).item()
        printed["base"] += math.exp(base) * weight
        printed["lora"] += math.exp(lora) * weight
        total += weight
        record = {"first_token": first, "tokens": end - first, "weight": weight, "context_tokens": first - start,
                  "base_nll": base, "lora_nll": lora, "learning_rate": schedule.get_last_lr()[0],
                  "train_loss": [], "grad_norm": []}
        for _ in range(epochs):
            loss = loss_of(start, first, end)
            loss.backward()
            record["grad_norm"].append(torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=False).item())
            optimizer.step()
            optimizer.zero_grad()
            record["train_loss"].append(loss.item())
        schedule.step()
        records.append(record)
    return {"base_ppl": printed["base"] / total, "lora_ppl": printed["lora"] / total, "weight": total,
            "chunks": records}
