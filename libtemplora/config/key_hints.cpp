#include "config/key_hints.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

#include "core/nearest.h"

namespace templora {
namespace {

/// What people type, from the paper, from PEFT and from transformers' trainer; the first key counts where none of them
/// is in the section that was written.
struct Alias {
  std::vector<std::string_view> names;
  std::vector<std::string> keys;
  std::string remark;
};

const std::vector<Alias>& aliases() {
  static const std::vector<Alias> all{
      {{"lr", "rate", "step_size"}, {"train.learning_rate", "pretrain.learning_rate"}, ""},
      {{"delta", "chunk", "chunks", "chunk_size", "chunk_len", "chunk_length", "segment_tokens", "segment_length",
        "stride"},
       {"window.chunk_tokens"},
       "Δ"},
      {{"context", "context_size", "context_len", "context_length", "l_x", "lx", "window_size", "max_length",
        "max_seq_length", "seq_len", "seq_length", "sequence_length", "block_size"},
       {"window.context_tokens", "pretrain.sequence_tokens"},
       ""},
      {{"prefix", "prefix_size", "prefix_len", "prefix_length", "l_t", "lt"}, {"train.prefix_tokens"}, ""},
      {{"seed", "seeds", "random_seed", "manual_seed", "data_seed"}, {"seed"}, "at the top level; a sweep has seeds"},
      {{"batch", "batch_size", "batchsize", "per_device_train_batch_size", "micro_batch_size"},
       {"window.chunk_tokens", "pretrain.batch_sequences", "translation.batch_sentences"},
       "an update learns one chunk"},
      {{"gpu", "gpus", "num_gpus", "n_gpu", "n_gpus", "cuda", "device", "devices", "device_map"},
       {"model.device"},
       "a run uses one device, such as \"cuda:0\"; sweeps run several"},
      {{"r", "rank", "lora_r", "lora_rank"}, {"lora.rank"}, ""},
      {{"alpha", "lora_alpha", "scaling"}, {"lora.alpha"}, ""},
      {{"dropout", "lora_dropout"}, {"lora.dropout"}, ""},
      {{"target_modules", "modules", "target", "projections", "lora_target"}, {"lora.targets"}, ""},
      {{"epoch", "epochs", "num_epochs", "n_epochs", "num_train_epochs", "steps", "num_steps", "max_steps"},
       {"train.epochs", "pretrain.passes"},
       ""},
      {{"warmup", "warmup_ratio", "num_warmup_steps", "warmup_steps"},
       {"train.warmup_steps", "pretrain.warmup_steps"},
       ""},
      {{"clip", "grad_clip", "gradient_clip", "gradient_clipping", "max_grad_norm", "max_norm"},
       {"train.clip_norm", "pretrain.clip_norm"},
       ""},
      {{"optim", "optimiser"}, {"train.optimizer"}, ""},
      {{"wd", "decay", "l2"}, {"train.weight_decay", "pretrain.weight_decay"}, ""},
      {{"beta1", "b1"}, {"train.adam_beta1", "pretrain.adam_beta1"}, ""},
      {{"beta2", "b2"}, {"train.adam_beta2", "pretrain.adam_beta2"}, ""},
      {{"eps", "epsilon", "adam_epsilon"}, {"train.adam_eps", "pretrain.adam_eps"}, ""},
      {{"model_path", "model_name", "model_name_or_path", "pretrained", "base_model", "checkpoint", "model_id",
        "name_or_path", "folder", "dir"},
       {"model.path"},
       ""},
      {{"precision", "torch_dtype", "bf16", "fp16", "fp32", "half"}, {"model.dtype"}, ""},
      {{"rope", "rope_type", "rope_factor"}, {"model.rope_scaling"}, ""},
      {{"book", "books", "text", "texts", "file", "files", "dataset", "datasets", "corpus", "train_file"},
       {"data.books"},
       ""},
      {{"max_tokens", "num_tokens", "n_tokens", "limit", "truncate"}, {"data.max_tokens", "generate.tokens"}, ""},
      {{"length", "max_new", "n_predict"}, {"generate.tokens"}, ""},
      {{"temp", "t"}, {"generate.temperature"}, ""},
      {{"threads", "num_threads", "n_threads", "cpus", "workers", "num_workers"}, {"run.threads"}, ""},
      {{"save_steps", "save_every", "checkpoint_every", "save_interval"},
       {"run.save_every_chunks", "pretrain.save_every_steps"},
       ""},
      {{"task", "mode", "kind"}, {"experiment"}, ""},
      {{"controls"}, {"control"}, ""}};
  return all;
}

std::string_view section_of(std::string_view key) {
  const std::size_t dot = key.rfind('.');
  return dot == std::string_view::npos ? "" : key.substr(0, dot);
}

std::string_view name_of(std::string_view key) {
  const std::size_t dot = key.rfind('.');
  return dot == std::string_view::npos ? key : key.substr(dot + 1);
}

/// "Batch-Size" → "batch_size".
std::string plain(std::string_view name) {
  std::string text(name);
  for (char& c : text) c = c == '-' ? '_' : char(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

std::string KeyHint::text() const {
  return fmt::format("the nearest known key is {}{}", key, remark.empty() ? "" : " (" + remark + ")");
}

KeyHint hint_for(const std::string& key, const std::vector<std::string>& known) {
  constexpr std::size_t kLongest = 100;  // who types more means nothing that is near
  if (key.size() > kLongest) return hint_for(key.substr(0, kLongest), known);
  const std::string name = plain(name_of(key));
  const std::string_view section = section_of(key);
  for (const Alias& alias : aliases()) {
    if (std::find(alias.names.begin(), alias.names.end(), name) == alias.names.end()) continue;
    const auto here = std::find_if(alias.keys.begin(), alias.keys.end(),
                                   [&](const std::string& candidate) { return section_of(candidate) == section; });
    if (here == alias.keys.end()) return {alias.keys.front(), alias.remark};
    return {*here, here == alias.keys.begin() ? alias.remark : ""};
  }
  std::vector<std::string> neighbours;
  for (const std::string& candidate : known)
    if (section_of(candidate) == section) neighbours.push_back(candidate);
  if (!neighbours.empty())
    if (const std::string near = nearest_name(key, neighbours);
        edit_distance(name, name_of(near)) <= std::max<std::size_t>(1, name.size() / 3))
      return {near, ""};
  return {nearest_name(key, known), ""};
}

}  // namespace templora
