#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "run/record.h"

namespace templora {

/// A run's folder read back: everything that tables are made of.
struct RunData {
  Json run;  ///< run.json
  std::vector<BookRecord> books;
  std::vector<ChunkRecord> chunks;
  /// [book_index][arm] -> NLL of each scored token, nats.
  std::map<std::int64_t, std::map<Arm, std::vector<float>>> nll;
};

/// Throws Error(bad_input) naming file and line, and where the NLL files and chunk records disagree; a run
/// that was stopped may have to be resumed first.
RunData read_run(const fs::path& path);

/// A book's NLLs by token position, NaN where a token was not scored; empty where the run has none by this arm.
std::vector<float> nll_by_position(const RunData& run, const BookRecord& book, Arm arm);

/// Means of several sides' NLLs over the positions that all of them scored.
struct CommonMeans {
  std::vector<double> nll;  ///< one a side, nats
  std::int64_t tokens = 0;
};
/// Of values by position, from position `from` up to `to` (0: the end); none where there is no such token.
std::optional<CommonMeans> common_means(const std::vector<std::vector<float>>& sides, std::int64_t from = 0,
                                        std::int64_t to = 0);

/// A file of raw float32 values, such as nll/0-lora.f32. Throws Error(bad_input) where its size is no multiple of 4.
std::vector<float> read_floats(const fs::path& path);

/// chunks.jsonl of a generation. Throws Error(bad_input) naming file and line.
std::vector<GenerationRecord> read_generation(const fs::path& path);

/// pairs.jsonl of a translation run. Throws Error(bad_input) naming file and line.
std::vector<PairRecord> read_pairs(const fs::path& path);

/// comet.jsonl of a translation run, one record a pair; empty where it has none. Throws Error(bad_input) naming file
/// and line, and where they are not as many as `pairs`.
std::vector<CometRecord> read_comet(const fs::path& path, std::size_t pairs);

/// Seconds by phase of all of a pretraining's steps; older records know a step's whole only, as "step". Throws
/// Error(bad_input) naming file and line.
std::map<std::string, double> read_step_seconds(const fs::path& path);

/// What each chunk of a translation run taught. Throws Error(bad_input) naming file and line.
std::vector<SegmentRecord> read_segments(const fs::path& path);

}  // namespace templora
