#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cost/cost_variants.h"
#include "cost/measured_memory.h"
#include "metrics/perplexity.h"
#include "run/run_data.h"

namespace templora {

/// Throws Error(usage) where section cost of a config cannot be used, so that a run finds it before it starts.
void check_cost(const Config& config);

/// A phase of a finished run: what was predicted and how long it took.
struct PhaseCost {
  Work work;
  double seconds = 0;
  std::optional<PhasePeak> peak;  ///< none where the phase never ran in the process that ended the run
  /// Achieved FLOP/s; none where either is nothing.
  std::optional<double> flops_per_s() const;
};

/// The cost of a run: prediction and measurement side by side, and the plain model's beside both.
struct RunCost {
  std::map<std::string, PhaseCost> phases;  ///< by name in chunks.jsonl's seconds; "read" and such have no work
  double seconds = 0;
  std::int64_t tokens = 0;
  MemoryNeed memory;
  MeasuredMemory measured;
  Work method_per_token;                    ///< Temp-LoRA alone, far inside a document
  double method_memory_bytes = 0;
  std::vector<ReferenceCost> references;
  std::vector<PaperCostClaim> claims;
  std::optional<DevicePeaks> device;        ///< cost.device
  Dtype dtype = Dtype::float32;
  std::int64_t window = 0;                  ///< the run's own W
  /// For the paper's advice, which is about runs that learn.
  bool learns = false;
  std::optional<double> change_nll_percent; ///< of perplexity, adapter against base, all scored tokens
  std::int64_t books = 0, books_in_one_window = 0;
};

/// Of a perplexity run whose records are complete. Steps are those that were made, so data-dependent rules are exact;
/// base scores that were kept from another run cost nothing.
RunCost run_cost(const RunData& data, const PerplexityTable& table, const Config& config, const ModelShape& shape,
                 const MeasuredMemory& measured);

/// Of a generation, from its chunks' records: what stands before the first of them is the prompt.
RunCost run_cost(const std::vector<GenerationRecord>& chunks, const Config& config, const ModelShape& shape,
                 const MeasuredMemory& measured);

/// Of a translation, from its pairs' lengths and what each chunk taught; `seconds` by phase. A sentence of a batch is
/// counted up to its own end, and bytes as if each were decoded alone.
RunCost run_cost(const std::vector<PairRecord>& pairs, const std::vector<SegmentRecord>& segments,
                 const std::map<std::string, double>& seconds, const Config& config, const ModelShape& shape,
                 const MeasuredMemory& measured);

/// Of a pretraining whose steps took these seconds, by phase.
RunCost run_cost(const Config& config, const ModelShape& shape, std::int64_t tokens,
                 const std::map<std::string, double>& seconds, const MeasuredMemory& measured);

/// The `cost` object of summary.json (docs/cost.md).
Json to_json(const RunCost& cost);
Json to_json(const Work& work);
Json to_json(const MemoryNeed& memory);

}  // namespace templora
