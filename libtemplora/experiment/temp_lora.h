#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "experiment/phase_timer.h"
#include "lora/lora_adapter.h"
#include "model/llama.h"
#include "run/config.h"
#include "run/record.h"
#include "text/books.h"
#include "train/chunk_trainer.h"

namespace templora {

/// What came out of one chunk: its record and the NLLs of its scored tokens, nats.
struct ChunkResult {
  ChunkRecord record;
  std::vector<float> base_nll;  ///< empty if score.base is off
  std::vector<float> lora_nll;  ///< empty if score.adapter is off
};

/// One document's stream through a model with a temporary module (the paper's algorithm 1): the module is
/// created with this object, trained once after each chunk, and discarded with it. The model is used, never
/// changed.
class TempLora {
 public:
  /// Starts document number `book_index` of a run. Same seed and index, same module, whatever ran before.
  /// The book must outlive this object. Throws Error(usage / bad_input) as LoraAdapter and its loaders do.
  TempLora(LlamaImpl& model, const Config& config, const Book& book, std::int64_t book_index);

  std::int64_t chunk_count() const { return std::int64_t(chunks_.size()); }
  std::int64_t next_chunk() const { return next_chunk_; }
  std::int64_t tokens_done() const;

  /// Scores the next chunk, then trains. Throws Error(numerics) naming book and chunk where an NLL, loss or
  /// gradient is not finite.
  ChunkResult step();

  /// State between two chunks; with it, a new object on the same document goes on bit for bit.
  Json state() const;
  void save_tensors_to(const fs::path& file) const;
  void restore(const Json& state, const fs::path& tensors);

  /// Writes the module as it stands as a PEFT folder.
  void save_adapter(const fs::path& folder) const;

 private:
  at::Tensor tokens_of(std::int64_t first, std::int64_t length) const;
  at::Tensor score_base(const Chunk& chunk);
  at::Tensor score_with_adapter(std::int64_t chunk, std::optional<ScoredChunk>& first_forward);
  std::optional<ChunkUpdate> train_on(std::int64_t chunk, std::optional<ScoredChunk> first_forward, ChunkRecord& record);
  void start_module(std::int64_t number);
  std::int64_t module_number(std::int64_t chunk) const;
  bool trains_on(std::int64_t chunk) const;
  bool shares_forward(std::int64_t chunk) const;

  LlamaImpl& model_;
  const Config& config_;
  const Book& book_;
  std::vector<Chunk> chunks_;
  at::Tensor tokens_;  // [book tokens] int64 on the model's device
  std::unique_ptr<LoraAdapter> adapter_;   // none where score.adapter is off
  std::unique_ptr<ChunkTrainer> trainer_;
  std::int64_t book_index_ = 0;
  std::int64_t next_chunk_ = 0;
  std::int64_t version_ = 0;  // chunks that the module was trained on
};

}  // namespace templora
