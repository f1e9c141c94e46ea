#include "comet/comet.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "catch.h"
#include "core/error.h"
#include "goldens.h"

using namespace templora;

namespace {

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

std::vector<double> scores_of(const fs::path& folder, const std::vector<CometSegment>& segments) {
  return Comet(folder).scores(segments);
}

}  // namespace

TEST_CASE("Comet: scores equal unbabel-comet's, empty and over-long segments included", "[parity]") {
  const std::vector<CometSegment> segments = goldens::segments();
  const Json index = goldens::json("index.json");
  REQUIRE(segments.size() >= 200);
  CHECK(index.at("texts_cut").get<int>() >= 20);
  for (const Json& variant : index.at("variants")) {
    const std::string name = variant.at("name");
    const goldens::ModelCopy copy;
    fs::copy_file(goldens::folder() / ("config-" + name + ".json"), copy.file("config.json"),
                  fs::copy_options::overwrite_existing);
    const std::vector<double> scores = scores_of(copy.path(), segments);
    const double difference =
        largest_difference(scores, goldens::json("scores-" + name + ".json").get<std::vector<double>>());
    INFO(name << ": largest difference of " << scores.size() << " scores: " << difference);
    CHECK(difference <= variant.at("tolerance").get<double>());
    CHECK(comet_system_score(scores) ==
          Approx(variant.at("mean").get<double>()).margin(variant.at("tolerance").get<double>()));
  }
}

TEST_CASE("Comet: a segment's score does not depend on its neighbours or on their order", "[parity]") {
  std::vector<CometSegment> segments = goldens::segments();
  const Comet comet(goldens::folder() / "model");
  const std::vector<double> together = comet.scores(segments);
  for (std::size_t i = 0; i < segments.size(); i += 17)
    CHECK(comet.scores(std::span(segments).subspan(i, 1)).at(0) == Approx(together[i]).margin(1e-5));
  std::vector<std::size_t> order(segments.size());
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(3));
  std::vector<CometSegment> shuffled;
  std::vector<double> wanted;
  for (const std::size_t i : order) {
    shuffled.push_back(segments[i]);
    wanted.push_back(together[i]);
  }
  CHECK(largest_difference(comet.scores(shuffled), wanted) <= 1e-5);
}

TEST_CASE("Comet: many segments are scored in blocks, each once", "[parity]") {
  const std::vector<CometSegment> some = goldens::segments();
  std::vector<CometSegment> many;
  while (many.size() < 1500) many.insert(many.end(), some.begin(), some.end());
  const Comet comet(goldens::folder() / "model");
  const std::vector<double> once = comet.scores(some), often = comet.scores(many);
  REQUIRE(often.size() == many.size());
  for (std::size_t i = 0; i < many.size(); ++i) CHECK(often[i] == Approx(once[i % some.size()]).margin(1e-5));
}

TEST_CASE("Comet: a changed word, a swapped source and a swapped reference change the score", "[unit]") {
  const Comet comet(goldens::folder() / "model");
  const std::vector<CometSegment> segments{{"山", "a very old bridge", "a very old bridge"},
                                           {"山", "a very new bridge", "a very old bridge"},
                                           {"山", "a very old bridge", "a very new bridge"},
                                           {"河", "a very old bridge", "a very old bridge"}};
  const std::vector<double> scores = comet.scores(segments);
  for (std::size_t i = 1; i < scores.size(); ++i) CHECK(std::abs(scores[i] - scores[0]) > 1e-4);
}

TEST_CASE("Comet: no segments have no scores and no mean", "[unit]") {
  CHECK(Comet(goldens::folder() / "model").scores({}).empty());
  CHECK_THROWS_AS(comet_system_score({}), Error);
  CHECK(comet_system_score(std::vector<double>{0.5, 1.0}) == 0.75);
}

TEST_CASE("Comet: text that is not UTF-8 is refused by segment and side", "[unit]") {
  const Comet comet(goldens::folder() / "model");
  const std::vector<CometSegment> segments{{"a", "b", "c"}, {"a", "b\xff", "c"}};
  try {
    comet.scores(segments);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.exit_code() == Exit::bad_input);
    CHECK(std::string(error.what()).find("segment 2: mt: text: byte 1") == 0);
  }
}
