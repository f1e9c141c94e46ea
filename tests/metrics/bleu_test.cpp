#include "metrics/bleu.h"

#include <cmath>
#include <string>
#include <vector>

#include "../core/fixtures.h"
#include "catch.h"
#include "core/error.h"
#include "metrics/chrf.h"
#include "metrics/ngram_matches.h"
#include "metrics/unicode.h"

using namespace templora;
using templora_test::refusal;

namespace {

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("corpus_bleu: a score worked out by hand", "[unit]") {
  const Texts hypotheses{"the cat sat on a mat", "hello"};
  const std::vector<Texts> references{{"the cat sat on the mat today"}, {"hello"}};
  const BleuScore score = corpus_bleu(hypotheses, references);
  CHECK(score.counts == std::vector<double>{6, 3, 2, 1});
  CHECK(score.totals == std::vector<double>{7, 5, 4, 3});
  CHECK(score.hypothesis_words == 7);
  CHECK(score.reference_words == 8);
  CHECK(score.brevity_penalty == Approx(std::exp(-1.0 / 7)));
  CHECK(score.score == Approx(100 * std::exp(-1.0 / 7) * std::pow(6.0 / 7 * 3 / 5 * 2 / 4 * 1 / 3, 0.25)));
  CHECK(score.signature == "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0");
}

TEST_CASE("BleuStatistics: sums of parts give the score of the whole", "[unit]") {
  const Texts hypotheses{"a b c d e", "x y", "", "p q r s t u"};
  const std::vector<Texts> references{{"a b c d f"}, {"x y z", "x"}, {"n"}, {"p q r s t v"}};
  BleuStatistics first, second;
  ChrfStatistics chars;
  for (std::size_t i = 0; i < hypotheses.size(); ++i) {
    (i < 2 ? first : second) += bleu_statistics(hypotheses[i], references[i]);
    chars += chrf_statistics(hypotheses[i], references[i]);
  }
  first += second;
  first += BleuStatistics{};
  const BleuScore whole = corpus_bleu(hypotheses, references), parts = bleu_score(first);
  CHECK(whole.score > 0);
  CHECK(parts.score == whole.score);
  CHECK(parts.counts == whole.counts);
  CHECK(parts.signature == "nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0");
  CHECK(parts.signature == whole.signature);
  CHECK(chrf_score(chars).score == corpus_chrf(hypotheses, references).score);
}

TEST_CASE("BLEU and chrF: the name of a setting stands in the signature", "[unit]") {
  BleuOptions options;
  options.smoothing = BleuSmoothing::floor;
  options.smoothing_value = 0.125;
  options.lowercase = true;
  options.effective_order = true;
  options.tokenizer = BleuTokenizer::zh;
  CHECK(bleu_signature(options, 3) == "nrefs:3|case:lc|eff:yes|tok:zh|smooth:floor[0.12]|version:2.6.0");
  ChrfOptions chrf;
  chrf.word_order = 2;
  CHECK(chrf_signature(chrf) == "nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no|version:2.6.0");
  CHECK(corpus_chrf(Texts{"a"}, std::vector<Texts>{{"a"}}, chrf).name == "chrF2++");
}

TEST_CASE("BLEU and chrF: input that cannot be scored is named", "[unit]") {
  const Texts good{"a", "b"}, broken{"a", "b\xff"};
  const std::vector<Texts> references{{"a"}, {"b"}}, without{{"a"}, {}};
  const std::string not_utf8 = "segment 1: hypothesis: byte 1: got 0xff, wanted UTF-8; convert the text to UTF-8";
  CHECK(refusal([&] { corpus_bleu(broken, references); }) == not_utf8);
  CHECK(refusal([&] { corpus_chrf(broken, references); }) == not_utf8);
  CHECK(refusal([&] { released_bleu(broken, good); }) == not_utf8);
  CHECK(refusal([&] { released_bleu(good, broken); }).find("segment 1: reference: byte 1") == 0);
  CHECK(refusal([&] { sentence_bleu("\xff", good); }).find("hypothesis: byte 0") == 0);
  CHECK(refusal([&] { corpus_bleu(good, without); }) == "segment 1: references: got none, wanted one or more");
  CHECK(refusal([&] { corpus_chrf(good, without); }) == "segment 1: references: got none, wanted one or more");
  CHECK(refusal([&] { corpus_bleu(Texts{"a"}, references); }) ==
        "BLEU: got 1 hypotheses and references of 2 segments, wanted as many");
  CHECK(refusal([&] { corpus_bleu({}, {}); }) == "BLEU: got no segment, wanted one or more");
  CHECK(refusal([&] { corpus_chrf({}, {}); }) == "chrF: got no segment, wanted one or more");
  BleuOptions options;
  options.max_order = 0;
  CHECK(refusal([&] { corpus_bleu(good, references, options); }, Exit::usage).find("longest n-gram: got 0") !=
        std::string::npos);
  options = {};
  options.smoothing = BleuSmoothing::add_k;
  options.smoothing_value = -1;
  CHECK(refusal([&] { corpus_bleu(good, references, options); }, Exit::usage).find("got -1") != std::string::npos);
  CHECK(refusal([] { bleu_tokenizer_named("13b"); }, Exit::usage) ==
        "BLEU's tokenizer: got 13b, wanted none, 13a, intl, zh or char");
  CHECK(refusal([] { bleu_smoothing_named("addk"); }, Exit::usage) ==
        "BLEU's smoothing: got addk, wanted none, floor, add-k or exp");
  ChrfOptions chrf;
  chrf.char_order = 0;
  CHECK(refusal([&] { corpus_chrf(good, references, chrf); }, Exit::usage).find("char order 0") != std::string::npos);
}

TEST_CASE("released_bleu: the turn's end is no word, and what has no 4-gram in common scores 0", "[unit]") {
  const Texts references{" one two three four five\n"};
  CHECK(released_bleu(Texts{"one two three four five<|im_end|> "}, references) == Approx(1.0));
  CHECK(released_bleu(Texts{"one two three"}, references) == 0);
  CHECK(released_bleu(Texts{""}, Texts{""}) == 0);
}

TEST_CASE("lower_case: follows Python where one letter is not enough", "[unit]") {
  CHECK(utf8(lower_case(U"ΟΔΟΣ ΣΑΣ'Σ Σ")) == "οδος σασ'ς σ");
  CHECK(utf8(lower_case(U"\u0130ÉẞA𐐀")) == "i\u0307éßa𐐨");
}

TEST_CASE("ngram_matches: each n-gram counts as often as in the reference that has most of it", "[unit]") {
  const std::vector<std::u32string_view> references{U"aab", U"abab"};
  CHECK(ngram_matches(U"aaabab", references, 3) == std::vector<std::int64_t>{4, 4, 3});
  CHECK(ngram_matches(U"", references, 2) == std::vector<std::int64_t>{0, 0});
  CHECK(ngram_matches(std::u32string(3000, U'a'), references, 2) == std::vector<std::int64_t>{2, 1});
}
