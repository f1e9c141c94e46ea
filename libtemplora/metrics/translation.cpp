#include "metrics/translation.h"

#include <cmath>
#include <numeric>
#include <span>

#include "core/check.h"
#include "metrics/derived.h"

namespace templora {
namespace {

/// One of the two translators' part of a record.
struct Translator {
  const std::optional<double> PairRecord::*nll;
  const std::optional<std::string> PairRecord::*text;
  const bool PairRecord::*stopped;
};

const Translator kBase{&PairRecord::base_nll, &PairRecord::base_text, &PairRecord::base_stopped};
const Translator kLora{&PairRecord::lora_nll, &PairRecord::lora_text, &PairRecord::lora_stopped};

std::optional<TranslationScores> scores_of(const std::vector<const PairRecord*>& pairs, const Translator& side,
                                           const std::vector<double>& comet) {
  TranslationScores scores;
  std::vector<std::string> hypotheses, references;
  std::vector<std::vector<std::string>> reference_lists;
  double nll = 0, weighted = 0, tokens = 0;
  for (const PairRecord* pair : pairs) {
    if (!(pair->*side.text) || !(pair->*side.nll)) continue;
    const auto count = double(pair->reference_tokens);
    nll += *(pair->*side.nll) * count;
    weighted += std::exp(*(pair->*side.nll)) * count;
    tokens += count;
    hypotheses.push_back(*(pair->*side.text));
    references.push_back(pair->en);
    reference_lists.push_back({pair->en});
    scores.not_stopped += pair->*side.stopped ? 0 : 1;
  }
  if (hypotheses.empty()) return {};
  scores.perplexity = perplexity_of(nll / tokens);
  scores.sentence_perplexity = finite(weighted / tokens);
  scores.bleu = corpus_bleu(hypotheses, reference_lists);
  scores.chrf = corpus_chrf(hypotheses, reference_lists);
  scores.released_bleu = released_bleu(hypotheses, references);
  if (!comet.empty()) scores.comet = std::accumulate(comet.begin(), comet.end(), 0.0) / double(comet.size());
  return scores;
}

TranslationRow row_of(const std::string& label, std::span<const PairRecord> pairs, std::size_t first,
                      const std::vector<CometRecord>& comet) {
  TranslationRow row;
  row.label = label;
  std::vector<const PairRecord*> translated;
  std::vector<double> base_comet, lora_comet;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const PairRecord& pair = pairs[i];
    if (pair.cut_pairs > 0) ++row.cut_pairs;
    if (pair.skipped) {
      ++row.skipped;
      continue;
    }
    ++row.pairs;
    row.tokens += pair.reference_tokens;
    translated.push_back(&pair);
    if (comet.empty()) continue;
    if (const auto& score = comet[first + i].base_comet) base_comet.push_back(*score);
    if (const auto& score = comet[first + i].lora_comet) lora_comet.push_back(*score);
  }
  row.base = scores_of(translated, kBase, base_comet);
  row.lora = scores_of(translated, kLora, lora_comet);
  return row;
}

Json to_json(const std::optional<TranslationScores>& scores) {
  if (!scores) return nullptr;
  return {{"perplexity", optional_json(scores->perplexity)},
          {"sentence_perplexity", optional_json(scores->sentence_perplexity)},
          {"bleu", scores->bleu.score},
          {"bleu_signature", scores->bleu.signature},
          {"chrf2", scores->chrf.score},
          {"chrf2_signature", scores->chrf.signature},
          {"released_bleu", scores->released_bleu},
          {"comet", scores->comet ? Json(*scores->comet) : Json(nullptr)},
          {"not_stopped", scores->not_stopped}};
}

Json to_json(const TranslationRow& row) {
  return {{"label", row.label},         {"pairs", row.pairs},         {"skipped", row.skipped},  {"tokens", row.tokens},
          {"cut_pairs", row.cut_pairs}, {"base", to_json(row.base)}, {"lora", to_json(row.lora)}};
}

Json chunk_json(const std::optional<TranslationScores>& scores) {
  if (!scores) return nullptr;
  Json json{{"perplexity", optional_json(scores->perplexity)},
            {"sentence_perplexity", optional_json(scores->sentence_perplexity)},
            {"bleu", scores->bleu.score},
            {"chrf2", scores->chrf.score},
            {"released_bleu", scores->released_bleu},
            {"not_stopped", scores->not_stopped}};
  if (scores->comet) json["comet"] = *scores->comet;
  return json;
}

Json to_json(const TranslatedChunkRow& chunk) {
  const TranslationRow& row = chunk.row;
  return {{"novel", row.label},         {"novel_index", chunk.novel_index}, {"chunk", chunk.chunk},
          {"pairs", row.pairs},         {"skipped", row.skipped},           {"tokens", row.tokens},
          {"cut_pairs", row.cut_pairs}, {"base", chunk_json(row.base)},     {"lora", chunk_json(row.lora)}};
}

/// Calls `use(first, end)` for each longest run of records that are `alike`.
template <class Alike, class Use>
void for_each_group(const std::vector<PairRecord>& pairs, Alike&& alike, Use&& use) {
  for (std::size_t first = 0, end = 0; first < pairs.size(); first = end) {
    while (end < pairs.size() && alike(pairs[first], pairs[end])) ++end;
    use(first, end);
  }
}

}  // namespace

TranslationTable translation_table(const std::vector<PairRecord>& pairs, const std::vector<CometRecord>& comet) {
  TEMPLORA_CHECK(comet.empty() || comet.size() == pairs.size(), "one COMET record a pair");
  TranslationTable table;
  table.all = row_of("all", pairs, 0, comet);
  const auto group_row = [&](std::size_t first, std::size_t end) {
    return row_of(pairs[first].novel, std::span(pairs).subspan(first, end - first), first, comet);
  };
  const auto same_novel = [](const PairRecord& a, const PairRecord& b) { return a.novel_index == b.novel_index; };
  const auto same_chunk = [&](const PairRecord& a, const PairRecord& b) {
    return same_novel(a, b) && a.chunk == b.chunk;
  };
  for_each_group(pairs, same_novel,
                 [&](std::size_t first, std::size_t end) { table.novels.push_back(group_row(first, end)); });
  for_each_group(pairs, same_chunk, [&](std::size_t first, std::size_t end) {
    table.chunks.push_back({pairs[first].novel_index, pairs[first].chunk, group_row(first, end)});
  });
  return table;
}

Json to_json(const TranslationTable& table) {
  Json novels = Json::array();
  for (const TranslationRow& row : table.novels) novels.push_back(to_json(row));
  Json chunks = Json::array();
  for (const TranslatedChunkRow& chunk : table.chunks) chunks.push_back(to_json(chunk));
  return {{"all", to_json(table.all)}, {"novels", novels}, {"chunks", chunks}, {"comet_note", table.comet_note}};
}

}  // namespace templora
