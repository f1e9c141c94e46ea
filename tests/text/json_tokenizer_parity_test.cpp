#include <filesystem>
#include <string>

#include "catch.h"
#include "text/tokenizer_goldens.h"

// Goldens come from tests/text/make_json_goldens.py.

namespace {

using templora::EncodedText;
using namespace templora_test;
namespace fs = std::filesystem;

const TextGenerator& json_generator() {
  static const TextGenerator instance(kJsonGoldens / "fragments.json");
  return instance;
}

}  // namespace

TEST_CASE("JsonTokenizer: each family's ids and texts are those of Hugging Face's tokenizers", "[parity]") {
  std::size_t folders = 0;
  for (const auto& entry : fs::directory_iterator(kJsonTokenizers)) {
    const std::string name = entry.path().filename().string();
    DYNAMIC_SECTION(name) {
      check_all(Tokenizer(entry.path()), read_golden(kJsonGoldens / (name + ".json")), json_generator(), 600);
    }
    ++folders;
  }
  CHECK(folders == 10);
}

TEST_CASE("JsonTokenizer: a text decoded from its ids is the text, and ends are where its tokens' bytes end",
          "[parity]") {
  for (const std::string name : {"smollm2", "gpt2", "llama3"}) {
    const Tokenizer tokenizer(kJsonTokenizers / name);
    for (std::uint64_t number = 0; number < 600; ++number) {
      const std::string text = json_generator().text(number);
      const EncodedText encoded = tokenizer.encode_with_ends(text, false);
      CAPTURE(name, number, text);
      CHECK(tokenizer.decode(encoded.ids, false) == text);
      // The first ids up to any one spell the text up to that end, and then at most the start of a character.
      for (std::size_t i = 0; i < encoded.ids.size(); i += 7) {
        const std::vector<std::int64_t> some(encoded.ids.begin(), encoded.ids.begin() + std::ptrdiff_t(i) + 1);
        const std::string spelled = tokenizer.decode(some, false);
        const std::string wanted = text.substr(0, encoded.ends[i]);
        CHECK((spelled == wanted || spelled == wanted + "\xEF\xBF\xBD"));
      }
    }
  }
}
