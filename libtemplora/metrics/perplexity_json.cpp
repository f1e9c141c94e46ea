#include <fmt/format.h>

#include "metrics/perplexity.h"

namespace templora {
namespace {

Json perplexity_json(const std::optional<Perplexity>& p) {
  if (!p) return nullptr;
  return {{"corpus", optional_json(p->corpus)},
          {"chunk_mean", optional_json(p->chunk_mean)},
          {"book_mean", optional_json(p->book_mean)},
          {"word_level", optional_json(p->word_level)},
          {"bits_per_byte", optional_json(p->bits_per_byte)},
          {"tokens", p->tokens}};
}

Json book_means_json(const std::map<Arm, BookMean>& means) {
  Json json = Json::object();
  for (const auto& [arm, mean] : means) {
    Json& object = json[arm_name(arm)] = {{"change_percent", mean.mean}, {"low", optional_json(mean.low)},
                                                {"high", optional_json(mean.high)}, {"books", mean.books},
                                                {"method", mean.method}};
    if (mean.p) object["p"] = *mean.p;
    for (const double value : mean.values) object["book_change_percent"].push_back(optional_json(finite(value)));
  }
  return json;
}

Json block_means_json(const std::map<Arm, BlockMean>& means) {
  Json json = Json::object();
  for (const auto& [arm, mean] : means)
    json[arm_name(arm)] = {{"change_percent", mean.mean}, {"low", optional_json(mean.low)},
                                 {"high", optional_json(mean.high)}, {"chunks", mean.chunks},
                                 {"block_chunks", mean.block_chunks}, {"method", mean.low ? "moving-blocks" : "none"}};
  return json;
}

Json rows_json(const std::vector<SegmentRow>& rows) {
  Json json = Json::array();
  for (const SegmentRow& row : rows) {
    json.push_back({{"label", row.label},
                    {"first_token", row.first_token},
                    {"end_token", optional_json(row.end_token)},
                    {"tokens", row.tokens},
                    {"books", row.books},
                    {"few_books", row.books < kFewBooks},
                    {"base", perplexity_json(row.base)},
                    {"lora", perplexity_json(row.lora)},
                    {"change_corpus_percent", optional_json(row.change_corpus_percent)},
                    {"change_chunk_mean_percent", optional_json(row.change_chunk_mean_percent)},
                    {"first_segment_change_percent", optional_json(row.first_segment_change_percent)}});
    Json& object = json.back();
    for (const auto& [arm, perplexity] : row.controls) {
      object[arm_name(arm)] = perplexity_json(perplexity);
      object[fmt::format("{}_change_corpus_percent", arm_name(arm))] =
          optional_json(change_percent(row.base, perplexity));
    }
    if (!row.over_books.empty()) object["over_books"] = book_means_json(row.over_books);
    if (!row.against_first_segment.empty())
      object["against_first_segment"] = book_means_json(row.against_first_segment);
    if (!row.within_book.empty()) object["within_book"] = block_means_json(row.within_book);
  }
  return json;
}

}  // namespace

Json to_json(const PerplexityTable& table) {
  Json books = Json::array();
  for (const auto& [name, rows] : table.books) books.push_back({{"book", name}, {"segments", rows_json(rows)}});
  Json json{{"table_version", table.version},
            {"all", rows_json(table.all)},
            {"books", books},
            {"no_gain_possible", table.no_gain_possible},
            {"official_base", optional_json(table.official_base)},
            {"official_lora", optional_json(table.official_lora)}};
  if (table.version >= kVersionOfUnscoredTokens) json["notes"] = table.notes;
  return json;
}

}  // namespace templora
