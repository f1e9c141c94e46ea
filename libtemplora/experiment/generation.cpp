#include "experiment/generation.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/stack.h>
#include <ATen/Parallel.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/core/StreamGuard.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <thread>

#include "config/lengths.h"
#include "core/check.h"
#include "experiment/chunk_values.h"
#include "experiment/not_finite.h"
#include "model/tensors.h"

namespace templora {
namespace {

[[noreturn]] void refuse(double value, const char* what, const std::string& advice, std::int64_t chunk) {
  throw Error(Exit::numerics, fmt::format("chunk {}: {} is {}; {}", chunk, what, value, advice));
}

c10::Stream current_stream(const at::Device& device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device);
}

constexpr const char* kLoss = "the training loss";
constexpr const char* kNorm = "the gradient's norm";

}  // namespace

/// The adapter that learns and, where it learns while another one writes, its own graph and that other one.
struct Generation::Adapters {
  Adapters(LlamaImpl& model, const Config& config)
      : second_graph(config.generate.schedule == Schedule::parallelized ? share_weights(model) : Llama(nullptr)),
        graph(second_graph ? *second_graph : model),
        learning(graph, config, std::uint64_t(config.seed)),
        writer(second_graph ? std::make_unique<LoraAdapter>(model, config.lora, std::uint64_t(config.seed)) : nullptr) {
    publish();
  }

  /// Gives the writing graph the weights that were learnt so far, into the same memory.
  void publish() {
    if (writer) writer->parameters().value.copy_(learning.parameters().value);
    published = learning.version();
  }

  Llama second_graph;
  LlamaImpl& graph;
  TemporaryAdapter learning;
  std::unique_ptr<LoraAdapter> writer;  // none: `learning` writes itself
  std::int64_t published = 0;           // chunks learnt that the writer knows
};

Generation::Generation(LlamaImpl& model, const Config& config, std::vector<std::int64_t> prompt, std::int64_t end_token)
    : model_(model),
      config_(config),
      text_(std::move(prompt)),
      prompt_tokens_(std::int64_t(text_.size())),
      end_token_(end_token),
      plan_(config, 0, prompt_tokens_),
      adapters_(config.score.adapter ? std::make_unique<Adapters>(model, config) : nullptr),
      context_(model, config),
      streams_(std::uint64_t(config.seed), 1) {
  TEMPLORA_CHECK(!text_.empty(), "a text starts from at least one token");
  repetition_.add_context(text_);
}

Generation::~Generation() = default;

void Generation::learn_prompt(const std::function<void(std::int64_t)>& after_chunk) {
  if (!adapters_ || !config_.train.enabled || std::int64_t(text_.size()) > prompt_tokens_) return;
  if (plan_.size() == 0) plan_ = DocumentPlan(config_, 0, 0);
  while (plan_.end() < prompt_tokens_) {
    const std::int64_t count = std::min(config_.window.chunk_tokens, prompt_tokens_ - plan_.end()), end = plan_.end();
    if (chunk_rows()) open_context(end, count);
    plan_.append(count);
    if (chunk_rows()) read_by_base(plan_.size() - 1);
    learn_now(plan_.size() - 1);
    if (after_chunk) after_chunk(plan_.end());
  }
  adapters_->publish();
}

at::Tensor Generation::tokens_of(const Window& window) const {
  return ids_on(model_.options().device(),
                std::span(text_).subspan(std::size_t(window.first), std::size_t(window.length)));
}

// Of the adapter that writes.
std::int64_t Generation::version() const {
  return !adapters_ ? 0 : adapters_->writer ? adapters_->published : adapters_->learning.version();
}

