// Data for R and pandas: a line for each run, book, segment and measure; and a line for each token.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "report/report_formats.h"
#include "report/run_groups.h"
#include "run/json_lines.h"
#include "run/run_data.h"
#include "run/token_ids.h"

namespace templora {
namespace {

using Values = std::map<std::string, std::string>;

/// Swept keys, then others that differ; the model and the seed have columns anyway.
std::vector<std::string> columns_of(const std::vector<RunSummary>& runs) {
  std::set<std::string> swept;
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    all.push_back(i);
    for (const Values& values : runs[i].combinations)
      for (const auto& [key, value] : values) swept.insert(key);
  }
  std::vector<std::string> keys(swept.begin(), swept.end());
  for (const std::string& key : differing_keys(runs, all))
    if (!swept.contains(key)) keys.push_back(key);
  std::erase_if(keys, [](const std::string& key) { return key == "seed" || key == "model.path"; });
  return keys;
}

std::string value_of(const RunSummary& run, const Values& values, const std::string& key) {
  const auto swept = values.find(key);
  if (swept == values.end()) return run.setting(key);
  const std::string& text = swept->second;
  return text.size() >= 2 && text.front() == '"' ? Json::parse(text).get<std::string>() : text;
}

/// What a number is of.
struct Subject {
  std::string book = "all", segment = "all";
  std::optional<std::size_t> book_index = {};
  std::int64_t tokens = 0;  ///< 0: not told
};

/// RunLines of one run at one of its combinations.
class RunLines {
 public:
  RunLines(std::string start, std::string& out) : start_(std::move(start)), out_(out) {}

  /// `over` is what the interval is over.
  void add(const Subject& place, const std::string& measure, std::optional<double> value,
           std::optional<double> low = {}, std::optional<double> high = {}, const std::string& method = "",
           const char* over = "books") {
    if (!value || !std::isfinite(*value)) return;
    const auto number = [](const std::optional<double>& v) { return v ? fmt::format("{}", *v) : std::string(); };
    out_ += fmt::format("{},{},{},{},{},{},{},{},{},{},{}\n", start_, csv_field(place.book),
                        place.book_index ? std::to_string(*place.book_index) : "", csv_field(place.segment),
                        csv_field(measure), number(value), number(low), number(low ? high : std::nullopt),
                        low ? method : "", low ? over : "", place.tokens > 0 ? std::to_string(place.tokens) : "");
  }

