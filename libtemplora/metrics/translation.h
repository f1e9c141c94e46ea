#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "metrics/bleu.h"
#include "metrics/chrf.h"
#include "run/record.h"

namespace templora {

/// How well a set of pairs was translated by one of the two, and how well it predicted the references.
struct TranslationScores {
  /// Of the references: exp(ΣNLL / Σtokens), and Σ(exp(mean NLL of a sentence) · tokens) / Σtokens, what the
  /// released code prints; missing where no double holds them (metrics/derived.h).
  std::optional<double> perplexity, sentence_perplexity;
  BleuScore bleu;                  ///< sacreBLEU's default
  ChrfScore chrf;                  ///< chrF2
  double released_bleu = 0;        ///< 0 … 1, as the released script computes it
  std::optional<double> comet;     ///< none without weights
  std::int64_t not_stopped = 0;    ///< translations that ended at generate.max_new_tokens only
};

/// Base beside Temp-LoRA on the same pairs.
struct TranslationRow {
  std::string label;            ///< a novel's file name, or "all"
  std::int64_t pairs = 0;       ///< translated and scored
  std::int64_t skipped = 0;     ///< with an empty side
  std::int64_t tokens = 0;      ///< of the references
  std::int64_t cut_pairs = 0;   ///< pairs whose history lost something to the window
  std::optional<TranslationScores> base, lora;
};

/// One chunk of a novel; the row's label is the novel's.
struct TranslatedChunkRow {
  std::int64_t novel_index = 0;  ///< position in the run's list of novels
  std::int64_t chunk = 0;        ///< index in the novel
  TranslationRow row;
};

struct TranslationTable {
  TranslationRow all;
  std::vector<TranslationRow> novels;
  std::vector<TranslatedChunkRow> chunks;  ///< of all novels, in the order of the records
  std::string comet_note;  ///< why there is no COMET, "" where there is
};

/// Computes the table from a run's pairs alone, and COMET from one record for each of them, where there are any. A row
/// whose pairs were all skipped has no scores.
TranslationTable translation_table(const std::vector<PairRecord>& pairs, const std::vector<CometRecord>& comet = {});

/// `all` and `novels` have every score; `chunks` leave out signatures, and COMET where there is none.
Json to_json(const TranslationTable& table);

}  // namespace templora
