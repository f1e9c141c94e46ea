#pragma once

#include <vector>

#include "comet/comet_config.h"
#include "comet/layers.h"
#include "comet/xlmr.h"

namespace templora {

/// Weights of the layers from their scalars: non-negative, their sum is 1. softmax, or sparsemax, the nearest point
/// of the simplex, where some are exactly 0 (Martins and Astudillo 2016, arXiv 1602.02068, algorithm 1).
std::vector<double> layer_weights(const std::vector<double>& scalars, LayerTransformation transformation);

/// One learned scalar a layer and gamma: gamma · Σ weight · state (COMET's LayerwiseAttention without a layer norm).
class LayerMixImpl : public torch::nn::Module {
 public:
  LayerMixImpl(std::int64_t states, LayerTransformation transformation, const at::TensorOptions& options);
  /// gamma · weight of each state, read from the parameters as they are now.
  std::vector<double> weights() const;

 private:
  LayerTransformation transformation_;
  std::vector<at::Tensor> scalars_;  // [1] each
  at::Tensor gamma_;                 // [1]
};
TORCH_MODULE(LayerMix);

/// The feed-forward estimator: linear layers with an activation after each but the last, which gives the score.
class EstimatorImpl : public torch::nn::Module {
 public:
  EstimatorImpl(const CometConfig& config, const at::TensorOptions& options);
  /// features: [batch, 6 · hidden] → [batch].
  at::Tensor forward(const at::Tensor& features);

 private:
  Activation activation_;
  std::optional<Activation> final_activation_;
  std::vector<Dense> layers_;
};
TORCH_MODULE(Estimator);

/// wmt22-comet-da's network: an encoder run on each of the three texts by itself, a mix of its layers, the mean over
/// the tokens, an estimator. Registered names are those of unbabel-comet's RegressionMetric.
/// Rei et al. 2020, arXiv 2009.09025; Rei et al. 2022, WMT, "COMET-22".
class CometNetImpl : public torch::nn::Module {
 public:
  /// Allocates uninitialised weights.
  CometNetImpl(const CometConfig& config, const at::TensorOptions& options);

  /// Sentence embeddings. tokens: [batch, seq] int64, <s> … </s> and then <pad>; lengths: [batch] int64, tokens of
  /// each row → [batch, hidden].
  at::Tensor embed(const at::Tensor& tokens, const at::Tensor& lengths);

  /// Scores of segments from the embeddings of their parts. Each: [batch, hidden] → [batch].
  at::Tensor score(const at::Tensor& src, const at::Tensor& mt, const at::Tensor& ref);

 private:
  Xlmr encoder_{nullptr};
  LayerMix mix_{nullptr};
  Estimator estimator_{nullptr};
};
TORCH_MODULE(CometNet);

}  // namespace templora
