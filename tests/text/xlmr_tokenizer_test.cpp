#include "text/xlmr_tokenizer.h"

#include "catch.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "text/scratch_folder.h"

using namespace templora;

namespace {

// Made by `scripts/make_goldens.py comet`.
const fs::path kComet = fs::path(TEMPLORA_SOURCE_DIR) / "tests/goldens/comet";
const fs::path kModel = kComet / "model/sentencepiece.bpe.model";
using Ids = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("XlmrTokenizer: ids equal those of the tokenizer that unbabel-comet uses", "[parity]") {
  const XlmrTokenizer tokenizer(kModel);
  const Json index = parse_json(read_file(kComet / "index.json"), "index.json");
  const auto longest = index.at("longest_input").get<std::size_t>();
  std::size_t texts = 0;
  for (const Json& item : parse_json(read_file(kComet / "tokens.json"), "tokens.json")) {
    const auto text = item.at(0).get<std::string>();
    CAPTURE(text);
    CHECK(tokenizer.encode(text, longest) == item.at(1).get<Ids>());
    ++texts;
  }
  CHECK(texts > 150);
}

TEST_CASE("XlmrTokenizer: an empty text is <s> </s>, a long one is cut before </s>", "[unit]") {
  const XlmrTokenizer tokenizer(kModel);
  CHECK(tokenizer.encode("", 10) == Ids{0, 2});
  CHECK(tokenizer.encode("   ", 10) == Ids{0, 2});
  const std::string text = "The children were chasing a yellow dog across the square.";
  const Ids whole = tokenizer.encode(text, 1000), cut = tokenizer.encode(text, 8);
  REQUIRE(whole.size() > 8);
  CHECK(cut.size() == 8);
  CHECK(cut.back() == XlmrTokenizer::kEnd);
  CHECK(std::equal(cut.begin(), cut.end() - 1, whole.begin()));
  CHECK(tokenizer.encode(text, whole.size()) == whole);
  CHECK(tokenizer.encode(text, 2) == Ids{0, 2});
}

TEST_CASE("XlmrTokenizer: special tokens in a text are ids, <mask> the last one", "[unit]") {
  const XlmrTokenizer tokenizer(kModel);
  CHECK(tokenizer.encode("<s><pad></s><unk><mask>", 10) == Ids{0, 0, 1, 2, 3, tokenizer.size() - 1, 2});
  CHECK(tokenizer.encode("<mask><mask><mask>", 4) == Ids{0, tokenizer.size() - 1, tokenizer.size() - 1, 2});
}

TEST_CASE("XlmrTokenizer: text that is not UTF-8 is refused", "[unit]") {
  const XlmrTokenizer tokenizer(kModel);
  CHECK_THROWS_AS(tokenizer.encode("ab\xc3", 10), Error);
}

TEST_CASE("XlmrTokenizer: a model whose first pieces are not XLM-R's is refused by piece", "[unit]") {
  std::string bytes = read_file(kModel);
  const std::size_t at = bytes.find("\x03<s>");
  REQUIRE(at != std::string::npos);
  bytes.replace(at, 4, "\x03<t>");
  const ScratchFolder scratch;
  const fs::path file = scratch.write("sentencepiece.bpe.model", bytes);
  try {
    const XlmrTokenizer wrong(file);
    FAIL("opened");
  } catch (const Error& error) {
    CHECK(error.exit_code() == Exit::bad_input);
    CHECK(std::string(error.what()).find(file.string() + ": piece 1: got \"<t>\", wanted \"<s>\"") == 0);
  }
}
