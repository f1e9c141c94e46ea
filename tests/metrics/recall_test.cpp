#include "metrics/recall.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "catch.h"
#include "core/error.h"

using namespace templora;

namespace {

/// 24 facts a book, eight answers a kind; what an arm gives to each is up to `nll(arm, fact, answer)`.
template <class Nll>
RecallData data_of(std::int64_t books, const Nll& nll) {
  const std::vector<std::string> arms{"base", "lora", "other_book", kInWindow};
  RecallData data;
  std::mt19937_64 random(5);
  for (std::int64_t book = 0; book < books; ++book) {
    std::vector<std::int64_t> answers(8);
    std::iota(answers.begin(), answers.end(), 0);
    for (std::int64_t f = 0; f < 24; ++f) {
      if (f % 8 == 0)
        for (std::size_t i = 8; i > 1; --i) std::swap(answers[i - 1], answers[random() % i]);
      FactRecord fact;
      fact.book_index = book;
      fact.fact = f;
      fact.kind = f < 8 ? "place" : f < 16 ? "trade" : "object";
      fact.times = f % 8 < 4 ? 1 : 4;
      fact.answer_index = answers[std::size_t(f % 8)];
      data.facts.push_back(fact);
      for (const std::string& arm : arms) {
        ProbeRecord probe;
        probe.book_index = book;
        probe.fact = f;
        probe.rung = "choice";
        probe.arm = arm;
        probe.distance_tokens = 1024;
        for (std::int64_t a = 0; a < 8; ++a) probe.answers_nll.push_back(nll(arm, fact, a));
        const auto right = std::size_t(fact.answer_index);
        probe.nll = probe.answers_nll[right];
        probe.rank = rank_of(probe.answers_nll, right);
        probe.of = 8;
        probe.correct = probe.rank == 1;
        data.probes.push_back(probe);
      }
    }
  }
  return data;
}

const RecallRow& row_of(const RecallTable& table, const std::string& rung, std::optional<std::int64_t> times = {}) {
  for (const RecallRow& row : table.rows)
    if (row.rung == rung && row.times == times) return row;
  throw std::runtime_error("no row of " + rung);
}

/// By all 8! ways.
HitDistribution brute_force(const std::vector<std::vector<std::int64_t>>& counts) {
  std::vector<std::size_t> order(counts.size());
  std::iota(order.begin(), order.end(), 0);
  HitDistribution found(40, 0.0);
  double ways = 0;
  do {
    std::int64_t hits = 0;
    for (std::size_t a = 0; a < order.size(); ++a) hits += counts[a][order[a]];
    ++found[std::size_t(hits)];
    ++ways;
  } while (std::next_permutation(order.begin(), order.end()));
  for (double& way : found) way /= ways;
  return found;
}

}  // namespace

TEST_CASE("dealt_out: the distribution is that of all ways to deal the answers out", "[unit]") {
  std::mt19937_64 random(3);
  for (int trial = 0; trial < 5; ++trial) {
    std::vector<std::vector<std::int64_t>> counts(6, std::vector<std::int64_t>(6));
    for (int f = 0; f < 12; ++f) ++counts[random() % 6][random() % 6];
    const HitDistribution got = dealt_out(counts), wanted = brute_force(counts);
    for (std::size_t k = 0; k < wanted.size(); ++k)
      CHECK((k < got.size() ? got[k] : 0) == Approx(wanted[k]).margin(1e-12));
  }
  // One fact an answer and always the same choice: exactly one is right, whatever the deal.
  std::vector<std::vector<std::int64_t>> same(8, std::vector<std::int64_t>(8));
  for (auto& row : same) row[3] = 1;
  CHECK(dealt_out(same)[1] == Approx(1));
  // All right: one way in 8!.
  std::vector<std::vector<std::int64_t>> right(8, std::vector<std::int64_t>(8));
  for (std::size_t i = 0; i < 8; ++i) right[i][i] = 1;
  CHECK(upper_tail(dealt_out(right), 8) == Approx(1.0 / 40320));
}

