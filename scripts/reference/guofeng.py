"""The released GuoFeng loop on transformers and PEFT: one sentence at a time, generated and scored from scratch.

For each chunk, first the base and then the adapter translate every sentence (greedy, with a repetition penalty over
prompt and answer, until a stop token or the greatest length) and score its reference behind the same prompt; then the
adapter learns the chunk's text. With history "own" the earlier sentences' English is what the translator wrote, in
prompts, contexts and training texts. Dropout is 0.
"""

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from .adapters import lora_parameters
from .guofeng_text import GuoFengText
from .temp_lora import rate

SETTINGS = {"context": "k1", "history": "reference", "max_new_tokens": 24, "repetition_penalty": 1.12,
            "train.epochs": 2, "train.learning_rate": 5e-3, "train.warmup_chunks": None, "train.warmup_steps": 2}


class StopAt(StoppingCriteria):
    def __init__(self, ids: list[int]):
        self.ids = set(ids)

    def __call__(self, input_ids, scores, **_):
        return torch.tensor([input_ids[0, -1].item() in self.ids])


@torch.no_grad()
def generate(model, prompt: list[int], stops: list[int], settings: dict) -> tuple[list[int], list[float]]:
    """New ids, and at each step how far the two best scores are apart."""
    config = GenerationConfig(do_sample=False, num_beams=1, max_new_tokens=settings["max_new_tokens"],
                              repetition_penalty=settings["repetition_penalty"], output_scores=True,
                              return_dict_in_generate=True, eos_token_id=None, pad_token_id=0, use_cache=True)
    made = model.generate(input_ids=torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                          generation_config=config, stopping_criteria=StoppingCriteriaList([StopAt(stops)]))
    gaps = [(top[0] - top[1]).item() for top in (scores[0].topk(2).values for scores in made.scores)]
    return made.sequences[0, len(prompt):].tolist(), gaps


@torch.no_grad()
def reference_nll(model, prompt: list[int], reference: list[int]) -> float:
    """Mean NLL of the reference's ids, nats, by the library's own loss."""
    ids = torch.tensor([prompt + reference])
    labels = torch.tensor([[-100] * len(prompt) + reference])
    return model(input_ids=ids, labels=labels).loss.item()


def translate(model, text: GuoFengText, record: dict, memory: list[dict], stops: list[int], settings: dict):
    """Answers to a chunk's sentences; the context and the pairs as this translator takes them for its history."""
    own = settings["history"] == "own"
    context = [dict(pair) for pair in record["contexts"][settings["context"]]]
    if own:
        for back in range(1, min(len(context), len(memory)) + 1):
            if context[-back]["zh"] == memory[-back]["zh"]:
                context[-back] = memory[-back]
    seen, answers = [], []
    for pair in record["inference"]:
        if not pair["zh"].strip() or not pair["en"].strip():
            answers.append(None)
            seen.append(pair)
            continue
        prompt, reference = text.prompt(context + seen, pair["zh"]), text.reference(pair["en"])
        ids, gaps = generate(model, prompt, stops, settings)
        answer = {"ids": ids, "text": text.clean(text.tokenizer.decode(ids)), "gaps": gaps,
                  "prompt_tokens": len(prompt),
                  "reference_tokens": len(reference), "nll": reference_nll(model, prompt, reference)}
        answers.append(answer)
        seen.append({"zh": pair["zh"], "en": answer["text"] if own else pair["en"]})
    return answers, context, seen


def run_novel(peft_model, text: GuoFengText, records: list[dict], settings: dict) -> list[dict]:
    """Trains `peft_model` in place; one entry a chunk: answers of base and lora, training losses and gradient norms."""
    settings = {**SETTINGS, **settings}
    parameters = [parameter for _, parameter in lora_parameters(peft_model)]
    optimizer = torch.optim.AdamW(parameters, lr=0.0, betas=(0.9, 0.999), eps=1e-7, weight_decay=0.0, foreach=False,
                                  fused=False)
    stops = [text.behind_line_end(stop)[0] for stop in dict.fromkeys([text.tail, "\n"])]
    memories: dict[str, list[dict]] = {"base": [], "lora": []}
    chunks, step = [], 0
    for number, record in enumerate(records):
        chunk: dict = {"train_loss": [], "grad_norm": []}
        with peft_model.disable_adapter():
            chunk["base"], _, seen = translate(peft_model, text, record, memories["base"], stops, settings)
            memories["base"] += seen
        chunk["lora"], context, seen = translate(peft_model, text, record, memories["lora"], stops, settings)
        memories["lora"] += seen
        ids, labels = text.lesson(context, seen)
        for _ in range(settings["train.epochs"]):
            step += 1
            loss = peft_model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss
            optimizer.zero_grad(set_to_none=False)
            loss.backward()
            chunk["grad_norm"].append(torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=False).item())
            optimizer.param_groups[0]["lr"] = rate(settings, step, number)
            optimizer.step()
            chunk["train_loss"].append(loss.item())
        chunk["lesson_tokens"] = len(ids)
        chunk["labelled_tokens"] = sum(label != -100 for label in labels)
        chunks.append(chunk)
    return chunks
