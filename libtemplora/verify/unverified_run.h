#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "core/error.h"
#include "core/file.h"
#include "plan/document_plan.h"
#include "run/run_data.h"
#include "verify/verification.h"

// A run's folder as verification sees it: read without trust, each thing that cannot be read a finding.

namespace templora {

/// A line of a JSON-lines file and where it stands.
struct RecordLine {
  Json json;
  std::string where;  ///< "chunks.jsonl:7"
};

struct UnverifiedRun {
  fs::path folder;
  Json run;                     ///< run.json
  std::optional<Config> config; ///< none where it cannot be read
  std::optional<Json> summary;  ///< none: unfinished, or unreadable
  bool finished = false;        ///< summary.json is there
  std::vector<BookRecord> books;
  std::vector<ChunkRecord> chunks;     ///< perplexity, translation
  std::vector<Json> chunk_json;        ///< beside `chunks`
  std::vector<std::string> places;     ///< beside `chunks`
  std::map<std::int64_t, std::map<Arm, std::vector<float>>> nll;

  /// A value of run.json's identity as text; "" where it is not there.
  std::string identity(const std::string& key) const;
  const BookRecord* book(std::int64_t index) const;
  /// How many texts the identity knows: text_0_hash, text_1_hash, ...
  std::int64_t texts() const;
};

/// run.json, the config, summary.json. Throws Error(bad_input): no run, or a later version.
UnverifiedRun read_unverified_run(const fs::path& folder, Verification& v);

/// Lines of a record file; what is no JSON is a finding. An unfinished run's last line may have no end.
std::vector<RecordLine> read_lines(const UnverifiedRun& run, const std::string& name, Verification& v);

/// The records of a file, read by `read`; what it refuses is a finding.
template <class Record>
std::vector<Record> read_as(const UnverifiedRun& run, const std::string& name,
                            Record (*read)(const Json&, const std::string&), Verification& v) {
  std::vector<Record> records;
  for (const RecordLine& line : read_lines(run, name, v)) {
    try {
      records.push_back(read(line.json, line.where));
    } catch (const Error& error) {
      v.found("record-fields", error.what());
    }
  }
  return records;
}

/// books.jsonl and chunks.jsonl into the image.
void read_records(UnverifiedRun& run, Verification& v);

/// Files and folders that such a run may have, below its folder: others are findings, and so are missing ones.
struct KnownFiles {
  std::vector<std::string> files;     ///< that a finished run has
  std::vector<std::string> optional;  ///< that it may have
};
void verify_files(const UnverifiedRun& run, const KnownFiles& known, Verification& v);

void verify_config(UnverifiedRun& run, Verification& v);

/// Path of the first value of `wanted` that `got` does not have within a relative 1e-9, with both; "" if there is none.
/// Keys that `got` has beyond those of `wanted` are not looked at.
std::string first_difference(const Json& got, const Json& wanted, const std::string& path = "");

/// Whether two texts are the same but for the last digits of numbers and Markdown's escapes.
bool same_text(const std::string& got, const std::string& wanted);

/// Compares a file with what it should hold: `wanted(run.json)`. Tables made by templora 0.1 call a model of
/// a hub's cache by its commit.
void expect_text(const UnverifiedRun& run, const std::string& file,
                 const std::function<std::string(const Json&)>& wanted, const std::string& name, Verification& v);

/// What every kind of chunk record says of its training: losses, norms, rate, seconds.
void verify_training_values(std::int64_t wanted_steps, const std::vector<double>& loss, const std::vector<double>& norm,
                            double rate, std::optional<double> wanted_rate,
                            const std::map<std::string, double>& seconds, const std::string& where, Verification& v);

/// What was to be done to a book, as far as the records of a run can tell of it: their number bounds the plan, whatever
/// length a damaged record claims.
DocumentPlan plan_of(const UnverifiedRun& run, const BookRecord& book);

}  // namespace templora
