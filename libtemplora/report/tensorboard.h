#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "report/run_summary.h"

namespace templora {

/// CRC-32C (Castagnoli) of bytes, and the masked form that TFRecord files hold.
std::uint32_t crc32c(std::string_view bytes);
std::uint32_t masked_crc32c(std::string_view bytes);

/// One TFRecord: length, its masked checksum, the bytes, their masked checksum; all little-endian.
std::string tf_record(std::string_view bytes);

/// A TensorBoard Event as protobuf: wall time in seconds since 1970, step, scalars by tag.
std::string scalar_event(double wall_s, std::int64_t step, const std::vector<std::pair<std::string, double>>& scalars);

/// The first event of every file, which names the format's version.
std::string version_event(double wall_s);

/// One event file of TensorBoard: its folder below the output folder, and its bytes.
struct EventFile {
  std::string folder;
  std::string content;
};

/// A run's scalars, one file a book so that books are curves of the same tags. By chunk: nll/base, nll/lora, nll of
/// controls, learning_rate, seconds/<phase>. By optimizer step: train/loss, train/grad_norm. A pretraining run has
/// one file: train/loss, train/grad_norm, learning_rate and validation/nll by step. Wall times begin when run.json was
/// written and go on by the recorded seconds.
std::vector<EventFile> event_files(const RunSummary& run);

}  // namespace templora
