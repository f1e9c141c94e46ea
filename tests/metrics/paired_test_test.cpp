#include "metrics/paired_test.h"

#include <cmath>

#include "catch.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "metrics/numpy_random.h"

using namespace templora;

namespace {

constexpr double kOfSacrebleu = 2.5e-4;  // two draws of 10,000, whose difference may round to the corpus's own

using Texts = std::vector<std::string>;

std::vector<Texts> references_of(const Json& one) {
  std::vector<Texts> references;
  for (const Json& reference : one.at("references")) references.push_back({reference.get<std::string>()});
  return references;
}

}  // namespace

// Goldens: scripts/make_goldens.py paired.
TEST_CASE("paired_test: scores and p of BLEU, chrF2 and a mean are sacreBLEU's", "[parity]") {
  const fs::path file = fs::path(TEMPLORA_SOURCE_DIR) / "tests/goldens/paired/cases.json";
  const Json cases = parse_json(read_file(file), file.string());
  REQUIRE(cases.size() >= 6);
  PairedTestOptions options;
  options.resamples = options.trials = 10000;
  int below = 0, above = 0;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Json& one = cases[i];
    const std::vector<Texts> references = references_of(one);
    const Texts first = one.at("first"), second = one.at("second");
    const std::vector<double> first_comet = one.at("first_comet"), second_comet = one.at("second_comet");
    const std::tuple<const char*, SegmentStatistics, SegmentStatistics> scores[] = {
        {"bleu", bleu_segments(first, references), bleu_segments(second, references)},
        {"chrf2", chrf_segments(first, references), chrf_segments(second, references)},
        {"comet", mean_segments(first_comet), mean_segments(second_comet)}};
    for (const auto& [name, a, b] : scores) {
      INFO(i << " " << name);
      const PairedTest test = paired_test(a, b, options);
      const Json& wanted = one.at(name);
      CHECK(test.first == Approx(wanted.at("first").get<double>()).epsilon(1e-9));
      CHECK(test.second == Approx(wanted.at("second").get<double>()).epsilon(1e-9));
      CHECK(std::abs(test.bootstrap_p - wanted.at("bs").get<double>()) < kOfSacrebleu);
      CHECK(std::abs(test.randomization_p - wanted.at("ar").get<double>()) < kOfSacrebleu);
      ++(wanted.at("ar").get<double>() < 0.05 ? below : above);
    }
  }
  CHECK((below >= 3 && above >= 3));  // so that the cases tell both answers apart
}

TEST_CASE("NumpyRandom: the numbers of numpy.random.default_rng", "[unit]") {
  NumpyRandom choices(12345), flips(12345), wide(99);
  for (const std::uint32_t wanted : {41u, 13u, 47u, 19u, 12u, 47u, 38u, 40u, 59u, 23u})
    CHECK(choices.below(60) == wanted);
  for (const char wanted : std::string("1011100110000011111111110100110110110001"))
    CHECK(flips.flip() == (wanted == '1'));
  for (const std::uint32_t wanted : {2874521719u, 1518092022u, 1695274894u, 533451683u})
    CHECK(wide.below(3000000000u) == wanted);
  CHECK(choices.below(1) == 0);
}

TEST_CASE("paired_test: of equal systems p is 1, and of ones that are far apart the least that the draws allow",
          "[unit]") {
  const std::vector<double> low(50, 0.25), high(50, 0.75);
  const PairedTest same = paired_test(mean_segments(low), mean_segments(low), {99, 199, 1});
  CHECK(same.bootstrap_p == 1);
  CHECK(same.randomization_p == 1);
  const PairedTest apart = paired_test(mean_segments(low), mean_segments(high), {99, 199, 1});
  CHECK(apart.second - apart.first == Approx(0.5));
  CHECK(apart.bootstrap_p == Approx(0.01));
  CHECK(apart.randomization_p == Approx(0.005));
}

TEST_CASE("paired_test: another order of the systems has the same p, and the same seed the same draws", "[unit]") {
  std::vector<double> a, b;
  for (int i = 0; i < 80; ++i) a.push_back(std::sin(i * 1.7)), b.push_back(std::sin(i * 1.7) + 0.3 * std::cos(i * 2.3));
  const PairedTest one = paired_test(mean_segments(a), mean_segments(b)),
                   again = paired_test(mean_segments(a), mean_segments(b)),
                   other = paired_test(mean_segments(b), mean_segments(a));
  CHECK(one.bootstrap_p == again.bootstrap_p);
  CHECK(one.randomization_p == again.randomization_p);
  CHECK(one.bootstrap_p == other.bootstrap_p);
  CHECK(one.randomization_p == other.randomization_p);
  CHECK(one.second == other.first);
}

TEST_CASE("paired_test: systems of other segments, of none, and texts that are none are refused", "[unit]") {
  const std::vector<double> two{1, 2}, three{1, 2, 3}, none;
  CHECK_THROWS_WITH(paired_test(mean_segments(two), mean_segments(three)),
                    "paired test: got 2 and 3 segments, wanted as many, and at least one");
  CHECK_THROWS_AS(paired_test(mean_segments(none), mean_segments(none)), Error);
  const Texts one{"a"};
  const std::vector<Texts> references{{"a"}, {"b"}}, broken{{"\xff"}};
  CHECK_THROWS_WITH(bleu_segments(one, references), "paired test: got 1 hypotheses and 2 references, wanted as many");
  CHECK_THROWS_AS(chrf_segments(one, broken), Error);
}
