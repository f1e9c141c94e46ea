#include "experiment/temp_lora.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include "core/check.h"
#include "experiment/chunk_values.h"
#include "experiment/hard_chunks.h"
#include "experiment/not_finite.h"
#include "experiment/phase_timer.h"
#include "model/tensors.h"
#include "train/warmup.h"

namespace templora {
namespace {

/// A module's turn in the model's slots.
class AttachedTurn {
 public:
  explicit AttachedTurn(LoraAdapter& adapter) : adapter_(adapter) { adapter_.attach(); }
  ~AttachedTurn() { adapter_.detach(); }
  AttachedTurn(const AttachedTurn&) = delete;
  AttachedTurn& operator=(const AttachedTurn&) = delete;

 private:
  LoraAdapter& adapter_;
};

}  // namespace

TempLora::TempLora(LlamaImpl& model, const Config& config, const Book& book, std::int64_t book_index, ControlLessons controls)
    : model_(model),
      config_(config),
      book_(book),
      chunks_(cut_chunks(std::int64_t(book.tokens.size()), config.window.chunk_tokens, *config.window.first_chunk_tokens)),
      tokens_(at::tensor(at::ArrayRef<std::int64_t>(book.tokens)).to(model.options().device())),
      book_index_(book_index) {
  const bool keeps = config.cache.policy != CachePolicy::rebuild;
  if (keeps && config.score.base) base_cache_ = std::make_unique<ContextCache>(model, config);
  if (!config.score.adapter) return;
  learners_.emplace_back();
  for (auto& [scorer, lessons] : controls) {
    TEMPLORA_CHECK(lessons.size() == chunks_.size(), "a control has one lesson a chunk");
    Learner& learner = learners_.emplace_back();
    learner.scorer = scorer;
    learner.lessons = std::move(lessons);
  }
  for (Learner& learner : learners_) {
    start_module(learner, 0);
    if (keeps) learner.cache = std::make_unique<ContextCache>(model, config);
  }
}

// All learners start with the same weights: what they differ in is what they learn.
void TempLora::start_module(Learner& learner, std::int64_t number) {
  learner.trainer.reset();
  learner.adapter.reset();  // the old module goes before the new one takes its place
  learner.adapter = std::make_unique<LoraAdapter>(model_, config_.lora, module_seed(config_.seed, book_index_, number));
  learner.adapter->detach();
  if (config_.lora.init_from) load_peft_folder(*learner.adapter, *config_.lora.init_from);
  learner.trainer = std::make_unique<ChunkTrainer>(model_, learner.adapter->parameters(), config_.train);
  learner.version = 0;
}

// Which of the document's modules scores a chunk: 0 throughout, or counted by lora.reset_every_tokens.
std::int64_t TempLora::module_number(std::int64_t chunk) const {
  const std::int64_t every = config_.lora.reset_every_tokens;
  return every == 0 ? 0 : chunks_[std::size_t(chunk)].first / every;
}

std::int64_t TempLora::number_in_module(std::int64_t chunk) const {
  std::int64_t start = chunk;
  while (start > 0 && module_number(start - 1) == module_number(chunk)) --start;
  return chunk - start;
}

// The sequence that teaches a chunk: behind its prefix, which train.label_prefix labels too.
Window TempLora::lesson_of(const Chunk& chunk) const {
  Window window = window_of(chunk, config_.train.prefix_tokens);
  if (config_.train.label_prefix) window.labelled = window.length - 1;
  return window;
}

std::int64_t TempLora::tokens_done() const {
  return next_chunk_ == chunk_count() ? std::int64_t(book_.tokens.size()) : chunks_[std::size_t(next_chunk_)].first;
}

// Scored tokens of the chunks before this one, where every window is computed anew.
std::int64_t TempLora::base_nll_before(std::int64_t chunk) const {
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < chunk; ++i) count += window_of(chunks_[std::size_t(i)], *config_.window.context_tokens).labelled;
  return count;
}

void TempLora::use_base_nll(std::vector<float> nll) {
  TEMPLORA_CHECK(!base_cache_ && config_.score.base && std::int64_t(nll.size()) == base_nll_count(), "NLLs of another book");
  base_nll_ = std::move(nll);
}

