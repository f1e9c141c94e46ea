#include "text/text_stream.h"

#include "catch.h"

using namespace templora;

namespace {

std::filesystem::path tokenizer_folder() { return std::filesystem::path(TEMPLORA_SOURCE_DIR) / "models/small-6m"; }

}  // namespace

TEST_CASE("TextStream: the parts together are the text, spaces and characters spelled in bytes included", "[unit]") {
  const Tokenizer tokenizer(tokenizer_folder());
  const std::string before = "It was a dark night;",
                    text = " the rain fell, café ☂ 雨 and so on.\n\nA new paragraph, " + std::string(300, 'x') + " end";
  std::string long_text = text;
  for (int i = 0; i < 200; ++i) long_text += i % 7 == 0 ? " a雨" : "雨";

  const auto all = tokenizer.encode(before + long_text, false);
  const auto head = tokenizer.encode(before, false);
  REQUIRE(std::equal(head.begin(), head.end(), all.begin()));
  TextStream stream(tokenizer, head);
  std::string shown;
  for (std::size_t i = head.size(); i < all.size(); ++i) {
    const std::string part = stream.add(all[i]);
    CHECK(part.find("\xEF\xBF\xBD") == std::string::npos);
    shown += part;
  }
  CHECK(shown == long_text);
}
