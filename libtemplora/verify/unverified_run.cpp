#include "verify/unverified_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "config/lengths.h"
#include "core/hash.h"
#include "run/json_lines.h"
#include "verify/verify.h"

namespace templora {
namespace {

/// "0.10.2" as numbers.
std::vector<int> version_numbers(const std::string& version) {
  std::vector<int> numbers;
  std::istringstream stream(version);
  for (std::string part; std::getline(stream, part, '.');) numbers.push_back(std::atoi(part.c_str()));
  return numbers;
}

bool is_temporary(const std::string& name) { return name.find(".tmp-") != std::string::npos; }

}  // namespace

std::string UnverifiedRun::identity(const std::string& key) const {
  const auto all = run.find("identity");
  if (all == run.end() || !all->is_object()) return "";
  const auto found = all->find(key);
  return found == all->end() || !found->is_string() ? "" : found->get<std::string>();
}

const BookRecord* UnverifiedRun::book(std::int64_t index) const {
  for (const BookRecord& book : books)
    if (book.book_index == index) return &book;
  return nullptr;
}

std::int64_t UnverifiedRun::texts() const {
  std::int64_t count = 0;
  while (!identity(fmt::format("text_{}_hash", count)).empty()) ++count;
  return count;
}

UnverifiedRun read_unverified_run(const fs::path& folder, Verification& v) {
  UnverifiedRun image;
  image.folder = folder;
  if (!fs::is_directory(folder))
    throw Error(Exit::bad_input, fmt::format("{}: no such folder, wanted a run's folder", folder.string()));
  const std::string where = (folder / "run.json").string();
  if (!fs::exists(where))
    throw Error(Exit::bad_input,
                fmt::format("{}: run.json is missing, wanted a run's folder, as --out names it", folder.string()));
  image.run = parse_json(read_file(where), where);
  if (!image.run.is_object() || !image.run.contains("config") || !image.run.contains("identity"))
    throw Error(Exit::bad_input, fmt::format("{}: got no config or no identity, wanted the record of a run", where));
  const auto version = image.run.find("templora_version");
  v.check("version");
  if (version == image.run.end() || !version->is_string()) {
    v.found("version", "run.json: templora_version: missing");
  } else if (version_numbers(*version) > version_numbers(TEMPLORA_VERSION)) {
    throw Error(Exit::bad_input,
                fmt::format("{}: templora_version: got {}, wanted at most {}; verify it with the program that made it",
                            where, version->get<std::string>(), TEMPLORA_VERSION));
  }
  image.finished = fs::exists(folder / "summary.json");
  if (!image.finished) return image;
  v.check("summary-file");
  try {
    image.summary = parse_json(read_file(folder / "summary.json"), "summary.json");
    if (!image.summary->is_object()) throw Error(Exit::bad_input, "summary.json: got no object, wanted one");
  } catch (const Error& error) {
    v.found("summary-file", error.what());
    image.summary.reset();
  }
  return image;
}

std::vector<RecordLine> read_lines(const UnverifiedRun& run, const std::string& name, Verification& v) {
  v.check({"record-syntax", "record-fields"});
  std::vector<RecordLine> lines;
  const fs::path path = run.folder / name;
  if (!fs::exists(path)) return lines;  // verify_files says so
  const std::string open = each_line(path, name, [&](std::string_view text, const std::string& where) {
    try {
      Json json = parse_json(text, where);
      if (!json.is_object()) throw Error(Exit::bad_input, where + ": got no object, wanted one");
      lines.push_back({std::move(json), where});
    } catch (const Error& error) {
      v.found("record-syntax", error.what());
    }
  });
  v.expect(open.empty() || !run.finished, "record-syntax", open + ": the last line has no end");
  return lines;
}

void read_records(UnverifiedRun& run, Verification& v) {
  run.books = read_as(run, "books.jsonl", book_record_from_json, v);
  for (RecordLine& line : read_lines(run, "chunks.jsonl", v)) {
    try {
      run.chunks.push_back(chunk_record_from_json(line.json, line.where));
      run.chunk_json.push_back(std::move(line.json));
      run.places.push_back(line.where);
    } catch (const Error& error) {
      v.found("record-fields", error.what());
    }
  }
}

void verify_files(const UnverifiedRun& run, const KnownFiles& known, Verification& v) {
  v.check({"missing-file", "unknown-file"});
  const auto has = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (run.finished)
    for (const std::string& file : known.files)
      v.expect(fs::exists(run.folder / file), "missing-file",
               fmt::format("{}: missing, though the run is finished", file));
  for (const fs::directory_entry& entry : fs::directory_iterator(run.folder)) {
    const std::string name = entry.path().filename().string();
    v.expect(has(known.files, name) || has(known.optional, name) || is_temporary(name), "unknown-file",
             fmt::format("{}: no run of this kind writes such a file", name));
  }
}

LoadedConfig read_recorded_config(const Json& config) {
  return parse_config(readable_config(config).dump(), "run.json: config", "/", {});
}

void verify_config(UnverifiedRun& run, Verification& v) {
  v.check({"config-keys", "config-hash", "identity"});
  const Json& config = run.run.at("config");
  try {
    const LoadedConfig loaded = read_recorded_config(config);
    run.config = loaded.config;
    const std::string changed = first_difference(loaded.effective, config);
    v.expect(changed.empty(), "config-keys",
             "run.json: config: " + changed + "; it is not the effective config of a run");
  } catch (const Error& error) {
    v.found("config-keys", error.what());
  }
  const auto hash = run.run.find("effective_hash");
  if (hash == run.run.end())
    v.not_checked("config-hash", "the run was made before the hash of the effective config was recorded");
  else
    v.expect(*hash == hash_hex(config.dump()), "config-hash",
             fmt::format("run.json: effective_hash: got {}, wanted {}, the hash of config: a setting was changed after "
                         "the run began",
                         hash->dump(), hash_hex(config.dump())));
  const Json& identity = run.run.at("identity");
  if (!v.expect(identity.is_object(), "identity", "run.json: identity: got no object, wanted one")) return;
  for (const char* key : {"config_hash", "threads", "device", "cpu_capability", "torch_version", "tokenizer_hash"})
    v.expect(identity.contains(key), "identity", fmt::format("run.json: identity: {}: missing", key));
}

std::string first_difference(const Json& got, const Json& wanted, const std::string& path) {
  const auto differ = [&] { return fmt::format("{}: got {}, wanted {}", path, got.dump(), wanted.dump()); };
  if (got.is_number() && wanted.is_number()) {
    const double a = got.get<double>(), b = wanted.get<double>();
    return a == b || std::abs(a - b) <= 1e-9 * std::max(std::abs(a), std::abs(b)) ? "" : differ();
  }
  if (got.type() != wanted.type()) return differ();
  if (wanted.is_object()) {
    for (const auto& item : wanted.items()) {
      const std::string inner = path.empty() ? item.key() : path + "." + item.key();
      const auto found = got.find(item.key());
      if (found == got.end()) return inner + ": missing";
      if (std::string difference = first_difference(*found, item.value(), inner); !difference.empty())
        return difference;
    }
    return "";
  }
  if (wanted.is_array()) {
    if (got.size() != wanted.size()) return fmt::format("{}: got {} items, wanted {}", path, got.size(), wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i)
      if (std::string difference = first_difference(got[i], wanted[i], fmt::format("{}[{}]", path, i));
          !difference.empty())
        return difference;
    return "";
  }
  return got == wanted ? "" : differ();
}

namespace {

/// Without the backslashes that keep Markdown from reading a character as markup; which ones have them has changed.
std::string unescaped(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] != '\\' || (i + 1 < text.size() && text[i + 1] == '\\' && ++i)) out += text[i];
  return out;
}

}  // namespace

