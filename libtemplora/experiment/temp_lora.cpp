#include "experiment/temp_lora.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "core/check.h"
#include "experiment/window.h"
#include "model/tensors.h"
#include "train/warmup.h"

namespace templora {
namespace {

// Every module has a seed of its own, so that one book's result does not depend on the others.
std::uint64_t module_seed(std::int64_t seed, std::int64_t book_index, std::int64_t number) {
  return std::uint64_t(seed) + 0x9E3779B97F4A7C15ull * std::uint64_t(book_index) + 0xD1B54A32D192ED03ull * std::uint64_t(number);
}

// Everything a chunk brings back, in one copy: on CUDA it is the chunk's only synchronisation. Undefined
// tensors come back empty.
std::vector<std::vector<float>> read_back(const std::vector<at::Tensor>& values) {
  std::vector<at::Tensor> flat;
  for (const at::Tensor& value : values)
    if (value.defined()) flat.push_back(value.detach().to(at::kFloat).reshape({-1}));
  const at::Tensor all = flat.empty() ? at::Tensor() : at::cat(flat).cpu();
  std::vector<std::vector<float>> host;
  const float* next = flat.empty() ? nullptr : all.const_data_ptr<float>();
  for (const at::Tensor& value : values) {
    const std::int64_t count = value.defined() ? value.numel() : 0;
    host.emplace_back(next, next + count);
    next += count;
  }
  return host;
}

std::optional<double> mean_of(const std::vector<float>& nll) {
  if (nll.empty()) return {};
  return std::accumulate(nll.begin(), nll.end(), 0.0) / double(nll.size());
}

AdamOptions adam_options(const TrainConfig& c) { return {c.adam_beta1, c.adam_beta2, c.adam_eps, c.weight_decay, c.clip_norm}; }

constexpr const char* kTooFast = "lower train.learning_rate, or use model.dtype float32";
constexpr const char* kBadModel = "the module has no part in it: look at the model's weights, its rope settings and model.dtype";

template <class T>
void check_finite(const std::vector<T>& values, const char* what, const char* advice, const ChunkRecord& record) {
  for (const T value : values)
    if (!std::isfinite(value))
      throw Error(Exit::numerics, fmt::format("{}: chunk {}: {} is {}; {}", record.book, record.chunk, what, value, advice));
}

}  // namespace

TempLora::TempLora(LlamaImpl& model, const Config& config, const Book& book, std::int64_t book_index)
    : model_(model),
      config_(config),
      book_(book),
      chunks_(cut_chunks(std::int64_t(book.tokens.size()), config.window.chunk_tokens, *config.window.first_chunk_tokens)),
      tokens_(at::tensor(at::ArrayRef<std::int64_t>(book.tokens)).to(model.options().device())),
      book_index_(book_index) {
  if (config.score.adapter) start_module(0);
}

void TempLora::start_module(std::int64_t number) {
  trainer_.reset();
  adapter_.reset();  // the old module goes before the new one takes its place
  adapter_ = std::make_unique<LoraAdapter>(model_, config_.lora, module_seed(config_.seed, book_index_, number));
  if (config_.lora.init_from) load_peft_folder(*adapter_, *config_.lora.init_from);
  trainer_ = std::make_unique<ChunkTrainer>(model_, adapter_->parameters(), adam_options(config_.train));
  version_ = 0;
}

// Which of the document's modules scores a chunk: 0 throughout, or counted by lora.reset_every_tokens.
std::int64_t TempLora::module_number(std::int64_t chunk) const {
  const std::int64_t every = config_.lora.reset_every_tokens;
  return every == 0 ? 0 : chunks_[std::size_t(chunk)].first / every;
}

std::int64_t TempLora::tokens_done() const {
  return next_chunk_ == chunk_count() ? std::int64_t(book_.tokens.size()) : chunks_[std::size_t(next_chunk_)].first;
}

// The life of a chunk.
ChunkResult TempLora::step() {
  TEMPLORA_CHECK(next_chunk_ < chunk_count(), "the document has ended");
  const Chunk& chunk = chunks_[std::size_t(next_chunk_)];
  if (adapter_ && next_chunk_ > 0 && module_number(next_chunk_) != module_number(next_chunk_ - 1))
    start_module(module_number(next_chunk_));
  const Window seen = window_of(chunk, *config_.window.context_tokens);
  ChunkResult result;
  ChunkRecord& record = result.record;
  record.book = book_.name;
  record.book_index = book_index_;
  record.chunk = next_chunk_;
  record.first_token = chunk.first;
  record.tokens = chunk.count;
  record.scored_tokens = seen.labelled;
  record.context_tokens = seen.length - chunk.count;
  record.adapter_version = version_;

  // Score, with a module that has seen nothing of this chunk …
  PhaseTimer timer(model_.options().device());
  const at::Tensor base = score_base(chunk);
  timer.mark("score_base");
  std::optional<ScoredChunk> first_forward;
  const at::Tensor lora = score_with_adapter(next_chunk_, first_forward);
  timer.mark("score");

  // … then train: on this chunk, or, lagging, on the one before it.
  const std::int64_t trained = next_chunk_ - config_.train.lag_chunks;
  const std::optional<ChunkUpdate> update = train_on(trained, std::move(first_forward), record);
  timer.mark("train");

  const auto host = read_back({base, lora, update ? at::stack(update->loss) : at::Tensor(),
                               update ? at::stack(update->grad_norm) : at::Tensor()});
  result.base_nll = host[0];
  result.lora_nll = host[1];
  record.base_nll = mean_of(result.base_nll);
  record.lora_nll = mean_of(result.lora_nll);
  record.train_loss.assign(host[2].begin(), host[2].end());
  record.grad_norm.assign(host[3].begin(), host[3].end());
  check_finite(result.base_nll, "the base model's NLL", kBadModel, record);
  check_finite(result.lora_nll, "the adapter's NLL", kTooFast, record);
  check_finite(record.train_loss, "the training loss", kTooFast, record);
  check_finite(record.grad_norm, "the gradient's norm", kTooFast, record);
  timer.mark("read");
  record.seconds = timer.seconds();
  ++next_chunk_;
  return result;
}

at::Tensor TempLora::tokens_of(std::int64_t first, std::int64_t length) const { return tokens_.narrow(0, first, length); }

at::Tensor TempLora::score_base(const Chunk& chunk) {
  const Window seen = window_of(chunk, *config_.window.context_tokens);
  if (!config_.score.base || seen.labelled == 0) return {};
  const at::NoGradGuard no_grad;
  const AdapterOff off(model_);
  return token_nll(model_, tokens_of(seen.first, seen.length).unsqueeze(0), seen.labelled).squeeze(0);
}

at::Tensor TempLora::score_with_adapter(std::int64_t chunk, std::optional<ScoredChunk>& first_forward) {
  const Window seen = window_of(chunks_[std::size_t(chunk)], *config_.window.context_tokens);
  if (!adapter_ || seen.labelled == 0) return {};
  adapter_->set_training(false);
  if (shares_forward(chunk)) {
    first_forward = trainer_->forward(tokens_of(seen.first, seen.length), seen.labelled);
    return first_forward->nll.detach();
  }
  const at::NoGradGuard no_grad;
  return token_nll(model_, tokens_of(seen.first, seen.length).unsqueeze(0), seen.labelled).squeeze(0);
}

// Whether a chunk is learnt at all, and by the module of today: a lagging step may not carry a chunk over to
// the next module.
bool TempLora::trains_on(std::int64_t chunk) const {
  if (!adapter_ || !config_.train.enabled || chunk < 0) return false;
  const Chunk& c = chunks_[std::size_t(chunk)];
  const std::int64_t stop = config_.train.stop_after_tokens;
  return (stop == 0 || c.first + c.count <= stop) && module_number(chunk) == module_number(next_chunk_) &&
         window_of(c, config_.train.prefix_tokens).labelled > 0;
}

// Exact only where training would run the very same forward pass again: same tokens after clipping, no
// dropout, and this chunk, not an earlier one, is trained on.
bool TempLora::shares_forward(std::int64_t chunk) const {
  const Chunk& c = chunks_[std::size_t(chunk)];
  return trains_on(chunk) && config_.train.lag_chunks == 0 && config_.lora.dropout == 0 &&
         window_of(c, *config_.window.context_tokens) == window_of(c, config_.train.prefix_tokens);
}

std::optional<ChunkUpdate> TempLora::train_on(std::int64_t index, std::optional<ScoredChunk> first_forward,
                                              ChunkRecord& record) {
  if (!trains_on(index)) return {};
  const Window window = window_of(chunks_[std::size_t(index)], config_.train.prefix_tokens);
  std::int64_t module_start = index;  // warm-up counts a module's own chunks
  while (module_start > 0 && module_number(module_start - 1) == module_number(index)) --module_start;
  const std::vector<double> rates = learning_rates(config_.train, index - module_start, trainer_->steps());
  record.trained_chunk = index;
  record.shared_forward = first_forward.has_value();
  record.learning_rate = rates.back();
  if (config_.train.moments == Moments::reset) trainer_->optimizer().reset();
  adapter_->set_training(true);
  ChunkUpdate update = trainer_->update(tokens_of(window.first, window.length), window.labelled, rates, std::move(first_forward));
  adapter_->set_training(false);
  ++version_;
  return update;
}

Json TempLora::state() const {
  return Json{{"book_index", book_index_},
              {"next_chunk", next_chunk_},
              {"adapter_version", version_},
              {"optimizer_steps", trainer_ ? trainer_->steps() : 0}};
}

void TempLora::save_tensors_to(const fs::path& file) const {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  if (adapter_) {
    tensors = {{"lora", adapter_->parameters().value},
               {"exp_avg", trainer_->optimizer().exp_avg},
               {"exp_avg_sq", trainer_->optimizer().exp_avg_sq},
               {"steps", trainer_->optimizer().steps},
               {"generator", adapter_->generator_state()}};
  }
  save_tensors(file, tensors);
}

void TempLora::restore(const Json& state, const fs::path& file) {
  next_chunk_ = state.at("next_chunk").get<std::int64_t>();
  version_ = state.at("adapter_version").get<std::int64_t>();
  if (next_chunk_ < 0 || next_chunk_ > chunk_count())
    throw Error(Exit::bad_input, fmt::format("{}: next_chunk: got {}, wanted 0 to {}", file.string(), next_chunk_, chunk_count()));
  if (!adapter_) return;
  trainer_->set_steps(state.at("optimizer_steps").get<std::int64_t>());
  const SafetensorsFiles files = SafetensorsFiles::open_file(file);
  copy_stored(files, "lora", adapter_->parameters().value);
  copy_stored(files, "exp_avg", trainer_->optimizer().exp_avg);
  copy_stored(files, "exp_avg_sq", trainer_->optimizer().exp_avg_sq);
  copy_stored(files, "steps", trainer_->optimizer().steps);
  adapter_->set_generator_state(view_of(files.at("generator")).clone());
}

void TempLora::save_adapter(const fs::path& folder) const {
  if (adapter_) save_peft_folder(*adapter_, folder, config_.model.path);
}

}  // namespace templora
