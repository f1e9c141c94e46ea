"""llama.cpp as another peer of bench_decode: greedy, a random model of the same shape in a GGUF file of its own.

    -> (start)                  <- {"ready": true, ...}
    -> decode BATCH CONTEXT NEW <- {"seconds": s, "tokens": t}: as llama.cpp's own timings have it
    -> quit

Needs the Python packages xllamacpp (a build of llama.cpp), gguf and numpy. BATCH has to be 1.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile

import gguf
import numpy
import xllamacpp

from flops import Shape


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("layers", "hidden", "ffn", "heads", "vocab", "rank"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Shape, name))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    return parser.parse_args()


def write_model(args, path):
    """A Llama with normal weights and a vocabulary of made-up words."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(args.layers)
    writer.add_context_length(4096)
    writer.add_embedding_length(args.hidden)
    writer.add_feed_forward_length(args.ffn)
    writer.add_head_count(args.heads)
    writer.add_head_count_kv(args.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(args.hidden // args.heads)
    writer.add_vocab_size(args.vocab)
    words = [b"<unk>", b"<s>", b"</s>"] + [f"<0x{byte:02X}>".encode() for byte in range(256)]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL] + [gguf.TokenType.BYTE] * 256
    words = (words + [f"w{i}".encode() for i in range(args.vocab)])[:args.vocab]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(words)
    writer.add_token_scores([-float(i) for i in range(args.vocab)])
    writer.add_token_types((kinds + [gguf.TokenType.NORMAL] * args.vocab)[:args.vocab])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)

    chance = numpy.random.default_rng(1)

    def add(name, *shape):
        values = chance.standard_normal(shape, dtype=numpy.float32) * numpy.float32(0.02)
        if args.dtype == "bfloat16":
            raw = gguf.quants.quantize(values, gguf.GGMLQuantizationType.BF16)
            writer.add_tensor(name, raw, raw_dtype=gguf.GGMLQuantizationType.BF16)
        else:
            writer.add_tensor(name, values)

    def add_norm(name):
        writer.add_tensor(name, numpy.ones(args.hidden, dtype=numpy.float32))

    add("token_embd.weight", args.vocab, args.hidden)
    add("output.weight", args.vocab, args.hidden)
    add_norm("output_norm.weight")
    for layer in range(args.layers):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{part}.weight", args.hidden, args.hidden)
        add(f"blk.{layer}.ffn_gate.weight", args.ffn, args.hidden)
        add(f"blk.{layer}.ffn_up.weight", args.ffn, args.hidden)
        add(f"blk.{layer}.ffn_down.weight", args.hidden, args.ffn)
        add_norm(f"blk.{layer}.attn_norm.weight")
        add_norm(f"blk.{layer}.ffn_norm.weight")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def open_server(args, path):
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = 1024
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.cache_prompt = False
    params.warmup = True
    threads = args.threads or os.cpu_count()
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    return xllamacpp.Server(params), threads


def decode(server, vocab, batch, context, count):
    if batch != 1:
        return {"error": "this peer decodes one sequence"}
    prompt = [(i * 37 + 11) % (vocab - 300) + 300 for i in range(context)]
    answer = server.handle_completions({"prompt": prompt, "n_predict": count + 1, "temperature": 0.0,
                                        "ignore_eos": True,
                                        "cache_prompt": False, "samplers": ["top_k"], "top_k": 1})
    timings = (answer if isinstance(answer, dict) else json.loads(answer))["timings"]
    return {"seconds": timings["predicted_ms"] / 1000 / timings["predicted_n"] * count, "tokens": count}


def main():
    args = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")
        write_model(args, path)
        # The library's own messages go to standard output too.
        answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            server, threads = open_server(args, path)
            print(json.dumps({"ready": True, "peer": "llama.cpp", "dtype": args.dtype, "threads": threads,
                              "isa": xllamacpp.get_system_info() if hasattr(xllamacpp, "get_system_info") else "",
                              "versions": {"xllamacpp": xllamacpp.__version__}}), file=answers, flush=True)
            for line in sys.stdin:
                words = line.split()
                if words[0] == "quit":
                    break
                answer = (decode(server, args.vocab, *map(int, words[1:])) if words[0] == "decode"
                          else {"error": f"unknown command {line.strip()}"})
                print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