bool same_text(const std::string& raw_got, const std::string& raw_wanted) {
  const std::string got = unescaped(raw_got), wanted = unescaped(raw_wanted);
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  std::size_t a = 0, b = 0;
  while (a < got.size() && b < wanted.size()) {
    if (!digit(got[a]) || !digit(wanted[b])) {
      if (got[a++] != wanted[b++]) return false;
      continue;
    }
    // Two numbers of the same form may differ by one in the last digit: another library's exp rounds otherwise.
    const auto number = [&](const std::string& text, std::size_t& at, int& decimals) {
      double value = 0;
      for (; at < text.size() && digit(text[at]); ++at) value = 10 * value + (text[at] - '0');
      decimals = 0;
      if (at + 1 < text.size() && text[at] == '.' && digit(text[at + 1]))
        for (++at; at < text.size() && digit(text[at]); ++at, ++decimals) value = 10 * value + (text[at] - '0');
      return value;
    };
    int first = 0, second = 0;
    const double x = number(got, a, first), y = number(wanted, b, second);
    if (first != second || std::abs(x - y) > (first > 0 ? 1 : 0)) return false;
  }
  return a == got.size() && b == wanted.size();
}

void expect_text(const UnverifiedRun& run, const std::string& file,
                 const std::function<std::string(const Json&)>& wanted, const std::string& name, Verification& v) {
  v.check(name);
  if (!fs::exists(run.folder / file)) return v.not_checked(name, file + " is not there");
  const std::string got = read_file(run.folder / file);
  bool same = same_text(got, wanted(run.run));
  const Json::json_pointer path("/config/model/path");
  if (!same && run.run.contains(path) && run.run.at(path).is_string()) {
    Json by_folder = run.run;
    by_folder[path] = fs::path(run.run.at(path).get<std::string>()).filename().string();
    same = same_text(got, wanted(by_folder));
  }
  v.expect(same, name, fmt::format("{}: it is not what the records give", file));
}

