#pragma once

#include <string>
#include <vector>

#include "core/json.h"
#include "experiment/session.h"
#include "run/config.h"
#include "run/record.h"
#include "text/tokenizer.h"

namespace templora {

// What runs that score texts share: books in perplexity, novels in translation.

/// run.json of such a run: its config and what decides its numbers.
Json text_run_record(const LoadedConfig& loaded, const Machine& machine, const std::string& weights, const Tokenizer& tokenizer,
                     const std::vector<std::string>& text_hashes, const std::vector<std::string>& control_text_hashes);

/// Hashes the base weights once more. → "weights_hash_before" and "weights_hash_after" for summary.json; another hash
/// than at the start is a bug of ours.
Json unchanged_weights(LlamaImpl& model, const std::string& hash_before);

/// Running totals for the progress line.
class RunningTotals {
 public:
  void add(const ChunkRecord& record);
  const std::string& text() const { return text_; }

 private:
  double tokens_ = 0, base_ = 0, lora_ = 0;
  std::string text_;
};

}  // namespace templora
