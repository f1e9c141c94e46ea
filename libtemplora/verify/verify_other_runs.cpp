// Runs other than perplexity: translation, generation, pretraining.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/hash.h"
#include "metrics/derived.h"
#include "metrics/text_statistics.h"
#include "metrics/translation.h"
#include "report/generation_table.h"
#include "report/pretrain_table.h"
#include "plan/learning_rates.h"
#include "verify/unverified_run.h"
#include "report/translation_table.h"
#include "config/lengths.h"

namespace templora {
namespace {

template <class Record>
std::vector<Record> read_as(const UnverifiedRun& run, const std::string& name,
                            Record (*read)(const Json&, const std::string&), Verification& v) {
  std::vector<Record> records;
  for (const RecordLine& line : read_lines(run, name, v)) {
    try {
      records.push_back(read(line.json, line.where));
    } catch (const Error& error) {
      v.found("record-fields", error.what());
    }
  }
  return records;
}

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

namespace {

/// Letters and digits of a text: what survives cutting it between any two tokens.
std::string letters_of(const std::string& text) {
  std::string out;
  for (const char c : text)
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) out += c;
  return out;
}

std::vector<std::int64_t> prompt_of(const UnverifiedRun& run, Verification& v) {
  v.check("prompt-hash");
  try {
    const auto prompt = run.run.at("prompt_tokens").get<std::vector<std::int64_t>>();
    const std::string hash = hash_hex(Json(prompt).dump());
    v.expect(hash == run.identity("prompt_hash"), "prompt-hash",
             fmt::format("run.json: identity: prompt_hash: got \"{}\", wanted {}", run.identity("prompt_hash"), hash));
    return prompt;
  } catch (const nlohmann::json::exception&) {
    v.found("prompt-hash", "run.json: prompt_tokens: missing, or no array of tokens");
    return {};
  }
}

}  // namespace

void verify_generation(const UnverifiedRun& run, Verification& v) {
  v.check({"chunk-order", "token-gap", "chunk-length", "adapter-version", "trained-before-scored", "train-lag",
           "training-steps", "training-values", "learning-rate", "repetition", "seconds"});
  const Config& config = *run.config;
  const std::vector<std::int64_t> prompt = prompt_of(run, v);
  std::vector<GenerationRecord> chunks;
  for (const RecordLine& line : read_lines(run, "chunks.jsonl", v)) {
    try {
      chunks.push_back(generation_record_from_json(line.json, line.where));
    } catch (const Error& error) {
      v.found("record-fields", error.what());
    }
  }
  // Where the prompt was learnt, or a snapshot brought an adapter, numbers go on from there.
  const bool from_start = !config.generate.learn_prompt && !config.generate.from_snapshot;
  const std::int64_t lag = training_lag(config);
  std::int64_t next_chunk = from_start || chunks.empty() ? 0 : chunks[0].chunk,
               version = from_start || chunks.empty() ? 0 : chunks[0].adapter_version;
  auto next_token = static_cast<std::int64_t>(prompt.size());
  std::int64_t written = 0;
  std::string letters;
  RepetitionCounter repetition;
  repetition.add_context(prompt);
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const GenerationRecord& chunk = chunks[i];
    const std::string where = fmt::format("chunks.jsonl:{}", i + 1);
    v.expect(chunk.chunk == next_chunk, "chunk-order",
             fmt::format("{}: got chunk {}, wanted {}", where, chunk.chunk, next_chunk));
    v.expect(chunk.first_token == next_token, "token-gap",
             fmt::format("{}: got first_token {}, wanted {}", where, chunk.first_token, next_token));
    const std::int64_t full = std::min(config.window.chunk_tokens, config.generate.tokens - written);
    const bool cut = i + 1 == chunks.size() && !config.generate.stop.empty();
    const bool counted = !config.generate.from_snapshot;  // whose text counts as written already
    v.expect(chunk.tokens == static_cast<std::int64_t>(chunk.token_ids.size()) &&
                 (!counted || chunk.tokens == full || (cut && chunk.tokens < full)),
             "chunk-length",
             fmt::format("{}: got {} tokens and {} ids, wanted {}", where, chunk.tokens, chunk.token_ids.size(), full));
    v.expect(chunk.adapter_version == version, "adapter-version",
             fmt::format("{}: got version {}, wanted {}", where, chunk.adapter_version, version));
    std::optional<double> rate;
    if (chunk.trained_chunk) {
      v.expect(*chunk.trained_chunk <= chunk.chunk, "trained-before-scored",
               fmt::format("{}: got trained_chunk {}, which was not written yet", where, *chunk.trained_chunk));
      v.expect(*chunk.trained_chunk == chunk.chunk - lag, "train-lag",
               fmt::format("{}: got trained_chunk {}, wanted {}", where, *chunk.trained_chunk, chunk.chunk - lag));
      if (from_start)
        rate = learning_rates(config.train, *chunk.trained_chunk, version * config.train.epochs, config.train.epochs)
                   .back();
    }
    verify_training_values(chunk.trained_chunk ? config.train.epochs : 0, chunk.train_loss, chunk.grad_norm,
                           chunk.learning_rate, rate, chunk.seconds, where, v);
    const TextStatistics wanted = repetition.add_chunk(chunk.token_ids);
    const bool same = std::abs(wanted.repeated_4grams - chunk.repeated_4grams) < 1e-9 &&
                      chunk.distinct.size() == std::size(wanted.distinct) &&
                      std::equal(chunk.distinct.begin(), chunk.distinct.end(), std::begin(wanted.distinct),
                                 [](double a, double b) { return std::abs(a - b) < 1e-9; });
    v.expect(same || !counted, "repetition", fmt::format("{}: got repetition that its tokens do not have", where));
    letters += letters_of(chunk.text);
    version += chunk.trained_chunk.has_value();
    next_chunk = chunk.chunk + 1;
    next_token = chunk.first_token + chunk.tokens;
    written += chunk.tokens;
  }
  if (!run.finished) return;
  v.expect(written == config.generate.tokens || !config.generate.stop.empty() || config.generate.from_snapshot,
           "chunk-length", fmt::format("chunks.jsonl: got {} tokens, wanted {}", written, config.generate.tokens));
  v.check({"summary-table", "table-text", "written-text"});
  if (fs::exists(run.folder / "text.txt"))
    v.expect(letters_of(read_file(run.folder / "text.txt")).ends_with(letters), "written-text",
             "text.txt: it does not end in what the chunks say");
  if (!run.summary || !v.sound("record-fields") || !v.sound("record-syntax"))
    return v.not_checked("summary-table", "the records cannot be read, see above");
  const std::string difference = first_difference(*run.summary, generation_summary(chunks));
  v.expect(difference.empty(), "summary-table", "summary.json: " + difference + ", as the chunks give");
  expect_text(
      run, "table.md", [&](const Json& record) { return generation_markdown(chunks, record); }, "table-text",
      v);
}

