#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "core/json.h"
#include "run/record.h"

namespace templora {

/// A cache of hidden states (Grave, Joulin and Usunier 2017, arXiv 1612.04426), the memory that trains nothing: each
/// state of the base that predicted a token is kept with that token, and a new state gives the tokens behind states
/// like it a probability,
///   p_cache(w) = Σ_i exp(θ h·h_i) [w_i = w] / Σ_i exp(θ h·h_i),
/// states scaled to length 10, which gives θ the paper's order, i over the last `entries` states before the chunk and
/// the chunk's own earlier ones. A model's
/// p and the cache's are mixed, (1 - λ) p + λ p_cache, with one λ for each arm: λ = σ(a) starts at 0.1 and a follows
/// the gradient of log p after each token, so that a token's NLL depends on what came before it alone.
class NeuralCache {
 public:
  explicit NeuralCache(const NeuralCacheConfig& config) : config_(config) {}

  /// The cache's probabilities of `targets` ([rows] int64), each predicted by its row of `hidden` ([rows, hidden]), and
  /// then keeps them. → [rows] float32 on their device; 0 where nothing was kept yet.
  at::Tensor look_up(const at::Tensor& hidden, const at::Tensor& targets);

  /// NLLs of an arm's tokens mixed with what look_up() gave for them, nats; moves the arm's λ.
  std::vector<float> mixed(Arm arm, const std::vector<float>& nll, const std::vector<float>& cached);

  /// For resume, bit for bit. Throws Error(bad_input) or a JSON exception where the state does not fit.
  Json state() const;
  std::vector<std::pair<std::string, at::Tensor>> tensors() const;
  void restore(const Json& state, const std::function<at::Tensor(const std::string&)>& stored);

 private:
  const NeuralCacheConfig& config_;
  at::Tensor states_;  // [kept, hidden] float32 of length 1; undefined before the first chunk
  at::Tensor tokens_;  // [kept] int64
  std::map<Arm, double> logits_;  // a of each arm
};

}  // namespace templora
