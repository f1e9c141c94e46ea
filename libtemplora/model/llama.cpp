#include "model/llama.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>

#include "core/check.h"
#include "core/error.h"
#include "model/out_of_memory.h"
#include "model/token_nll.h"

namespace templora {

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
    if (!is_out_of_memory(error)) throw;
    throw Error(Exit::resources,
                fmt::format("model of {} layers, hidden {}, vocabulary {}: no memory for its weights on {} ({}); use "
                            "a smaller model, bfloat16 or another device",
                            config.layers, config.hidden_size, config.vocab_size, options.device().str(),
                            error.what_without_backtrace()));
  }
}

Turns LlamaImpl::turns(std::int64_t seq) {
  // A stream repeats few lengths: the scoring window, the training window, the short ones at both ends of a
  // document. A table is valid for its own length only, because dynamic scaling depends on it.
  constexpr std::size_t kMostTables = 8;
  if (turns_.size() >= kMostTables && turns_.count(seq) == 0) turns_.clear();
  const auto [found, fresh] = turns_.try_emplace(seq);
  if (!fresh) return found->second;
  found->second.count = seq;
  for (std::int64_t i = 0; i < config_.layers; ++i) {
    const LayerSpec::Rope kind = config_.layer(i).rope;
    const bool slides = kind == LayerSpec::Rope::sliding;
    RopeTable& table = slides ? found->second.sliding : found->second.full;
    if (kind != LayerSpec::Rope::none && !table.cos.defined())
      table = rope_table(slides ? config_.sliding_rope : config_.rope, config_.head_dim, seq, options_.device());
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
  const Turns table = turns(seq);
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

at::Tensor LlamaImpl::forward_behind(const at::Tensor& tokens, const KvSlots& slots, std::int64_t held) {
  const std::int64_t rows = tokens.size(0);
  TEMPLORA_CHECK(tokens.dim() == 1 && held <= slots.lengths.at(0), "what stands before must be there");
  const Turns table = turns(std::max(slots.capacity, held + rows));
  const auto of_rows = [&](const RopeTable& all) {
    if (!all.cos.defined()) return RopeTable();
    return RopeTable{all.cos.narrow(0, held, rows), all.sin.narrow(0, held, rows)};
  };
  const Turns row_turns{of_rows(table.full), of_rows(table.sliding), rows};
  at::Tensor x = embed(tokens.unsqueeze(0));  // [1, rows, hidden]
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const auto standing = [&](const at::Tensor& all) { return all.select(0, 0).narrow(1, 0, held); };
    x = layers_[i]->forward_behind(x, row_turns, {standing(slots.keys[i]), standing(slots.values[i])});
  }
  return norm_->forward(x).squeeze(0);  // [rows, hidden]
}

at::Tensor LlamaImpl::forward_step(const at::Tensor& tokens, const at::Tensor& row_slots, KvSlots& slots) {
  return run_cached(tokens, step_pass(slots, row_slots, windows_, options_), Rows::all);
}

at::Tensor LlamaImpl::run_cached(const at::Tensor& tokens, const CachedPass& pass, Rows rows) {
  const Turns table = turns(pass.slots.capacity);
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
  const at::Tensor flat = hidden.reshape({batch * count, hidden.size(2)});      // [batch · count, hidden]
  return linear_nll(flat, model.head_weight(), targets).view({batch, count});
}

at::Tensor token_nll_behind(LlamaImpl& model, const at::Tensor& tokens, const KvSlots& slots, std::int64_t held) {
  const std::int64_t count = tokens.size(0) - 1;
  TEMPLORA_CHECK(count > 0, "the first token has nothing before it");
  const at::Tensor hidden = model.forward_behind(tokens.narrow(0, 0, count), slots, held);  // [count, hidden]
  return linear_nll(hidden, model.head_weight(), tokens.narrow(0, 1, count));
}

}  // namespace templora
