#include "experiment/generation.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>

#include <cmath>
#include <exception>
#include <thread>

#include "core/check.h"
#include "experiment/chunk_values.h"
#include "experiment/module_state.h"
#include "experiment/not_finite.h"
#include "experiment/phase_timer.h"
#include "experiment/window.h"
#include "model/tensors.h"
#include "train/warmup.h"

namespace templora {
namespace {

[[noreturn]] void refuse(double value, const char* what, const std::string& advice, std::int64_t chunk) {
  throw Error(Exit::numerics, fmt::format("chunk {}: {} is {}; {}", chunk, what, value, advice));
}

c10::Stream current_stream(const at::Device& device) { return c10::impl::VirtualGuardImpl(device.type()).getStream(device); }

std::vector<double> host_values(const std::vector<at::Tensor>& scalars) {
  if (scalars.empty()) return {};
  const at::Tensor all = at::stack(scalars).to(at::kDouble).cpu();
  return {all.const_data_ptr<double>(), all.const_data_ptr<double>() + all.numel()};
}

constexpr const char* kLoss = "the training loss";
constexpr const char* kNorm = "the gradient's norm";

}  // namespace

/// The module that learns, in a graph of its own where it learns while another one writes.
struct Generation::Module {
  Module(LlamaImpl& model, const Config& config)
      : second_graph(config.generate.schedule == Schedule::parallelized ? share_weights(model) : Llama(nullptr)),
        graph(second_graph ? *second_graph : model),
        adapter(graph, config.lora, std::uint64_t(config.seed)),
        writer(second_graph ? std::make_unique<LoraAdapter>(model, config.lora, std::uint64_t(config.seed)) : nullptr),
        trainer(graph, with_first_weights(adapter, config.lora), config.train) {
    publish();
  }

  /// The optimizer keeps what it starts from: these have to be there first.
  static FlatParameters& with_first_weights(LoraAdapter& adapter, const LoraConfig& config) {
    if (config.init_from) load_peft_folder(adapter, *config.init_from);
    return adapter.parameters();
  }

  /// Gives the writing graph the weights that were learnt so far, into the same memory.
  void publish() {
    if (writer) writer->parameters().value.copy_(adapter.parameters().value);
    published = version;
  }

  Llama second_graph;
  LlamaImpl& graph;
  LoraAdapter adapter;
  std::unique_ptr<LoraAdapter> writer;  // none: `adapter` writes itself
  ChunkTrainer trainer;
  std::int64_t version = 0;    // chunks learnt
  std::int64_t published = 0;  // of them, known to the writer
};

struct Generation::Update {
  std::int64_t chunk;
  double learning_rate;
  ChunkUpdate update;
};

Generation::Generation(LlamaImpl& model, const Config& config, std::vector<std::int64_t> prompt, std::int64_t end_token)
    : model_(model),
      config_(config),
      text_(std::move(prompt)),
      prompt_tokens_(std::int64_t(text_.size())),
      end_token_(end_token),
      module_(config.score.adapter ? std::make_unique<Module>(model, config) : nullptr),
      context_(model, config),
      streams_(std::uint64_t(config.seed), 1) {
  TEMPLORA_CHECK(!text_.empty(), "a text starts from at least one token");
  repetition_.add_context(text_);
}

Generation::~Generation() = default;

void Generation::learn_prompt(const std::function<void(std::int64_t)>& after_chunk) {
  if (!module_ || !config_.train.enabled || std::int64_t(text_.size()) > prompt_tokens_) return;
  const std::vector<Chunk> chunks = cut_chunks(prompt_tokens_, config_.window.chunk_tokens, config_.window.chunk_tokens);
  while (chunks_.size() < chunks.size()) {
    const auto index = std::int64_t(chunks_.size());
    const Chunk& chunk = chunks_.emplace_back(chunks[std::size_t(index)]);
    if (const std::optional<Update> update = train(index)) {
      finite_values(update->update.loss, kLoss, index);
      finite_values(update->update.grad_norm, kNorm, index);
    }
    if (after_chunk) after_chunk(chunk.first + chunk.count);
  }
  module_->publish();
}

std::int64_t Generation::lag() const { return config_.generate.schedule == Schedule::parallelized ? 1 : config_.train.lag_chunks; }

at::Tensor Generation::tokens_of(std::int64_t first, std::int64_t length) const {
  return at::tensor(at::ArrayRef<std::int64_t>(text_.data() + first, std::size_t(length))).to(model_.options().device());
}

// The life of a chunk.
WrittenChunk Generation::step() {
  TEMPLORA_CHECK(!finished(), "the text has its length");
  const std::int64_t index = next_chunk(), first = std::int64_t(text_.size());
  const std::int64_t left = config_.generate.tokens - (first - prompt_tokens_);
  WrittenChunk result;
  GenerationRecord& record = result.record;
  PhaseTimer timer(model_.options().device());
  const bool parallel = module_ && module_->writer != nullptr;
  // A snapshot of a run that learns one chunk later than this one left a chunk that this one would have learnt.
  if (learnt_ == index - lag() - 1)
    if (const std::optional<Update> update = train(learnt_)) {
      finite_values(update->update.loss, kLoss, update->chunk);
      finite_values(update->update.grad_norm, kNorm, update->chunk);
    }
  record.adapter_version = module_ ? module_->version : 0;

  // Parallelized: the chunk before this one is learnt meanwhile, from a text that no longer changes.
  std::optional<Update> update;
  std::exception_ptr failure;
  std::thread learning;
  const at::Device device = model_.options().device();
  const bool on_gpu = !device.is_cpu();
  std::optional<c10::Event> begun, learnt;  // what learning waits for, and what waits for it
  if (parallel) {
    module_->publish();
    if (on_gpu) begun.emplace(device.type()), learnt.emplace(device.type());
    if (begun) begun->record(current_stream(device));
    learning = std::thread([&, chunk = index - 1] {
      try {
        at::init_num_threads();  // a thread starts with OpenMP's own count, not with the run's
        std::optional<c10::StreamGuard> own;  // on a GPU, both threads would else wait for one another on one stream
        if (begun) own.emplace(c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device));
        if (begun) begun->block(own->current_stream());
        update = train(chunk);
        if (learnt) learnt->record(own->current_stream());
      } catch (...) {
        failure = std::current_exception();
      }
    });
  }
  std::vector<std::int64_t> written;
  std::exception_ptr writing_failure;
  try {
    written = write(std::min(left, config_.window.chunk_tokens), [&] {
      if (!parallel) timer.mark(first == prompt_tokens_ ? "prefill" : "recompute");
    });
  } catch (...) {
    writing_failure = std::current_exception();
  }
  if (learning.joinable()) learning.join();
  if (writing_failure) std::rethrow_exception(writing_failure);
  if (failure) std::rethrow_exception(failure);
  if (learnt) learnt->block(current_stream(device));
  timer.mark(parallel ? "write_and_train" : "decode");