TEST_CASE("clopper_pearson_upper: known values", "[unit]") {
  CHECK(clopper_pearson_upper(0, 24) == Approx(1 - std::pow(0.05, 1.0 / 24)));
  CHECK(clopper_pearson_upper(0, 288) == Approx(1 - std::pow(0.05, 1.0 / 288)));
  CHECK(clopper_pearson_upper(3, 10) == Approx(0.6066).epsilon(1e-3));  // scipy: beta.ppf(0.95, 4, 7)
  CHECK(clopper_pearson_upper(10, 10) == 1);
}

TEST_CASE("rank_of: ties count as worse; word_f1 counts shared words", "[unit]") {
  CHECK(rank_of({3, 1, 2}, 1) == 1);
  CHECK(rank_of({3, 1, 2}, 0) == 3);
  CHECK(rank_of({1, 1, 1}, 2) == 3);
  CHECK(word_f1({"torva", "melid"}, {"torva", "melid"}) == 1);
  CHECK(word_f1({"torva", "of", "rome"}, {"torva", "melid"}) == Approx(0.4));
  CHECK(word_f1({"torva", "torva"}, {"torva", "melid"}) == Approx(0.5));
  CHECK(word_f1({}, {"torva"}) == 0);
}

TEST_CASE("recall_table: an arm that knows nothing stands at chance, one that knows all at the ceiling", "[unit]") {
  std::mt19937_64 random(1);
  const auto noise = [&] { return 10 + double(random() % 100000) * 1e-4; };
  const RecallTable table =
      recall_table({data_of(12, [&](const std::string& arm, const FactRecord& fact, std::int64_t a) {
        return arm == kInWindow && a == fact.answer_index ? 1 : noise();
      })});
  CHECK(table.books == 12);
  CHECK(table.facts == 288);
  CHECK(table.floor == "other_book");
  const RecallRow& row = row_of(table, "choice");
  CHECK(row.chance == Approx(0.125));
  CHECK(row.arms.at(kInWindow).correct == 288);
  CHECK(*row.arms.at(kInWindow).p < 1e-40);
  for (const char* arm : {"base", "lora", "other_book"}) {
    const RecallScore& score = row.arms.at(arm);
    CHECK(score.asked == 288);
    CHECK(score.share() == Approx(0.125).margin(0.07));  // 3.6 standard errors
    CHECK(*score.p > 0.001);
  }
  CHECK(std::abs(*row.recalled) < 0.1);
  REQUIRE(table.gate("choice") != nullptr);
  CHECK(table.gate("choice")->passed());
  CHECK(table.gate("conflict") == table.gate("choice"));
}

TEST_CASE("recall_table: an arm that knows what was said four times recalls half", "[unit]") {
  const RecallTable table =
      recall_table({data_of(2, [&](const std::string& arm, const FactRecord& fact, std::int64_t a) {
        const bool knows = arm == kInWindow || (arm == "lora" && fact.times == 4);
        return knows ? (a == fact.answer_index ? 1 : 5) : a == 2 ? 3 : 4;  // else always answer 2
      })});
  CHECK(row_of(table, "choice", 4).arms.at("lora").correct == 24);
  CHECK(*row_of(table, "choice", 4).recalled == Approx(1));
  const RecallRow& all = row_of(table, "choice");
  CHECK(all.arms.at("base").correct == 6);         // one of eight in each kind of each book
  CHECK(*all.arms.at("base").p == Approx(1));      // and that whatever the deal
  CHECK(*row_of(table, "choice", 1).arms.at("lora").p > 0.1);
  CHECK(*all.arms.at("lora").p < 1e-9);
  CHECK(*all.arms.at("lora").correct_less_base >= 24);
}

