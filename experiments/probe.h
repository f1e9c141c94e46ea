#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cost/run_cost.h"
#include "experiment/machine.h"
#include "model/llama.h"
#include "text/books.h"

namespace templora {

/// A few chunks of a run, computed and thrown away, to see how fast this machine is.
struct Probe {
  RunCost cost;
  std::int64_t chunks = 0;  ///< or steps
  double seconds = 0;
  std::string what;         ///< "the first 5 of 293 chunks of kjv.txt"
};

/// What a probe may take: it ends before a chunk that would pass this, and always measures one.
inline constexpr double kMostProbeSeconds = 12;

/// Of a perplexity run: the first chunks of its longest book, until windows are full and some seconds have gone by.
/// Writes nothing. Throws what TempLora throws.
Probe probe_perplexity(LlamaImpl& model, const Config& config, const ModelShape& shape, const std::vector<Book>& books,
                       const std::vector<Book>& control_books);

/// Of a generation: two short chunks behind `text`.
Probe probe_generation(LlamaImpl& model, const Config& config, const ModelShape& shape,
                       const std::vector<std::int64_t>& text);

/// Of a pretraining: an optimizer step or some on made-up tokens.
Probe probe_pretraining(const Config& config, const ModelShape& shape, const Machine& machine);

}  // namespace templora
