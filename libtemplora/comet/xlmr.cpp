#include "comet/xlmr.h"

#include <ATen/ops/gelu.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros.h>

#include <string>

#include "text/xlmr_tokenizer.h"

namespace templora {

XlmrLayerImpl::XlmrLayerImpl(const XlmrConfig& c, const at::TensorOptions& options) : heads_(c.heads) {
  auto attention = register_module("attention", std::make_shared<ModuleGroup>());
  auto self = attention->register_module("self", std::make_shared<ModuleGroup>());
  query_ = self->register_module("query", Dense(c.hidden_size, c.hidden_size, options));
  key_ = self->register_module("key", Dense(c.hidden_size, c.hidden_size, options));
  value_ = self->register_module("value", Dense(c.hidden_size, c.hidden_size, options));
  auto attention_output = attention->register_module("output", std::make_shared<ModuleGroup>());
  attention_out_ = attention_output->register_module("dense", Dense(c.hidden_size, c.hidden_size, options));
  attention_norm_ = attention_output->register_module("LayerNorm", LayerNorm(c.hidden_size, c.layer_norm_eps, options));
  auto intermediate = register_module("intermediate", std::make_shared<ModuleGroup>());
  up_ = intermediate->register_module("dense", Dense(c.hidden_size, c.ffn_size, options));
  auto output = register_module("output", std::make_shared<ModuleGroup>());
  down_ = output->register_module("dense", Dense(c.ffn_size, c.hidden_size, options));
  norm_ = output->register_module("LayerNorm", LayerNorm(c.hidden_size, c.layer_norm_eps, options));
}

at::Tensor XlmrLayerImpl::attend(const at::Tensor& x, const at::Tensor& keys) {
  const auto by_head = [&](const at::Tensor& projected) {
    return projected.view({x.size(0), x.size(1), heads_, -1}).transpose(1, 2);  // [batch, heads, seq, head_dim]
  };
  std::optional<at::Tensor> mask;
  if (keys.defined()) mask = keys;
  return at::scaled_dot_product_attention(by_head(query_->forward(x)), by_head(key_->forward(x)),
                                          by_head(value_->forward(x)), mask)
      .transpose(1, 2)      // [batch, seq, heads, head_dim]
      .reshape(x.sizes());  // [batch, seq, hidden]
}

at::Tensor XlmrLayerImpl::forward(const at::Tensor& x, const at::Tensor& keys) {
  const at::Tensor attended = attention_norm_->forward(attention_out_->forward(attend(x, keys)) + x);
  return norm_->forward(down_->forward(at::gelu(up_->forward(attended))) + attended);
}

XlmrImpl::XlmrImpl(const XlmrConfig& c, const at::TensorOptions& options) {
  auto embeddings = register_module("embeddings", std::make_shared<ModuleGroup>());
  words_ = embeddings->register_module("word_embeddings", LookupTable(c.vocab_size, c.hidden_size, options));
  positions_ = embeddings->register_module("position_embeddings", LookupTable(c.max_positions, c.hidden_size, options));
  types_ = embeddings->register_module("token_type_embeddings", LookupTable(c.type_vocab_size, c.hidden_size, options));
  norm_ = embeddings->register_module("LayerNorm", LayerNorm(c.hidden_size, c.layer_norm_eps, options));
  auto stack = register_module("encoder", std::make_shared<ModuleGroup>())
                   ->register_module("layer", std::make_shared<ModuleGroup>());
  for (std::int64_t i = 0; i < c.layers; ++i)
    layers_.push_back(stack->register_module(std::to_string(i), XlmrLayer(c, options)));
}

at::Tensor XlmrImpl::embed(const at::Tensor& tokens) {
  // Positions count from kPad + 1 and pass over <pad>, which a text may spell out, too.
  const at::Tensor real = tokens.ne(XlmrTokenizer::kPad).to(at::kLong);                      // [batch, seq]
  const at::Tensor positions = real.cumsum(1) * real + XlmrTokenizer::kPad;                  // [batch, seq]
  const at::Tensor type = types_->forward(at::zeros({1, 1}, tokens.options()));              // [1, 1, hidden]
  return norm_->forward(words_->forward(tokens) + type + positions_->forward(positions));    // [batch, seq, hidden]
}

void XlmrImpl::forward(const at::Tensor& tokens, const at::Tensor& present,
                       const std::function<void(const at::Tensor&)>& visit) {
  at::Tensor keys;
  if (present.defined()) keys = present.unsqueeze(1).unsqueeze(1);  // [batch, 1, 1, seq]
  at::Tensor x = embed(tokens);
  visit(x);
  for (XlmrLayer& layer : layers_) {
    x = layer->forward(x, keys);
    visit(x);
  }
}

}  // namespace templora
