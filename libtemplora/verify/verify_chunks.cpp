#include "verify/verify_chunks.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "config/lengths.h"
#include "plan/cache_plan.h"
#include "plan/document_plan.h"
#include "plan/learning_rates.h"
#include "plan/score_rules.h"
#include "plan/scored_arms.h"

namespace templora {
namespace {

/// One document as its records tell it, beside what the run had to do.
struct Document {
  Document(const UnverifiedRun& run, const BookRecord& record)
      : book(record), plan(plan_of(run, record)), cache(*run.config), rules(*run.config) {}
  const BookRecord& book;
  DocumentPlan plan;
  CachePlan cache;
  ScoreRules rules;
  std::int64_t next_chunk = 0, next_token = 0;
  std::int64_t version = 0, steps = 0;  // of the adapter that scores
  std::set<std::int64_t> learnt;
};

void check_place(const ChunkRecord& chunk, const Document& d, const std::string& where, Verification& v) {
  v.expect(chunk.chunk == d.next_chunk, "chunk-order",
           fmt::format("{}: got chunk {}, wanted {}", where, chunk.chunk, d.next_chunk));
  v.expect(chunk.first_token <= d.next_token, "token-gap",
           fmt::format("{}: got first_token {}, wanted {}: tokens between were never scored", where, chunk.first_token,
                       d.next_token));
  v.expect(chunk.first_token >= d.next_token, "token-overlap",
           fmt::format("{}: got first_token {}, wanted {}: tokens would count twice", where, chunk.first_token,
                       d.next_token));
  const std::int64_t wanted = d.next_chunk < d.plan.size() ? d.plan[d.next_chunk].chunk.count : 0;
  v.expect(chunk.tokens == wanted, "chunk-length",
           fmt::format("{}: got {} tokens, wanted {}", where, chunk.tokens, wanted));
  v.expect(chunk.book == d.book.book, "book-name",
           fmt::format("{}: got book \"{}\", wanted \"{}\"", where, chunk.book, d.book.book));
}

void check_sight(const Config& config, const ChunkRecord& chunk, Document& d, const std::string& where,
                 Verification& v) {
  const PlannedChunk& planned = d.plan[d.next_chunk];
  std::int64_t context = planned.seen.length - planned.chunk.count;
  if (reads_through_cache(config)) {
    d.cache.open(planned.chunk.first, planned.chunk.count);
    context = d.cache.visible();
    d.cache.score(planned.chunk);
  }
  v.expect(chunk.context_tokens == context, "context-tokens",
           fmt::format("{}: got {}, wanted {}", where, chunk.context_tokens, context));
  const std::int64_t scored = chunk.context_tokens > 0 ? chunk.tokens : chunk.tokens - 1;
  v.expect(chunk.scored_tokens == scored, "scored-tokens",
           fmt::format("{}: got {}, wanted {}: a token with nothing before it cannot be scored", where,
                       chunk.scored_tokens, scored));
}

/// What was trained, when, and by which adapter: none before it was scored, or twice, or by another adapter, or against
/// the rules of train.*, or left out without one.
void check_training(const Config& config, const ChunkRecord& chunk, Document& d, const std::string& where,
                    Verification& v) {
  const TrainConfig& train = config.train;
  if (d.plan.starts_adapter(d.next_chunk)) d.version = d.steps = 0;
  v.expect(chunk.adapter_version == d.version, "adapter-version",
           fmt::format("{}: got version {}, wanted {}: so many chunks had the module learnt before", where,
                       chunk.adapter_version, d.version));
  if (d.rules.ask()) d.rules.add(chunk);
  const std::optional<std::int64_t> planned = d.plan.learns_after(d.next_chunk);
  const std::int64_t steps = planned ? d.rules.steps(*planned) : 0;
  std::optional<double> rate;
  if (chunk.trained_chunk) {
    const std::int64_t learnt = *chunk.trained_chunk;
    v.expect(learnt <= chunk.chunk, "trained-before-scored",
             fmt::format("{}: got trained_chunk {}, which was scored only later, by a module that had seen it", where,
                         learnt));
    v.expect(learnt == chunk.chunk - train.lag_chunks, "train-lag",
             fmt::format("{}: got trained_chunk {}, wanted {}, as train.lag_chunks says", where, learnt,
                         chunk.chunk - train.lag_chunks));
    v.expect(d.learnt.insert(learnt).second, "trained-twice",
             fmt::format("{}: got trained_chunk {} a second time", where, learnt));
    v.expect(
        learnt < 0 || learnt > d.next_chunk || d.plan.may_learn(learnt, d.next_chunk), "trained-unasked",
        fmt::format("{}: got training on chunk {}, which train.*, lora.reset_every_tokens or score.adapter leaves out",
                    where, learnt));
    if (planned == learnt && steps > 0) rate = learning_rates(train, d.plan.place_of(learnt), d.steps, steps).back();
  }
  if (planned && (steps > 0) != chunk.trained_chunk.has_value())
    v.found("trained-unasked", fmt::format("{}: got {} training, wanted {}, as the rules of train.* and the scores say",
                                           where, steps > 0 ? "no" : "a", steps > 0 ? "some" : "none"));
  const std::int64_t made = !chunk.trained_chunk ? 0 : steps > 0 ? steps : train.epochs;
  verify_training_values(made, chunk.train_loss, chunk.grad_norm, chunk.learning_rate, rate, chunk.seconds, where, v);
  if (chunk.shared_forward) {
    const bool can = chunk.trained_chunk && d.plan.shares_forward(d.next_chunk);
    v.expect(can, "shared-forward",
             fmt::format("{}: got a shared pass, though training was another computation", where));
    if (can && !chunk.train_loss.empty() && chunk.lora_nll)
      v.expect(std::abs(chunk.train_loss[0] - *chunk.lora_nll) <= 1e-3 * std::max(1.0, *chunk.lora_nll),
               "shared-forward",
               fmt::format("{}: got a first loss of {}, wanted lora_nll, {}: it was the same pass", where,
                           chunk.train_loss[0], *chunk.lora_nll));
  }
  if (chunk.trained_chunk) ++d.version, d.steps += made;
}

void check_arms(const Config& config, const ChunkRecord& chunk, const std::string& where, Verification& v) {
  const std::vector<Arm> asked = scored_arms(config);
  for (const Arm arm : kArms) {
    const bool wanted = chunk.scored_tokens > 0 && std::count(asked.begin(), asked.end(), arm) > 0,
               got = mean_nll(chunk, arm).has_value();
    v.expect(got == wanted, "scorer-columns",
             fmt::format("{}: {}_nll: got {}, wanted {}", where, arm_name(arm), got ? "a value" : "none",
                         wanted ? "a value" : "none"));
  }
  // An adapter that has learnt nothing adds nothing.
  const bool fresh = !config.lora.init_from || config.lora.init_parts == InitParts::a;
  if (chunk.adapter_version == 0 && fresh && chunk.base_nll && chunk.lora_nll)
    v.expect(std::abs(*chunk.base_nll - *chunk.lora_nll) <= 2e-3 * std::max(1.0, *chunk.base_nll), "fresh-module",
             fmt::format("{}: got {} by a module that had learnt nothing, wanted the base's {}", where, *chunk.lora_nll,
                         *chunk.base_nll));
}

/// Whether another text may have this book's name: records tell texts by their names alone.
bool has_namesake(const Config& config, const std::string& book) {
  std::set<std::string> paths;
  for (const auto* patterns : {&config.data.books, &config.data.control_books})
    for (const std::string& pattern : *patterns)
      if (::fnmatch(fs::path(pattern).filename().c_str(), book.c_str(), 0) == 0) {
        if (fs::path(pattern).parent_path().string().find_first_of("*?[") != std::string::npos)
          return true;  // of many folders
        paths.insert(pattern);
      }
  return paths.size() > 1;
}

}  // namespace

void verify_books(const UnverifiedRun& run, Verification& v) {
  v.check({"book-order", "book-values", "text-hash"});
  const Config& config = *run.config;
  for (std::size_t i = 0; i < run.books.size(); ++i) {
    const BookRecord& book = run.books[i];
    const std::string where = fmt::format("books.jsonl:{}", i + 1);
    v.expect(book.book_index == static_cast<std::int64_t>(i), "book-order",
             fmt::format("{}: got book_index {}, wanted {}", where, book.book_index, i));
    const std::string hash = run.identity(fmt::format("text_{}_hash", book.book_index));
    v.expect(book.text_hash == hash, "text-hash",
             fmt::format("{}: got {}, wanted \"{}\", as in run.json", where, book.text_hash, hash));
    const bool fits = fits_one_window(config, book.tokens);
    v.expect(book.fits_one_window == fits, "book-values",
             fmt::format("{}: fits_one_window: got {}, wanted {}", where, book.fits_one_window, fits));
    const bool counts = book.tokens > 0 && book.text_bytes > 0 && book.words <= book.text_bytes;
    v.expect(counts, "book-values",
             fmt::format("{}: got {} tokens, {} words, {} bytes, wanted some, and no more words than bytes", where,
                         book.tokens, book.words, book.text_bytes));
    v.expect(config.data.max_tokens == 0 || book.tokens <= config.data.max_tokens, "book-values",
             fmt::format("{}: got {} tokens, wanted at most data.max_tokens", where, book.tokens));
  }
  std::map<std::string, std::string> names;  // by text; templora 0.1 took one text under two names
  for (const BookRecord& book : run.books)
    if (const auto [first, is_new] = names.emplace(book.text_hash, book.book); !is_new)
      v.remark(fmt::format("{} is the same text as {}: means over books count it twice", book.book, first->second));
  const auto opened = static_cast<std::int64_t>(run.books.size());
  v.expect(run.finished ? opened == run.texts() : opened <= run.texts(), "book-order",
           fmt::format("books.jsonl: got {} books, wanted {} as in run.json", opened, run.texts()));
}

void verify_chunks(const UnverifiedRun& run, Verification& v) {
  v.check({"chunk-order",   "token-gap",      "token-overlap",   "chunk-length",    "book-end",
           "book-name",     "context-tokens", "scored-tokens",   "adapter-version", "trained-before-scored",
           "train-lag",     "trained-twice",  "trained-unasked", "training-steps",  "training-values",
           "learning-rate", "shared-forward", "scorer-columns",  "fresh-module",    "staleness",
           "seconds"});
  const Config& config = *run.config;
  std::optional<Document> d;
  std::int64_t last_book = -1;
  const auto end_book = [&] {
    if (d)
      v.expect(d->next_token == d->book.tokens, "book-end",
               fmt::format("chunks.jsonl: {}: got {} tokens of {}, wanted the whole book", d->book.book, d->next_token,
                           d->book.tokens));
  };
  for (std::size_t i = 0; i < run.chunks.size(); ++i) {
    const ChunkRecord& chunk = run.chunks[i];
    const std::string& where = run.places[i];
    if (chunk.book_index != last_book) {
      end_book();
      v.expect(chunk.book_index == last_book + 1, "chunk-order",
               fmt::format("{}: got book_index {}, wanted {}", where, chunk.book_index, last_book + 1));
      last_book = chunk.book_index;
      const std::int64_t version = d ? d->version : 0, steps = d ? d->steps : 0;
      d.reset();
      if (const BookRecord* book = run.book(chunk.book_index)) d.emplace(run, *book);
      if (d && one_for_all(config)) d->version = version, d->steps = steps;  // it goes on
    }
    if (!v.expect(d.has_value(), "chunk-order",
                  fmt::format("{}: got book_index {}, wanted one of books.jsonl", where, chunk.book_index)))
      continue;
    check_place(chunk, *d, where, v);
    if (d->next_chunk < d->plan.size()) {
      check_sight(config, chunk, *d, where, v);
      check_training(config, chunk, *d, where, v);
    }
    check_arms(config, chunk, where, v);
    if (chunk.staleness)
      v.expect(d->plan.measures_staleness(chunk.chunk) && chunk.staleness->kl > -1e-4 &&
                   chunk.staleness->oldest_versions >= 0 &&
                   chunk.staleness->mean_versions <= static_cast<double>(chunk.staleness->oldest_versions) + 1e-9,
               "staleness", fmt::format("{}: got a measurement that was not asked for, or one that cannot be", where));
    ++d->next_chunk;
    d->next_token = chunk.first_token + chunk.tokens;
  }
  if (run.finished) {
    end_book();
    v.expect(last_book + 1 == static_cast<std::int64_t>(run.books.size()), "book-end",
             fmt::format("chunks.jsonl: got chunks of {} books, wanted {}", last_book + 1, run.books.size()));
  }
}

void verify_controls(const UnverifiedRun& run, Verification& v) {
  const Config& config = *run.config;
  if (config.control.empty()) return;
  v.check({"control-pairing", "control-source", "control-order"});
  for (std::size_t i = 0; i < run.chunks.size(); ++i) {
    const ChunkRecord& chunk = run.chunks[i];
    const ChunkRecord* before =
        i > 0 && run.chunks[i - 1].book_index == chunk.book_index ? &run.chunks[i - 1] : nullptr;
    for (const auto& [arm, control] : chunk.controls) {
      if (!is_control(arm)) continue;
      const bool learnt = !control.trained_book.empty();
      const char* name = arm_name(arm);
      // A control's adapter lives as the text's own does: it learns when that learns.
      v.expect(learnt == chunk.trained_chunk.has_value(), "control-pairing",
               fmt::format("{}: {}_trained: got {}, wanted as trained_chunk", run.places[i], name,
                           learnt ? "a segment" : "none"));
      if (!learnt) continue;
      if (arm == Arm::shuffled_words) {
        const std::int64_t own_chunk = chunk.trained_chunk.value_or(chunk.chunk);
        const bool there = own_chunk <= chunk.chunk && own_chunk >= chunk.chunk - static_cast<std::int64_t>(i);
        const ChunkRecord& own = run.chunks[there ? i - static_cast<std::size_t>(chunk.chunk - own_chunk) : i];
        v.expect(control.trained_book == chunk.book && control.trained_token == own.first_token, "control-source",
                 fmt::format("{}: {}_trained: got token {} of {}, wanted the chunk that is learnt, at token {} of {}",
                             run.places[i], name, control.trained_token, control.trained_book, own.first_token,
                             chunk.book));
        continue;
      }
      v.expect(control.trained_book != chunk.book || has_namesake(config, chunk.book), "control-source",
               fmt::format("{}: {}_trained: got \"{}\", the very text that is scored", run.places[i], name,
                           control.trained_book));
      if (control.trained_token < 0)
        v.found("control-order", fmt::format("{}: {}_trained: got a token before the text", run.places[i], name));
      if (arm != Arm::other_book || !before || !before->controls.contains(arm)) continue;
      const ControlRecord& last = before->controls.at(arm);
      if (last.trained_book.empty() || !before->trained_chunk || *before->trained_chunk + 1 != *chunk.trained_chunk)
        continue;
      const std::int64_t back = chunk.chunk - *before->trained_chunk;
      if (back < 1 || back > static_cast<std::int64_t>(i)) continue;
      const ChunkRecord& segment = run.chunks[i - static_cast<std::size_t>(back)];
      const bool follows =
          control.trained_book == last.trained_book && control.trained_token == last.trained_token + segment.tokens;
      v.expect(
          follows || control.trained_token == 0, "control-order",
          fmt::format("{}: {}_trained: got token {} of {}, wanted the chunk after token {} of {}, or a text's start",
                      run.places[i], name, control.trained_token, control.trained_book, last.trained_token,
                      last.trained_book));
    }
  }
}

}  // namespace templora
