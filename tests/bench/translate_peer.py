"""The released GuoFeng loop on transformers + PEFT as the peer of bench_translate, on a random model.

    -> (start)   <- {"ready": true, ...}
    -> chunk     <- {"answers": s, "train": s, "nll": n}: seconds of all sentences by base and module, of the training
    -> quit

Sentence by sentence: generate with its own K/V cache, then a forward pass of prompt and reference for the loss.
"""

import argparse
import json
import os
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import peft
import torch
import transformers

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
HEAD, MIDDLE, PENALTY, RATE = 16, 6, 1.12, 5e-5


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"layers": 12, "hidden": 768, "ffn": 2048, "heads": 12, "vocab": 32000, "rank": 64, "threads": 0,
                          "sentences": 8, "context-pairs": 16, "pair-tokens": 24, "new": 32, "epochs": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    return parser.parse_args()


def build_model(args):
    config = transformers.LlamaConfig(
        vocab_size=args.vocab, hidden_size=args.hidden, intermediate_size=args.ffn, num_hidden_layers=args.layers,
        num_attention_heads=args.heads, num_key_value_heads=args.heads, max_position_embeddings=1 << 16,
        tie_word_embeddings=False, bos_token_id=None, eos_token_id=None)
    model = transformers.LlamaForCausalLM._from_config(config, attn_implementation="sdpa", dtype=getattr(torch, args.dtype))
    model = peft.get_peft_model(model, peft.LoraConfig(r=args.rank, lora_alpha=args.rank, lora_dropout=0.0,
                                                       target_modules=TARGETS, task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.uniform_(parameter, -0.01, 0.01)
    return model.eval()


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
    return ([(text(pair + 1, pair), piece(5000 + pair, args.pair_tokens)) for pair in pairs], text(everything, everything),
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
    args = parse_arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    transformers.logging.set_verbosity_error()
    torch.manual_seed(1)
    model = build_model(args)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE, weight_decay=0.0, fused=True)
    made = make_chunk(args)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
    print(json.dumps({"ready": True, "peer": "transformers", "dtype": args.dtype, "threads": torch.get_num_threads(),
                      "isa": torch.backends.cpu.get_cpu_capability(), "versions": versions}), flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "quit":
            break
        answer = chunk(args, model, optimizer, made) if words[0] == "chunk" else {"error": f"unknown command {line.strip()}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
