#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "model/decoder_layer.h"
#include "model/kv_slots.h"
#include "model/llama_config.h"

namespace templora {

/// A decoder of one of the known families, Llama's unless its config says more. Registered names are those of a Hugging
/// Face checkpoint; no parameter requires grad until somebody asks for it. `forward` is causal: row i never depends on
/// tokens after i.
class LlamaImpl : public torch::nn::Module {
 public:
  /// Allocates uninitialised weights of `options`' dtype on its device. Throws Error(resources) where they
  /// do not fit.
  LlamaImpl(const LlamaConfig& config, const at::TensorOptions& options);

  /// Hidden states after the final norm of positions first_row … first_row + rows - 1.
  /// tokens: [batch, seq] int64 on the model's device → [batch, rows, hidden].
  at::Tensor forward(const at::Tensor& tokens, std::int64_t first_row, std::int64_t rows);

  /// The two halves of forward(): a trainer that wants the gradient of what enters the first layer starts
  /// between them. tokens: [batch, seq] → [batch, seq, hidden].
  at::Tensor embed(const at::Tensor& tokens);
  /// x: [batch, seq, hidden] → [batch, rows, hidden].
  at::Tensor decode(const at::Tensor& x, std::int64_t first_row, std::int64_t rows);

  /// The pass over tokens that follow what `slots` hold: their keys and values are written behind it and its
  /// lengths go up. Rows are packed by `segments`, each of another sequence; a row sees its own sequence up to
  /// itself. Never builds a graph. Room must be there: lengths + tokens at most the capacity.
  /// tokens: [Σ segment tokens] int64 on the model's device → [asked rows, hidden], undefined for Rows::none.
  at::Tensor forward_cached(const at::Tensor& tokens, const std::vector<Segment>& segments, KvSlots& slots, Rows rows);

  /// Hidden states of tokens that follow the first `held` slots of the first sequence of `slots`, whose keys and values
  /// are constants; nothing is stored. Differentiable in what the attached adapter has of parameters.
  /// tokens: [rows] int64 on the model's device → [rows, hidden].
  at::Tensor forward_behind(const at::Tensor& tokens, const KvSlots& slots, std::int64_t held);

  /// As forward_cached() for one more token of each of the first sequences, by device tensors of fixed shape alone:
  /// lengths are neither read nor changed (model/cached_attention.h, step_pass()). tokens: [rows] int64 on the model's
  /// device; row_slots: [rows] int64 there, the slot that each fills → [rows, hidden].
  at::Tensor forward_step(const at::Tensor& tokens, const at::Tensor& row_slots, KvSlots& slots);

  /// hidden: [..., hidden] → [..., vocab] in the model's dtype.
  at::Tensor logits(const at::Tensor& hidden);

  /// Weight of the output projection, [vocab, hidden] (the embedding's where they are tied).
  const at::Tensor& head_weight() const;

  /// The rotation tables of `seq` positions, which are kept for few lengths at a time. Whoever holds these tensors
  /// keeps their addresses alive: a captured graph, which repeats forward_step() over a capacity of `seq`, has to.
  Turns turns(std::int64_t seq);

  const LlamaConfig& config() const { return config_; }
  const at::TensorOptions& options() const { return options_; }
  std::int64_t layer_count() const { return std::int64_t(layers_.size()); }
  DecoderLayerImpl& layer(std::int64_t index) { return *layers_.at(std::size_t(index)); }

  /// The fused buffers themselves and everything that is not fused, each once: what pretraining updates and
  /// what a hash covers.
  std::vector<std::pair<std::string, at::Tensor>> storage_tensors();

  /// Points every tensor at `other`'s, of the same config: two graphs over the same weights.
  void use_weights_of(LlamaImpl& other);

  /// The groups that an adapter can be put on, in layer order: qkv, out, gate_up, down of each.
  struct Site {
    std::int64_t layer;
    std::string parent;  ///< "model.layers.3.self_attn"
    Projections* projections;
  };
  std::vector<Site> adapter_sites();

 private:
  at::Tensor run_cached(const at::Tensor& tokens, const CachedPass& pass, Rows rows);

  LlamaConfig config_;
  at::TensorOptions options_;
  at::Tensor embedding_;  ///< [vocab, hidden]
  at::Tensor head_;       ///< [vocab, hidden], undefined if tied
  std::vector<DecoderLayer> layers_;
  RmsNorm norm_{nullptr};
  std::map<std::int64_t, Turns> turns_;  ///< by sequence length
  std::set<std::int64_t> windows_;       ///< of the layers
};
TORCH_MODULE(Llama);

/// A second graph over the same weights, which are neither copied nor owned twice, with adapter slots of its own:
/// what one graph learns while the other writes.
Llama share_weights(LlamaImpl& model);

/// While it lives, the model computes without any adapter: the base model's pass.
class AdapterOff {
 public:
  explicit AdapterOff(LlamaImpl& model);
  ~AdapterOff();
  AdapterOff(const AdapterOff&) = delete;
  AdapterOff& operator=(const AdapterOff&) = delete;

 private:
  std::vector<std::pair<Projections*, LinearAdapter*>> slots_;
};

/// Negative log-likelihoods of the last `count` tokens of each sequence, nats, each predicted from what
/// precedes it. tokens: [batch, seq] int64, count < seq → [batch, count] float32 (float64 for a float64
/// model). Differentiable if grad mode is on; logits are computed by blocks of rows (model/token_nll.h).
at::Tensor token_nll(LlamaImpl& model, const at::Tensor& tokens, std::int64_t count);

/// The same of all but the first of `tokens` ([seq] int64), which follow the first `held` slots of the first sequence
/// of `slots`: what stands there is a constant (LlamaImpl::forward_behind()). → [seq - 1].
at::Tensor token_nll_behind(LlamaImpl& model, const at::Tensor& tokens, const KvSlots& slots, std::int64_t held);

}  // namespace templora
