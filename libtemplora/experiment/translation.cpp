#include "experiment/translation.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/check.h"
#include "core/error.h"
#include "core/log.h"
#include "core/utf8.h"
#include "experiment/chunk_values.h"
#include "experiment/not_finite.h"

namespace templora {
namespace {

/// A number in [0, 1) that depends on the seed and the pair only (splitmix64's finisher).
double draw(std::int64_t seed, std::int64_t novel, std::int64_t pair) {
  std::uint64_t x = adapter_seed(seed, novel + 1, pair + 1);
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return double((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

/// What `make` gives; its errors name novel, record and pair first.
template <class Make>
auto named(const Novel& novel, std::int64_t chunk, std::size_t pair, Make&& make) {
  try {
    return make();
  } catch (const Error& error) {
    throw Error(error.exit_code(),
                fmt::format("{}: record {}: inference[{}]: {}", novel.name, chunk, pair, error.what()));
  }
}

}  // namespace

std::int64_t translation_window(const Config& config, const LlamaConfig& model) {
  const std::int64_t window = config.translation.window_tokens.value_or(model.max_positions);
  if (window > model.max_positions && !config.model.allow_beyond_positions)
    throw Error(Exit::usage,
                fmt::format("translation.window_tokens: got {}, but the model has {} positions; lower it, stretch "
                            "them with model.rope_scaling, or set model.allow_beyond_positions",
                            window, model.max_positions));
  if (config.generate.max_new_tokens >= window)
    throw Error(Exit::usage,
                fmt::format("generate.max_new_tokens: got {}, wanted less than the window of {}, which holds the "
                            "prompt too",
                            config.generate.max_new_tokens, window));
  return window;
}

NovelTranslation::NovelTranslation(LlamaImpl& model, const Config& config, const Tokenizer& tokenizer,
                                   const TranslationPrompts& prompts, const Novel& novel, std::int64_t novel_index)
    : model_(model), config_(config), tokenizer_(tokenizer), prompts_(prompts), novel_(novel),
      window_(translation_window(config, model.config())), novel_index_(novel_index) {
  decoding_.sampling = sampling_of(config.generate);
  decoding_.max_new_tokens = config.generate.max_new_tokens;
  decoding_.min_new_tokens = config.generate.min_new_tokens;
  set_stops(config.generate.stop.empty() ? prompts.stops() : config.generate.stop);
  for (const NovelChunk& chunk : novel.chunks) longest_context_ = std::max(longest_context_, chunk.context.size());
  if (!config.score.adapter) return;
  adapter_ = std::make_unique<TemporaryAdapter>(model, config, adapter_seed(config.seed, novel_index, 0));
}

// A mark ("<|im_end|>") is one token and nothing else. Ordinary text that is one piece can come as part of another
// piece
// ("###" in "####"), so it is looked for in the text too.
void NovelTranslation::set_stops(const std::vector<std::string>& stops) {
  std::size_t longest = 0;
  for (const std::string& stop : stops) {
    const std::vector<std::int64_t> ids = prompts_.line_ids(stop);
    const std::int64_t mark = tokenizer_.special_token_id(stop);
    // One id may also be the unknown piece, which stands for other text.
    const bool piece = ids.size() == 1 && strip(tokenizer_.decode(ids, false)) == strip(stop);
    if (mark >= 0)
      decoding_.stop_tokens.push_back(mark);
    else if (piece)
      decoding_.stop_tokens.push_back(ids[0]);
    if (mark >= 0 && ids == std::vector<std::int64_t>{mark}) continue;
    stop_texts_.push_back(stop);
    longest = std::max(longest, stop.size());
  }
  if (stop_texts_.empty()) return;
  // It is asked after each token, so a stop that was not there before ends in the last one; a token is nearly always a
  // byte or more. The first question is about all tokens up to min_new_tokens.
  constexpr std::int64_t kBeside = 8;
  decoding_.stop = [this, window = std::int64_t(longest) + kBeside](std::int64_t,
                                                                    const std::vector<std::int64_t>& ids) {
    const auto count = std::int64_t(ids.size());
    const std::int64_t last = count <= decoding_.min_new_tokens ? count : std::min(count, window);
    const std::string text = tokenizer_.decode({ids.end() - last, ids.end()}, false);
    return std::any_of(stop_texts_.begin(), stop_texts_.end(),
                       [&](const std::string& stop) { return text.find(stop) != std::string::npos; });
  };
}

// The life of a chunk.
std::optional<TranslatedChunk> NovelTranslation::step(const std::function<bool()>& interrupted) {
  TEMPLORA_CHECK(next_chunk_ < chunk_count(), "the novel has ended");
  const NovelChunk& chunk = novel_.chunks[std::size_t(next_chunk_)];
  TranslatedChunk result;
  result.record.book = novel_.name;
  result.record.book_index = novel_index_;
  result.record.chunk = next_chunk_;
  result.record.first_token = first_token_;
  result.record.adapter_version = adapter_ ? adapter_->version() : 0;

  // Translate and score, with an adapter that has seen nothing of this chunk …
  PhaseTimer timer(model_.options().device());
  std::optional<Work> base, lora;
  if (config_.score.base) {
    base = translate(Who::base, chunk, base, timer, interrupted);
    if (!base) return {};
  }
  if (adapter_) {
    lora = translate(Who::lora, chunk, base, timer, interrupted);
    if (!lora) return {};
  }

  // … then learn what the adapter takes for this chunk, and record.
  std::optional<Learnt> learnt;
  if (lora && config_.train.enabled) learnt = learn(*lora, timer, result);
  fill_records(chunk, base, lora, learnt, result);
  timer.mark("read");
  result.record.seconds = timer.seconds();

  if (base) remember(base_memory_, base->history);
  if (lora) remember(lora_memory_, lora->history);
  first_token_ += result.record.tokens;
  first_pair_ += std::int64_t(chunk.pairs.size());
  ++next_chunk_;
  return result;
}

std::optional<NovelTranslation::Work> NovelTranslation::translate(Who who, const NovelChunk& chunk,
                                                                  const std::optional<Work>& base, PhaseTimer& timer,
                                                                  const std::function<bool()>& interrupted) {
  std::optional<AdapterOff> off;
  if (who == Who::base) off.emplace(model_);
  const std::size_t count = chunk.pairs.size();
  Work work{context_of(chunk, who == Who::base ? base_memory_ : lora_memory_),
            chunk.pairs,
            std::vector<SentenceTask>(count),
            std::vector<std::int64_t>(count),
            std::vector<SentenceAnswer>(count),
            std::vector<std::string>(count)};
  if (independent() && base) {  // both see the same: no need to tokenise it twice
    work.tasks = base->tasks;
    work.cut_pairs = base->cut_pairs;
  } else if (independent()) {
    make_tasks(chunk, 0, count, work);
  }
  const std::size_t batch = independent() ? std::size_t(config_.translation.batch_sentences) : 1;
  PromptCache read = sentence_cache(model_, std::int64_t(std::min(batch, count)));
  for (std::size_t first = 0; first < count; first += batch)
    if (!translate_pairs(who, chunk, first, std::min(count, first + batch), work, read, timer, interrupted)) return {};
  return work;
}

void NovelTranslation::make_tasks(const NovelChunk& chunk, std::size_t first, std::size_t end, Work& work) const {
  std::vector<SentencePair> seen = work.context;
  seen.insert(seen.end(), work.history.begin(), work.history.begin() + std::ptrdiff_t(first));
  for (std::size_t i = first; i < end; seen.push_back(work.history[i++])) {
    if (has_empty_side(chunk.pairs[i])) continue;
    work.tasks[i].reference = prompts_.reference(chunk.pairs[i].en);
    const std::int64_t behind = tokens_behind_prompt(config_, std::int64_t(work.tasks[i].reference.size()));
    TranslationPrompt prompt =
        named(novel_, next_chunk_, i, [&] { return prompts_.prompt(seen, chunk.pairs[i].zh, window_ - behind); });
    work.tasks[i].prompt = std::move(prompt.ids);
    work.cut_pairs[i] = prompt.cut_pairs;
  }
}

bool NovelTranslation::translate_pairs(Who who, const NovelChunk& chunk, std::size_t first, std::size_t end, Work& work,
                                       PromptCache& read, PhaseTimer& timer,
                                       const std::function<bool()>& interrupted) {
  if (!independent()) make_tasks(chunk, first, end, work);
  timer.mark("prompts");
  std::vector<SentenceTask> tasks;
  std::vector<std::size_t> which;
  std::vector<std::int64_t>
      streams;  // a pair's own, so that its text depends neither on its batch nor on who translates
  for (std::size_t i = first; i < end; ++i) {
    if (work.tasks[i].prompt.empty()) continue;
    tasks.push_back(work.tasks[i]);
    which.push_back(i);
    streams.push_back(first_pair_ + std::int64_t(i));
  }

  DecodeOptions options = decoding_;
  options.interrupted = interrupted;
  options.version = who == Who::base ? 0 : adapter_->version();
  const std::uint64_t seed = adapter_seed(config_.seed, novel_index_, 1);  // 0 is the adapter's
  std::optional<std::vector<SentenceAnswer>> answers;
  try {
    answers = answer(model_, read, tasks, options, SamplingStreams(seed, std::move(streams)), timer,
                     who == Who::base ? "base" : "lora");
  } catch (const Error& error) {
    const std::string why =
        error.exit_code() == Exit::numerics
            ? "; " + why_not_finite(model_, config_, who == Who::base, adapter_ ? adapter_->steps() : 0)
            : "";
    throw Error(error.exit_code(), fmt::format("{}: chunk {}: {}{}", novel_.name, next_chunk_, error.what(), why));
  }
  if (!answers) return false;
  for (std::size_t a = 0; a < which.size(); ++a) {
    const std::size_t i = which[a];
    work.answers[i] = std::move((*answers)[a]);
    work.texts[i] = text_of(work.answers[i].ids);
    if (!sees_reference(std::size_t(first_pair_) + i)) work.history[i].en = work.texts[i];
  }
  return true;
}

bool NovelTranslation::sees_reference(std::size_t pair) const {
  return draw(config_.seed, novel_index_, std::int64_t(pair)) < config_.translation.history.reference_share;
}

std::string NovelTranslation::text_of(const std::vector<std::int64_t>& ids) const {
  std::string text = prompts_.clean(ids, decoding_.stop_tokens);
  for (const std::string& stop : stop_texts_) text = text.substr(0, text.find(stop));
  return std::string(strip(text));
}

// A file's context repeats the pairs before the chunk with their references; a translator's own English takes their
// place where the Chinese says that it is the same pair.
std::vector<SentencePair> NovelTranslation::context_of(const NovelChunk& chunk, const Memory& memory) const {
  std::vector<SentencePair> context = chunk.context;
  for (std::size_t back = 1; back <= std::min(context.size(), memory.size()); ++back) {
    const SentencePair& own = memory[memory.size() - back];
    SentencePair& given = context[context.size() - back];
    if (given.zh == own.zh) given.en = own.en;
  }
  return context;
}

void NovelTranslation::remember(Memory& memory, const std::vector<SentencePair>& pairs) const {
  if (independent()) return;  // the file's contexts say it all
  memory.insert(memory.end(), pairs.begin(), pairs.end());
  if (memory.size() > longest_context_)
    memory.erase(memory.begin(), memory.end() - std::ptrdiff_t(longest_context_));
}

std::optional<Learnt> NovelTranslation::learn(const Work& work, PhaseTimer& timer, TranslatedChunk& result) {
  std::vector<SentencePair> pairs = work.context;
  pairs.insert(pairs.end(), work.history.begin(), work.history.end());
  TranslationSegment segment;
  try {
    segment = named(novel_, next_chunk_, work.history.size() - 1,
                    [&] { return prompts_.training_segment(pairs, work.history.size(), window_); });
  } catch (const Error& error) {
    if (independent()) throw;  // references are known to fit; what a model wrote can be longer than its tokens were
    log_line(fmt::format("{}; chunk {} is not learnt", error.what(), next_chunk_));
    return {};
  }
  result.lesson_tokens = std::int64_t(segment.ids.size());
  result.labelled_tokens = segment.labelled;
  result.lesson_cut_pairs = segment.cut_pairs;

  const at::Tensor tokens = ids_on(model_.options().device(), segment.ids);
  timer.mark("prompts");
  Learnt learnt = adapter_->learn(pass_over(model_, tokens, segment.labelled), next_chunk_, config_.train.epochs, {},
                                  [&](const char* part) { timer.mark(part); });
  result.record.trained_chunk = next_chunk_;
  result.record.learning_rate = learnt.learning_rate;
  return learnt;
}

}  // namespace templora
