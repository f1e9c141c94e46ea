#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>

#include <vector>

#include "model/llama.h"
#include "model/load.h"

// Small random models and texts that the tests of this room share.
namespace templora::small {

inline LlamaConfig config() {
  LlamaConfig config;
  config.vocab_size = 61;
  config.hidden_size = 32;
  config.ffn_size = 48;
  config.layers = 3;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 8;
  config.max_positions = 256;
  return config;
}

inline Llama model(at::ScalarType dtype, const LlamaConfig& shape = config()) {
  Llama model(shape, at::TensorOptions(dtype));
  init_random_weights(*model, 7, 0.2);
  return model;
}

using Tokens = std::vector<std::int64_t>;

/// `count` tokens that depend on `seed`.
inline Tokens text(std::int64_t count, std::int64_t seed = 0) {
  Tokens tokens;
  for (std::int64_t i = 0; i < count; ++i) tokens.push_back((i * i * 7 + i * 3 + seed * 11 + 5) % 61);
  return tokens;
}

inline Tokens part(const Tokens& tokens, std::int64_t first, std::int64_t last) {
  return {tokens.begin() + first, tokens.begin() + last};
}

inline at::Tensor tensor(const Tokens& tokens) { return at::tensor(at::ArrayRef<std::int64_t>(tokens)); }

/// Hidden states of a text without a cache. → [tokens, hidden].
inline at::Tensor plain_forward(LlamaImpl& model, const Tokens& tokens) {
  return model.forward(tensor(tokens).unsqueeze(0), 0, std::int64_t(tokens.size())).squeeze(0);
}

inline double difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

}  // namespace templora::small