TEST_CASE("recall_table: against the base's own likings an answer counts by what was gained", "[unit]") {
  // All arms like answer 2 best; the adapter has made the right one likelier, but not enough to win.
  const RecallTable table =
      recall_table({data_of(1, [&](const std::string& arm, const FactRecord& fact, std::int64_t a) {
        return (a == 2 ? 1.0 : 9.0) - (arm == "lora" && a == fact.answer_index ? 2.0 : 0.0);
      })});
  const RecallScore& lora = row_of(table, "choice").arms.at("lora");
  CHECK(lora.correct == 3);
  CHECK(*lora.correct_less_base == 24);
  CHECK(*lora.p_less_base == Approx(std::pow(1.0 / 40320, 3)));
  CHECK_FALSE(row_of(table, "choice").arms.at("base").correct_less_base);
}

TEST_CASE("recall_table: a model that cannot read the fact in its window measures nothing", "[unit]") {
  const RecallTable table =
      recall_table({data_of(1, [&](const std::string&, const FactRecord& fact, std::int64_t a) {
        return a == (fact.answer_index + 1) % 8 ? 1.0 : 4.0;
      })});
  CHECK_FALSE(table.gate("choice")->passed());
  const RecallScore& base = row_of(table, "choice").arms.at("base");
  CHECK(base.correct == 0);
  CHECK(*base.upper == Approx(1 - std::pow(0.05, 1.0 / 24)));
  CHECK_FALSE(row_of(table, "choice").recalled);  // no room between floor and ceiling
}

TEST_CASE("recall_table: nats of sentences are compared book by book", "[unit]") {
  RecallData data;
  for (std::int64_t book = 0; book < 7; ++book) {
    FactRecord fact;
    fact.book_index = book;
    fact.kind = "place";
    data.facts.push_back(fact);
    for (const auto& [arm, nll] : {std::pair{"base", 50.0}, {"lora", 40.0 + double(book)}, {kInWindow, 10.0}}) {
      ProbeRecord probe;
      probe.book_index = book;
      probe.rung = "repeat";
      probe.arm = arm;
      probe.nll = nll;
      probe.tokens = 20;
      data.probes.push_back(probe);
    }
  }
  const RecallTable table = recall_table({data});
  CHECK(table.floor == "base");
  const RecallRow& row = row_of(table, "repeat");
  CHECK(*row.recalled == Approx((50.0 - 43) / 40));
  const BookMean& mean = *row.arms.at("lora").less_base;
  CHECK(mean.mean == Approx(-7));
  CHECK(mean.books == 7);
  CHECK(*mean.low < -7);
  CHECK(*mean.high > -7);
  CHECK_FALSE(row.arms.at("lora").p);
  // A window that hardly helps is no ceiling.
  for (ProbeRecord& probe : data.probes)
    if (probe.arm == kInWindow) probe.nll = 48;
  CHECK_FALSE(row_of(recall_table({data}), "repeat").recalled);
}

TEST_CASE("recall_table: planted names against unplanted ones are a toss of pairs", "[unit]") {
  RecallData data;
  for (std::int64_t f = 0; f < 10; ++f) {
    FactRecord fact;
    fact.fact = f;
    fact.kind = "place";
    fact.answer_index = f % 8;  // two facts have the same pair twice: they flip together
    data.facts.push_back(fact);
    ProbeRecord probe;
    probe.fact = f;
    probe.rung = "familiar";
    probe.arm = "lora";
    probe.answers_nll = {1, 2};
    probe.of = 2;
    probe.rank = 1;
    probe.correct = true;
    data.probes.push_back(probe);
  }
  const RecallTable table = recall_table({data});
  CHECK(*row_of(table, "familiar").arms.at("lora").p == Approx(std::pow(0.5, 8)));
  CHECK(row_of(table, "familiar").chance == Approx(0.5));
}

TEST_CASE("recall_table: probes of facts that are not there, or without answers, are refused", "[unit]") {
  RecallData data = data_of(1, [](const std::string&, const FactRecord&, std::int64_t a) { return double(a); });
  RecallData no_fact = data;
  no_fact.facts.pop_back();
  CHECK_THROWS_AS(recall_table({no_fact}), Error);
  RecallData no_answers = data;
  no_answers.probes[3].answers_nll.clear();
  CHECK_THROWS_AS(recall_table({no_answers}), Error);
}
