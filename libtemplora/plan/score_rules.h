#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "config/config.h"
#include "core/json.h"
#include "plan/chunks.h"
#include "run/record.h"

namespace templora {

/// Whether a chunk is hard enough to be learnt (`train.hard_quantile`): its mean NLL is at least the `quantile` of
/// those of the document's earlier chunks, learnt or not. That quantile is the smallest of the earlier values that at
/// least this share of them does not exceed; nothing is interpolated, so a record's own values decide it again.
///
/// means: mean NLL of chunk 0, 1, … by the adapter that scored it, nats; nothing where a chunk has no scored token.
/// With fewer than `always` earlier values, or none for the chunk itself, the answer is yes.
bool is_hard(const std::vector<std::optional<double>>& means, std::int64_t chunk, double quantile, std::int64_t always);

/// Rules of train.* that look at how a document's chunks were scored: how many optimizer steps a chunk is worth.
///
/// train.steps_by_gap spreads a budget of steps by what the context is worth to a chunk (the idea of GDWM, arXiv
/// 2601.12906): g, the chunk's mean NLL behind train.gap_context_tokens minus that behind all that is in sight; steps =
/// epochs · g / (mean of g up to this chunk), rounded, from 1 to 4 · epochs. A chunk without a gap has `epochs`.
class ScoreRules {
 public:
  explicit ScoreRules(const Config& config) : train_(config.train), learns_(config.score.adapter) {}

  /// Whether a step count depends on scores at all; else add() need not be called.
  bool ask() const { return learns_ && (train_.hard_quantile > 0 || train_.steps_by_gap); }
  /// A further window that the adapter has to score before add(), for the record's short_context_nll: `context` tokens
  /// are in sight before the chunk.
  std::optional<Window> further_window(const Chunk& chunk, std::int64_t context) const;

  /// The next chunk, by what its record has of scores.
  void add(const ChunkRecord& scored);
  /// Optimizer steps on a chunk that was added, if DocumentPlan lets it be learnt; 0: it is not learnt.
  std::int64_t steps(std::int64_t chunk) const;
  /// The same for a price before anything is scored: of the chunks after the first hard_after_chunks a share of
  /// 1 - hard_quantile is taken, spread evenly. `place` is among the adapter's chunks.
  std::int64_t expected_steps(std::int64_t place) const;

  /// State between two chunks, added to `state`; nothing where no rule asks.
  void save(Json& state) const;
  /// Throws Error(bad_input) naming `where` if it does not fit `chunks` chunks.
  void restore(const Json& state, std::int64_t chunks, const std::string& where);

 private:
  const TrainConfig& train_;
  bool learns_;
  std::vector<std::optional<double>> means_, gaps_;  // of each chunk, where it has one
};

}  // namespace templora