  record.context_tokens = context_.context_tokens();
  text_.insert(text_.end(), written.begin(), written.end());
  context_.written(text_, std::int64_t(text_.size()));
  const Chunk chunk{first, std::int64_t(written.size())};
  chunks_.push_back(chunk);
  const TextStatistics statistics = repetition_.add_chunk(written);
  record.chunk = index;
  record.first_token = chunk.first;
  record.tokens = chunk.count;
  record.repeated_4grams = statistics.repeated_4grams;
  record.distinct.assign(std::begin(statistics.distinct), std::end(statistics.distinct));
  if (config_.score.base) record.base_nll = window_nll(chunk, false);
  if (module_) record.lora_nll = window_nll(chunk, true);
  timer.mark("score");

  if (!parallel) {
    if (module_) module_->trainer.on_part = [&](const char* part) { timer.mark(part); };
    update = train(index - lag());
    if (module_) module_->trainer.on_part = nullptr;
  }
  if (update) {
    record.trained_chunk = update->chunk;
    record.learning_rate = update->learning_rate;
    record.train_loss = finite_values(update->update.loss, kLoss, update->chunk);
    record.grad_norm = finite_values(update->update.grad_norm, kNorm, update->chunk);
  }
  timer.mark("read");
  record.seconds = timer.seconds();
  result.tokens = std::move(written);
  return result;
}

std::vector<std::int64_t> Generation::write(std::int64_t tokens, const std::function<void()>& opened) {
  const std::int64_t version = module_ ? (module_->writer ? module_->published : module_->version) : 0;
  context_.open(text_, std::int64_t(text_.size()), tokens, version);
  opened();
  DecodeOptions options;
  const GenerateConfig& g = config_.generate;
  options.sampling = sampling_of(g);
  options.max_new_tokens = options.min_new_tokens = tokens;
  if (end_token_ >= 0) options.stop_tokens = {end_token_};
  options.version = version;
  std::vector<std::int64_t> written(text_.begin() + prompt_tokens_, text_.end());
  options.on_token = [&](std::int64_t, std::int64_t token) {
    written.push_back(token);
    if (on_token) on_token(token);
    finished_ = finished_ || (stop && stop(written));
  };
  options.interrupted = [&] { return finished_; };
  try {
    return decode(model_, context_.cache(), {context_.visible()}, options, streams_).front().tokens;
  } catch (const Error& error) {
    const std::string why =
        error.exit_code() == Exit::numerics
            ? "; " + why_not_finite(model_, config_, !module_, version * config_.train.epochs)
            : "";
    throw Error(error.exit_code(), fmt::format("chunk {}: {}{}", next_chunk(), error.what(), why));
  }
}

// Mean NLL of a written chunk behind its last context_tokens, in one pass without a cache.
std::optional<double> Generation::window_nll(const Chunk& chunk, bool with_adapter) {
  const Window seen = window_of(chunk, *config_.window.context_tokens);
  if (seen.labelled == 0) return {};
  const at::NoGradGuard no_grad;
  std::optional<AdapterOff> off;
  if (!with_adapter) off.emplace(model_);
  const double nll = token_nll(model_, tokens_of(seen.first, seen.length).unsqueeze(0), seen.labelled).mean().item<double>();
  if (!std::isfinite(nll))
    refuse(nll, with_adapter ? "the module's NLL" : "the base model's NLL",
           why_not_finite(model_, config_, !with_adapter, module_ ? module_->trainer.steps() : 0), next_chunk() - 1);
  return nll;
}

