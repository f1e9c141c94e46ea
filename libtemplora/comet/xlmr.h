#pragma once

#include <functional>
#include <vector>

#include "comet/comet_config.h"
#include "comet/layers.h"

namespace templora {

// Shape words of this room: batch, seq, hidden, heads, head_dim, ffn, layers.

/// One post-norm encoder layer: attention, then the feed-forward part, each followed by LayerNorm(x + part).
class XlmrLayerImpl : public torch::nn::Module {
 public:
  XlmrLayerImpl(const XlmrConfig& config, const at::TensorOptions& options);
  /// x: [batch, seq, hidden] → the same shape. keys: [batch, 1, 1, seq] bool, true where a key may be looked at;
  /// undefined if that is everywhere.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& keys);

 private:
  at::Tensor attend(const at::Tensor& x, const at::Tensor& keys);

  std::int64_t heads_;
  Dense query_{nullptr}, key_{nullptr}, value_{nullptr}, attention_out_{nullptr};
  Dense up_{nullptr}, down_{nullptr};
  LayerNorm attention_norm_{nullptr}, norm_{nullptr};
};
TORCH_MODULE(XlmrLayer);

/// XLM-R's encoder without a pooler. Registered names are those of transformers' XLMRobertaModel.
/// Conneau et al. 2020, arXiv 1911.02116.
class XlmrImpl : public torch::nn::Module {
 public:
  XlmrImpl(const XlmrConfig& config, const at::TensorOptions& options);

  /// Hands the layers + 1 hidden states, [batch, seq, hidden] each, to `visit` one after the other, that of the
  /// embeddings first; none is kept. tokens: [batch, seq] int64, rows shorter than seq filled up with <pad>.
  /// present: [batch, seq] bool, false behind a row's end; undefined if all rows are full.
  void forward(const at::Tensor& tokens, const at::Tensor& present,
               const std::function<void(const at::Tensor&)>& visit);

 private:
  at::Tensor embed(const at::Tensor& tokens);

  LookupTable words_{nullptr}, positions_{nullptr}, types_{nullptr};
  LayerNorm norm_{nullptr};
  std::vector<XlmrLayer> layers_;
};
TORCH_MODULE(Xlmr);

}  // namespace templora
