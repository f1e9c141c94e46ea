#include "verify/verify_generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "config/lengths.h"
#include "core/hash.h"
#include "metrics/derived.h"
#include "metrics/text_statistics.h"
#include "plan/learning_rates.h"
#include "report/generation_table.h"

namespace templora {
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
  const std::vector<GenerationRecord> chunks = read_as(run, "chunks.jsonl", generation_record_from_json, v);
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

}  // namespace templora
