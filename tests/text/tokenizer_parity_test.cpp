#include <filesystem>
#include <string>

#include "catch.h"
#include "text/books.h"
#include "text/tokenizer_goldens.h"

// Goldens come from tests/text/make_goldens.py.

namespace {

using namespace templora_test;
namespace fs = std::filesystem;

const TextGenerator& generator() {
  static const TextGenerator instance(kGoldens / "fragments.json");
  return instance;
}

void check_shared(const std::string& name) {
  if (!fs::exists(kShared / "tokenizers" / name)) {
    WARN("skipped: ../shared/data/tokenizers/" + name + " is not there");
    return;
  }
  const Tokenizer tokenizer(kShared / "tokenizers" / name);
  const Json golden = read_golden(kGoldens / ("shared-" + name + ".json"));
  check_all(tokenizer, golden, generator(), 10000);
}

}  // namespace

TEST_CASE("Tokenizer: small models of every kind give the ids and texts of the slow tokenizer", "[parity]") {
  std::size_t folders = 0;
  for (const auto& entry : fs::directory_iterator(kTokenizers)) {
    const std::string name = entry.path().filename().string();
    DYNAMIC_SECTION(name) {
      check_all(Tokenizer(entry.path()), read_golden(kGoldens / (name + ".json")), generator(), 400);
    }
    ++folders;
  }
  CHECK(folders == 10);
}

TEST_CASE("Tokenizer: Llama 2's ids are those of the slow tokenizer on 10,000 strings", "[parity]") {
  check_shared("llama-2");
}

TEST_CASE("Tokenizer: Yi's ids are those of the slow tokenizer on 10,000 strings", "[parity]") {
  check_shared("yi-6b-chat");
}

TEST_CASE("Tokenizer: whole PG-19 books have the ids of the slow tokenizer", "[parity][slow]") {
  for (const std::string name : {"llama-2", "yi-6b-chat"}) {
    if (!fs::exists(kShared / "tokenizers" / name) || !fs::exists(kShared / "pg19")) {
      WARN("skipped: ../shared/data is not there");
      return;
    }
    const Tokenizer tokenizer(kShared / "tokenizers" / name);
    const Json golden = read_golden(kGoldens / ("shared-" + name + ".json"));
    for (const auto& [book, wanted] : golden.at("books").items()) {
      CAPTURE(name, book);
      const templora::Book read = templora::read_book(kShared / "pg19" / book, tokenizer, {});
      CHECK(read.tokens.size() == wanted.at("tokens").get<std::size_t>());
      CHECK(hash_ids(read.tokens) == wanted.at("hash").get<std::string>());
    }
  }
}