// The life of a chunk.
WrittenChunk Generation::step() {
  TEMPLORA_CHECK(!finished(), "the text has its length");
  const std::int64_t index = next_chunk(), lag = training_lag(config_), first = std::int64_t(text_.size());
  // A snapshot of a run that learns one chunk later than this one left a chunk that this one would have learnt.
  if (learnt_ == index - lag - 1) learn_now(learnt_);
  WrittenChunk result;
  GenerationRecord& record = result.record;
  record.chunk = index;
  record.first_token = first;
  record.adapter_version = adapters_ ? adapters_->learning.version() : 0;

  // See and write; parallelized, the chunk before this one is learnt meanwhile.
  PhaseTimer timer(model_.options().device());
  const bool parallel = adapters_ && adapters_->writer;
  const std::int64_t wanted = std::min(config_.window.chunk_tokens, config_.generate.tokens - (first - prompt_tokens_));
  std::optional<Learnt> learnt;
  if (parallel) {
    result.tokens = write_and_learn(wanted, learnt);
    timer.mark("write_and_train");
  } else {
    result.tokens = write(wanted, [&](const char*) { timer.mark(first == prompt_tokens_ ? "prefill" : "recompute"); });
    timer.mark("decode");
  }
  record.tokens = std::int64_t(result.tokens.size());
  record.context_tokens = context_.context_tokens();
  text_.insert(text_.end(), result.tokens.begin(), result.tokens.end());
  if (!chunk_rows()) context_.written(text_, std::int64_t(text_.size()));
  plan_.append(record.tokens);

  // Score what was written.
  const TextStatistics statistics = repetition_.add_chunk(result.tokens);
  record.repeated_4grams = statistics.repeated_4grams;
  record.distinct.assign(std::begin(statistics.distinct), std::end(statistics.distinct));
  score(record);
  timer.mark("score");

  // Learn, and record.
  if (!parallel) learnt = learn(index - lag, [&](const char* part) { timer.mark(part); });
  if (learnt) {
    record.trained_chunk = index - lag;
    record.learning_rate = learnt->learning_rate;
    record.train_loss = finite_values(learnt->update.loss, kLoss, index - lag);
    record.grad_norm = finite_values(learnt->update.grad_norm, kNorm, index - lag);
  }
  timer.mark("read");
  record.seconds = timer.seconds();
  return result;
}

// Writes in this thread while another one learns the chunk before, from a text that does not change until both ended.
std::vector<std::int64_t> Generation::write_and_learn(std::int64_t tokens, std::optional<Learnt>& learnt) {
  std::exception_ptr learning_failure, writing_failure;
  const at::Device device = model_.options().device();
  std::optional<c10::Event> begun, ended;  // on a GPU: what learning waits for, and what waits for it
  adapters_->publish();
  if (!device.is_cpu()) begun.emplace(device.type()), ended.emplace(device.type());
  if (begun) begun->record(current_stream(device));
  std::thread learning([&, chunk = next_chunk() - 1] {
    try {
      at::init_num_threads();  // a thread starts with OpenMP's own count, not with the run's
      std::optional<c10::StreamGuard> own;  // on a GPU, both threads would else wait for one another on one stream
      if (begun) own.emplace(c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device));
      if (begun) begun->block(own->current_stream());
      learnt = learn(chunk);
      if (ended) ended->record(own->current_stream());
    } catch (...) {
      learning_failure = std::current_exception();
    }
  });
  std::vector<std::int64_t> written;
  try {
    written = write(tokens, {});
  } catch (...) {
    writing_failure = std::current_exception();
  }
  learning.join();
  for (const std::exception_ptr& failure : {writing_failure, learning_failure})
    if (failure) std::rethrow_exception(failure);
  if (ended) ended->block(current_stream(device));
  return written;
}

std::vector<std::int64_t> Generation::write(std::int64_t tokens, const OnPart& on_part) {
  open_context(std::int64_t(text_.size()), tokens);
  if (on_part) on_part("opened");
  DecodeOptions options;
  const GenerateConfig& g = config_.generate;
  options.sampling = sampling_of(g);
  options.max_new_tokens = options.min_new_tokens = tokens;
  if (end_token_ >= 0) options.stop_tokens = {end_token_};
  options.version = version();
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
            ? "; " + why_not_finite(model_, config_, !adapters_, version() * config_.train.epochs)
            : "";
    throw Error(error.exit_code(), fmt::format("chunk {}: {}{}", next_chunk(), error.what(), why));
  }
}

