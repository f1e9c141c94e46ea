#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "config/config.h"
#include "plan/chunks.h"
#include "plan/learning_rates.h"

namespace templora {

/// What training on a chunk is shown: the chunk behind its last L_T predecessors. train.label_prefix labels these too.
Window training_segment(const TrainConfig& train, const Chunk& chunk);

/// One chunk of a document, as its place alone says.
struct PlannedChunk {
  Chunk chunk;
  Window seen;              ///< [L_X | chunk] without a cache; with a kept one, CachePlan says what is in sight
  Window segment;           ///< what training on it is shown
  std::int64_t adapter;     ///< number of the adapter that scores it: lora.reset_every_tokens makes new ones
  std::int64_t place;       ///< among that adapter's chunks, learnt or not
};

/// What an adapter that goes on from document to document (lora.reset_every_tokens -1) read before one of them.
struct ReadBefore {
  std::int64_t chunks = 0, tokens = 0;
  std::int64_t all_tokens = 0;  ///< of all documents, this one and later ones too; 0: only this one's are read
};

/// What the adapter of document `index` read before it: nothing but where one adapter reads all. `tokens` are the
/// documents' lengths.
ReadBefore read_before(const Config& config, const std::vector<std::int64_t>& tokens, std::size_t index);

/// What a run does to a document's chunks (the paper's algorithm 1 and its variants): what each sees, which adapter
/// scores it, which chunk is learnt after it. All of it follows from the config and lengths; rules that look at scores
/// are ScoreRules. The config must outlive the plan.
class DocumentPlan {
 public:
  /// Of `tokens` tokens that are there, behind `start` others. A text that is being written starts with none.
  DocumentPlan(const Config& config, std::int64_t tokens, std::int64_t start = 0, const ReadBefore& before = {});

  /// The text grows by a chunk of `count` tokens.
  void append(std::int64_t count);

  std::int64_t end() const { return chunks_.empty() ? start_ : chunks_.back().chunk.end(); }
  std::int64_t size() const { return std::int64_t(chunks_.size()); }
  const PlannedChunk& operator[](std::int64_t index) const { return chunks_[std::size_t(index)]; }
  std::vector<Chunk> chunks() const;

  /// Where a chunk stands in what its adapter reads; its share is known where the text's end is.
  Place place_of(std::int64_t index) const;
  /// Whether a new adapter begins with this chunk, which is not the document's first.
  bool starts_adapter(std::int64_t index) const;
  /// Whether the rules of train.* but for ScoreRules let the adapter of chunk `now` learn chunk `index`.
  bool may_learn(std::int64_t index, std::int64_t now) const;
  /// Number of the chunk that may be learnt after chunk `index`, which lags behind by training_lag().
  std::optional<std::int64_t> learns_after(std::int64_t index) const;
  /// Whether scoring the chunk is the very pass that its first training step makes: same tokens after clipping, same
  /// labels, no dropout, no keys of an earlier adapter, nothing replayed.
  bool shares_forward(std::int64_t index) const;
  /// Whether staleness is measured at the chunk.
  bool measures_staleness(std::int64_t index) const;
  /// Scored tokens of the chunks before this one, where every window is computed anew.
  std::int64_t scored_before(std::int64_t index) const;

 private:
  const Config* config_;
  std::vector<PlannedChunk> chunks_;
  std::int64_t start_;
  ReadBefore before_;
};

}  // namespace templora
