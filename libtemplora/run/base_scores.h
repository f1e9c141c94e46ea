#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"

namespace templora {

/// The base model's NLLs of whole books, kept in a folder that any number of runs share: they do not depend on how the
/// adapter is made or trained. A book's are found by everything that decides their bits, so what is found are the very
/// bits that would be computed. See docs/formats.md.
class BaseScores {
 public:
  /// `effective` is LoadedConfig::effective, `identity` that of the run's record with hashes of the model and the
  /// machine; `processor` is the CPU's model name. Nothing is read or written yet.
  BaseScores(fs::path folder, const Json& effective, const Json& identity, const std::string& processor);

  /// The NLLs of the first `tokens` tokens of the text with this hash, nats; none where there are none, or not `count`,
  /// or damaged ones.
  std::optional<std::vector<float>> find(const std::string& text_hash, std::int64_t tokens, std::int64_t count) const;

  /// Keeps them, atomically. A folder that cannot be written is said on stderr, and harms nothing.
  void keep(const std::string& text_hash, std::int64_t tokens, std::span<const float> nll) const;

 private:
  fs::path file(const std::string& text_hash, std::int64_t tokens) const;

  fs::path folder_;
  Json key_;
};

}  // namespace templora
