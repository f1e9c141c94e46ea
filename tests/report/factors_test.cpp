#include "report/factors.h"

#include <cmath>

#include "catch.h"
#include "made_runs.h"

using namespace templora;
using namespace templora_test;

namespace {

const FactorTable::Effect& effect_of(const FactorTable& table, const std::vector<Factor>& factors) {
  for (const auto& effect : table.effects)
    if (effect.of == factors) return effect;
  throw std::runtime_error("no such effect");
}

const MadeRun kNarrow{.context_tokens = 50, .books = 8, .gain = 0.1},
    kWide{.context_tokens = 100, .books = 8, .gain = 0.2};

void make_two_windows(const TempFolder& folder) {
  make_run(folder.path() / "narrow", kNarrow);
  make_run(folder.path() / "wide", kWide);
}

}  // namespace

TEST_CASE("factor_table: two windows with and without the adapter are taken apart as they were made", "[unit]") {
  const TempFolder folder;
  make_two_windows(folder);
  const FactorTable table = factor_table({folder.path() / "wide", folder.path() / "narrow"});
  REQUIRE(table.levels.size() == 2);
  CHECK(table.levels[0].low == "100 tokens");
  CHECK(table.levels[0].high == "150 tokens");
  CHECK(table.books == 8);
  CHECK(table.tokens == 8 * 599);

  // made_runs.h: the adapter is better by gain · (1 - exp(-at / 200)) + 0.01 sin(2.1 b).
  const double rise = mean_rise();
  double of_book = 0;
  for (int b = 0; b < 8; ++b) of_book += 0.01 * std::sin(b * 2.1) / 8;
  const auto near = [](double a, double b) { return std::abs(a - b) <= 1e-6; };
  CHECK(near(effect_of(table, {Factor::window}).nats.mean, -0.05 * rise));
  CHECK(near(effect_of(table, {Factor::adapter}).nats.mean, -(0.15 * rise + of_book)));
  CHECK(near(effect_of(table, {Factor::window, Factor::adapter}).nats.mean, -0.05 * rise));
  CHECK(effect_of(table, {Factor::adapter}).nats.low);
  CHECK(near(table.cells[0].nll, table.cells[1].nll));
  CHECK(near(table.cells[3].nll, table.cells[0].nll - (0.2 * rise + of_book)));
  const std::string markdown = factors_markdown(table);
  CHECK(markdown.find("| window × adapter | -0.0") != std::string::npos);
}

TEST_CASE("factor_table: runs of one window and base may split the books", "[unit]") {
  const TempFolder folder;
  make_two_windows(folder);
  // The wide run's books in two: what the one has of them, the other has under another text's hash.
  const auto with_others = [&](const std::string& name, int first, int end) {
    make_run(folder.path() / name, kWide);
    std::string lines = read_file(folder.path() / name / "books.jsonl");
    for (int b = first; b < end; ++b) {
      const std::string hash = "\"text " + std::to_string(b) + "\"";
      lines.replace(lines.find(hash), hash.size(), "\"" + name + std::to_string(b) + "\"");
    }
    write_file_atomically(folder.path() / name / "books.jsonl", lines);
  };
  with_others("wide-a", 0, 3);
  with_others("wide-b", 3, 8);
  const auto table = [&](const std::vector<std::string>& names) {
    std::vector<fs::path> folders;
    for (const std::string& name : names) folders.push_back(folder.path() / name);
    return factor_table(folders);
  };
  const FactorTable whole = table({"narrow", "wide"}), split = table({"narrow", "wide-a", "wide-b"});
  CHECK(split.books == 8);
  REQUIRE(split.effects.size() == whole.effects.size());
  for (std::size_t e = 0; e < whole.effects.size(); ++e) {
    CHECK(split.effects[e].nats.mean == Approx(whole.effects[e].nats.mean).epsilon(1e-12));
    CHECK(*split.effects[e].nats.low == Approx(*whole.effects[e].nats.low).epsilon(1e-9));
  }
  make_run(folder.path() / "other-chunks", MadeRun{.chunk_tokens = 25, .context_tokens = 125, .books = 8});
  CHECK_THROWS_WITH(table({"narrow", "wide", "other-chunks"}), Catch::Matchers::Contains("window differs"));
}

TEST_CASE("factor_table: runs that are not every combination once are refused", "[unit]") {
  const TempFolder folder;
  for (const auto& [name, context] : {std::pair{"a", 50}, {"b", 100}, {"c", 150}, {"d", 50}})
    make_run(folder.path() / name, MadeRun{.context_tokens = context});
  make_run(folder.path() / "begun", MadeRun{.finished = false});
  const auto refused = [&](const std::vector<fs::path>& names, const char* why) {
    std::vector<fs::path> folders;
    for (const fs::path& name : names) folders.push_back(folder.path() / name);
    CHECK_THROWS_WITH(factor_table(folders), Catch::Matchers::Contains(why));
  };
  refused({"a", "b", "c"}, "3 windows");
  refused({"a", "d"}, "read twice");
  refused({"a", "begun"}, "finished");
}
