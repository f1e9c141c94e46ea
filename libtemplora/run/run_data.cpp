#include "run/run_data.h"

#include <fmt/format.h>

#include <limits>

#include <cmath>
#include <cstring>

#include "core/error.h"
#include "run/json_lines.h"

namespace templora {
namespace {

constexpr double kMeanTolerance = 1e-3;  // a chunk's mean may have been taken in float32

[[noreturn]] void refuse(const std::string& file, const std::string& what) {
  throw Error(Exit::bad_input, fmt::format("{}: {}", file, what));
}

[[noreturn]] void disagree(const std::string& where, const std::string& what) {
  throw Error(Exit::bad_input, fmt::format("{}: {}; was the run stopped, then resume it first", where, what));
}

/// Checks that a book's NLL file holds what its chunks say, and returns it.
std::vector<float> read_nll(const fs::path& path, Arm arm, const std::vector<const ChunkRecord*>& chunks) {
  const std::vector<float> values = read_floats(path);
  std::size_t at = 0;
  for (const ChunkRecord* chunk : chunks) {
    const std::optional<double> mean = mean_nll(*chunk, arm);
    const auto count = static_cast<std::size_t>(chunk->scored_tokens);
    if (!mean && count > 0) disagree(path.string(), fmt::format("chunk {} has no {}_nll", chunk->chunk, arm_name(arm)));
    if (values.size() - at < count)
      disagree(path.string(), fmt::format("got {} values, wanted more for chunk {}", values.size(), chunk->chunk));
    double sum = 0;
    for (std::size_t i = 0; i < count; ++i) sum += values[at + i];
    at += count;
    if (count == 0) continue;
    const double found = sum / static_cast<double>(count);
    if (!(std::abs(found - *mean) <= kMeanTolerance * std::max(1.0, std::abs(*mean))))
      disagree(path.string(),
               fmt::format("chunk {} has the mean {}, wanted {} as in chunks.jsonl", chunk->chunk, found, *mean));
  }
  if (at != values.size())
    disagree(path.string(), fmt::format("got {} values, wanted {} as the chunks say", values.size(), at));
  return values;
}

/// Checks that a chunk follows the book's earlier ones.
void check_follows(const ChunkRecord& chunk, const std::vector<const ChunkRecord*>& earlier, const std::string& where) {
  const auto wanted_chunk = static_cast<std::int64_t>(earlier.size());
  const std::int64_t wanted_token = earlier.empty() ? 0 : earlier.back()->first_token + earlier.back()->tokens;
  if (chunk.chunk != wanted_chunk || chunk.first_token != wanted_token)
    disagree(where, fmt::format("got chunk {} at token {}, wanted chunk {} at token {}", chunk.chunk, chunk.first_token,
                                wanted_chunk, wanted_token));
  if (chunk.scored_tokens < 0 || chunk.scored_tokens > chunk.tokens || chunk.scored_tokens < chunk.tokens - 1)
    disagree(where, fmt::format("got {} of {} tokens scored, wanted all, or all but the first", chunk.scored_tokens,
                                chunk.tokens));
}

}  // namespace

std::vector<float> read_floats(const fs::path& path) {
  const std::string bytes = read_file(path);
  if (bytes.size() % sizeof(float) != 0)
    disagree(path.string(), fmt::format("got {} bytes, wanted a multiple of {}", bytes.size(), sizeof(float)));
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

RunData read_run(const fs::path& path) {
  RunData data;
  const std::string run = (path / "run.json").string();
  data.run = parse_json(read_file(run), run);
  if (!data.run.is_object()) refuse(run, "got no object, wanted the record of a run");
  for (const char* part : {"config", "identity"})
    if (data.run.contains(part) && !data.run.at(part).is_object())
      refuse(run, fmt::format("{}: got no object, wanted one", part));
  for (const char* text : {"processor", "templora_version"})
    if (data.run.contains(text) && !data.run.at(text).is_string())
      refuse(run, fmt::format("{}: got no string, wanted one", text));

  std::map<std::int64_t, std::vector<const ChunkRecord*>> chunks_of;
  read_jsonl(path / "books.jsonl", [&](const Json& json, const std::string& where) {
    data.books.push_back(book_record_from_json(json, where));
    const BookRecord& book = data.books.back();
    if (!chunks_of.emplace(book.book_index, std::vector<const ChunkRecord*>()).second)
      disagree(where, fmt::format("got book_index {} a second time, wanted another", book.book_index));
  });
  std::vector<std::string> places;
  read_jsonl(path / "chunks.jsonl", [&](const Json& json, const std::string& where) {
    data.chunks.push_back(chunk_record_from_json(json, where));
    places.push_back(where);
  });
  for (std::size_t i = 0; i < data.chunks.size(); ++i) {  // only now: the vector has stopped moving
    const ChunkRecord& chunk = data.chunks[i];
    const auto book = chunks_of.find(chunk.book_index);
    if (book == chunks_of.end())
      disagree(places[i], fmt::format("got book_index {}, wanted one of books.jsonl", chunk.book_index));
    check_follows(chunk, book->second, places[i]);
    book->second.push_back(&chunk);
  }
  for (const auto& [book_index, chunks] : chunks_of)
    for (const Arm arm : kArms) {
      const fs::path file = path / "nll" / fmt::format("{}-{}.f32", book_index, arm_name(arm));
      bool scored = false;
      for (const ChunkRecord* chunk : chunks) scored |= mean_nll(*chunk, arm).has_value();
      if (scored || fs::exists(file)) data.nll[book_index][arm] = read_nll(file, arm, chunks);
    }
  return data;
}

std::vector<float> nll_by_position(const RunData& run, const BookRecord& book, Arm arm) {
  const auto of_book = run.nll.find(book.book_index);
  if (of_book == run.nll.end() || !of_book->second.contains(arm)) return {};
  const std::vector<float>& values = of_book->second.at(arm);
  std::vector<float> out;
  std::size_t at = 0;
  for (const ChunkRecord& chunk : run.chunks) {
    if (chunk.book_index != book.book_index) continue;
    out.resize(static_cast<std::size_t>(chunk.first_token + chunk.tokens), std::numeric_limits<float>::quiet_NaN());
    for (std::int64_t i = 0; i < chunk.scored_tokens && at < values.size(); ++i)
      out[static_cast<std::size_t>(chunk.first_token + chunk.tokens - chunk.scored_tokens + i)] = values[at++];
  }
  return out;
}

std::optional<CommonMeans> common_means(const std::vector<std::vector<float>>& sides, std::int64_t from,
                                        std::int64_t to) {
  auto end = to > 0 ? static_cast<std::size_t>(to) : std::numeric_limits<std::size_t>::max();
  for (const auto& side : sides) end = std::min(end, side.size());
  CommonMeans means{std::vector<double>(sides.size(), 0), 0};
  for (auto t = static_cast<std::size_t>(from); t < end; ++t) {
    if (std::any_of(sides.begin(), sides.end(), [&](const auto& side) { return std::isnan(side[t]); })) continue;
    for (std::size_t i = 0; i < sides.size(); ++i) means.nll[i] += static_cast<double>(sides[i][t]);
    ++means.tokens;
  }
  if (means.tokens == 0) return {};
  for (double& sum : means.nll) sum /= static_cast<double>(means.tokens);
  return means;
}

std::vector<GenerationRecord> read_generation(const fs::path& path) {
  std::vector<GenerationRecord> chunks;
  read_jsonl(path / "chunks.jsonl", [&](const Json& json, const std::string& where) {
    chunks.push_back(generation_record_from_json(json, where));
  });
  return chunks;
}

std::map<std::string, double> read_step_seconds(const fs::path& path) {
  std::map<std::string, double> sums;
  read_jsonl(path / "steps.jsonl", [&](const Json& step, const std::string& where) {
    try {
      if (const auto phases = step.find("phase_seconds"); phases != step.end())
        for (const auto& [phase, spent] : phases->items()) sums[phase] += spent.get<double>();
      else
        sums["step"] += step.at("seconds").get<double>();
    } catch (const nlohmann::json::exception&) {
      throw Error(Exit::bad_input,
                  fmt::format("{}: seconds and phase_seconds: got no numbers, wanted a step as a pretraining writes it",
                              where));
    }
  });
  return sums;
}

std::vector<SegmentRecord> read_segments(const fs::path& path) {
  std::vector<SegmentRecord> segments;
  read_jsonl(path / "chunks.jsonl", [&](const Json& json, const std::string& where) {
    try {
      segments.push_back({json.at("lesson_tokens").get<std::int64_t>(), json.at("labelled_tokens").get<std::int64_t>(),
                         std::int64_t(json.at("train_loss").size())});
    } catch (const nlohmann::json::exception&) {
      throw Error(
          Exit::bad_input,
          fmt::format("{}: lesson_tokens, labelled_tokens and train_loss are wanted, as a translation writes them",
                      where));
    }
  });
  return segments;
}

std::vector<PairRecord> read_pairs(const fs::path& path) {
  std::vector<PairRecord> pairs;
  read_jsonl(path / "pairs.jsonl",
             [&](const Json& json, const std::string& where) { pairs.push_back(pair_record_from_json(json, where)); });
  return pairs;
}

std::vector<CometRecord> read_comet(const fs::path& path, std::size_t pairs) {
  std::vector<CometRecord> comet;
  const fs::path file = path / "comet.jsonl";
  if (!fs::exists(file)) return comet;
  read_jsonl(file, [&](const Json& json, const std::string& where) {
    comet.push_back(comet_record_from_json(json, where));
  });
  if (comet.size() != pairs)
    throw Error(Exit::bad_input, fmt::format("{}: got {} lines, wanted {}, one a pair", file.string(), comet.size(),
                                             pairs));
  return comet;
}

}  // namespace templora
