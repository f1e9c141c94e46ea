#include "model/decoder_layer.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include "model/ops.h"
#include "model/sight.h"

namespace templora {

RmsNormImpl::RmsNormImpl(std::int64_t hidden, double eps, const at::TensorOptions& options)
    : weight(register_parameter("weight", at::empty({hidden}, options), /*requires_grad=*/false)), eps_(eps) {}

at::Tensor RmsNormImpl::forward(const at::Tensor& x) { return rms_norm(x, weight, eps_); }

namespace {

using Parts = std::vector<std::pair<std::string, std::int64_t>>;

Parts qkv_parts(const LlamaConfig& c, const LayerSpec& spec) {
  const std::int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  if (spec.fused_names) return {{"qkv_proj", q + 2 * kv}};
  return {{"q_proj", q}, {"k_proj", kv}, {"v_proj", kv}};
}

Parts gate_up_parts(const LlamaConfig& c, const LayerSpec& spec) {
  if (spec.fused_names) return {{"gate_up_proj", 2 * c.ffn_size}};
  return {{"gate_proj", c.ffn_size}, {"up_proj", c.ffn_size}};
}

}  // namespace

AttentionImpl::AttentionImpl(const LlamaConfig& c, const LayerSpec& spec, const at::TensorOptions& options)
    : qkv(*this, qkv_parts(c, spec), c.hidden_size, spec.qkv_bias, options),
      out(*this, {{"o_proj", c.hidden_size}}, c.heads * c.head_dim, spec.out_bias, options),
      heads_(c.heads),
      kv_heads_(c.kv_heads),
      head_dim_(c.head_dim),
      spec_(spec) {
  if (spec.qk_norm == LayerSpec::QkNorm::none) return;
  const bool by_head = spec.qk_norm == LayerSpec::QkNorm::head;
  q_norm = register_module("q_norm", RmsNorm(by_head ? head_dim_ : heads_ * head_dim_, c.rms_norm_eps, options));
  k_norm = register_module("k_norm", RmsNorm(by_head ? head_dim_ : kv_heads_ * head_dim_, c.rms_norm_eps, options));
}

at::Tensor AttentionImpl::normed(const at::Tensor& heads, RmsNorm& norm) const {
  if (spec_.qk_norm == LayerSpec::QkNorm::head) return norm->forward(heads);
  return norm->forward(heads.flatten(2)).view(heads.sizes());  // [batch, seq, its heads, head_dim]
}

AttentionImpl::Heads AttentionImpl::heads_of(const at::Tensor& projected, const Turns& turns) {
  const at::Tensor all = projected.view({-1, turns.count, heads_ + 2 * kv_heads_, head_dim_});  // [batch, seq, ...]
  const auto turned = [&](const at::Tensor& heads) {
    return spec_.rope == LayerSpec::Rope::none ? heads : rotate(heads, turns.of(spec_.rope));
  };
  if (spec_.qk_norm == LayerSpec::QkNorm::none) {  // queries and keys are turned in one go
    const auto parts = all.split_with_sizes({heads_ + kv_heads_, kv_heads_}, 2);
    const auto qk = turned(parts[0]).split_with_sizes({heads_, kv_heads_}, 2);
    return {qk[0], qk[1], all.narrow(2, heads_, kv_heads_), parts[1]};
  }
  const auto parts = all.split_with_sizes({heads_, kv_heads_, kv_heads_}, 2);
  const at::Tensor k = normed(parts[1], k_norm);
  return {turned(normed(parts[0], q_norm)), turned(k), k, parts[2]};
}

at::Tensor AttentionImpl::mixed(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) const {
  const std::int64_t times = heads_ / kv_heads_;
  return causal_attention(q.transpose(1, 2), repeat_heads(k, times), repeat_heads(v, times), spec_.window)
      .transpose(1, 2);                                                           // [batch, rows, heads, head_dim]
}

at::Tensor AttentionImpl::forward(const at::Tensor& x, const Turns& turns, std::int64_t first_row, std::int64_t rows) {
  const std::int64_t batch = x.size(0), seq = x.size(1);
  const Heads h = heads_of(qkv.forward(x), turns);
  at::Tensor all = mixed(h.q, h.k.transpose(1, 2), h.v.transpose(1, 2));          // [batch, seq, heads, head_dim]
  if (rows != seq) all = all.narrow(1, first_row, rows);                          // [batch, rows, heads, head_dim]
  return out.forward(all.reshape({batch, rows, heads_ * head_dim_}));             // [batch, rows, hidden]
}

at::Tensor AttentionImpl::forward_behind(const at::Tensor& x, const Turns& turns, const HeldKeys& before) {
  const Heads h = heads_of(qkv.forward(x), turns);
  const at::Tensor k = at::cat({before.keys.unsqueeze(0), h.k.transpose(1, 2)}, 2);    // [1, kv_heads, seq, head_dim]
  const at::Tensor v = at::cat({before.values.unsqueeze(0), h.v.transpose(1, 2)}, 2);  // [1, kv_heads, seq, head_dim]
  return out.forward(mixed(h.q, k, v).reshape({1, x.size(1), heads_ * head_dim_}));    // [1, rows, hidden]
}

at::Tensor AttentionImpl::forward_cached(const at::Tensor& x, const Turns& turns, const CachedPass& pass,
                                         std::size_t layer, Rows rows) {
  const Heads h = heads_of(qkv.forward(x), turns);
  store_rows(pass, layer, h.k.squeeze(0), h.plain_k.squeeze(0), h.v.squeeze(0));
  if (rows == Rows::none) return {};
  return out.forward(cached_attention(pass, layer, spec_.window, h.q.squeeze(0), rows));  // [asked rows, hidden]
}

MlpImpl::MlpImpl(const LlamaConfig& c, const LayerSpec& spec, const at::TensorOptions& options)
    : gate_up(*this, gate_up_parts(c, spec), c.hidden_size, spec.mlp_bias, options),
      down(*this, {{"down_proj", c.hidden_size}}, c.ffn_size, spec.mlp_bias, options) {}

at::Tensor MlpImpl::forward(const at::Tensor& x) { return down.forward(swiglu(gate_up.forward(x))); }

DecoderLayerImpl::DecoderLayerImpl(const LlamaConfig& c, const LayerSpec& spec, const at::TensorOptions& options) {
  const auto norm = [&](const char* name) {
    return register_module(name, RmsNorm(c.hidden_size, c.rms_norm_eps, options));
  };
  if (!spec.norm_after) input_layernorm_ = norm("input_layernorm");
  self_attn = register_module("self_attn", Attention(c, spec, options));
  post_attention_layernorm_ = norm("post_attention_layernorm");
  if (spec.norm_after) post_feedforward_layernorm_ = norm("post_feedforward_layernorm");
  mlp = register_module("mlp", Mlp(c, spec, options));
}

std::vector<std::pair<std::string, at::Tensor>> DecoderLayerImpl::norm_weights() const {
  std::vector<std::pair<std::string, at::Tensor>> all;
  const auto add = [&](const char* name, const RmsNorm& norm) {
    if (norm) all.emplace_back(name, norm->weight);
  };
  add("input_layernorm", input_layernorm_);
  add("post_attention_layernorm", post_attention_layernorm_);
  add("post_feedforward_layernorm", post_feedforward_layernorm_);
  add("self_attn.q_norm", self_attn->q_norm);
  add("self_attn.k_norm", self_attn->k_norm);
  return all;
}

at::Tensor DecoderLayerImpl::attention_input(const at::Tensor& x) {
  return input_layernorm_ ? input_layernorm_->forward(x) : x;
}

at::Tensor DecoderLayerImpl::finished(const at::Tensor& residual, const at::Tensor& mixed) {
  if (post_feedforward_layernorm_) {
    const at::Tensor attended = residual + post_attention_layernorm_->forward(mixed);
    return attended + post_feedforward_layernorm_->forward(mlp->forward(attended));
  }
  const at::Tensor attended = residual + mixed;
  return attended + mlp->forward(post_attention_layernorm_->forward(attended));
}

at::Tensor DecoderLayerImpl::forward(const at::Tensor& x, const Turns& turns, std::int64_t first_row,
                                     std::int64_t rows) {
  const at::Tensor residual = rows == x.size(1) ? x : x.narrow(1, first_row, rows);
  return finished(residual, self_attn->forward(attention_input(x), turns, first_row, rows));  // [batch, rows, hidden]
}

at::Tensor DecoderLayerImpl::forward_behind(const at::Tensor& x, const Turns& turns, const HeldKeys& before) {
  return finished(x, self_attn->forward_behind(attention_input(x), turns, before));  // [1, rows, hidden]
}

at::Tensor DecoderLayerImpl::forward_cached(const at::Tensor& x, const Turns& turns, const CachedPass& pass,
                                            std::size_t layer, Rows rows) {
  const at::Tensor mixed = self_attn->forward_cached(attention_input(x), turns, pass, layer, rows);
  if (rows == Rows::none) return {};
  return finished(rows == Rows::last ? x.index_select(0, pass.last_rows) : x, mixed);  // [asked rows, hidden]
}

}  // namespace templora
