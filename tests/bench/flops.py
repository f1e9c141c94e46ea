"""Floating-point operations of one Temp-LoRA chunk, counted by hand.

A product of [m, k] by [k, n] counts 2mnk, causal attention 4·d·L a query-key pair forward (two products)
and 2.5 times that backward (five products, as flash attention recomputes one). Gradients of frozen weights
are never computed, the gradient into the embeddings neither. Norms, rotations and the optimizer count
nothing. For Llama2-7B, in GFLOP a new token (python3 -m doctest tests/bench/flops.py):

>>> [round(chunk_flops(LLAMA2_7B, **how) / LLAMA2_7B.chunk / 1e9)
...  for how in ({}, {"shared_forward": True}, {"shared_forward": True, "trimmed": True})]
[303, 245, 241]
"""

import dataclasses


@dataclasses.dataclass
class Shape:
    """Sizes of the model, the module and the window."""

    layers: int = 12
    hidden: int = 768
    ffn: int = 2048
    heads: int = 12
    vocab: int = 32000
    rank: int = 64
    chunk: int = 256
    context: int = 768
    epochs: int = 2
    kv_heads: int = 0  # key and value heads; 0: as many as heads
    tied: int = 0      # 1: the output projection is the embedding

    @property
    def kv_size(self):
        """Outputs of k_proj, and of v_proj."""
        return self.hidden * (self.kv_heads or self.heads) // self.heads

    def arguments(self):
        """The shape as options of peer.py and bench_temp_lora."""
        return [text for field in dataclasses.fields(self)
                for text in (f"--{field.name.replace('_', '-')}", str(getattr(self, field.name)))]


#: Too small to measure anything, enough to see that a benchmark runs.
QUICK = Shape(layers=2, hidden=128, ffn=256, heads=4, vocab=1000, rank=8, chunk=32, context=96)
#: SmolLM2-135M with a window of 1K.
SMOLLM2_135M = Shape(layers=30, hidden=576, ffn=1536, heads=9, vocab=49152, rank=64, chunk=512, context=512, kv_heads=3,
                     tied=1)
#: Llama2-7B with the window of the paper's main setting.
LLAMA2_7B = Shape(layers=32, hidden=4096, ffn=11008, heads=32, vocab=32000, rank=64, chunk=1024, context=3072)


def _projections(shape):
    """(inputs, outputs, stands before attention) of the seven projections of a layer."""
    h, f, kv = shape.hidden, shape.ffn, shape.kv_size
    return [(h, h, True), (h, kv, True), (h, kv, True), (h, h, False), (h, f, False), (h, f, False), (f, h, False)]


def _layer(shape, rows_after_attention, first_layer):
    """Forward and backward of one layer that reads the whole window."""
    rows = shape.context + shape.chunk
    forward = backward = 0
    for inputs, outputs, before_attention in _projections(shape):
        n = rows if before_attention else rows_after_attention
        lora = shape.rank * (inputs + outputs)
        forward += 2 * n * (inputs * outputs + lora)
        backward += 4 * n * lora
        if first_layer and before_attention:
            backward -= 2 * n * shape.rank * inputs  # the embeddings need no gradient
        else:
            backward += 2 * n * inputs * outputs
    attention = 4 * shape.hidden * rows * (rows + 1) // 2
    return forward + attention, backward + 2.5 * attention


def chunk_flops(shape, scoring_passes=1, shared_forward=False, trimmed=False):
    """FLOPs of scoring a chunk and training on it for `epochs` steps.

    shared_forward: the scoring forward is the first epoch's forward. trimmed: what follows attention in
    the last layer is computed for the labelled rows only.
    """
    rows = shape.context + shape.chunk
    forward = backward = 0
    for layer in range(shape.layers):
        last = layer == shape.layers - 1
        f, b = _layer(shape, shape.chunk if last and trimmed else rows, layer == 0)
        forward += f
        backward += b
    head = 2 * shape.chunk * shape.hidden * shape.vocab
    forwards = scoring_passes + shape.epochs - (1 if shared_forward else 0)
    return forwards * (forward + head) + shape.epochs * (backward + head)