// Ready for a chunk of so many tokens behind the first `end` ones.
void Generation::open_context(std::int64_t end, std::int64_t tokens) {
  std::optional<AdapterOff> off;
  if (chunk_rows()) off.emplace(model_);
  context_.open(text_, end, tokens, chunk_rows() ? 0 : version());
  opened_chunk_ = next_chunk();
}

// With lora.rows "chunk" what was written is read once more by the base, whose keys later chunks see; those of the
// writer go.
at::Tensor Generation::read_by_base(std::int64_t chunk) {
  const AdapterOff off(model_);
  context_.rewind();
  return context_.score(text_, plan_[chunk].chunk, 0);
}

// What the adapter makes of a chunk: behind what the base had in sight, or in a window of its own.
NllPass Generation::learning_pass(std::int64_t chunk) {
  const PlannedChunk& planned = plan_[chunk];
  if (!chunk_rows()) return pass_over(adapters_->graph, tokens_of(planned.segment), planned.segment.labelled);
  if (chunk != opened_chunk_) {  // left by another run's snapshot
    if (!prefix_) prefix_ = std::make_unique<StandingPrefix>(model_, config_);
    const Window& segment = planned.segment;
    const auto ids = std::span(text_).subspan(std::size_t(segment.first), std::size_t(segment.length));
    return [this, ids, labelled = segment.labelled] { return prefix_->nll(ids, labelled); };
  }
  return context_.pass_behind(text_, planned.chunk);
}

// Of the chunk that was just written.
void Generation::score(GenerationRecord& record) {
  const std::int64_t chunk = record.chunk;
  if (chunk_rows()) {
    const at::Tensor base = read_by_base(chunk);
    if (config_.score.base) record.base_nll = finite_nll(base, chunk, false);
    const at::NoGradGuard no_grad;
    if (adapters_ && base.defined()) record.lora_nll = finite_nll(learning_pass(chunk)(), chunk, true);
    return;
  }
  if (config_.score.base) record.base_nll = window_nll(chunk, false);
  if (adapters_) record.lora_nll = window_nll(chunk, true);
}

// Mean NLL of a written chunk after its last context_tokens, in one pass without a cache.
std::optional<double> Generation::window_nll(std::int64_t chunk, bool with_adapter) {
  const Window& seen = plan_[chunk].seen;
  if (seen.labelled == 0) return {};
  const at::NoGradGuard no_grad;
  std::optional<AdapterOff> off;
  if (!with_adapter) off.emplace(model_);
  return finite_nll(token_nll(model_, tokens_of(seen).unsqueeze(0), seen.labelled), chunk, with_adapter);
}

std::optional<double> Generation::finite_nll(const at::Tensor& values, std::int64_t chunk, bool with_adapter) {
  if (!values.defined()) return {};
  const double nll = values.mean().item<double>();
  if (!std::isfinite(nll))
    refuse(nll, with_adapter ? "the adapter's NLL" : "the base model's NLL",
           why_not_finite(model_, config_, !with_adapter, adapters_ ? adapters_->learning.steps() : 0), chunk);
  return nll;
}

