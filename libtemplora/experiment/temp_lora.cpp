#include "experiment/temp_lora.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <fmt/format.h>

#include <algorithm>

#include "config/lengths.h"
#include "core/check.h"
#include "experiment/chunk_values.h"
#include "experiment/not_finite.h"
#include "generate/score.h"
#include "model/tensors.h"
#include "plan/replay.h"

namespace templora {
namespace {

/// An adapter's time in the model's slots.
class Attached {
 public:
  explicit Attached(TemporaryAdapter& adapter) : adapter_(adapter) { adapter_.attach(); }
  ~Attached() { adapter_.detach(); }
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;

 private:
  TemporaryAdapter& adapter_;
};

}  // namespace

TempLora::TempLora(LlamaImpl& model, const Config& config, const Book& book, std::int64_t book_index,
                   ControlSegments controls, MakeOptimizer make, const ReadBefore& before)
    : model_(model),
      config_(config),
      book_(book),
      plan_(config, std::int64_t(book.tokens.size()), 0, before),
      rules_(config),
      tokens_(ids_on(model.options().device(), book.tokens)),
      make_optimizer_(std::move(make)),
      book_index_(book_index) {
  const bool chunk_rows = config.lora.rows == AdapterRows::chunk;
  if (reads_through_cache(config) && config.score.base) base_cache_ = std::make_unique<ContextCache>(model, config);
  if (config.neural_cache.entries > 0) neural_cache_ = std::make_unique<NeuralCache>(config.neural_cache);
  if (config.bm25.passage_tokens > 0) passages_ = std::make_unique<Passages>(book, config.bm25.passage_tokens);
  if (!config.score.adapter) return;
  if (!config.train.prefix_gradient || (chunk_rows && (!controls.empty() || config.train.replay_share > 0)))
    prefix_ = std::make_unique<StandingPrefix>(model, config);
  scored_.emplace_back();
  for (auto& [arm, segments] : controls) {
    TEMPLORA_CHECK(std::int64_t(segments.size()) == chunk_count(), "a control has one segment a chunk");
    ScoredAdapter& scored = scored_.emplace_back();
    scored.arm = arm;
    scored.segments = std::move(segments);
  }
  for (ScoredAdapter& scored : scored_) {
    start_adapter(scored, 0);
    if (config.cache.policy != CachePolicy::rebuild && !chunk_rows)
      scored.cache = std::make_unique<ContextCache>(model, config);
  }
}

// All arms start with the same weights: what they differ in is what they learn.
void TempLora::start_adapter(ScoredAdapter& scored, std::int64_t number) const {
  scored.adapter.reset();  // the old one goes before the new one takes its place
  scored.adapter = std::make_shared<TemporaryAdapter>(model_, config_, adapter_seed(config_.seed, book_index_, number),
                                                      make_optimizer_);
  scored.adapter->detach();
}

std::vector<std::shared_ptr<TemporaryAdapter>> TempLora::adapters() const {
  std::vector<std::shared_ptr<TemporaryAdapter>> all;
  for (const ScoredAdapter& scored : scored_) all.push_back(scored.adapter);
  return all;
}

void TempLora::go_on_with(const std::vector<std::shared_ptr<TemporaryAdapter>>& adapters) {
  TEMPLORA_CHECK(next_chunk_ == 0 && adapters.size() == scored_.size(), "adapters of another document of the run");
  for (std::size_t i = 0; i < adapters.size(); ++i) scored_[i].adapter = adapters[i];
}

std::int64_t TempLora::tokens_done() const {
  return next_chunk_ == chunk_count() ? std::int64_t(book_.tokens.size()) : plan_[next_chunk_].chunk.first;
}

void TempLora::use_base_nll(std::vector<float> nll) {
  TEMPLORA_CHECK(!base_cache_ && config_.score.base && std::int64_t(nll.size()) == base_nll_count(),
                 "NLLs of another book");
  base_nll_ = std::move(nll);
}

// The life of a chunk.
ChunkResult TempLora::step() {
  TEMPLORA_CHECK(next_chunk_ < chunk_count(), "the document has ended");
  // See: what the plan says; kept keys may say otherwise when they are opened.
  const PlannedChunk& planned = plan_[next_chunk_];
  ChunkResult result;
  ChunkRecord& record = result.record;
  record.book = book_.name;
  record.book_index = book_index_;
  record.chunk = next_chunk_;
  record.first_token = planned.chunk.first;
  record.tokens = planned.chunk.count;
  record.scored_tokens = planned.seen.labelled;
  record.context_tokens = planned.seen.length - planned.chunk.count;

  // Score, with adapters that have seen nothing of this chunk, then learn.
  PhaseTimer timer(model_.options().device());
  BasePass base = score_base(timer, record);
  if (passages_) {
    base.with_passage = score_with_passage();
    timer.mark("bm25");
  }
  std::vector<ChunkPass> passes;
  for (ScoredAdapter& scored : scored_) passes.push_back(pass(scored, timer, record));

  // Record: what stayed on the device until now.
  read(base, passes, result);
  timer.mark("read");
  record.seconds = timer.seconds();
  ++next_chunk_;
  return result;
}

TempLora::ChunkPass TempLora::pass(ScoredAdapter& scored, PhaseTimer& timer, ChunkRecord& record) {
  if (plan_.starts_adapter(next_chunk_)) start_adapter(scored, plan_[next_chunk_].adapter);
  const Attached attached(*scored.adapter);
  if (!scored.control()) record.adapter_version = scored.adapter->version();
  ChunkPass done;
  std::optional<ScoredChunk> first_forward;
  if (scored.cache) {
    done.nll =
        score_cached(*scored.cache, scored.adapter->version(), scored.control() ? nullptr : "recompute", timer, record);
    if (!scored.control() && plan_.measures_staleness(next_chunk_)) {
      timer.mark("score");
      record.staleness = scored.cache->measure_staleness(book_.tokens, plan_.chunks(), std::size_t(next_chunk_),
                                                         scored.adapter->version());
      timer.mark("staleness");
    }
  } else if (record.scored_tokens > 0) {
    const bool chunk_rows = config_.lora.rows == AdapterRows::chunk;
    const Window& seen = plan_[next_chunk_].seen;
    if (!scored.control() && plan_.shares_forward(next_chunk_)) {
      first_forward = scored.adapter->forward(chunk_rows ? pass_behind_base() : pass_over(book_, seen));
      done.nll = first_forward->nll.detach();
    } else if (chunk_rows) {
      const at::NoGradGuard no_grad;
      done.nll = pass_behind_base()();
    } else {
      done.nll = score_window(seen);
    }
  }
  if (!scored.control() && rules_.ask()) add_to_rules(done.nll, record);
  timer.mark(scored.control() ? "score_controls" : "score");
  done.learnt = learn(scored, std::move(first_forward), timer, record);
  if (scored.control()) timer.mark("train_controls");
  return done;
}

// A rule that looks at scores waits for them; all others leave them on the device.
void TempLora::add_to_rules(const at::Tensor& nll, ChunkRecord& record) {
  record.lora_nll = mean_of(read_back(nll));
  if (const auto window = rules_.further_window(plan_[next_chunk_].chunk, record.context_tokens)) {
    const std::vector<float> further = read_back(score_window(*window));
    check_finite(
        further, "the adapter's NLL behind train.gap_context_tokens",
        [&](std::int64_t) { return why_not_finite(model_, config_, false, scored_.front().adapter->steps()); }, record);
    record.short_context_nll = mean_of(further);
  }
  rules_.add(record);
}

// On this chunk, or, lagging, on the one before it; a control on its segment instead.
std::optional<Learnt> TempLora::learn(ScoredAdapter& scored, std::optional<ScoredChunk> first_forward,
                                      PhaseTimer& timer, ChunkRecord& record) {
  const std::optional<std::int64_t> index = plan_.learns_after(next_chunk_);
  const std::int64_t steps = index ? rules_.steps(*index) : 0;
  if (steps == 0) return {};
  const PlannedChunk& planned = plan_[*index];
  if (!scored.control()) {
    record.trained_chunk = *index;
    record.shared_forward = first_forward.has_value();
    const NllPass own =
        config_.lora.rows == AdapterRows::chunk ? pass_behind_base() : pass_over(book_, planned.segment);
    Learnt learnt = scored.adapter->learn(with_replay(own, scored, *index, steps), plan_.place_of(*index),
                                          steps, std::move(first_forward), [&](const char* part) { timer.mark(part); });
    record.learning_rate = learnt.learning_rate;
    return learnt;
  }
  const ControlSegment& other = scored.segments[std::size_t(*index)];
  const Window segment = training_segment(config_.train, other.chunk);
  if (segment.labelled == 0) return {};
  ControlRecord& control = record.controls[scored.arm];
  control.trained_book = other.book->name;
  control.trained_token = other.chunk.first;
  return scored.adapter->learn(with_replay(pass_over(*other.book, segment), scored, *index, steps),
                               plan_.place_of(*index), steps);
}

// A window of a text by the adapter that is attached: with all its rows, or behind a prefix that stands.
NllPass TempLora::pass_over(const Book& book, const Window& window) const {
  const auto ids = std::span(book.tokens).subspan(std::size_t(window.first), std::size_t(window.length));
  if (prefix_) return [this, ids, window] { return prefix_->nll(ids, window.labelled); };
  return templora::pass_over(model_, ids_on(model_.options().device(), ids), window.labelled);
}

// The next chunk's rows behind what the base had in sight before it.
NllPass TempLora::pass_behind_base() const {
  return base_cache_->pass_behind(book_.tokens, plan_[next_chunk_].chunk);
}

// With train.replay_share each step learns a piece of what the adapter has read before, too.
NllPass TempLora::with_replay(NllPass pass, const ScoredAdapter& scored, std::int64_t index, std::int64_t steps) const {
  std::vector<ReplayPiece> pieces = replay_pieces(config_, plan_, book_index_, index, steps);
  if (pieces.empty()) return pass;
  return [this, &scored, pass = std::move(pass), pieces = std::move(pieces), step = std::size_t{0}]() mutable {
    const ReplayPiece& piece = pieces.at(step++);
    const std::size_t number = std::size_t(piece.chunk);
    const Book& book = scored.control() ? *scored.segments[number].book : book_;
    const Chunk& earlier = scored.control() ? scored.segments[number].chunk : plan_[piece.chunk].chunk;
    const Window again = training_segment(config_.train, {earlier.first + piece.offset, piece.tokens});
    if (again.labelled == 0) return pass();
    return at::cat({pass(), pass_over(book, again)()});
  };
}

void TempLora::read(const BasePass& base, const std::vector<ChunkPass>& passes, ChunkResult& result) {
  ChunkRecord& record = result.record;
  struct Host {
    std::vector<float> nll, loss, norm;
  };
  std::vector<Host> host(passes.size());
  ReadBack values;
  std::vector<float> cached;
  values.add(base.nll, result.base_nll);
  values.add(base.cached, cached);
  std::vector<float> with_passage;
  values.add(base.with_passage, with_passage);
  for (std::size_t i = 0; i < passes.size(); ++i) {
    values.add(passes[i].nll, host[i].nll);
    if (!passes[i].learnt) continue;
    values.add(at::stack(passes[i].learnt->update.loss), host[i].loss);
    values.add(at::stack(passes[i].learnt->update.grad_norm), host[i].norm);
  }
  values.read();
  if (!base_nll_.empty()) {
    const auto first = base_nll_.begin() + plan_.scored_before(next_chunk_);
    result.base_nll.assign(first, first + record.scored_tokens);
  }
  record.base_nll = mean_of(result.base_nll);
  check_finite(
      result.base_nll, "the base model's NLL",
      [&](std::int64_t) { return why_not_finite(model_, config_, true, 0); }, record);
  for (std::size_t i = 0; i < passes.size(); ++i) {
    const auto& [nll, loss, norm] = host[i];
    const ScoredAdapter& scored = scored_[i];
    const std::string whose =
        scored.control() ? fmt::format("the control {}'s", arm_name(scored.arm)) : "the adapter's";
    const std::int64_t before = scored.adapter->steps() - std::int64_t(loss.size());
    const auto why = [&](std::int64_t steps) { return why_not_finite(model_, config_, false, before + steps); };
    check_finite(nll, whose + " NLL", [&](std::int64_t) { return why(0); }, record);
    check_finite(loss, whose + " training loss", why, record);
    check_finite(norm, whose + " gradient norm", why, record);
    if (scored.control()) {
      result.control_nll[scored.arm] = nll;
      record.controls[scored.arm].nll = mean_of(nll);
    } else {
      result.lora_nll = nll;
      record.lora_nll = mean_of(nll);
      record.train_loss.assign(loss.begin(), loss.end());
      record.grad_norm.assign(norm.begin(), norm.end());
    }
  }
  if (passages_) {
    const auto why = [&](std::int64_t) { return why_not_finite(model_, config_, true, 0); };
    check_finite(with_passage, "the base model's NLL behind an earlier passage", why, record);
    record.controls[Arm::base_bm25].nll = mean_of(with_passage);
    result.control_nll[Arm::base_bm25] = std::move(with_passage);
  }
  const auto mix = [&](Arm arm, const std::vector<float>& nll) {
    if (nll.size() != cached.size() || nll.empty()) return;
    result.control_nll[arm] = neural_cache_->mixed(arm, nll, cached);
    record.controls[arm].nll = mean_of(result.control_nll[arm]);
  };
  mix(Arm::base_cache, result.base_nll);
  mix(Arm::lora_cache, result.lora_nll);
}

void TempLora::lend(const std::function<void(Arm, std::int64_t)>& use) {
  {
    const AdapterOff off(model_);
    use(Arm::base, 0);
  }
  for (ScoredAdapter& scored : scored_) {
    const Attached attached(*scored.adapter);
    use(scored.arm, scored.adapter->version());
  }
}

at::Tensor TempLora::tokens_of(std::int64_t first, std::int64_t length) const {
  return tokens_.narrow(0, first, length);
}

at::Tensor TempLora::score_window(const Window& seen) const {
  if (seen.labelled == 0) return {};
  const at::NoGradGuard no_grad;
  return token_nll(model_, tokens_of(seen.first, seen.length).unsqueeze(0), seen.labelled).squeeze(0);
}

// With kept keys and values the policy decides what is in sight, alike for every arm. `opened` names the time that
// this took; a control's pass has no parts.
at::Tensor TempLora::score_cached(ContextCache& cache, std::int64_t version, const char* opened, PhaseTimer& timer,
                                  ChunkRecord& record) {
  const Chunk& chunk = plan_[next_chunk_].chunk;
  record.context_tokens = cache.open(book_.tokens, chunk.first, chunk.count, version);
  if (opened) timer.mark(opened);
  const at::Tensor nll = cache.score(book_.tokens, chunk, version);
  record.scored_tokens = nll.defined() ? nll.numel() : 0;
  return nll;
}

// The base's window with the passage out of sight that the last words before the chunk find, in the place of its oldest
// tokens. While there is none, the window as it is.
at::Tensor TempLora::score_with_passage() const {
  const Chunk& chunk = plan_[next_chunk_].chunk;
  const Window& seen = plan_[next_chunk_].seen;
  const std::int64_t context = seen.length - chunk.count, passage = passages_->tokens();
  const AdapterOff off(model_);
  if (context <= passage) return score_window(seen);
  const std::int64_t asked = std::min(config_.bm25.query_tokens, context - passage), first = seen.first + passage;
  const auto found = passages_->best(book_.text_of(chunk.first - asked, asked), first);
  if (!found || seen.labelled == 0) return score_window(seen);
  const at::NoGradGuard no_grad;
  const at::Tensor tokens = at::cat({tokens_of(*found, passage), tokens_of(first, seen.length - passage)});
  return token_nll(model_, tokens.unsqueeze(0), seen.labelled).squeeze(0);
}

TempLora::BasePass TempLora::score_base(PhaseTimer& timer, ChunkRecord& record) {
  if (!config_.score.base || !base_nll_.empty()) return {};  // and no time of its own where nothing is computed
  const AdapterOff off(model_);
  const at::NoGradGuard no_grad;
  BasePass base;
  at::Tensor states;  // [scored, hidden]
  const Window& seen = plan_[next_chunk_].seen;
  const auto scored_tokens = [&] {
    return tokens_of(plan_[next_chunk_].chunk.end() - record.scored_tokens, record.scored_tokens);
  };
  if (base_cache_) {
    base.nll = score_cached(*base_cache_, 0, "recompute_base", timer, record);
    states = base_cache_->scored_states();
  } else if (neural_cache_ && seen.labelled > 0) {
    const at::Tensor tokens = tokens_of(seen.first, seen.length).unsqueeze(0);
    states = model_.forward(tokens, seen.length - 1 - seen.labelled, seen.labelled).squeeze(0);
    base.nll = row_nll(model_, states, scored_tokens());
  } else {
    base.nll = score_window(seen);
  }
  timer.mark("score_base");
  if (!neural_cache_ || !base.nll.defined()) return base;
  base.cached = neural_cache_->look_up(states, scored_tokens());
  timer.mark("neural_cache");
  return base;
}

}  // namespace templora
