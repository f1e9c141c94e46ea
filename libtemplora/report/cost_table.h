#pragma once

#include <optional>
#include <string>

#include "cost/run_cost.h"

namespace templora {

/// Compact cost table of a run: phases with seconds, share, predicted and achieved work; memory; the plain model's cost
/// beside it; the paper's three pieces of advice with this run's numbers.
std::string cost_markdown(const RunCost& cost);

/// A prediction without a run.
struct CostReport {
  std::string config;                 ///< file name
  ModelShape shape;
  CostPrediction per_token;           ///< far inside a document
  std::optional<CostPrediction> run;  ///< for a number of tokens
  std::vector<CostVariant> variants;
  Work method_per_token;
  double method_memory_bytes = 0;
  std::vector<ReferenceCost> references;
  std::vector<PaperCostClaim> claims;
  std::optional<DevicePeaks> device;
  Dtype dtype = Dtype::float32;
};

std::string cost_report_markdown(const CostReport& report);
/// Of it the run as a whole, where it is known, and memory.
std::string whole_run_markdown(const CostReport& report);
Json to_json(const CostReport& report);

}  // namespace templora