 private:
  std::string start_;
  std::string& out_;
};

void add_perplexity(RunLines& lines, const Subject& place, const std::string& arm, const Perplexity& p) {
  lines.add(place, arm + "_ppl", p.corpus);
  lines.add(place, arm + "_chunk_mean", p.chunk_mean);
  if (place.book == "all" && !place.book_index) lines.add(place, arm + "_book_mean", p.book_mean);
  lines.add(place, arm + "_word_level", p.word_level);
  lines.add(place, arm + "_bits_per_byte", p.bits_per_byte);
}

std::string change_name(Arm arm) {
  return arm == Arm::lora ? "change_percent" : std::string(arm_name(arm)) + "_change_percent";
}

void add_row(RunLines& lines, const SegmentRow& row, Subject place) {
  if (row.tokens == 0) return;
  place.segment = row.label;
  place.tokens = row.tokens;
  if (row.base) add_perplexity(lines, place, "base", *row.base);
  if (row.lora) add_perplexity(lines, place, "lora", *row.lora);
  for (const auto& [control, p] : row.controls) add_perplexity(lines, place, arm_name(control), p);
  const auto within = [&](Arm arm) {
    const auto found = row.within_book.find(arm);
    return found == row.within_book.end() || !place.book_index ? BlockMean() : found->second;
  };
  const auto change = [&](Arm arm, std::optional<double> value) {
    lines.add(place, change_name(arm), value, within(arm).low, within(arm).high, "moving-blocks",
              "blocks of the book");
  };
  change(Arm::lora, row.change_corpus_percent);
  for (const auto& [control, p] : row.controls) change(control, change_percent(row.base, p));
  if (place.book_index) return;
  for (const auto& [arm, mean] : row.over_books)
    lines.add(place, "mean_" + change_name(arm), mean.mean, mean.low, mean.high, mean.method);
  for (const auto& [arm, mean] : row.against_first_segment)
    if (arm == Arm::lora) lines.add(place, "growth_percent", mean.mean, mean.low, mean.high, mean.method);
}

void add_table(RunLines& lines, const PerplexityTable& table) {
  for (const SegmentRow& row : table.all) add_row(lines, row, {});
  for (std::size_t b = 0; b < table.books.size(); ++b)
    for (const SegmentRow& row : table.books[b].second) add_row(lines, row, {table.books[b].first, "all", b, 0});
}

/// Scores of a translation's novels and of all of them.
void add_translation(RunLines& lines, const RunSummary& run) {
  const auto add = [&](const Json& row, Subject place) {
    place.tokens = static_cast<std::int64_t>(number_at(row, "/tokens").value_or(0));
    for (const char* side : {"base", "lora"})
      for (const auto& [name, key] : {std::pair{"ppl", "perplexity"}, {"sentence_ppl", "sentence_perplexity"},
                                      {"bleu", "bleu"}, {"chrf2", "chrf2"}, {"released_bleu", "released_bleu"},
                                      {"comet", "comet"}})
        lines.add(place, fmt::format("{}_{}", side, name), number_at(row, fmt::format("/{}/{}", side, key)));
  };
  if (run.summary.contains("all")) add(run.summary["all"], {});
  const auto novels = run.summary.find("novels");
  if (novels != run.summary.end() && novels->is_array())
    for (std::size_t n = 0; n < novels->size(); ++n)
      add((*novels)[n], {(*novels)[n].value("label", std::string()), "all", n, 0});
  for (const TranslationTest& test : run.tests) {
    lines.add({}, test.score + "_mean_difference", test.over_novels.mean, test.over_novels.low, test.over_novels.high,
              test.over_novels.method, "novels");
    lines.add({}, test.score + "_bootstrap_p", test.test.bootstrap_p);
    lines.add({}, test.score + "_randomization_p", test.test.randomization_p);
  }
}

void add_others(RunLines& lines, const RunSummary& run) {
  const Subject quarter{"all", "last quarter", {}, 0};
  if (run.experiment() == "generation")
    for (const auto& [place, part] : {std::pair{Subject(), "all"}, {quarter, "last_quarter"}}) {
      for (const char* arm : {"base", "lora"})
        if (const auto nll = number_at(run.summary, fmt::format("/{}/{}_nll", part, arm)))
          lines.add(place, fmt::format("{}_ppl", arm), perplexity_of(*nll));
      lines.add(place, "repeated_4grams", number_at(run.summary, fmt::format("/{}/repeated_4grams", part)));
    }
  if (run.experiment() == "pretrain")
    for (const auto& [name, at] : {std::pair{"steps", "/steps"}, {"validation_ppl", "/validation/perplexity"},
                                   {"validation_bits_per_byte", "/validation/bits_per_byte"}})
      lines.add({}, name, number_at(run.summary, at));
}

void add_cost(RunLines& lines, const RunSummary& run) {
  Subject place;
  place.tokens = run.tokens;
  const auto measure = [&](const char* name, double factor) -> std::optional<double> {
    const auto found = run.measures.find(name);
    return found == run.measures.end() ? std::nullopt : std::optional(found->second * factor);
  };
  lines.add(place, "seconds_per_1k_tokens", measure("seconds", 1000));
  for (const auto& [phase, spent] : run.seconds)
    if (run.tokens > 0)
      lines.add(place, "seconds_per_1k_tokens_" + phase, 1000 * spent / static_cast<double>(run.tokens));
  lines.add(place, "gflop_per_token", measure("flops", 1e-9));
  const auto peak = number_at(run.summary, "/peak_rss_bytes");
  lines.add(place, "peak_rss_mb", peak ? std::optional(*peak / 1e6) : std::nullopt);
}

}  // namespace

