#include "model/llama.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include "core/check.h"
#include "core/error.h"
#include "model/ops.h"
#include "model/sight.h"
#include "model/token_nll.h"

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

at::Tensor AttentionImpl::forward(const at::Tensor& x, const Turns& turns, std::int64_t first_row, std::int64_t rows) {
  const std::int64_t batch = x.size(0), seq = x.size(1);
  const Heads h = heads_of(qkv.forward(x), turns);
  const at::Tensor q = h.q.transpose(1, 2);                                       // [batch, heads, seq, head_dim]
  const at::Tensor k = repeat_heads(h.k.transpose(1, 2), heads_ / kv_heads_);     // [batch, heads, seq, head_dim]
  const at::Tensor v = repeat_heads(h.v.transpose(1, 2), heads_ / kv_heads_);     // [batch, heads, seq, head_dim]
  at::Tensor mixed = causal_attention(q, k, v, spec_.window).transpose(1, 2);     // [batch, seq, heads, head_dim]
  if (rows != seq) mixed = mixed.narrow(1, first_row, rows);                      // [batch, rows, heads, head_dim]
  return out.forward(mixed.reshape({batch, rows, heads_ * head_dim_}));           // [batch, rows, hidden]
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
  const auto norm = [&](const char* name) { return register_module(name, RmsNorm(c.hidden_size, c.rms_norm_eps, options)); };
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

at::Tensor DecoderLayerImpl::attention_input(const at::Tensor& x) { return input_layernorm_ ? input_layernorm_->forward(x) : x; }

at::Tensor DecoderLayerImpl::finished(const at::Tensor& residual, const at::Tensor& mixed) {
  if (post_feedforward_layernorm_) {
    const at::Tensor attended = residual + post_attention_layernorm_->forward(mixed);
    return attended + post_feedforward_layernorm_->forward(mlp->forward(attended));
  }
  const at::Tensor attended = residual + mixed;
  return attended + mlp->forward(post_attention_layernorm_->forward(attended));
}

at::Tensor DecoderLayerImpl::forward(const at::Tensor& x, const Turns& turns, std::int64_t first_row, std::int64_t rows) {
  const at::Tensor residual = rows == x.size(1) ? x : x.narrow(1, first_row, rows);
  return finished(residual, self_attn->forward(attention_input(x), turns, first_row, rows));  // [batch, rows, hidden]
}

at::Tensor DecoderLayerImpl::forward_cached(const at::Tensor& x, const Turns& turns, const CachedPass& pass,
                                            std::size_t layer, Rows rows) {
  const at::Tensor mixed = self_attn->forward_cached(attention_input(x), turns, pass, layer, rows);
  if (rows == Rows::none) return {};
  return finished(rows == Rows::last ? x.index_select(0, pass.last_rows) : x, mixed);  // [asked rows, hidden]
}

namespace {

// Gives a tensor a checkpoint name without a module class of its own: "model.embed_tokens.weight".
struct NamedWeight : torch::nn::Module {
  explicit NamedWeight(const at::Tensor& weight) { register_parameter("weight", weight, /*requires_grad=*/false); }
};
struct Group : torch::nn::Module {};

}  // namespace

LlamaImpl::LlamaImpl(const LlamaConfig& config, const at::TensorOptions& options) : config_(config), options_(options) {
  for (std::int64_t i = 0; i < config.layers; ++i) windows_.insert(config.layer(i).window);
  try {
    auto decoder = register_module("model", std::make_shared<Group>());
    embedding_ = at::empty({config.vocab_size, config.hidden_size}, options);
    decoder->register_module("embed_tokens", std::make_shared<NamedWeight>(embedding_));
    auto stack = decoder->register_module("layers", std::make_shared<Group>());
    for (std::int64_t i = 0; i < config.layers; ++i)
      layers_.push_back(stack->register_module(std::to_string(i), DecoderLayer(config, config.layer(i), options)));
    norm_ = decoder->register_module("norm", RmsNorm(config.hidden_size, config.rms_norm_eps, options));
    if (!config.tied_embeddings) {
      head_ = at::empty({config.vocab_size, config.hidden_size}, options);
      register_module("lm_head", std::make_shared<NamedWeight>(head_));
    }
  } catch (const c10::Error& error) {
    throw Error(Exit::resources, fmt::format("model of {} layers, hidden {}, vocabulary {}: no memory for its weights on {} ({}); use "
                                             "a smaller model, bfloat16 or another device",
                                             config.layers, config.hidden_size, config.vocab_size, options.device().str(),
                                             error.what_without_backtrace()));
  }
}

const Turns& LlamaImpl::turns(std::int64_t seq) {
  // A stream repeats few lengths: the scoring window, the training window, the short ones at both ends of a
  // document. A table is valid for its own length only, because dynamic scaling depends on it.
  constexpr std::size_t kMostTables = 8;
  if (turns_.size() >= kMostTables && turns_.count(seq) == 0) turns_.clear();
  const auto [found, fresh] = turns_.try_emplace(seq);
  if (!fresh) return found->second;
  found->second.count = seq;
  for (std::int64_t i = 0; i < config_.layers; ++i) {
    const LayerSpec::Rope kind = config_.layer(i).rope;
    RopeTable& table = kind == LayerSpec::Rope::sliding ? found->second.sliding : found->second.full;
    if (kind != LayerSpec::Rope::none && !table.cos.defined())
      table = rope_table(kind == LayerSpec::Rope::sliding ? config_.sliding_rope : config_.rope, config_.head_dim, seq, options_.device());
  }
  return found->second;
}

at::Tensor LlamaImpl::forward(const at::Tensor& tokens, std::int64_t first_row, std::int64_t rows) {
  return decode(embed(tokens), first_row, rows);
}

at::Tensor LlamaImpl::embed(const at::Tensor& tokens) {
  TEMPLORA_CHECK(tokens.dim() == 2, "tokens must be [batch, seq]");
  return at::embedding(embedding_, tokens);  // [batch, seq, hidden]
}

at::Tensor LlamaImpl::decode(const at::Tensor& embedded, std::int64_t first_row, std::int64_t rows) {
  const std::int64_t seq = embedded.size(1);
  TEMPLORA_CHECK(first_row >= 0 && rows > 0 && first_row + rows <= seq, "rows outside the sequence");
  at::Tensor x = embedded;  // [batch, seq, hidden]
  const Turns& table = turns(seq);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const bool last = i + 1 == layers_.size();
    x = layers_[i]->forward(x, table, last ? first_row : 0, last ? rows : seq);
  }
  return norm_->forward(x);  // [batch, rows, hidden]
}

