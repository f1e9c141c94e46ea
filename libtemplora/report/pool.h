#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "run/run_data.h"

namespace templora {

struct NamedRun {
  std::string name;  ///< for errors
  RunData data;
};

/// The records of several perplexity runs as those of one, such as the cells of a sweep over data.books: the books one
/// after the other in the order of the runs, numbered anew. Its `run` is the first one's record with the books of all,
/// and with `edges` as score.segment_edges where they are not empty. Throws Error(bad_input) where a run scored no
/// texts, where settings or inputs other than the books differ, naming runs and keys, and where two runs read the same
/// text.
RunData pooled(std::vector<NamedRun> runs, const std::vector<std::int64_t>& edges = {});

}  // namespace templora
