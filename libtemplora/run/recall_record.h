#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/file.h"
#include "core/json.h"

namespace templora {

inline constexpr const char* kFactsName = "facts.jsonl";
inline constexpr const char* kProbesName = "probes.jsonl";

/// One line of facts.jsonl: a fact that was planted in a book.
struct FactRecord {
  std::string book;                          ///< file name
  std::int64_t book_index = 0;
  std::int64_t fact = 0;                     ///< index in the book
  std::string kind;                          ///< "place", "trade", "object"
  bool asked = true;                         ///< false: it only makes its answer as frequent as the others
  std::int64_t times = 1;                    ///< sentences, without a correction
  std::string subject, sentence;             ///< the sentence as planted
  std::string answer;                        ///< what is right in the end
  std::int64_t answer_index = 0;             ///< among the kind's eight planted answers
  std::optional<std::int64_t> first_answer;  ///< of a corrected fact: index of what its first sentence said
  std::string unplanted;                     ///< the name that chance did not plant in the answer's place
  std::vector<std::pair<std::int64_t, std::int64_t>> mentions;  ///< tokens [first, end) of the book, in order

  std::int64_t last_mention_end() const { return mentions.empty() ? 0 : mentions.back().second; }
  bool operator==(const FactRecord&) const = default;
};

/// One line of probes.jsonl: what one arm gave to one question.
struct ProbeRecord {
  std::int64_t book_index = 0;
  std::int64_t fact = 0;             ///< line of facts.jsonl; of the rung "locality" a sentence's number
  std::string rung, arm;
  std::int64_t distance_tokens = 0;  ///< of recall.ask_after_tokens
  std::int64_t tokens_since = 0;     ///< tokens since the last mention left the window
  std::int64_t chunk = 0;            ///< asked after this chunk
  std::int64_t adapter_version = 0;  ///< chunks that the arm's adapter had learnt; 0 without one
  double nll = 0;                    ///< nats, summed over the right answer's tokens, or the sentence's
  std::int64_t tokens = 0;           ///< that it is summed over
  std::optional<std::int64_t> rank;  ///< of the right answer, from 1; ties count as worse
  std::optional<std::int64_t> of;    ///< answers to choose among
  std::optional<bool> correct;       ///< chosen first, or written word for word
  std::optional<double> f1;          ///< of the written answer's words, "greedy" only
  std::vector<double> answers_nll;   ///< of all answers to choose among, in the order of their indices
  std::optional<std::string> written;  ///< "greedy": the answer
  bool operator==(const ProbeRecord&) const = default;
};

Json to_json(const FactRecord& record);
Json to_json(const ProbeRecord& record);
/// Throw Error(bad_input) naming `where` and the field.
FactRecord fact_record_from_json(const Json& json, const std::string& where);
ProbeRecord probe_record_from_json(const Json& json, const std::string& where);

/// A run's facts and probes, as far as it has come; empty where it planted none. Throws Error(bad_input).
struct RecallData {
  std::vector<FactRecord> facts;
  std::vector<ProbeRecord> probes;
};
RecallData read_recall(const fs::path& run);

}  // namespace templora