at::Tensor LlamaImpl::forward_cached(const at::Tensor& tokens, const std::vector<Segment>& segments, KvSlots& slots,
                                     Rows rows) {
  const at::NoGradGuard no_grad;
  const CachedPass pass = cached_pass(segments, slots, windows_, options_);
  TEMPLORA_CHECK(tokens.dim() == 1 && tokens.size(0) == pass.row_slots.size(0), "tokens must be those of the segments");
  const at::Tensor hidden = run_cached(tokens, pass, rows);
  for (const Segment& segment : segments) slots.lengths[std::size_t(segment.sequence)] += segment.tokens;
  return hidden;
}

at::Tensor LlamaImpl::forward_step(const at::Tensor& tokens, const at::Tensor& row_slots, KvSlots& slots) {
  return run_cached(tokens, step_pass(slots, row_slots, windows_, options_), Rows::all);
}

at::Tensor LlamaImpl::run_cached(const at::Tensor& tokens, const CachedPass& pass, Rows rows) {
  const Turns& table = turns(pass.slots.capacity);
  const auto of_rows = [&](const RopeTable& all) {
    if (!all.cos.defined()) return RopeTable();
    return RopeTable{all.cos.index_select(0, pass.row_slots), all.sin.index_select(0, pass.row_slots)};
  };
  const Turns row_turns{of_rows(table.full), of_rows(table.sliding), tokens.size(0)};
  at::Tensor x = at::embedding(embedding_, tokens);  // [rows, hidden]
  for (std::size_t i = 0; i < layers_.size(); ++i)
    x = layers_[i]->forward_cached(x, row_turns, pass, i, i + 1 == layers_.size() ? rows : Rows::all);
  return rows == Rows::none ? at::Tensor() : norm_->forward(x);  // [asked rows, hidden]
}

