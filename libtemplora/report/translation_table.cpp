#include "report/translation_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/model_name.h"
#include "metrics/derived.h"
#include "report/markdown.h"

namespace templora {
namespace {

std::string translation_header(const Json& config) {
  const auto of = [&](const char* section, const char* name) { return escaped(setting(config, section, name)); };
  return fmt::format(
      "Model {} · context {} · history {} · tokenization {} · rank {} · learning rate {} · epochs {} · "
      "repetition "
      "penalty {} · at most {} new tokens\n\n",
      escaped(model_name(setting(config, "model", "path"))), of("translation", "context"),
      of("translation", "history"), of("translation", "tokenization"), rank_text(config),
      of("train", "learning_rate"), of("train", "epochs"), of("generate", "repetition_penalty"),
      of("generate", "max_new_tokens"));
}

std::string change(std::optional<double> base, std::optional<double> lora) {
  return cell(change_percent(base, lora), "{:+.1f}");
}

/// One measure of both on one row of the first table.
struct Measure {
  const char* name;
  const char* format;
  std::optional<double> (*of)(const TranslationScores&);
};

const Measure kMeasures[] = {
    {"PPL of the reference", "{:.3f}", [](const TranslationScores& s) { return s.perplexity; }},
    {"PPL, mean over sentences", "{:.3f}", [](const TranslationScores& s) { return s.sentence_perplexity; }},
    {"BLEU", "{:.2f}", [](const TranslationScores& s) { return std::optional(s.bleu.score); }},
    {"chrF2", "{:.2f}", [](const TranslationScores& s) { return std::optional(s.chrf.score); }},
    {"BLEU of the released script (0–1)", "{:.4f}",
     [](const TranslationScores& s) { return std::optional(s.released_bleu); }},
    {"COMET", "{:.4f}", [](const TranslationScores& s) { return s.comet; }}};

void append_all(const TranslationRow& row, std::string& out) {
  out += "| all novels | base | Temp-LoRA | change % |\n| --- | ---: | ---: | ---: |\n";
  for (const Measure& measure : kMeasures) {
    const auto base = row.base ? measure.of(*row.base) : std::nullopt,
               lora = row.lora ? measure.of(*row.lora) : std::nullopt;
    out += fmt::format("| {} | {} | {} | {} |\n", measure.name, cell(base, measure.format), cell(lora, measure.format),
                       change(base, lora));
  }
}

void append_novels(const std::vector<TranslationRow>& rows, std::string& out) {
  out +=
      "| novel | pairs | reference tokens | base PPL | Temp-LoRA PPL | base BLEU | Temp-LoRA BLEU | base chrF2 | "
      "Temp-LoRA chrF2 | "
      "base COMET | Temp-LoRA COMET |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
  for (const TranslationRow& row : rows) {
    out += fmt::format("| {} | {} | {} |", escaped(row.label), grouped(row.pairs), grouped(row.tokens));
    for (const std::size_t m : {0, 2, 3, 5})
      for (const auto* scores : {&row.base, &row.lora})
        out += fmt::format(" {} |", cell(*scores ? kMeasures[m].of(**scores) : std::nullopt, kMeasures[m].format));
    out += "\n";
  }
}

void append_remarks(const TranslationTable& table, std::string& out) {
  const TranslationRow& all = table.all;
  const auto* scores = all.lora ? &*all.lora : all.base ? &*all.base : nullptr;
  out += fmt::format("\n{} pairs, {} reference tokens.", grouped(all.pairs), grouped(all.tokens));
  if (scores) out += fmt::format(" BLEU: {}. chrF2: {}.", scores->bleu.signature, scores->chrf.signature);
  if (!table.comet_note.empty()) out += fmt::format(" {}.", escaped(table.comet_note));
  out += "\n";
  if (all.skipped > 0)
    out +=
        fmt::format("\n{} pairs have an empty side: they stayed in the text, but were neither translated nor scored.\n",
                    grouped(all.skipped));
  if (all.cut_pairs > 0)
    out += fmt::format("\nThe window had no room for the whole history of {} pairs; its oldest pairs were cut.\n",
                       grouped(all.cut_pairs));
  const auto unheld = [](const std::optional<TranslationScores>& scores) {
    return scores && (!scores->perplexity || !scores->sentence_perplexity);
  };
  if (std::any_of(table.novels.begin(), table.novels.end(),
                  [&](const TranslationRow& row) { return unheld(row.base) || unheld(row.lora); }))
    out += fmt::format("\n{}.\n", kNoPerplexity);
  for (const auto& [name, who] : {std::pair{"base", &all.base}, std::pair{"Temp-LoRA", &all.lora}})
    if (*who && (*who)->not_stopped > 0)
      out += fmt::format("\n{} translations by {} met no stop and ended at the greatest length.\n",
                         grouped((*who)->not_stopped), name);
}

}  // namespace

std::string translation_markdown(const TranslationTable& table, const Json& run_record) {
  const auto found = run_record.is_object() ? run_record.find("config") : run_record.end();
  std::string out = "# Translation with and without Temp-LoRA\n\n";
  out += translation_header(found == run_record.end() ? Json() : *found);
  append_all(table.all, out);
  append_remarks(table, out);
  out += "\n## Each novel\n\n";
  append_novels(table.novels, out);
  out +=
      "\n## What the numbers are\n\n"
      "PPL is exp(ΣNLL / Σtokens) over the references' tokens, each reference scored behind the prompt that asks for "
      "it; the "
      "mean over sentences is Σ(exp(mean NLL of a sentence) · tokens) / Σ tokens, what the released code prints, never "
      "smaller. "
      "BLEU and chrF2 are those of one corpus, all novels together in the first table. Change is Temp-LoRA against the "
      "base. "
      "Every sentence was translated and scored before anything was trained on it.\n";
  return out;
}

}  // namespace templora