std::string tidy_csv(const std::vector<RunSummary>& runs) {
  const std::vector<std::string> keys = columns_of(runs);
  std::string out = "run,config_hash,experiment,model";
  for (const std::string& key : keys) out += "," + csv_field(key);
  out += ",W,seed,book,book_index,segment,measure,value,low,high,method,over,tokens\n";
  static const Values kNone;
  for (const RunSummary& run : runs) {
    if (!run.counted || !run.problem.empty()) continue;
    std::vector<const Values*> places;
    for (const Values& values : run.combinations) places.push_back(&values);
    if (places.empty()) places.push_back(&kNone);
    for (const Values* values : places) {
      std::string start = fmt::format("{},{},{},{}", csv_field(run.name), csv_field(run.config_hash()),
                                      csv_field(run.experiment()), csv_field(run.model()));
      for (const std::string& key : keys) start += "," + csv_field(value_of(run, *values, key));
      start += fmt::format(",{},{}", window_tokens(run), csv_field(run.setting("seed")));
      RunLines lines(std::move(start), out);
      if (run.table) add_table(lines, *run.table);
      if (run.experiment() == "translation" && run.summary.is_object()) add_translation(lines, run);
      add_others(lines, run);
      add_cost(lines, run);
    }
  }
  return out;
}

std::string tokens_csv(const std::vector<RunSummary>& runs,
                       const std::function<TokenTexts(const RunSummary&)>& texts_of) {
  std::set<Arm> arms;
  std::vector<std::pair<const RunSummary*, RunData>> kept;
  for (const RunSummary& run : runs) {
    if (!run.counted || !fs::exists(run.folder / token_ids_name(0))) continue;
    kept.emplace_back(&run, read_run(run.folder));
    for (const auto& [book, nll] : kept.back().second.nll)
      for (const auto& [arm, values] : nll) arms.insert(arm);
  }
  if (kept.empty())
    throw Error(Exit::bad_input,
                "--format tokens: no run has kept its tokens' ids, wanted score.keep_tokens true in one: a run with "
                "--set score.keep_tokens=true keeps them, and so does one that is gone on with (--resume) before it "
                "has ended");
  std::string out = "run,config_hash,seed,book,book_index,position,token,text";
  for (const Arm arm : arms) out += fmt::format(",{}_nll", arm_name(arm));
  out += "\n";
  for (const auto& [run, data] : kept) {
    const std::string start =
        fmt::format("{},{},{}", csv_field(run->name), csv_field(run->config_hash()), csv_field(run->setting("seed")));
    const TokenTexts text_of = texts_of(*run);
    for (const BookRecord& book : data.books) {
      const std::vector<std::int32_t> ids = read_token_ids(run->folder, book.book_index);
      std::size_t at = 0;
      for (const ChunkRecord& chunk : data.chunks) {
        if (chunk.book_index != book.book_index) continue;
        const std::int64_t end = chunk.first_token + chunk.tokens;
        for (std::int64_t t = end - chunk.scored_tokens; t < end; ++t, ++at) {
          if (at >= ids.size())
            throw Error(Exit::bad_input, fmt::format("{}: got {} ids, wanted one for each NLL",
                                                     (run->folder / token_ids_name(book.book_index)).string(),
                                                     ids.size()));
          out += fmt::format("{},{},{},{},{},{}", start, csv_field(book.book), book.book_index, t, ids[at],
                             csv_field(text_of(ids[at])));
          const auto nll = data.nll.find(book.book_index);
          for (const Arm arm : arms) {
            const bool known = nll != data.nll.end() && nll->second.contains(arm) && at < nll->second.at(arm).size();
            out += known ? fmt::format(",{}", nll->second.at(arm)[at]) : ",";
          }
          out += "\n";
        }
      }
    }
  }
  return out;
}

}  // namespace templora
