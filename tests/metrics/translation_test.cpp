#include "metrics/translation.h"

#include <cmath>

#include "catch.h"
#include "metrics/translation_tests.h"

using namespace templora;

namespace {

PairRecord pair(std::int64_t novel, const std::string& en, std::int64_t tokens, double base_nll, double lora_nll,
                const std::string& base_text, const std::string& lora_text) {
  PairRecord record;
  record.novel = novel == 0 ? "a.train" : "b.train";
  record.novel_index = novel;
  record.en = en;
  record.reference_tokens = tokens;
  record.base_nll = base_nll;
  record.lora_nll = lora_nll;
  record.base_text = base_text;
  record.lora_text = lora_text;
  record.base_stopped = record.lora_stopped = true;
  return record;
}

std::vector<PairRecord> some_pairs() {
  std::vector<PairRecord> pairs{
      pair(0, "The gate was closed before the rain came down.", 10, 2.0, 1.0, "The gate closed.",
           "The gate was closed before the rain."),
      pair(0, "He did not look back at the old bridge.", 30, 3.0, 2.5, "He looked.",
           "He did not look back at the old bridge."),
      pair(1, "Nobody answered the general that night.", 20, 4.0, 4.0, "None.", "Nobody answered the general.")};
  pairs[2].base_stopped = false;
  pairs[1].cut_pairs = 2;
  PairRecord& skipped = pairs.emplace_back();
  skipped.novel = "b.train";
  skipped.novel_index = 1;
  skipped.skipped = true;
  return pairs;
}

/// Of some_pairs(), of which the last was skipped.
std::vector<CometRecord> some_scores() {
  return {{0, 0, 0, 0.5, 0.6}, {0, 0, 1, 0.7, 0.8}, {1, 0, 0, 0.9, 1.0}, {1, 0, 1, {}, {}}};
}

}  // namespace

TEST_CASE("translation_table: perplexities, corpus scores and counts, per novel and all together", "[unit]") {
  const std::vector<PairRecord> pairs = some_pairs();
  const TranslationTable table = translation_table(pairs);
  CHECK(table.all.pairs == 3);
  CHECK(table.all.skipped == 1);
  CHECK(table.all.tokens == 60);
  CHECK(table.all.cut_pairs == 1);
  CHECK(*table.all.base->perplexity == Approx(std::exp((20.0 + 90.0 + 80.0) / 60.0)));
  CHECK(*table.all.base->sentence_perplexity ==
        Approx((10 * std::exp(2.0) + 30 * std::exp(3.0) + 20 * std::exp(4.0)) / 60));
  CHECK(table.all.base->not_stopped == 1);
  CHECK(table.all.lora->not_stopped == 0);
  const std::vector<std::string> hypotheses{*pairs[0].lora_text, *pairs[1].lora_text, *pairs[2].lora_text};
  const std::vector<std::vector<std::string>> references{{pairs[0].en}, {pairs[1].en}, {pairs[2].en}};
  CHECK(table.all.lora->bleu.score == Approx(corpus_bleu(hypotheses, references).score));
  CHECK(table.all.lora->chrf.score == Approx(corpus_chrf(hypotheses, references).score));
  CHECK(table.all.lora->released_bleu > 0.3);
  CHECK_FALSE(table.all.lora->comet.has_value());
  REQUIRE(table.novels.size() == 2);
  CHECK(table.novels[0].label == "a.train");
  CHECK(table.novels[0].tokens == 40);
  CHECK(table.novels[1].pairs == 1);
  CHECK(*table.novels[1].lora->perplexity == Approx(std::exp(4.0)));
}

TEST_CASE("translation_table: COMET is the mean over what was translated", "[unit]") {
  const TranslationTable table = translation_table(some_pairs(), some_scores());
  CHECK(*table.all.base->comet == Approx(0.7));
  CHECK(*table.novels[0].lora->comet == Approx(0.7));
  CHECK(*table.novels[1].base->comet == Approx(0.9));
}

TEST_CASE("translation_table: every chunk has its own scores, from its own pairs", "[unit]") {
  std::vector<PairRecord> pairs = some_pairs();
  pairs[1].chunk = 1;
  pairs[3].chunk = 1;  // all that there is of the second novel's second chunk was skipped
  const TranslationTable table = translation_table(pairs, some_scores());
  REQUIRE(table.chunks.size() == 4);
  CHECK(table.chunks[1].novel_index == 0);
  CHECK(table.chunks[1].chunk == 1);
  CHECK(table.chunks[1].row.cut_pairs == 1);
  CHECK(*table.chunks[1].row.lora->perplexity == Approx(std::exp(2.5)));
  CHECK(table.chunks[1].row.lora->bleu.score == Approx(100));
  CHECK(*table.chunks[1].row.lora->comet == Approx(0.8));
  CHECK(table.chunks[2].novel_index == 1);
  CHECK(table.chunks[2].chunk == 0);
  const Json chunks = to_json(table).at("chunks");
  REQUIRE(chunks.size() == 4);
  CHECK(chunks[0].at("novel") == "a.train");
  CHECK(chunks[0].at("base").at("perplexity").get<double>() == Approx(std::exp(2.0)));
  CHECK(chunks[2].at("base").at("comet").get<double>() == Approx(0.9));
  CHECK(chunks[3].at("skipped") == 1);
  CHECK(chunks[3].at("base").is_null());
  CHECK_FALSE(to_json(translation_table(pairs)).at("chunks")[0].at("base").contains("comet"));
}

TEST_CASE("translation_table: one side alone, and a novel of which nothing was translated", "[unit]") {
  std::vector<PairRecord> pairs = some_pairs();
  for (PairRecord& one : pairs) {
    one.lora_nll.reset();
    one.lora_text.reset();
  }
  const TranslationTable base_only = translation_table(pairs);
  CHECK(base_only.all.base.has_value());
  CHECK_FALSE(base_only.all.lora.has_value());
  const TranslationTable nothing = translation_table({some_pairs()[3]});
  CHECK(nothing.all.pairs == 0);
  CHECK_FALSE(nothing.all.base.has_value());
  CHECK(to_json(nothing).at("all").at("base").is_null());
}

TEST_CASE("translation_tests: of the pairs that both translated, with each novel's own difference", "[unit]") {
  std::vector<PairRecord> pairs = some_pairs();
  const std::vector<TranslationTest> tests = translation_tests(pairs, some_scores());
  REQUIRE(tests.size() == 3);
  const TranslationTable table = translation_table(pairs, some_scores());
  for (const TranslationTest& test : tests) {
    CHECK(test.pairs == 3);
    CHECK(test.over_novels.books == 2);
    CHECK(!test.over_novels.low);  // two novels say nothing about others
  }
  CHECK(tests[0].score == "bleu");
  CHECK(tests[0].test.first == Approx(table.all.base->bleu.score));
  CHECK(tests[0].test.second == Approx(table.all.lora->bleu.score));
  double mean = 0;
  for (const TranslationRow& novel : table.novels) mean += (novel.lora->chrf.score - novel.base->chrf.score) / 2;
  CHECK(tests[1].over_novels.mean == Approx(mean));
  CHECK(tests[2].test.second - tests[2].test.first == Approx(0.1));
  CHECK(tests[2].over_novels.mean == Approx(0.1));
  pairs[1].lora_text.reset();  // which the table still counts for the base
  CHECK(translation_tests(pairs, {})[0].pairs == 2);
  for (PairRecord& pair : pairs) pair.base_text.reset();
  CHECK(translation_tests(pairs, {}).empty());
}