DocumentPlan plan_of(const UnverifiedRun& run, const BookRecord& book) {
  const Config& config = *run.config;
  const std::int64_t most = first_chunk_tokens(config) + config.window.chunk_tokens * std::int64_t(run.chunks.size());
  ReadBefore before;
  before.all_tokens = book.tokens;  // the plan may be cut short, and the rate may fall to the text's end
  if (one_for_all(config)) {
    const auto total = run.run.find("total_tokens");
    before.all_tokens = total != run.run.end() && total->is_number_integer() ? total->get<std::int64_t>() : 0;
    for (const BookRecord& earlier : run.books)
      if (earlier.book_index < book.book_index) before.tokens += earlier.tokens;
    before.chunks = std::count_if(run.chunks.begin(), run.chunks.end(),
                                  [&](const ChunkRecord& chunk) { return chunk.book_index < book.book_index; });
  }
  return DocumentPlan(config, std::clamp<std::int64_t>(book.tokens, 0, most), 0, before);
}

void verify_training_values(std::int64_t wanted_steps, const std::vector<double>& loss, const std::vector<double>& norm,
                            double rate, std::optional<double> wanted_rate,
                            const std::map<std::string, double>& seconds, const std::string& where, Verification& v) {
  const auto steps = static_cast<std::size_t>(wanted_steps);
  v.expect(loss.size() == steps && norm.size() == steps, "training-steps",
           fmt::format("{}: got {} losses and {} gradient norms, wanted {} of each", where, loss.size(), norm.size(),
                       steps));
  for (const auto* values : {&loss, &norm})
    for (const double value : *values)
      v.expect(std::isfinite(value) && value >= 0, "training-values",
               fmt::format("{}: got a loss or gradient norm of {}, wanted one of at least 0", where, value));
  if (steps == 0) {
    v.expect(rate == 0, "learning-rate", fmt::format("{}: got {}, wanted 0: nothing was trained", where, rate));
  } else if (wanted_rate) {
    v.expect(std::abs(rate - *wanted_rate) <= 1e-9 * *wanted_rate, "learning-rate",
             fmt::format("{}: got {}, wanted {}, as the schedule says", where, rate, *wanted_rate));
  }
  for (const auto& [phase, spent] : seconds)
    v.expect(std::isfinite(spent) && spent >= 0, "seconds",
             fmt::format("{}: {}: got {} s, wanted at least 0", where, phase, spent));
}

}  // namespace templora
