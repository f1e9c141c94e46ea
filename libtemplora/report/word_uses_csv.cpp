#include "report/word_uses_csv.h"

#include <fmt/format.h>

#include <set>

#include "metrics/word_uses.h"
#include "report/run_groups.h"
#include "run/run_data.h"
#include "run/token_ids.h"

namespace templora {
namespace {

/// The scored tokens of a book, with their texts.
std::vector<ScoredToken> tokens_of(const RunSummary& run, const RunData& data, std::int64_t book,
                                   const TokenTexts& text_of) {
  const std::vector<std::int32_t> ids = read_token_ids(run.folder, book);
  const auto nll = data.nll.find(book);
  std::vector<ScoredToken> tokens;
  for (const ChunkRecord& chunk : data.chunks) {
    if (chunk.book_index != book) continue;
    const std::int64_t end = chunk.first_token + chunk.tokens;
    for (std::int64_t t = end - chunk.scored_tokens; t < end; ++t) {
      const std::size_t at = tokens.size();
      if (at >= ids.size())
        throw Error(Exit::bad_input, fmt::format("{}: got {} ids, wanted one for each NLL",
                                                 (run.folder / token_ids_name(book)).string(), ids.size()));
      tokens.push_back({text_of(ids[at]), t, {}});
      if (nll == data.nll.end()) continue;
      for (const auto& [arm, values] : nll->second)
        if (at < values.size()) tokens.back().nll[arm] = values[at];
    }
  }
  return tokens;
}

}  // namespace

std::string uses_csv(const std::vector<RunSummary>& runs,
                     const std::function<TokenTexts(const RunSummary&)>& texts_of) {
  std::string out = "run,config_hash,seed,book,book_index,class,use,words,tokens";
  for (const Arm arm : kArms) out += fmt::format(",{}_nll", arm_name(arm));
  out += "\n";
  bool any = false;
  for (const RunSummary& run : runs) {
    if (!run.counted || !fs::exists(run.folder / token_ids_name(0))) continue;
    any = true;
    const RunData data = read_run(run.folder);
    const std::string most = window_tokens(run);
    const std::int64_t window = most.empty() ? 0 : std::stoll(most);
    for (const BookRecord& book : data.books) {
      const TokenTexts text_of = texts_of(run);
      for (const WordUses& row : word_uses(scored_words(tokens_of(run, data, book.book_index, text_of)), window)) {
        out += fmt::format("{},{},{},{},{},{},{},{},{}", csv_field(run.name), csv_field(run.config_hash()),
                           csv_field(run.setting("seed")), csv_field(book.book), book.book_index, row.word_class,
                           row.use, row.words, row.tokens);
        for (const Arm arm : kArms) {
          const auto sum = row.nll.find(arm);
          out += sum == row.nll.end() ? "," : fmt::format(",{}", sum->second / static_cast<double>(row.words));
        }
        out += "\n";
      }
    }
  }
  if (!any)
    throw Error(Exit::bad_input,
                "--format uses: no run has kept its tokens' ids, wanted score.keep_tokens true in one");
  return out;
}

}  // namespace templora