at::Tensor LlamaImpl::logits(const at::Tensor& hidden) { return at::linear(hidden, head_weight()); }

const at::Tensor& LlamaImpl::head_weight() const { return head_.defined() ? head_ : embedding_; }

std::vector<LlamaImpl::Site> LlamaImpl::adapter_sites() {
  std::vector<Site> sites;
  for (std::int64_t i = 0; i < layer_count(); ++i) {
    const std::string prefix = fmt::format("model.layers.{}.", i);
    DecoderLayerImpl& l = layer(i);
    sites.push_back({i, prefix + "self_attn", &l.self_attn->qkv});
    sites.push_back({i, prefix + "self_attn", &l.self_attn->out});
    sites.push_back({i, prefix + "mlp", &l.mlp->gate_up});
    sites.push_back({i, prefix + "mlp", &l.mlp->down});
  }
  return sites;
}

std::vector<std::pair<std::string, at::Tensor>> LlamaImpl::storage_tensors() {
  std::vector<std::pair<std::string, at::Tensor>> tensors{{"model.embed_tokens", embedding_}};
  for (std::int64_t i = 0; i < layer_count(); ++i) {
    const std::string prefix = fmt::format("model.layers.{}.", i);
    const DecoderLayerImpl& l = layer(i);
    for (const auto& [name, weight] : l.norm_weights()) tensors.emplace_back(prefix + name, weight);
  }
  for (const Site& site : adapter_sites()) {
    std::string name = site.parent;
    for (const Projection& part : site.projections->parts()) name += "." + part.name;
    tensors.emplace_back(name, site.projections->weight());
    if (site.projections->bias().defined()) tensors.emplace_back(name + ".bias", site.projections->bias());
  }
  tensors.emplace_back("model.norm", norm_->weight);
  if (head_.defined()) tensors.emplace_back("lm_head", head_);
  return tensors;
}

void LlamaImpl::use_weights_of(LlamaImpl& other) {
  const auto mine = storage_tensors(), theirs = other.storage_tensors();
  for (std::size_t i = 0; i < mine.size(); ++i) mine[i].second.set_data(theirs[i].second);
  const auto named = named_parameters();
  for (const auto& item : other.named_parameters()) named[item.key()].set_data(item.value());
  options_ = other.options_;
}

Llama share_weights(LlamaImpl& model) {
  // Made on the CPU first, where memory that nobody touches costs nothing.
  Llama graph(model.config(), model.options().device(at::kCPU));
  graph->use_weights_of(model);
  return graph;
}

AdapterOff::AdapterOff(LlamaImpl& model) {
  for (const LlamaImpl::Site& site : model.adapter_sites()) {
    slots_.emplace_back(site.projections, site.projections->adapter);
    site.projections->adapter = nullptr;
  }
}

AdapterOff::~AdapterOff() {
  for (const auto& [projections, adapter] : slots_) projections->adapter = adapter;
}

at::Tensor token_nll(LlamaImpl& model, const at::Tensor& tokens, std::int64_t count) {
  const std::int64_t batch = tokens.size(0), seq = tokens.size(1);
  TEMPLORA_CHECK(count > 0 && count < seq, "the first token of a sequence has nothing before it");
  // Row t-1 predicts token t.
  const at::Tensor hidden = model.forward(tokens, seq - 1 - count, count);                    // [batch, count, hidden]
  const at::Tensor targets = tokens.narrow(1, seq - count, count).reshape({-1});
  return linear_nll(hidden.reshape({batch * count, model.config().hidden_size}), model.head_weight(), targets).view({batch, count});
}

}  // namespace templora
