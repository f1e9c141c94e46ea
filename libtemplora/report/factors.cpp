#include "report/factors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <deque>
#include <map>
#include <set>

#include "config/config_fields.h"
#include "config/model_name.h"
#include "core/error.h"
#include "report/books_of_runs.h"
#include "report/markdown.h"
#include "run/run_data.h"

namespace templora {
namespace {

const char* factor_name(Factor factor) {
  switch (factor) {
    case Factor::window: return "window";
    case Factor::adapter: return "adapter";
    case Factor::base: return "base";
  }
  return "";
}

struct Run {
  std::string name;
  RunData data;
  Json summary;
  std::int64_t window = 0;
  std::string weights, model;
};

/// Runs of one window and base, which split the books among them.
struct Corner {
  std::int64_t window = 0;
  std::string weights, model;
  std::vector<Json> summaries = {};
  BooksOfRuns books = {};
};

Run open_run(const fs::path& folder) {
  const fs::path summary = folder / "summary.json";
  if (!fs::exists(summary))
    throw Error(Exit::bad_input, fmt::format("{}: no summary.json; wanted a finished run", printable(folder.string())));
  Run run{folder.string(), read_run(folder), parse_json(read_file(summary), summary.string()), 0, "", ""};
  try {
    const Json& config = run.data.run.at("config");
    const Json& window = config.at("window");
    if (config.at("experiment") != "perplexity") throw Error(Exit::usage, "another experiment");
    run.window = window.at("context_tokens").get<std::int64_t>() + window.at("chunk_tokens").get<std::int64_t>();
    run.weights = run.data.run.at("identity").at("weights_hash").get<std::string>();
    run.model = model_name(config.at("model").at("path").get<std::string>());
  } catch (const std::exception&) {
    throw Error(Exit::bad_input,
                fmt::format("{}: run.json is none of a perplexity run, which --factors takes apart",
                            printable(folder.string())));
  }
  return run;
}

/// Sum over the phases of one side, a token; the adapter's side is all that is not the base's.
struct Price {
  std::optional<double> flops, seconds;
};

Price price_of(const Corner& corner, bool adapter) {
  static const std::set<std::string> kOfBase{"score_base", "recompute_base"},
      kOfOthers{"score_controls", "train_controls", "staleness", "neural_cache", "bm25", "read"};
  Price price;
  const auto add = [](std::optional<double>& sum, double value) { sum = sum.value_or(0) + value; };
  const auto counts = [&](const std::string& phase) {
    return !kOfOthers.contains(phase) && kOfBase.contains(phase) != adapter;
  };
  std::int64_t tokens = 0;
  for (const RunData& run : corner.books.runs())
    for (const ChunkRecord& chunk : run.chunks) {
      tokens += chunk.tokens;
      for (const auto& [phase, seconds] : chunk.seconds)
        if (counts(phase)) add(price.seconds, seconds);
    }
  for (const Json& summary : corner.summaries) {
    const auto cost = summary.find("cost");
    if (cost == summary.end() || !cost->contains("phases")) continue;
    for (const auto& [phase, numbers] : cost->at("phases").items())
      if (counts(phase) && numbers.contains("flops") && numbers.at("flops").is_number())
        add(price.flops, numbers.at("flops").get<double>());
  }
  for (auto* value : {&price.flops, &price.seconds})
    if (*value && tokens > 0) **value /= static_cast<double>(tokens);
  return price;
}

std::string effect_name(const std::vector<Factor>& of) {
  std::vector<const char*> names;
  for (const Factor factor : of) names.push_back(factor_name(factor));
  return fmt::format("{}", fmt::join(names, " × "));
}

}  // namespace

FactorTable factor_table(const std::vector<fs::path>& folders) {
  std::deque<Corner> corners;
  std::set<std::int64_t> windows;
  std::vector<const Corner*> bases;  // one of each weights, in the order given
  for (const fs::path& folder : folders) {
    Run run = open_run(folder);
    auto corner = std::find_if(corners.begin(), corners.end(), [&](const Corner& known) {
      return known.window == run.window && known.weights == run.weights;
    });
    if (corner == corners.end()) {
      windows.insert(run.window);
      corner = corners.insert(corners.end(), Corner{run.window, run.weights, run.model});
      const auto same = [&](const Corner* known) { return known->weights == run.weights; };
      if (std::none_of(bases.begin(), bases.end(), same)) bases.push_back(&*corner);
    }
    for (const char* section : {"window", "lora", "train"}) {
      const auto settings = [&](const RunData& of) {
        return with_later_keys(of.run.at("config")).value(section, Json());
      };
      const auto& before = corner->books.runs();
      if (!before.empty() && settings(before.front()) != settings(run.data))
        throw Error(Exit::usage, fmt::format("--factors: {}: {} differs from that of the first run of its window and "
                                             "model, wanted runs that split the books and are alike else",
                                             printable(run.name), section));
    }
    corner->summaries.push_back(std::move(run.summary));
    corner->books.add(std::move(run.data),
                      fmt::format("--factors: runs of a window of {} tokens by {}", run.window, printable(run.model)));
  }
  if (windows.size() > 2 || bases.size() > 2 || corners.size() != windows.size() * bases.size())
    throw Error(Exit::usage,
                fmt::format("--factors: got runs of {} windows and {} models in {} combinations, wanted each of one or "
                            "two windows and one or two models; runs of a combination may split the books",
                            windows.size(), bases.size(), corners.size()));
  FactorTable table;
  if (windows.size() == 2)
    table.levels.push_back(
        {Factor::window, grouped(*windows.begin()) + " tokens", grouped(*windows.rbegin()) + " tokens"});
  table.levels.push_back({Factor::adapter, "off", "on"});
  if (bases.size() == 2) table.levels.push_back({Factor::base, bases[0]->model, bases[1]->model});

  struct Side {
    const Corner* corner;
    Arm arm;
  };
  std::vector<Side> sides;
  const std::size_t count = std::size_t{1} << table.levels.size();
  for (std::size_t c = 0; c < count; ++c) {
    FactorTable::Cell made;
    std::int64_t window = *windows.begin();
    std::string weights = bases.front()->weights;
    Arm arm = Arm::base;
    for (std::size_t l = 0; l < table.levels.size(); ++l) {
      const bool high = (c >> l) & 1;
      made.high.push_back(high);
      if (!high) continue;
      switch (table.levels[l].factor) {
        case Factor::window: window = *windows.rbegin(); break;
        case Factor::adapter: arm = Arm::lora; break;
        case Factor::base: weights = bases.back()->weights; break;
      }
    }
    const auto corner = std::find_if(corners.begin(), corners.end(), [&](const Corner& candidate) {
      return candidate.window == window && candidate.weights == weights;
    });
    const Price price = price_of(*corner, arm == Arm::lora);
    made.flops = price.flops;
    made.seconds = price.seconds;
    table.cells.push_back(made);
    sides.push_back({&*corner, arm});
  }

  std::vector<std::vector<double>> books;  // [book][cell]
  for (const std::string& text : corners.front().books.texts()) {
    std::vector<std::vector<float>> values;
    for (const Side& side : sides) values.push_back(side.corner->books.nll(text, side.arm));
    if (std::any_of(values.begin(), values.end(), [](const auto& nll) { return nll.empty(); })) continue;
    if (auto means = common_means(values)) {
      table.tokens += means->tokens;
      books.push_back(std::move(means->nll));
    }
  }
  if (books.empty())
    throw Error(Exit::usage,
                "--factors: the runs share no token that base and adapter of all of them scored; wanted the same "
                "texts, with score.base and score.adapter true");
  table.books = static_cast<std::int64_t>(books.size());
  for (std::size_t c = 0; c < count; ++c) {
    double sum = 0;
    for (const auto& book : books) sum += book[c];
    table.cells[c].nll = sum / static_cast<double>(books.size());
  }
  for (std::size_t effect = 1; effect < count; ++effect) {
    std::vector<double> of_books;
    for (const auto& book : books) {
      double sum = 0;
      // A cell counts with minus where an odd number of the effect's factors are low in it.
      for (std::size_t c = 0; c < count; ++c) sum += std::popcount(effect & ~c) % 2 == 0 ? book[c] : -book[c];
      of_books.push_back(sum / static_cast<double>(count / 2));
    }
    FactorTable::Effect made;
    for (std::size_t l = 0; l < table.levels.size(); ++l)
      if ((effect >> l) & 1) made.of.push_back(table.levels[l].factor);
    made.nats = mean_over_books(of_books);
    table.effects.push_back(std::move(made));
  }
  std::stable_sort(table.effects.begin(), table.effects.end(),
                   [](const auto& a, const auto& b) { return a.of.size() < b.of.size(); });
  return table;
}

std::string factors_markdown(const FactorTable& table) {
  std::string out = fmt::format("# What interacts\n\n{} books, {} tokens that every run scored.\n\n|", table.books,
                                grouped(table.tokens));
  for (const auto& level : table.levels) out += fmt::format(" {} |", factor_name(level.factor));
  out += " NLL, nats | PPL | GFLOP a token | ms a token |\n|";
  for (std::size_t l = 0; l < table.levels.size(); ++l) out += " --- |";
  out += " ---: | ---: | ---: | ---: |\n";
  const auto scaled = [](const std::optional<double>& value, double by) {
    return value ? std::optional(*value * by) : std::nullopt;
  };
  for (const FactorTable::Cell& c : table.cells) {
    out += "|";
    for (std::size_t l = 0; l < table.levels.size(); ++l)
      out += fmt::format(" {} |", escaped(c.high[l] ? table.levels[l].high : table.levels[l].low));
    out += fmt::format(" {:.4f} | {:.2f} | {} | {} |\n", c.nll, std::exp(c.nll), cell(scaled(c.flops, 1e-9), "{:.2f}"),
                       cell(scaled(c.seconds, 1e3), "{:.2f}"));
  }
  out += "\n| effect | nats a token |\n| --- | ---: |\n";
  for (const auto& effect : table.effects)
    out += fmt::format("| {} | {} |\n", effect_name(effect.of), with_interval(effect.nats, "{:+.4f}"));
  const bool intervals = !table.effects.empty() && table.effects.front().nats.low;
  out += fmt::format(
      "\nAn effect is the mean of the higher level less the lower one over all combinations of the others; where two "
      "factors stand together it is half of what the second changes in the effect of the first. Negative is better. "
      "{}\n",
      intervals ? "Brackets: 95 % over books." : "Too few books for an interval.");
  return out;
}

Json to_json(const FactorTable& table) {
  Json levels = Json::array(), cells = Json::array(), effects = Json::array();
  for (const auto& level : table.levels)
    levels.push_back({{"factor", factor_name(level.factor)}, {"low", level.low}, {"high", level.high}});
  const auto optional = [](const std::optional<double>& value) { return value ? Json(*value) : Json(); };
  for (const auto& c : table.cells)
    cells.push_back({{"high", c.high},
                     {"nll", c.nll},
                     {"flops_per_token", optional(c.flops)},
                     {"seconds_per_token", optional(c.seconds)}});
  for (const auto& effect : table.effects) {
    Json of = Json::array();
    for (const Factor factor : effect.of) of.push_back(factor_name(factor));
    effects.push_back({{"of", of},
                       {"nats", effect.nats.mean},
                       {"low", optional(effect.nats.low)},
                       {"high", optional(effect.nats.high)},
                       {"method", effect.nats.method}});
  }
  return {{"levels", levels}, {"cells", cells}, {"effects", effects}, {"books", table.books}, {"tokens", table.tokens}};
}

}  // namespace templora
