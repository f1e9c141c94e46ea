#include "report/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "config/config_fields.h"
#include "metrics/derived.h"
#include "report/markdown.h"

namespace templora {
namespace {

void flatten(const Json& json, const std::string& path, std::vector<std::pair<std::string, Json>>& out) {
  if (!json.is_object()) return out.emplace_back(path, json), void();
  for (const auto& item : json.items()) flatten(item.value(), path.empty() ? item.key() : path + "." + item.key(), out);
}

Json part(const RunData& run, const char* key) {
  const auto found = run.run.find(key);
  return found == run.run.end() ? Json::object() : *found;
}

Json identity_of(const RunData& run) {
  Json identity = part(run, "identity");
  identity["processor"] = run.run.value("processor", "");
  identity["templora_version"] = run.run.value("templora_version", "");
  return identity;
}

struct Matched {
  const BookRecord *first, *second;
};

/// One shift; `sides` are added with their signs: second less first, and for the gain the base's the other way round.
NllShift shift_of(const std::string& name, const RunData& first, const RunData& second,
                  const std::vector<Matched>& books) {
  const bool gain = name == "gain";
  const Arm arm = name == "base" ? Arm::base : Arm::lora;
  NllShift shift;
  shift.name = name;
  shift.same_bits = true;
  double sum = 0;
  std::vector<double> means;
  for (const Matched& book : books) {
    const std::vector<float> a = nll_by_position(first, *book.first, arm),
                             b = nll_by_position(second, *book.second, arm);
    const std::vector<float> a0 = gain ? nll_by_position(first, *book.first, Arm::base) : a,
                             b0 = gain ? nll_by_position(second, *book.second, Arm::base) : b;
    std::vector<ChunkSum> parts;
    for (const ChunkRecord& chunk : second.chunks) {
      if (chunk.book_index != book.second->book_index) continue;
      ChunkSum part;
      for (auto t = static_cast<std::size_t>(chunk.first_token);
           t < static_cast<std::size_t>(chunk.first_token + chunk.tokens); ++t) {
        if (t >= std::min({a.size(), b.size(), a0.size(), b0.size()})) break;
        const double off = static_cast<double>(b[t]) - a[t] - (gain ? static_cast<double>(b0[t]) - a0[t] : 0.0);
        if (std::isnan(off)) continue;
        part.sum += off;
        ++part.tokens;
        shift.same_bits = shift.same_bits && off == 0;
      }
      if (part.tokens > 0) parts.push_back(part);
    }
    if (parts.empty()) continue;
    NllShift::OfBook of_book{book.second->book, 0, mean_within_book(parts)};
    for (const ChunkSum& p : parts) of_book.tokens += p.tokens, sum += p.sum;
    shift.tokens += of_book.tokens;
    means.push_back(of_book.within.mean);
    shift.books.push_back(std::move(of_book));
  }
  if (means.empty()) return shift;
  shift.mean = sum / static_cast<double>(shift.tokens);
  shift.over_books = mean_over_books(means);
  return shift;
}

std::string shown(const Json& value) {
  return value.is_null() ? std::string(kDash) : value.is_string() ? value.get<std::string>() : value.dump();
}

/// A difference of NLLs as a change of perplexity.
std::string percent(double nll) { return cell(percent_of(nll), "{:+.3f}"); }

std::string title(const std::string& name) {
  if (name == "base") return "base";
  return name == "lora" ? "Temp-LoRA" : "gain of Temp-LoRA over the base";
}

std::string verdict(const NllShift& shift) {
  if (shift.same_bits) return "no value differs";
  if (const auto more = shift.more_than_chance())
    return *more ? "more than chance between books" : "no more than chance between books gives";
  if (shift.over_books.books < kFewestBooks)
    return fmt::format("{} books are too few to speak for others", shift.over_books.books);
  return "nearly all books are equal: no interval";
}

void append_keys(const char* heading, const std::vector<KeyDifference>& keys, const std::string& first,
                 const std::string& second, std::string& out) {
  out += fmt::format("## {}\n\n", heading);
  if (keys.empty()) {
    out += "Nothing differs.\n\n";
    return;
  }
  out += fmt::format("| key | {} | {} |\n| --- | --- | --- |\n", as_written(first), as_written(second));
  for (const KeyDifference& key : keys)
    out += fmt::format("| {} | {} | {} |\n", as_written(key.key), as_written(shown(key.first)),
                       as_written(shown(key.second)));
  out += "\n";
}

}  // namespace

std::vector<KeyDifference> key_differences(const Json& first, const Json& second) {
  std::vector<std::pair<std::string, Json>> a, b;
  flatten(first, "", a);
  flatten(second, "", b);
  const auto value_of = [](const std::vector<std::pair<std::string, Json>>& all, const std::string& key) {
    for (const auto& [name, value] : all)
      if (name == key) return value;
    return Json(nullptr);
  };
  std::vector<KeyDifference> found;
  for (const auto& [key, value] : a)
    if (const Json other = value_of(b, key); other != value) found.push_back({key, value, other});
  for (const auto& [key, value] : b)
    if (std::none_of(a.begin(), a.end(), [&](const auto& item) { return item.first == key; }) && !value.is_null())
      found.push_back({key, nullptr, value});
  return found;
}

std::optional<bool> NllShift::more_than_chance() const {
  if (!over_books.low) return std::nullopt;
  return *over_books.low > 0 || *over_books.high < 0;
}

RunComparison compare_runs(const RunData& first, const RunData& second, const std::string& first_name,
                           const std::string& second_name) {
  RunComparison comparison;
  const auto config_of = [](const RunData& run) { return with_later_keys(part(run, "config")); };
  comparison.config = key_differences(config_of(first), config_of(second));
  comparison.identity = key_differences(identity_of(first), identity_of(second));
  std::vector<Matched> books;
  for (const BookRecord& a : first.books)
    for (const BookRecord& b : second.books)
      if (a.text_hash == b.text_hash &&
          std::none_of(books.begin(), books.end(), [&](const Matched& m) { return m.first == &a || m.second == &b; }))
        books.push_back({&a, &b});
  if (books.empty())
    throw Error(Exit::bad_input,
                fmt::format("{} and {}: they share no book (by text_hash), wanted runs over the same texts", first_name,
                            second_name));
  const Json a = part(first, "identity"), b = part(second, "identity");
  if (a.value("tokenizer_hash", "") != b.value("tokenizer_hash", ""))
    throw Error(
        Exit::bad_input,
        fmt::format(
            "{} and {}: their tokenizers differ, so that no token is the same; compare bits per byte in their tables",
            first_name, second_name));
  comparison.books = static_cast<std::int64_t>(books.size());
  for (const char* name : {"base", "lora", "gain"}) {
    NllShift shift = shift_of(name, first, second, books);
    if (shift.tokens > 0) comparison.shifts.push_back(std::move(shift));
  }
  if (comparison.shifts.empty())
    throw Error(Exit::bad_input, fmt::format("{} and {}: they share no token that the same scorer scored in both",
                                             first_name, second_name));
  return comparison;
}

std::string comparison_text(const RunComparison& comparison, const std::string& first_name,
                            const std::string& second_name) {
  std::string out = fmt::format("# {} against {}\n\n", as_written(second_name), as_written(first_name));
  append_keys("Config", comparison.config, first_name, second_name, out);
  append_keys("Identity", comparison.identity, first_name, second_name, out);
  out +=
      "## NLL\n\nSecond less first on the tokens that both scored, negative where the second is better. The interval "
      "is over books "
      "(docs/statistics.md).\n\n"
      "| scorer | books | tokens | nats a token | PPL change % | mean over books, % | method | verdict |\n"
      "| --- | ---: | ---: | ---: | ---: | ---: | --- | --- |\n";
  for (const NllShift& shift : comparison.shifts) {
    const BookMean& mean = shift.over_books;
    const std::string ends = mean.low ? fmt::format(" [{}, {}]", percent(*mean.low), percent(*mean.high)) : "";
    out += fmt::format("| {} | {} | {} | {:+.6f} | {} | {}{} | {} | {} |\n", title(shift.name), mean.books,
                       grouped(shift.tokens), shift.mean, percent(shift.mean), percent(mean.mean), ends,
                       mean.method, verdict(shift));
  }
  if (std::all_of(comparison.shifts.begin(), comparison.shifts.end(),
                  [](const NllShift& shift) { return shift.over_books.low.has_value(); }))
    return out;
  out += "\n## Each book\n\nIntervals from moving blocks within the book: they say nothing about other books.\n\n"
         "| scorer | book | tokens | PPL change % |\n| --- | --- | ---: | ---: |\n";
  for (const NllShift& shift : comparison.shifts)
    for (const NllShift::OfBook& book : shift.books) {
      const std::string ends =
          book.within.low ? fmt::format(" [{}, {}]", percent(*book.within.low), percent(*book.within.high))
                          : "";
      out += fmt::format("| {} | {} | {} | {}{} |\n", title(shift.name), as_written(book.book),
                         grouped(book.tokens), percent(book.within.mean), ends);
    }
  return out;
}

Json to_json(const RunComparison& comparison) {
  const auto keys = [](const std::vector<KeyDifference>& all) {
    Json json = Json::array();
    for (const KeyDifference& key : all)
      json.push_back({{"key", key.key}, {"first", key.first}, {"second", key.second}});
    return json;
  };
  Json shifts = Json::object();
  for (const NllShift& shift : comparison.shifts) {
    Json books = Json::array();
    for (const NllShift::OfBook& book : shift.books)
      books.push_back({{"book", book.book},
                       {"tokens", book.tokens},
                       {"nll_difference", book.within.mean},
                       {"low", optional_json(book.within.low)},
                       {"high", optional_json(book.within.high)},
                       {"method", book.within.low ? "moving-blocks" : "none"}});
    const BookMean& mean = shift.over_books;
    shifts[shift.name] = {{"tokens", shift.tokens},
                          {"nll_difference", shift.mean},
                          {"same_bits", shift.same_bits},
                          {"over_books",
                           {{"nll_difference", mean.mean},
                            {"low", optional_json(mean.low)},
                            {"high", optional_json(mean.high)},
                            {"p", optional_json(mean.p)},
                            {"books", mean.books},
                            {"method", mean.method}}},
                          {"more_than_chance", optional_json(shift.more_than_chance())},
                          {"books", books}};
  }
  return {{"config", keys(comparison.config)},
          {"identity", keys(comparison.identity)},
          {"books", comparison.books},
          {"nll", shifts}};
}

}  // namespace templora
