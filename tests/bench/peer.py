"""The loop that templora is measured against: transformers + PEFT with the obvious fixes.

The released Temp-LoRA code scores twice, computes logits for rows that no label uses and steps an
unfused optimizer. This loop has those fixed: one scoring pass without autograd, logits of the labelled
rows only, fused AdamW, scaled-dot-product attention, gradients freed instead of zeroed, no dropout.

It answers a line protocol on stdin and stdout, one JSON object a line, so that several peers can be
interleaved chunk by chunk:

    -> (start)        <- {"ready": true, "peer": ..., "versions": ...}
    -> chunk          <- {"seconds": s, "phases": {...}, "nll": mean nats, "losses": [per epoch]}
    -> phases         the same with the device synchronised at each phase (slower on a GPU)
    -> profile PATH   one chunk under the profiler, Chrome trace written to PATH
    -> memory         <- {"peak_rss_bytes": ..., "peak_device_bytes": ...}
    -> quit

`--save DIR` writes a random model, a random adapter and tokens to DIR and exits; `--model DIR` starts
from them, in this program as in bench_temp_lora, so that their numbers can be compared.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import peft
import torch
import transformers

from flops import Shape

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (dataclasses.asdict(Shape()) | {"threads": 0, "seed": 1}).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--lora-dtype", choices=["float32", "bfloat16"], default="float32",
                        help="float32 is what PEFT does; the released code has bfloat16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--model", type=pathlib.Path, help="folder that --save wrote")
    parser.add_argument("--save", type=pathlib.Path, help="write a random model, adapter and tokens, then exit")
    parser.add_argument("--tokens", type=int, default=4096, help="length of the text that --save writes")
    return parser.parse_args()


def build_base(args):
    """The frozen model, its weights drawn or loaded straight on the device."""
    dtype = getattr(torch, args.dtype)
    if args.model:
        return transformers.LlamaForCausalLM.from_pretrained(
            args.model, dtype=dtype, attn_implementation="sdpa").to(args.device)
    config = transformers.LlamaConfig(
        vocab_size=args.vocab, hidden_size=args.hidden, intermediate_size=args.ffn,
        num_hidden_layers=args.layers, num_attention_heads=args.heads,
        num_key_value_heads=args.kv_heads or args.heads, max_position_embeddings=args.context + args.chunk,
        tie_word_embeddings=bool(args.tied))
    torch.set_default_dtype(dtype)
    with torch.device(args.device):
        model = transformers.LlamaForCausalLM._from_config(config, attn_implementation="sdpa", dtype=dtype)
    torch.set_default_dtype(torch.float32)
    return model


def build_model(args):
    base = build_base(args)
    base.config.use_cache = False
    autocast = args.lora_dtype == "float32"
    if args.model:
        return peft.PeftModel.from_pretrained(base, args.model / "adapter", is_trainable=True,
                                              autocast_adapter_dtype=autocast)
    config = peft.LoraConfig(r=args.rank, lora_alpha=args.rank, lora_dropout=0.0, target_modules=TARGETS,
                             task_type="CAUSAL_LM")
    return peft.get_peft_model(base, config, autocast_adapter_dtype=autocast)


def save(args):
    """Random weights with an adapter that is not zero, and a text whose token frequencies can be learned."""
    model = build_model(args)
    generator = torch.Generator().manual_seed(args.seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.copy_(torch.randn(value.shape, generator=generator) * 0.01)
    model.save_pretrained(args.save / "adapter")
    model.unload().save_pretrained(args.save)
    ranks = torch.arange(1, args.vocab + 1, dtype=torch.float64)
    tokens = torch.multinomial(1.0 / ranks, args.tokens, replacement=True, generator=generator)
    (args.save / "tokens.json").write_text(json.dumps(tokens.tolist()))


class Loop:
    """Temp-LoRA in its steady state: every chunk has its full context."""

    def __init__(self, args):
        self.args = args
        self.model = build_model(args)
        self.model.train()
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=args.learning_rate, eps=1e-7, weight_decay=0.0,
                                           fused=True)
        if args.model:
            self.tokens = torch.tensor(json.loads((args.model / "tokens.json").read_text()))
        else:
            generator = torch.Generator().manual_seed(args.seed)
            self.tokens = torch.randint(args.vocab, (args.context + 64 * args.chunk,), generator=generator)
        self.tokens = self.tokens.to(args.device)
        self.first = args.context

    def synchronise(self):
        if self.args.device != "cpu":
            torch.cuda.synchronize()

    def loss(self, window):
        """Mean NLL of the chunk's tokens; the head sees the rows that predict them and no others."""
        rows = self.args.chunk + 1  # the last context row predicts the first token, the last row nothing
        logits = self.model(input_ids=window[None], logits_to_keep=rows).logits[0, :-1]
        return torch.nn.functional.cross_entropy(logits.float(), window[self.args.context:])

    def chunk(self, with_phases):
        if self.first + self.args.chunk > len(self.tokens):
            self.first = self.args.context
        window = self.tokens[self.first - self.args.context:self.first + self.args.chunk]
        self.first += self.args.chunk
        phases = {"score": 0.0, "forward": 0.0, "backward": 0.0, "optimizer": 0.0}
        losses = []
        self.synchronise()
        start = mark = time.perf_counter()

        def phase_ended(name):
            nonlocal mark
            if with_phases:
                self.synchronise()
            now = time.perf_counter()
            phases[name] += now - mark
            mark = now

        with torch.no_grad():
            nll = self.loss(window)
        phase_ended("score")
        for _ in range(self.args.epochs):
            loss = self.loss(window)
            phase_ended("forward")
            loss.backward()
            phase_ended("backward")
            torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            phase_ended("optimizer")
            losses.append(loss.detach())
        self.synchronise()
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "phases": phases, "nll": nll.item(), "losses": [v.item() for v in losses]}

    def profile(self, path):
        kinds = [torch.profiler.ProfilerActivity.CPU]
        if self.args.device != "cpu":
            kinds.append(torch.profiler.ProfilerActivity.CUDA)
        with torch.profiler.profile(activities=kinds) as profiler:
            answer = self.chunk(with_phases=False)
        profiler.export_chrome_trace(path)
        return answer


def memory(device):
    status = pathlib.Path("/proc/self/status").read_text()
    peak_kib = int(status.split("VmHWM:")[1].split()[0])
    peak_device = torch.cuda.max_memory_allocated() if device != "cpu" else 0
    return {"peak_rss_bytes": peak_kib * 1024, "peak_device_bytes": peak_device}


def main():
    args = parse_arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    if args.save:
        save(args)
        return
    loop = Loop(args)
    print(json.dumps({
        "ready": True, "peer": "transformers+peft", "dtype": args.dtype, "lora_dtype": args.lora_dtype,
        "device": torch.cuda.get_device_name() if args.device != "cpu" else "cpu",
        "threads": torch.get_num_threads(), "isa": torch.backends.cpu.get_cpu_capability(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__,
                     "peft": peft.__version__, "cuda": torch.version.cuda}}), flush=True)
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "quit":
            break
        if command in ("chunk", "phases"):
            answer = loop.chunk(with_phases=command == "phases" or args.device == "cpu")
        elif command == "profile":
            answer = loop.profile(argument)
        elif command == "memory":
            answer = memory(args.device)
        else:
            answer = {"error": f"unknown command {command}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
