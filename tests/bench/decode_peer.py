"""transformers' generate as the peer of bench_decode: greedy, with its K/V cache, on a random model.

    -> (start)                  <- {"ready": true, ...}
    -> decode BATCH CONTEXT NEW <- {"seconds": s, "tokens": t}: from the first new token to the last
    -> quit

`--adapter 1` puts a PEFT adapter on all projections.
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


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"layers": 12, "hidden": 768, "ffn": 2048, "heads": 12, "vocab": 32000, "rank": 64,
                          "threads": 0, "adapter": 0}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    return parser.parse_args()


def build_model(args):
    config = transformers.LlamaConfig(
        vocab_size=args.vocab, hidden_size=args.hidden, intermediate_size=args.ffn, num_hidden_layers=args.layers,
        num_attention_heads=args.heads, num_key_value_heads=args.heads, max_position_embeddings=1 << 16,
        tie_word_embeddings=False, bos_token_id=None, eos_token_id=None)
    model = transformers.LlamaForCausalLM._from_config(config, attn_implementation="sdpa",
                                                       dtype=getattr(torch, args.dtype))
    if args.adapter:
        model = peft.get_peft_model(model, peft.LoraConfig(r=args.rank, lora_alpha=args.rank, lora_dropout=0.0,
                                                           target_modules=TARGETS, task_type="CAUSAL_LM"))
    return model.eval()


class Stamps(transformers.StoppingCriteria):
    """Never stops; notes when each token was there."""

    def __init__(self):
        self.times = []

    def __call__(self, input_ids, scores, **kwargs):
        self.times.append(time.perf_counter())
        return torch.zeros(input_ids.shape[0], dtype=torch.bool)


@torch.no_grad()
def decode(model, vocab, batch, context, count):
    ids = torch.randint(vocab, (batch, context), generator=torch.Generator().manual_seed(1))
    stamps = Stamps()
    model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=count + 1, do_sample=False,
                   stopping_criteria=transformers.StoppingCriteriaList([stamps]))
    return {"seconds": stamps.times[-1] - stamps.times[0], "tokens": batch * count}


def main():
    args = parse_arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    transformers.logging.set_verbosity_error()
    torch.manual_seed(1)
    model = build_model(args)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
    print(json.dumps({"ready": True, "peer": "transformers", "dtype": args.dtype, "threads": torch.get_num_threads(),
                      "isa": torch.backends.cpu.get_cpu_capability(), "versions": versions}), flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "quit":
            break
        if words[0] == "decode":
            answer = decode(model, args.vocab, *map(int, words[1:]))
        else:
            answer = {"error": f"unknown command {line.strip()}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