// The values of a training that was made just now, which have to be finite.
std::vector<double> Generation::finite_values(const std::vector<at::Tensor>& scalars, const char* what,
                                              std::int64_t chunk) {
  if (scalars.empty()) return {};
  const std::vector<float> values = read_back(at::stack(scalars));
  const std::int64_t before = adapters_->learning.steps() - std::int64_t(values.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      refuse(values[i], what, why_not_finite(model_, config_, false, before + std::int64_t(i)), chunk);
  return {values.begin(), values.end()};
}

std::optional<Learnt> Generation::learn(std::int64_t index, const OnPart& on_part) {
  if (index < learnt_) return {};
  learnt_ = index + 1;  // of this chunk nothing is left to do
  if (!plan_.may_learn(index, index)) return {};
  const PlannedChunk& planned = plan_[index];
  return adapters_->learning.learn(learning_pass(index), planned.place, config_.train.epochs, {}, on_part);
}

// Outside a step, so that nothing is recorded but what goes wrong.
void Generation::learn_now(std::int64_t index) {
  const std::optional<Learnt> learnt = learn(index);
  if (!learnt) return;
  finite_values(learnt->update.loss, kLoss, index);
  finite_values(learnt->update.grad_norm, kNorm, index);
}

Json Generation::state() const {
  Json chunks = Json::array();
  for (const Chunk& chunk : plan_.chunks()) chunks.push_back({chunk.first, chunk.count});
  Json state{{"text", text_},
             {"prompt_tokens", prompt_tokens_},
             {"chunks", chunks},
             {"learnt", learnt_},
             {"finished", finished_},
             {"drawn", streams_.drawn()},
             {"cache", context_.state()}};
  if (adapters_)
    state["module"] = {{"version", adapters_->learning.version()}, {"optimizer_steps", adapters_->learning.steps()}};
  return state;
}

void Generation::save_tensors_to(const fs::path& file) const {
  NamedTensors tensors;
  for (const auto& [name, tensor] : context_.tensors()) tensors.emplace_back("cache." + name, tensor);
  if (adapters_) adapters_->learning.add_state(tensors, "lora");
  save_tensors(file, tensors);
}

void Generation::restore(const Json& state, const fs::path& file) {
  const SafetensorsFiles files = SafetensorsFiles::open_file(file);
  text_ = state.at("text").get<std::vector<std::int64_t>>();
  prompt_tokens_ = state.at("prompt_tokens").get<std::int64_t>();
  finished_ = state.at("finished").get<bool>();
  learnt_ = state.at("learnt").get<std::int64_t>();
  plan_ = DocumentPlan(config_, 0, prompt_tokens_);
  repetition_ = {};
  for (const Json& chunk : state.at("chunks")) {
    const Chunk c{chunk.at(0).get<std::int64_t>(), chunk.at(1).get<std::int64_t>()};
    if (plan_.size() == 0) plan_ = DocumentPlan(config_, 0, c.first);
    if (c.first < 0 || c.first != plan_.end() || c.count < 1 || c.count > std::int64_t(text_.size()) - c.first)
      throw Error(Exit::bad_input,
                  fmt::format("{}: a chunk lies outside the saved text; start the run anew", file.string()));
    plan_.append(c.count);
  }
  auto drawn = state.at("drawn").get<std::vector<std::int64_t>>();
  if (prompt_tokens_ < 1 || prompt_tokens_ > std::int64_t(text_.size()) || learnt_ < 0 || learnt_ > next_chunk() ||
      drawn.size() != streams_.drawn().size())
    throw Error(
        Exit::bad_input,
        fmt::format("{}: the state that belongs to it has counts that do not fit each other; start the run anew",
                    file.string()));
  // The prompt counts as it did: in one piece, whether or not its chunks were learnt.
  repetition_.add_context(std::span(text_).first(std::size_t(prompt_tokens_)));
  for (const Chunk& c : plan_.chunks())
    if (c.first >= prompt_tokens_)
      repetition_.add_chunk(std::span(text_).subspan(std::size_t(c.first), std::size_t(c.count)));
  streams_.set_drawn(std::move(drawn));
  context_.restore(state.at("cache"), text_,
                   [&](const std::string& name) { return view_of(files.at("cache." + name)).clone(); });
  if (!adapters_) return;
  const Json& saved = state.at("module");
  adapters_->learning.restore(files, "lora", saved.at("version").get<std::int64_t>(),
                           saved.at("optimizer_steps").get<std::int64_t>());
  adapters_->publish();
}

void Generation::save_adapter(const fs::path& folder) const {
  if (adapters_) adapters_->learning.save_peft(folder);
}

}  // namespace templora
