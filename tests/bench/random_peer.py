"""What the transformers peers on random models share: their options, the model, the line protocol."""

import argparse
import json
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import peft
import torch
import transformers

from flops import Shape

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SHAPE = {name: getattr(Shape, name) for name in ("layers", "hidden", "ffn", "heads", "vocab", "rank")} | {"threads": 0}


def parse_arguments(description, more):
    """`more`: the peer's own whole numbers, name → default, beside the shape's."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (SHAPE | more).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    transformers.logging.set_verbosity_error()
    torch.manual_seed(1)
    return args


def random_llama(args, dtype, positions=1 << 16, tied=False):
    config = transformers.LlamaConfig(
        vocab_size=args.vocab, hidden_size=args.hidden, intermediate_size=args.ffn, num_hidden_layers=args.layers,
        num_attention_heads=args.heads, num_key_value_heads=args.heads, max_position_embeddings=positions,
        tie_word_embeddings=tied, bos_token_id=None, eos_token_id=None)
    return transformers.LlamaForCausalLM._from_config(config, attn_implementation="sdpa", dtype=dtype)


def build_model(args, adapter):
    model = random_llama(args, getattr(torch, args.dtype))
    if adapter:
        model = peft.get_peft_model(model, peft.LoraConfig(r=args.rank, lora_alpha=args.rank, lora_dropout=0.0,
                                                           target_modules=TARGETS, task_type="CAUSAL_LM"))
    return model.eval()


def serve(args, command, work):
    """Says what runs here, then answers each `command WORDS` with work(*WORDS), until `quit`."""
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
    print(json.dumps({"ready": True, "peer": "transformers", "dtype": args.dtype, "threads": torch.get_num_threads(),
                      "isa": torch.backends.cpu.get_cpu_capability(), "versions": versions}), flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "quit":
            break
        answer = work(*words[1:]) if words[0] == command else {"error": f"unknown command {line.strip()}"}
        print(json.dumps(answer), flush=True)
