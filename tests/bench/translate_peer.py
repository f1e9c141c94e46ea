"""The released GuoFeng loop on transformers + PEFT as the peer of bench_translate, on a random model.

    -> (start)   <- {"ready": true, ...}
    -> chunk     <- {"answers": s, "train": s, "nll": n}: seconds of all sentences by base and module, of the training
    -> quit

Sentence by sentence: generate with its own K/V cache, then a forward pass of prompt and reference for the loss.
"""

import time

import torch

import random_peer

HEAD, MIDDLE, PENALTY, RATE = 16, 6, 1.12, 5e-5
CHUNK = {"sentences": 8, "context-pairs": 16, "pair-tokens": 24, "new": 32, "epochs": 2}


def build_model(args):
    model = random_peer.build_model(args, adapter=True)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.uniform_(parameter, -0.01, 0.01)
    return model


def make_chunk(args):
    """→ ([(prompt, reference)], training text, labelled tokens), as bench_translate makes them."""
    def piece(salt, count):
        return [(salt * 7919 + i * 104729 + 11) % args.vocab for i in range(count)]

    def text(chinese, english):
        ids = piece(1, HEAD)
        for pair in range(chinese):
            ids += piece(100 + pair, args.pair_tokens)
        ids += piece(2, MIDDLE)
        for pair in range(english):
            ids += piece(5000 + pair, args.pair_tokens)
        return ids

    pairs = range(args.context_pairs, args.context_pairs + args.sentences)
    everything = args.context_pairs + args.sentences
    return ([(text(pair + 1, pair), piece(5000 + pair, args.pair_tokens)) for pair in pairs],
            text(everything, everything),
            args.sentences * args.pair_tokens)


@torch.no_grad()
def answers(model, tasks, new):
    losses = []
    for prompt, reference in tasks:
        ids = torch.tensor([prompt])
        model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, min_new_tokens=new,
                       do_sample=False, repetition_penalty=PENALTY, pad_token_id=0)
        both = torch.tensor([prompt + reference])
        losses.append(model(input_ids=both, labels=torch.tensor([[-100] * len(prompt) + reference])).loss.item())
    return sum(losses) / len(losses)


def learn(model, optimizer, lesson, labelled, epochs):
    ids = torch.tensor([lesson])
    labels = ids.clone()
    labels[:, :-labelled] = -100
    for _ in range(epochs):
        model(input_ids=ids, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
        optimizer.step()
        optimizer.zero_grad()


def chunk(args, model, optimizer, made):
    tasks, lesson, labelled = made
    began = time.perf_counter()
    with model.disable_adapter():
        nll = answers(model, tasks, args.new)
    answers(model, tasks, args.new)
    answered = time.perf_counter()
    learn(model, optimizer, lesson, labelled, args.epochs)
    return {"answers": answered - began, "train": time.perf_counter() - answered, "nll": nll}


def main():
    args = random_peer.parse_arguments(__doc__, CHUNK)
    model = build_model(args)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE, weight_decay=0.0,
                                  fused=True)
    made = make_chunk(args)
    random_peer.serve(args, "chunk", lambda *mode: chunk(args, model, optimizer, made))


if __name__ == "__main__":
    main()