namespace {

void check_pretrain(const UnverifiedRun& run, Verification& v) {
  const PretrainConfig& p = run.config->pretrain;
  const std::vector<RecordLine> steps = read_lines(run, "steps.jsonl", v),
                                looks = read_lines(run, "validation.jsonl", v),
                                plan = read_lines(run, "schedule.jsonl", v);
  const std::int64_t step_tokens = p.batch_sequences * p.sequence_tokens;
  std::int64_t count = 0;
  for (const RecordLine& line : steps) {
    const std::int64_t step = line.json.at("step");
    v.expect(step == ++count, "step-order", fmt::format("{}: got step {}, wanted {}", line.where, step, count));
    v.expect(
        line.json.at("tokens") == step * step_tokens, "step-order",
        fmt::format("{}: tokens: got {}, wanted {}", line.where, line.json.at("tokens").dump(), step * step_tokens));
    v.expect(line.json.at("loss").get<double>() >= 0 && line.json.at("grad_norm").get<double>() >= 0, "training-values",
             fmt::format("{}: got a loss or gradient norm below 0", line.where));
    v.expect(line.json.at("seconds").get<double>() >= 0, "seconds",
             fmt::format("{}: seconds: got {}", line.where, line.json.at("seconds").dump()));
    std::int64_t all = run.run.value("steps", std::int64_t{0});
    for (const RecordLine& entry : plan)
      if (entry.json.at("after_step").get<std::int64_t>() < step) all = entry.json.at("steps");
    const double rate = line.json.at("learning_rate"), wanted = pretraining_rate(p, step, all);
    v.expect(std::abs(rate - wanted) <= 1e-9 * wanted, "learning-rate",
             fmt::format("{}: got {}, wanted {}, as the schedule says", line.where, rate, wanted));
  }
  for (const RecordLine& line : looks) {
    const Json &got = line.json.at("perplexity"),
               wanted = optional_json(perplexity_of(line.json.at("nll").get<double>()));
    v.expect(first_difference(got, wanted).empty(), "validation-values",
             fmt::format("{}: got perplexity {}, wanted exp(nll)", line.where, got.dump()));
    v.expect(line.json.at("step").get<std::int64_t>() <= count, "validation-values",
             fmt::format("{}: got a step that was not taken", line.where));
  }
  if (!run.summary) return;
  v.check("summary-table");
  const Json wanted{{"steps", count},
                    {"tokens", count * step_tokens},
                    {"validation", looks.empty() ? Json(nullptr) : looks.back().json}};
  const std::string difference = first_difference(*run.summary, wanted);
  v.expect(difference.empty(), "summary-table", "summary.json: " + difference + ", as the records give");
  if (looks.empty() || !difference.empty()) return;
  const Json& last = looks.back().json;
  const std::string row = pretrain_row(count * step_tokens, run.summary->at("passes").get<double>(), last);
  v.check("table-text");
  if (fs::exists(run.folder / "table.md"))
    v.expect(read_file(run.folder / "table.md").ends_with(row), "table-text",
             "table.md: it is not what the records give");
}

}  // namespace

void verify_pretrain(const UnverifiedRun& run, Verification& v) {
  v.check({"step-order", "training-values", "learning-rate", "seconds", "validation-values"});
  try {
    check_pretrain(run, v);
  } catch (const nlohmann::json::exception& error) {
    v.found("record-fields", error.what());
  }
}

}  // namespace templora