// The life of a chunk.
ChunkResult TempLora::step() {
  TEMPLORA_CHECK(next_chunk_ < chunk_count(), "the document has ended");
  const Chunk& chunk = chunks_[std::size_t(next_chunk_)];
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

  PhaseTimer timer(model_.options().device());
  mark_ = [&](const char* part) { timer.mark(part); };
  const at::Tensor base = score_base(seen, record);
  if (config_.score.base && base_nll_.empty()) timer.mark("score_base");  // absent where nothing was computed
  std::vector<Turn> turns;
  for (Learner& learner : learners_) {
    const bool control = learner.scorer != Scorer::lora;
    if (next_chunk_ > 0 && module_number(next_chunk_) != module_number(next_chunk_ - 1))
      start_module(learner, module_number(next_chunk_));
    if (!control) record.adapter_version = learner.version;
    const AttachedTurn attached(*learner.adapter);
    Turn& turn = turns.emplace_back();
    if (control) mark_ = nullptr;  // a control's turn is two phases, whatever their parts
    learner.trainer->on_part = mark_;

    // Score, with a module that has seen nothing of this chunk …
    std::optional<ScoredChunk> first_forward;
    turn.nll = score(learner, seen, first_forward, record);
    // A rule that asks for the score waits for it; all others leave it on the device.
    if (!control && asks_for_scores()) means_.push_back(mean_of(read_back({turn.nll}).front()));
    timer.mark(control ? "score_controls" : "score");

    // … then train: on this chunk, or, lagging, on the one before it; a control on its lesson instead.
    turn.update = train(learner, next_chunk_ - config_.train.lag_chunks, std::move(first_forward), record);
    learner.trainer->on_part = nullptr;
    if (control) timer.mark("train_controls");
  }

  std::vector<at::Tensor> on_device{base};
  for (const Turn& turn : turns) {
    on_device.push_back(turn.nll);
    on_device.push_back(turn.update ? at::stack(turn.update->loss) : at::Tensor());
    on_device.push_back(turn.update ? at::stack(turn.update->grad_norm) : at::Tensor());
  }
  const auto host = read_back(on_device);
  result.base_nll = host[0];
  if (!base_nll_.empty()) {
    const auto first = base_nll_.begin() + base_nll_before(next_chunk_);
    result.base_nll.assign(first, first + seen.labelled);
  }
  record.base_nll = mean_of(result.base_nll);
  check_finite(
      result.base_nll, "the base model's NLL",
      [&](std::int64_t) { return why_not_finite(model_, config_, true, 0); }, record);
  for (std::size_t i = 0; i < learners_.size(); ++i) {
    const std::vector<float>&nll = host[1 + 3 * i], &loss = host[2 + 3 * i], &norm = host[3 + 3 * i];
    const Scorer scorer = learners_[i].scorer;
    const std::string whose = scorer == Scorer::lora ? "the adapter's" : fmt::format("the control {}'s", scorer_name(scorer));
    const std::int64_t before = learners_[i].trainer->steps() - std::int64_t(loss.size());
    const auto why = [&](std::int64_t steps) { return why_not_finite(model_, config_, false, before + steps); };
    check_finite(nll, whose + " NLL", [&](std::int64_t) { return why(0); }, record);
    check_finite(loss, whose + " training loss", why, record);
    check_finite(norm, whose + " gradient norm", why, record);
    if (scorer == Scorer::lora) {
      result.lora_nll = nll;
      record.lora_nll = mean_of(nll);
      record.train_loss.assign(loss.begin(), loss.end());
      record.grad_norm.assign(norm.begin(), norm.end());
    } else {
      result.control_nll[scorer] = nll;
      record.controls[scorer].nll = mean_of(nll);
    }
  }
  mark_ = nullptr;
  timer.mark("read");
  record.seconds = timer.seconds();
  ++next_chunk_;
  return result;
}

at::Tensor TempLora::tokens_of(std::int64_t first, std::int64_t length) const { return tokens_.narrow(0, first, length); }

// With kept keys and values the policy decides what is in sight, alike for every scorer.
at::Tensor TempLora::score_cached(ContextCache& cache, std::int64_t version, ChunkRecord& record) {
  const Chunk& chunk = chunks_[std::size_t(next_chunk_)];
  record.context_tokens = cache.open(book_.tokens, chunk.first, chunk.count, version);
  if (mark_) mark_(&cache == base_cache_.get() ? "recompute_base" : "recompute");
  const at::Tensor nll = cache.score(book_.tokens, chunk, version);
  record.scored_tokens = nll.defined() ? nll.numel() : 0;
  return nll;
}