// The values of a training that was made just now, which have to be finite.
std::vector<double> Generation::finite_values(const std::vector<at::Tensor>& scalars, const char* what,
                                              std::int64_t chunk) {
  std::vector<double> values = host_values(scalars);
  const std::int64_t before = module_->trainer.steps() - std::int64_t(values.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      refuse(values[i], what, why_not_finite(model_, config_, false, before + std::int64_t(i)), chunk);
  return values;
}

std::optional<Generation::Update> Generation::train(std::int64_t index) {
  if (index < learnt_) return {};
  learnt_ = index + 1;  // of this chunk nothing is left to do
  if (!module_ || !config_.train.enabled) return {};
  const Chunk& chunk = chunks_[std::size_t(index)];
  const std::int64_t stop_after = config_.train.stop_after_tokens;
  if (stop_after > 0 && chunk.first + chunk.count > stop_after) return {};
  const Window window = window_of(chunk, config_.train.prefix_tokens);
  if (window.labelled == 0) return {};
  const std::vector<double> rates = learning_rates(config_.train, module_->version, module_->trainer.steps());
  if (config_.train.moments == Moments::reset) module_->trainer.optimizer().reset();
  module_->adapter.set_training(true);
  Update done{index, rates.back(), module_->trainer.update(tokens_of(window.first, window.length), window.labelled, rates)};
  module_->adapter.set_training(false);
  ++module_->version;
  return done;
}

Json Generation::state() const {
  Json chunks = Json::array();
  for (const Chunk& chunk : chunks_) chunks.push_back({chunk.first, chunk.count});
  Json state{{"text", text_},
             {"prompt_tokens", prompt_tokens_},
             {"chunks", chunks},
             {"learnt", learnt_},
             {"finished", finished_},
             {"drawn", streams_.drawn()},
             {"cache", context_.state()}};
  if (module_) state["module"] = {{"version", module_->version}, {"optimizer_steps", module_->trainer.steps()}};
  return state;
}

void Generation::save_tensors_to(const fs::path& file) const {
  NamedTensors tensors;
  for (const auto& [name, tensor] : context_.tensors()) tensors.emplace_back("cache." + name, tensor);
  if (module_) add_module_state(tensors, "lora", module_->adapter, module_->trainer);
  save_tensors(file, tensors);
}

void Generation::restore(const Json& state, const fs::path& file) {
  const SafetensorsFiles files = SafetensorsFiles::open_file(file);
  text_ = state.at("text").get<std::vector<std::int64_t>>();
  prompt_tokens_ = state.at("prompt_tokens").get<std::int64_t>();
  finished_ = state.at("finished").get<bool>();
  learnt_ = state.at("learnt").get<std::int64_t>();
  chunks_.clear();
  repetition_ = {};
  for (const Json& chunk : state.at("chunks")) {
    const Chunk c{chunk.at(0).get<std::int64_t>(), chunk.at(1).get<std::int64_t>()};
    if (c.first < 0 || c.count < 1 || c.count > std::int64_t(text_.size()) - c.first)
      throw Error(Exit::bad_input, fmt::format("{}: a chunk lies outside the saved text; start the run anew", file.string()));
    chunks_.push_back(c);
  }
  auto drawn = state.at("drawn").get<std::vector<std::int64_t>>();
  if (prompt_tokens_ < 1 || prompt_tokens_ > std::int64_t(text_.size()) || learnt_ < 0 || learnt_ > next_chunk() ||
      drawn.size() != streams_.drawn().size())
    throw Error(Exit::bad_input, fmt::format("{}: the state that belongs to it has counts that do not fit each other; start the run anew",
                                             file.string()));
  // The prompt counts as it did: in one piece, whether or not its chunks were learnt.
  repetition_.add_context(std::span(text_).first(std::size_t(prompt_tokens_)));
  for (const Chunk& c : chunks_)
    if (c.first >= prompt_tokens_) repetition_.add_chunk(std::span(text_).subspan(std::size_t(c.first), std::size_t(c.count)));
  streams_.set_drawn(std::move(drawn));
  context_.restore(state.at("cache"), text_, [&](const std::string& name) { return view_of(files.at("cache." + name)).clone(); });
  if (!module_) return;
  const Json& saved = state.at("module");
  module_->version = saved.at("version").get<std::int64_t>();
  restore_module_state(files, "lora", saved.at("optimizer_steps").get<std::int64_t>(), module_->adapter, module_->trainer);
  module_->publish();
}

void Generation::save_adapter(const fs::path& folder) const {
  if (module_) save_peft_folder(module_->adapter, folder, config_.model.path);
}

}  // namespace templora
