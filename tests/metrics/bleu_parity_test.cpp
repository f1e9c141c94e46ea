#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "catch.h"
#include "core/file.h"
#include "core/json.h"
#include "metrics/bleu.h"
#include "metrics/chrf.h"

// Goldens come from scripts/make_goldens.py bleu; the layout is that of scripts/reference/bleu_cases.py. With
// TEMPLORA_BLEU_CASES set, the cases of that file are compared instead (scripts/reference/bleu_live.py).

using namespace templora;

namespace {

constexpr double kTolerance = 1e-8;

const fs::path kGoldens = fs::path(TEMPLORA_SOURCE_DIR) / "tests/goldens/bleu";

/// The largest difference of any number so far; infinite where one is not a number.
struct Differences {
  double largest = 0;
  std::int64_t scores = 0;

  void add(double got, const Json& wanted) {
    const double difference = std::abs(got - wanted.get<double>());
    largest = std::isnan(difference) ? INFINITY : std::max(largest, difference);
  }
  void add(const std::vector<double>& got, const Json& wanted) {
    REQUIRE(got.size() == wanted.size());
    for (std::size_t i = 0; i < got.size(); ++i) add(got[i], wanted[i]);
  }
};

using Texts = std::vector<std::string>;

void compare_bleu(const Json& row, const Texts& hypotheses, const std::vector<Texts>& references, Differences& found) {
  BleuOptions options;
  options.tokenizer = bleu_tokenizer_named(row.at(0).get<std::string>());
  options.smoothing = bleu_smoothing_named(row.at(1).get<std::string>());
  if (!row.at(2).is_null()) options.smoothing_value = row.at(2).get<double>();
  options.max_order = row.at(3).get<int>();
  options.effective_order = row.at(4).get<bool>();
  options.lowercase = row.at(5).get<bool>();
  const BleuScore got = corpus_bleu(hypotheses, references, options);
  found.add(got.score, row.at(6));
  found.add(got.counts, row.at(7));
  found.add(got.totals, row.at(8));
  found.add(got.precisions, row.at(9));
  found.add(got.brevity_penalty, row.at(10));
  CHECK(got.hypothesis_words == row.at(11).get<std::int64_t>());
  CHECK(got.reference_words == row.at(12).get<std::int64_t>());
  CHECK(got.signature == row.at(13).get<std::string>());
  ++found.scores;
}

void compare_chrf(const Json& row, const Texts& hypotheses, const std::vector<Texts>& references, Differences& found) {
  ChrfOptions options;
  options.char_order = row.at(0).get<int>();
  options.word_order = row.at(1).get<int>();
  options.beta = row.at(2).get<int>();
  options.lowercase = row.at(3).get<bool>();
  options.whitespace = row.at(4).get<bool>();
  options.eps_smoothing = row.at(5).get<bool>();
  const ChrfScore got = corpus_chrf(hypotheses, references, options);
  found.add(got.score, row.at(6));
  CHECK(got.name == row.at(7).get<std::string>());
  CHECK(got.signature == row.at(8).get<std::string>());
  ++found.scores;
}

void compare_others(const Json& one, const Texts& hypotheses, const std::vector<Texts>& references,
                    Differences& found) {
  if (one.contains("sentence")) {
    const Json& row = one.at("sentence");
    const auto at = row.at(0).get<std::size_t>();
    BleuOptions options;
    options.effective_order = true;
    found.add(sentence_bleu(hypotheses[at], references[at], options).score, row.at(1));
    found.add(sentence_chrf(hypotheses[at], references[at]).score, row.at(2));
    found.scores += 2;
  }
  if (one.contains("released")) {
    Texts firsts;
    for (const Texts& texts : references) firsts.push_back(texts.front());
    found.add(released_bleu(hypotheses, firsts), one.at("released"));
    ++found.scores;
  }
}

}  // namespace

TEST_CASE("BLEU and chrF: scores, counts and signatures are sacreBLEU's", "[parity]") {
  const char* live = std::getenv("TEMPLORA_BLEU_CASES");
  const fs::path path = live != nullptr ? fs::path(live) : kGoldens / "cases.json";
  const Json cases = parse_json(read_file(path), path.string());
  Differences all;
  std::size_t number = 0;
  for (const Json& one : cases) {
    INFO("case " << number++);
    const auto hypotheses = one.at("hyp").get<Texts>();
    const auto references = one.at("refs").get<std::vector<Texts>>();
    Differences found;
    for (const Json& row : one.at("bleu")) compare_bleu(row, hypotheses, references, found);
    for (const Json& row : one.at("chrf")) compare_chrf(row, hypotheses, references, found);
    compare_others(one, hypotheses, references, found);
    CHECK(found.largest <= kTolerance);
    all.largest = std::max(all.largest, found.largest);
    all.scores += found.scores;
  }
  CHECK(cases.size() >= 150);
  if (live != nullptr) {
    fmt::print("{} corpora, {} scores: largest difference of any number {:.3g}\n", cases.size(), all.scores,
               all.largest);
  }
}

TEST_CASE("bleu_tokenize: words are sacreBLEU's", "[parity]") {
  const fs::path path = kGoldens / "tokens.json";
  const Json golden = parse_json(read_file(path), path.string());
  for (const char* name : {"13a", "intl", "zh", "char", "none"}) {
    for (std::size_t i = 0; i < golden.at("lines").size(); ++i) {
      INFO(name << ", line " << i);
      CHECK(bleu_tokenize(golden.at("lines")[i].get<std::string>(), bleu_tokenizer_named(name)) ==
            golden.at(name)[i].get<std::string>());
    }
  }
}
