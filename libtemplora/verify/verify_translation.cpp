#include "verify/verify_translation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/lengths.h"
#include "metrics/derived.h"
#include "metrics/translation.h"
#include "plan/learning_rates.h"
#include "report/translation_table.h"
#include "verify/verify_tables.h"

namespace templora {
namespace {

/// The pairs of one chunk, from `at` on, beside the chunk and its per-token values.
void check_pairs(const UnverifiedRun& run, std::size_t chunk_index, const std::vector<PairRecord>& pairs,
                 std::size_t& at, std::map<Arm, std::size_t>& value_at, Verification& v) {
  const ChunkRecord& chunk = run.chunks[chunk_index];
  const std::string& where = run.places[chunk_index];
  const auto found = run.chunk_json[chunk_index].find("pairs");
  const std::int64_t wanted =
      found != run.chunk_json[chunk_index].end() && found->is_number_integer() ? found->get<std::int64_t>() : -1;
  std::int64_t count = 0, tokens = 0;
  for (; at < pairs.size() && pairs[at].novel_index == chunk.book_index && pairs[at].chunk == chunk.chunk;
       ++at, ++count) {
    const PairRecord& pair = pairs[at];
    const std::string line = fmt::format("pairs.jsonl:{}", at + 1);
    v.expect(pair.pair == count, "pair-order", fmt::format("{}: got pair {}, wanted {}", line, pair.pair, count));
    tokens += pair.reference_tokens;
    for (const auto& [arm, mean] : {std::pair{Arm::base, pair.base_nll}, std::pair{Arm::lora, pair.lora_nll}}) {
      const auto book = run.nll.find(chunk.book_index);
      if (!mean || book == run.nll.end() || !book->second.contains(arm)) continue;
      const std::vector<float>& values = book->second.at(arm);
      std::size_t& from = value_at[arm];
      const auto n = static_cast<std::size_t>(pair.reference_tokens);
      if (n == 0 || values.size() < from + n) continue;
      double sum = 0;
      for (std::size_t k = from; k < from + n; ++k) sum += values[k];
      from += n;
      v.expect(std::abs(sum / static_cast<double>(n) - *mean) <= 1e-9 * std::max(1.0, std::abs(*mean)), "pair-mean",
               fmt::format("{}: {}_nll: got {}, but its values have the mean {}", line, arm_name(arm), *mean,
                           sum / static_cast<double>(n)));
    }
  }
  v.expect(count == wanted, "pair-order",
           fmt::format("{}: got {} pairs in pairs.jsonl, wanted {}", where, count, wanted));
  v.expect(tokens == chunk.tokens, "pair-tokens",
           fmt::format("{}: got {} tokens, but its pairs have {}", where, chunk.tokens, tokens));
}

/// The scores of a run that has a COMET column, one for each pair. → none where a line is missing or stands elsewhere
std::optional<std::vector<CometRecord>> check_comet(const UnverifiedRun& run, const std::vector<PairRecord>& pairs,
                                                    Verification& v) {
  v.check("comet-scores");
  std::vector<CometRecord> comet = read_as(run, "comet.jsonl", comet_record_from_json, v);
  if (!v.expect(comet.size() == pairs.size(), "comet-scores",
                fmt::format("comet.jsonl: got {} lines, wanted {}, one a pair", comet.size(), pairs.size())))
    return {};
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const CometRecord& score = comet[i];
    const PairRecord& pair = pairs[i];
    const bool fits = score.novel_index == pair.novel_index && score.chunk == pair.chunk && score.pair == pair.pair &&
                      score.base_comet.has_value() == pair.base_text.has_value() &&
                      score.lora_comet.has_value() == pair.lora_text.has_value();
    if (!v.expect(fits, "comet-scores",
                  fmt::format("comet.jsonl:{}: it does not belong to pairs.jsonl:{}", i + 1, i + 1)))
      return {};
  }
  return comet;
}

void check_translation_tables(const UnverifiedRun& run, const std::vector<PairRecord>& pairs, Verification& v) {
  v.check({"summary-table", "table-text"});
  if (!run.summary || !v.sound()) {
    for (const char* name : {"summary-table", "table-text"})
      v.not_checked(name, "the records do not fit together, see above");
    return;
  }
  const std::string note = run.summary->value("comet_note", "");
  std::vector<CometRecord> comet;
  if (note.empty()) {
    std::optional<std::vector<CometRecord>> scores = check_comet(run, pairs, v);
    if (!scores) {
      for (const char* name : {"summary-table", "table-text"})
        v.not_checked(name, "the scores do not fit the pairs, see above");
      return;
    }
    comet = std::move(*scores);
  }
  TranslationTable table = translation_table(pairs, comet);
  table.comet_note = note;
  Json wanted = to_json(table);
  if (!run.summary->contains("chunks")) wanted.erase("chunks");  // older than these rows
  const std::string difference = first_difference(*run.summary, wanted);
  v.expect(difference.empty(), "summary-table", "summary.json: " + difference + ", as the pairs give");
  expect_text(
      run, "table.md", [&](const Json& record) { return translation_markdown(table, record); }, "table-text",
      v);
}

}  // namespace

