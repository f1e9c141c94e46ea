#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/cached_attention.h"
#include "model/llama_config.h"
#include "model/projections.h"
#include "model/rope.h"

namespace templora {

// Shape words used in every comment of this room: batch, seq, hidden, heads, kv_heads, head_dim, ffn,
// vocab, rank; "rows" is any flattened product of batch and seq.

/// Learned scale over the last dimension after division by its root mean square.
class RmsNormImpl : public torch::nn::Module {
 public:
  RmsNormImpl(std::int64_t hidden, double eps, const at::TensorOptions& options);
  at::Tensor forward(const at::Tensor& x);
  at::Tensor weight;  ///< [hidden]

 private:
  double eps_;
};
TORCH_MODULE(RmsNorm);

/// Keys, turned by their slots, and values that stand: [kv_heads, held, head_dim] each.
struct HeldKeys {
  at::Tensor keys, values;
};

/// Causal self-attention with grouped key/value heads; what else it does, its layer's spec says.
class AttentionImpl : public torch::nn::Module {
 public:
  AttentionImpl(const LlamaConfig& config, const LayerSpec& spec, const at::TensorOptions& options);
  /// x: [batch, seq, hidden], positions 0 … seq-1 → [batch, rows, hidden], the positions from `first_row` on
  /// only: what they attend to is computed for all, what follows attention is not.
  at::Tensor forward(const at::Tensor& x, const Turns& turns, std::int64_t first_row, std::int64_t rows);

  /// The same for rows that follow others, whose keys and values are constants and stand in `before`: [kv_heads, held,
  /// head_dim]. Nothing is stored. x: [1, rows, hidden]; turns: of the rows' positions → [1, rows, hidden].
  at::Tensor forward_behind(const at::Tensor& x, const Turns& turns, const HeldKeys& before);

  /// The same over a cache: keys and values of x's rows are stored, the asked rows attend.
  /// x: [rows, hidden]; turns: of the rows' positions → [asked rows, hidden], undefined for Rows::none.
  at::Tensor forward_cached(const at::Tensor& x, const Turns& turns, const CachedPass& pass, std::size_t layer,
                            Rows rows);

  Projections qkv;  ///< q_proj, k_proj, v_proj; or qkv_proj
  Projections out;  ///< o_proj
  RmsNorm q_norm{nullptr}, k_norm{nullptr};  ///< where the spec has them

 private:
  /// What attention works on, all [batch, seq, its heads, head_dim]; plain_k before the rotation.
  struct Heads {
    at::Tensor q, k, plain_k, v;
  };
  /// projected: what qkv gave, [batch · seq rows] in any shape.
  Heads heads_of(const at::Tensor& projected, const Turns& turns);
  /// Queries [batch, rows, heads, head_dim] over keys and values [batch, kv_heads, seq, head_dim], whose last rows they
  /// are → [batch, rows, heads, head_dim].
  at::Tensor mixed(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) const;
  at::Tensor normed(const at::Tensor& heads, RmsNorm& norm) const;

  std::int64_t heads_, kv_heads_, head_dim_;
  LayerSpec spec_;
};
TORCH_MODULE(Attention);

/// down(silu(gate x) · up x).
class MlpImpl : public torch::nn::Module {
 public:
  MlpImpl(const LlamaConfig& config, const LayerSpec& spec, const at::TensorOptions& options);
  at::Tensor forward(const at::Tensor& x);

  Projections gate_up;  ///< gate_proj, up_proj; or gate_up_proj
  Projections down;     ///< down_proj
};
TORCH_MODULE(Mlp);

/// One decoder layer: attention and MLP, each added to what came in, with a norm before or after each.
class DecoderLayerImpl : public torch::nn::Module {
 public:
  DecoderLayerImpl(const LlamaConfig& config, const LayerSpec& spec, const at::TensorOptions& options);
  /// x: [batch, seq, hidden] → [batch, rows, hidden].
  at::Tensor forward(const at::Tensor& x, const Turns& turns, std::int64_t first_row, std::int64_t rows);
  /// x: [1, rows, hidden] → the same, behind what stands.
  at::Tensor forward_behind(const at::Tensor& x, const Turns& turns, const HeldKeys& before);
  /// x: [rows, hidden] → [asked rows, hidden], undefined for Rows::none.
  at::Tensor forward_cached(const at::Tensor& x, const Turns& turns, const CachedPass& pass, std::size_t layer,
                            Rows rows);

  /// The norms by their checkpoint names.
  std::vector<std::pair<std::string, at::Tensor>> norm_weights() const;

  Attention self_attn{nullptr};
  Mlp mlp{nullptr};

 private:
  at::Tensor attention_input(const at::Tensor& x);
  /// What follows attention, of the asked rows. residual: what came in; mixed: what attention gave.
  at::Tensor finished(const at::Tensor& residual, const at::Tensor& mixed);

  RmsNorm input_layernorm_{nullptr};  ///< where norms stand before
  RmsNorm post_attention_layernorm_{nullptr};
  RmsNorm post_feedforward_layernorm_{nullptr};  ///< where they stand after
};
TORCH_MODULE(DecoderLayer);

}  // namespace templora