at::Tensor TempLora::score_base(const Window& seen, ChunkRecord& record) {
  if (!config_.score.base || !base_nll_.empty()) return {};
  const AdapterOff off(model_);
  if (base_cache_) return score_cached(*base_cache_, 0, record);
  if (seen.labelled == 0) return {};
  const at::NoGradGuard no_grad;
  return token_nll(model_, tokens_of(seen.first, seen.length).unsqueeze(0), seen.labelled).squeeze(0);
}

at::Tensor TempLora::score(Learner& learner, const Window& seen, std::optional<ScoredChunk>& first_forward, ChunkRecord& record) {
  learner.adapter->set_training(false);
  if (learner.cache) {
    const at::Tensor nll = score_cached(*learner.cache, learner.version, record);
    if (learner.scorer == Scorer::lora && config_.cache.measure_staleness && next_chunk_ % config_.cache.staleness_every_chunks == 0) {
      mark_("score");
      record.staleness = learner.cache->measure_staleness(book_.tokens, chunks_[std::size_t(next_chunk_)], learner.version);
      mark_("staleness");
    }
    return nll;
  }
  if (seen.labelled == 0) return {};
  if (shares_forward(learner, next_chunk_)) {
    first_forward = learner.trainer->forward(tokens_of(seen.first, seen.length), seen.labelled);
    return first_forward->nll.detach();
  }
  const at::NoGradGuard no_grad;
  return token_nll(model_, tokens_of(seen.first, seen.length).unsqueeze(0), seen.labelled).squeeze(0);
}

// Whether a chunk may be learnt at all, and by the module of today: a lagging step may not carry a chunk over to
// the next module.
bool TempLora::may_train_on(std::int64_t chunk) const {
  if (!config_.train.enabled || chunk < 0) return false;
  const Chunk& c = chunks_[std::size_t(chunk)];
  const std::int64_t stop = config_.train.stop_after_tokens;
  return (stop == 0 || c.first + c.count <= stop) && module_number(chunk) == module_number(next_chunk_) &&
         number_in_module(chunk) % config_.train.update_every_chunks == 0 && lesson_of(c).labelled > 0;
}

// The same once the chunk was scored.
bool TempLora::trains_on(std::int64_t chunk) const {
  return may_train_on(chunk) &&
         (config_.train.hard_quantile == 0 || is_hard(means_, chunk, config_.train.hard_quantile, config_.train.hard_after_chunks));
}

// Exact only where training would run the very same forward pass again: same tokens after clipping, no
// dropout, and this chunk, not an earlier one or a control's lesson, is trained on.
bool TempLora::shares_forward(const Learner& learner, std::int64_t chunk) const {
  const Chunk& c = chunks_[std::size_t(chunk)];
  return !learner.cache && learner.lessons.empty() && may_train_on(chunk) && config_.train.lag_chunks == 0 && config_.lora.dropout == 0 &&
         window_of(c, *config_.window.context_tokens) == lesson_of(c);
}

std::optional<ChunkUpdate> TempLora::train(Learner& learner, std::int64_t index, std::optional<ScoredChunk> first_forward,
                                           ChunkRecord& record) {
  if (!trains_on(index)) return {};
  // Warm-up counts a module's own chunks.
  const std::vector<double> rates = learning_rates(config_.train, number_in_module(index), learner.trainer->steps());

  at::Tensor tokens;
  Window window;
  if (learner.lessons.empty()) {
    window = lesson_of(chunks_[std::size_t(index)]);
    tokens = tokens_of(window.first, window.length);
    record.trained_chunk = index;
    record.shared_forward = first_forward.has_value();
    record.learning_rate = rates.back();
  } else {
    const Lesson& lesson = learner.lessons[std::size_t(index)];
    window = lesson_of(lesson.chunk);
    if (window.labelled == 0) return {};
    tokens = at::tensor(at::ArrayRef<std::int64_t>(lesson.book->tokens.data() + window.first, std::size_t(window.length)))
                 .to(model_.options().device());
    ControlRecord& control = record.controls[learner.scorer];
    control.trained_book = lesson.book->name;
    control.trained_token = lesson.chunk.first;
  }
  if (config_.train.moments == Moments::reset) learner.trainer->optimizer().reset();
  learner.adapter->set_training(true);
  ChunkUpdate update = learner.trainer->update(tokens, window.labelled, rates, std::move(first_forward));
  learner.adapter->set_training(false);
  ++learner.version;
  return update;
}

}  // namespace templora
