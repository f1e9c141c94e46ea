#include "report/pool.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

#include "config/config_fields.h"
#include "report/compare.h"
#include "run/text_hash_name.h"

namespace templora {
namespace {

/// What has to be equal: settings that change numbers, and hashes of inputs. Where these lie, which machine it was, how
/// many threads and which versions ran there is left out, and so are the books.
Json compared(const NamedRun& run) {
  Json config = with_later_keys(run.data.run.at("config"));
  for (const auto& [key, info] : config_keys())
    if (!info.counts_in(kPerplexity) || *info.recorded) erase_key(config, key);
  erase_key(config, "run.threads");
  Json inputs = Json::object();
  for (const auto& [key, value] : run.data.run.at("identity").items())
    if (key.ends_with("_hash") && !is_text_hash(key) && key != "config_hash") inputs[key] = value;
  return {{"config", config}, {"identity", inputs}};
}

void require_perplexity(const NamedRun& run) {
  const Json& record = run.data.run;
  const Json::json_pointer experiment("/config/experiment"), books("/config/data/books"), identity("/identity");
  if (!record.contains(experiment) || record.at(experiment) != "perplexity" || !record.contains(books) ||
      !record.at(books).is_array() || !record.contains(identity) || !record.at(identity).is_object())
    throw Error(Exit::bad_input, fmt::format("{}: run.json: wanted the record of a perplexity run", run.name));
}

void require_equal(const NamedRun& first, const NamedRun& other) {
  std::vector<std::string> differ;
  for (const KeyDifference& key : key_differences(compared(first), compared(other)))
    differ.push_back(fmt::format("{} is {} and {}", key.key, key.first.dump(), key.second.dump()));
  if (!differ.empty())
    throw Error(Exit::bad_input, fmt::format("{}, {}: {}; wanted runs that differ in data.books only", first.name,
                                             other.name, printable(fmt::format("{}", fmt::join(differ, ", ")), 1000)));
}

}  // namespace

RunData pooled(std::vector<NamedRun> runs, const std::vector<std::int64_t>& edges) {
  RunData all;
  std::map<std::string, std::string> readers;  // text -> run
  for (const NamedRun& run : runs) {
    require_perplexity(run);
    require_equal(runs.front(), run);
  }
  for (NamedRun& run : runs) {
    const auto before = static_cast<std::int64_t>(all.books.size());
    if (before == 0) {
      all.run = run.data.run;
      Json identity = Json::object();
      for (const auto& [key, value] : all.run["identity"].items())
        if (!is_text_hash(key) && key != "config_hash") identity[key] = value;
      all.run["identity"] = identity;
    } else {
      for (const Json& book : run.data.run["config"]["data"]["books"])
        all.run["config"]["data"]["books"].push_back(book);
    }
    for (BookRecord& book : run.data.books) {
      const auto [reader, is_new] = readers.emplace(book.text_hash, run.name);
      if (!is_new)
        throw Error(Exit::bad_input,
                    fmt::format("{}: {} is a text that {} read {}; wanted each text once", run.name,
                                book.book, reader->second, reader->second == run.name ? "twice" : "too"));
      book.book_index += before;
      all.run["identity"][fmt::format("text_{}_hash", book.book_index)] = book.text_hash;
      all.books.push_back(std::move(book));
    }
    for (ChunkRecord& chunk : run.data.chunks) {
      chunk.book_index += before;
      all.chunks.push_back(std::move(chunk));
    }
    for (auto& [book, scores] : run.data.nll) all.nll[book + before] = std::move(scores);
  }
  if (!edges.empty()) all.run["config"]["score"]["segment_edges"] = edges;
  return all;
}

}  // namespace templora
