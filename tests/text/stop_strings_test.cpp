#include "text/stop_strings.h"

#include <filesystem>

#include "catch.h"
#include "core/error.h"

using namespace templora;

namespace {

using Ids = std::vector<std::int64_t>;

Tokenizer tokenizer_named(const char* name) {
  return Tokenizer(std::filesystem::path(TEMPLORA_SOURCE_DIR) / "tests/text/goldens/tokenizers" / name);
}

Ids ids_of(const Tokenizer& tokenizer, const std::vector<std::string>& pieces) {
  Ids ids;
  for (const std::string& piece : pieces) ids.push_back(tokenizer.token_id(piece));
  for (const std::int64_t id : ids) REQUIRE(id >= 0);
  return ids;
}

}  // namespace

TEST_CASE("StopStrings: a string is met by the piece that equals it, by one that contains it and across pieces",
          "[unit]") {
  const Tokenizer tokenizer = tokenizer_named("no-prefix");
  const StopStrings letter(tokenizer, {"e"}, -1), two(tokenizer, {"never", "re"}, -1);
  CHECK(letter.met(ids_of(tokenizer, {"u", "e"}), 0));
  CHECK(letter.met(ids_of(tokenizer, {"r", "em"}), 0));
  CHECK_FALSE(letter.met(ids_of(tokenizer, {"o", "l", "d"}), 0));
  CHECK(two.met(ids_of(tokenizer, {"d", "r", "em"}), 0));
  CHECK_FALSE(two.met(ids_of(tokenizer, {"d", "e", "r"}), 0));
  CHECK_FALSE(letter.met({}, 0));
}

TEST_CASE("StopStrings: a special token, which decoding drops, is met by its id", "[unit]") {
  const Tokenizer tokenizer = tokenizer_named("no-prefix");
  const StopStrings stops(tokenizer, {"<|im_end|>"}, tokenizer.eos_id());
  Ids written = ids_of(tokenizer, {"o", "l", "d"});
  CHECK_FALSE(stops.met(written, 0));
  written.push_back(tokenizer.token_id("<|im_end|>"));
  REQUIRE(tokenizer.decode(written, true) == "old");
  CHECK(stops.met(written, 0));
}

TEST_CASE("StopStrings: what stands wholly in the old tokens does not count, what ends behind them does", "[unit]") {
  const Tokenizer tokenizer = tokenizer_named("no-prefix");
  const StopStrings stops(tokenizer, {"old"}, -1);
  CHECK(stops.met(ids_of(tokenizer, {"o", "l", "d"}), 2));
  CHECK_FALSE(stops.met(ids_of(tokenizer, {"o", "l", "d", "e"}), 3));
}

TEST_CASE("StopStrings: the string of a token that is never written is refused", "[unit]") {
  const Tokenizer tokenizer = tokenizer_named("bare");
  CHECK(StopStrings(tokenizer, {"<s>"}, tokenizer.eos_id()).met({tokenizer.bos_id()}, 0));
  try {
    StopStrings(tokenizer, {"the end", "</s>"}, tokenizer.eos_id());
    FAIL("accepted a stop that cannot be met");
  } catch (const Error& error) {
    const std::string what = error.what();
    CHECK(error.exit_code() == Exit::usage);
    CHECK(what.find("generate.stop: got \"</s>\"") != std::string::npos);
    CHECK(what.find('\n') == std::string::npos);
  }
}

TEST_CASE("Tokenizer: marks are special, added and control tokens, not pieces of text", "[unit]") {
  const Tokenizer tokenizer = tokenizer_named("added-new");
  for (const char* mark : {"<|im_start|>", "<|im_end|>", "</s>", "<pad>"}) {
    INFO(mark);
    CHECK(tokenizer.special_token_id(mark) == tokenizer.token_id(mark));
    CHECK(tokenizer.special_token_id(mark) >= 0);
  }
  CHECK(tokenizer.token_id("e") >= 0);
  CHECK(tokenizer.special_token_id("e") == -1);
  CHECK(tokenizer.special_token_id("no such token") == -1);
}
