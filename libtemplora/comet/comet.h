#pragma once

#include <c10/core/Device.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace templora {

/// One translation to be judged; UTF-8, each part may be empty.
struct CometSegment {
  std::string src;  ///< source
  std::string mt;   ///< translation
  std::string ref;  ///< reference
};

/// COMET scores of translations with wmt22-comet-da's architecture, in float32, as unbabel-comet 2.2.7 gives them.
/// Weights are not part of templora; docs/comet.md says how a folder is made from those that the user obtained.
class Comet {
 public:
  /// `folder`: config.json, model.safetensors and sentencepiece.bpe.model as scripts/convert_comet.py writes them.
  /// Throws Error(bad_input) naming file and field or tensor, Error(resources) where the weights do not fit.
  explicit Comet(const std::filesystem::path& folder, const c10::Device& device = c10::kCPU);
  ~Comet();
  Comet(Comet&&) noexcept;

  /// A line for a table without scores if one of the folder's files is not there at all, empty if they are. The
  /// constructor throws the same line.
  static std::string missing(const std::filesystem::path& folder);

  /// One score for each segment, in their order. A text that occurs more than once is encoded once, so score all
  /// systems of a test set in one call. Scores do not depend on the other segments, but for float32 rounding.
  /// Throws Error(bad_input) naming a segment that is not UTF-8, Error(numerics) naming one without a finite score.
  std::vector<double> scores(std::span<const CometSegment> segments) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The score of a system: the mean of its segments'. Throws Error(bad_input) where there is none.
double comet_system_score(std::span<const double> scores);

}  // namespace templora
