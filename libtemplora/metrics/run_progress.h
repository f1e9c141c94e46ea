#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/file.h"
#include "core/json.h"

namespace templora {

enum class RunState { finished, running, interrupted, failed };
const char* run_state_name(RunState state);

/// Perplexities over the chunks of a run that is under way.
class PerplexitySoFar {
 public:
  /// Mean NLLs of a chunk in nats, over its scored tokens.
  void add(std::int64_t scored_tokens, std::optional<double> base_nll, std::optional<double> lora_nll);
  std::optional<double> base() const;
  std::optional<double> lora() const;

 private:
  double base_tokens_ = 0, base_nll_ = 0, lora_tokens_ = 0, lora_nll_ = 0;
};

/// "base 34.81, Temp-LoRA 30.02 (−13.8 %)", of these what there is; "" where there is nothing.
std::string perplexities_text(const std::optional<double>& base, const std::optional<double>& lora);

/// What one look at a run's folder tells.
struct RunProgress {
  RunState state = RunState::interrupted;
  std::int64_t tokens = 0;                    ///< processed
  std::optional<std::int64_t> total_tokens;   ///< that it will have processed; none in records of 0.1
  std::optional<double> seconds_left;         ///< at the speed of its last chunks; none where it is finished
  std::optional<double> base, lora;           ///< perplexities: of a finished run as its table has them, else so far
  std::optional<double> validation;           ///< perplexity of a pretraining's held-out texts, last or final
  std::string problem;                        ///< why it failed, or why its records could not be read

  /// 100 · (lora / base − 1).
  std::optional<double> change_percent() const;
  /// From 0 to 1; 1 where it is finished.
  std::optional<double> share() const;
};

/// Looks at a run's folder while the run may be writing to it; `record` is its run.json. A run is running while its
/// folder is locked, as this machine sees it. What cannot be read is told in `problem`, nothing is thrown.
RunProgress run_progress(const fs::path& folder, const Json& record);
/// The same where run.json is still to be read; none where there is no run yet.
std::optional<RunProgress> run_progress(const fs::path& folder);

/// state, tokens, total_tokens, share, seconds_left, base, lora, change_percent, validation, problem; and `text`.
Json to_json(const RunProgress& progress);

/// "41 %, 12:05 left, PPL so far: base 34.81, Temp-LoRA 30.02 (−13.8 %)"; of a finished run "PPL base …".
std::string progress_text(const RunProgress& progress);

}  // namespace templora
