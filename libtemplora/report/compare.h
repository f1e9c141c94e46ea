#pragma once

#include <optional>
#include <string>
#include <vector>

#include "metrics/interval.h"
#include "run/run_data.h"

namespace templora {

/// A key that two runs disagree on; null where one lacks it.
struct KeyDifference {
  std::string key;  ///< "train.learning_rate"
  Json first, second;
};

/// Keys of two objects, nested ones dotted, whose values differ.
std::vector<KeyDifference> key_differences(const Json& first, const Json& second);

/// The second run's NLL less the first's on the same tokens of the same texts, by one arm.
struct NllShift {
  struct OfBook {
    std::string book;
    std::int64_t tokens = 0;
    BlockMean within;  ///< nats a token, with what chance within this book does to it
  };
  std::string name;            ///< "base", "lora", or "gain": lora less base
  std::int64_t tokens = 0;
  double mean = 0;             ///< nats a token, over all tokens
  bool same_bits = false;      ///< no value differs
  std::vector<OfBook> books;
  BookMean over_books;         ///< nats, every book counting alike

  /// Whether the interval over books leaves out 0; none without an interval.
  std::optional<bool> more_than_chance() const;
};

struct RunComparison {
  std::vector<KeyDifference> config, identity;
  std::int64_t books = 0;  ///< texts that both runs read
  std::vector<NllShift> shifts;
};

/// What differs between two runs that scored texts. Texts are matched by text_hash, tokens by position, and only those
/// that both runs scored count, however they were cut into chunks.
/// Throws Error(bad_input) where they share no text or no scored token, or read texts with different tokenizers.
RunComparison compare_runs(const RunData& first, const RunData& second, const std::string& first_name,
                           const std::string& second_name);

std::string comparison_text(const RunComparison& comparison, const std::string& first_name,
                            const std::string& second_name);
Json to_json(const RunComparison& comparison);

}  // namespace templora