void verify_translation(UnverifiedRun& run, Verification& v) {
  v.check({"book-order", "text-hash", "chunk-order", "token-gap", "scored-tokens", "adapter-version",
           "trained-before-scored", "training-steps", "training-values", "learning-rate", "seconds", "pair-order",
           "pair-tokens", "pair-mean"});
  const Config& config = *run.config;
  for (std::size_t i = 0; i < run.books.size(); ++i) {
    const BookRecord& book = run.books[i];
    v.expect(book.book_index == static_cast<std::int64_t>(i), "book-order",
             fmt::format("books.jsonl:{}: got book_index {}, wanted {}", i + 1, book.book_index, i));
    v.expect(book.text_hash == run.identity(fmt::format("text_{}_hash", i)), "text-hash",
             fmt::format("books.jsonl:{}: got {}, wanted that of run.json", i + 1, book.text_hash));
  }
  if (run.finished)
    v.expect(static_cast<std::int64_t>(run.books.size()) == run.texts(), "book-order",
             fmt::format("books.jsonl: got {} novels, wanted {}", run.books.size(), run.texts()));
  verify_nll(run, v);
  const std::vector<PairRecord> pairs = read_as(run, "pairs.jsonl", pair_record_from_json, v);
  std::size_t at = 0;
  std::int64_t book = -1, next_chunk = 0, next_token = 0, version = 0;
  std::map<Arm, std::size_t> value_at;
  for (std::size_t i = 0; i < run.chunks.size(); ++i) {
    const ChunkRecord& chunk = run.chunks[i];
    const std::string& where = run.places[i];
    if (chunk.book_index != book) {
      v.expect(chunk.book_index == book + 1 && run.book(chunk.book_index), "chunk-order",
               fmt::format("{}: got book_index {}, wanted {}", where, chunk.book_index, book + 1));
      book = chunk.book_index;
      next_chunk = next_token = version = 0;
      value_at.clear();
    }
    v.expect(chunk.chunk == next_chunk, "chunk-order",
             fmt::format("{}: got chunk {}, wanted {}", where, chunk.chunk, next_chunk));
    v.expect(chunk.first_token == next_token, "token-gap",
             fmt::format("{}: got first_token {}, wanted {}", where, chunk.first_token, next_token));
    v.expect(chunk.scored_tokens == chunk.tokens, "scored-tokens",
             fmt::format("{}: got {}, wanted {}", where, chunk.scored_tokens, chunk.tokens));
    v.expect(chunk.adapter_version == version, "adapter-version",
             fmt::format("{}: got version {}, wanted {}", where, chunk.adapter_version, version));
    std::optional<double> rate;
    if (chunk.trained_chunk) {
      v.expect(*chunk.trained_chunk == chunk.chunk, "trained-before-scored",
               fmt::format("{}: got trained_chunk {}, wanted {}", where, *chunk.trained_chunk, chunk.chunk));
      rate = learning_rates(config.train, chunk.chunk, version * config.train.epochs, config.train.epochs).back();
    }
    verify_training_values(chunk.trained_chunk ? config.train.epochs : 0, chunk.train_loss, chunk.grad_norm,
                           chunk.learning_rate, rate, chunk.seconds, where, v);
    check_pairs(run, i, pairs, at, value_at, v);
    version += chunk.trained_chunk.has_value();
    next_chunk = chunk.chunk + 1;
    next_token = chunk.first_token + chunk.tokens;
  }
  v.expect(at == pairs.size() || !run.finished, "pair-order",
           fmt::format("pairs.jsonl: got {} pairs, but chunks.jsonl has room for {}", pairs.size(), at));
  for (const BookRecord& record : run.books) {
    std::int64_t tokens = 0;
    for (const ChunkRecord& chunk : run.chunks) tokens += chunk.book_index == record.book_index ? chunk.tokens : 0;
    if (run.finished)
      v.expect(tokens == record.tokens, "token-gap",
               fmt::format("{}: got {} tokens in its chunks, wanted {}", record.book, tokens, record.tokens));
  }
  if (run.finished) check_translation_tables(run, pairs, v);
}

}  // namespace templora
