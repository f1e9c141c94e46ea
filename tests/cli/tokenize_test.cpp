#include "catch.h"
#include "program.h"

using namespace templora;
using namespace templora_test;

namespace {

const fs::path kJson = fs::path(TEMPLORA_SOURCE_DIR) / "tests/text/goldens/json/tokenizers";

std::vector<std::int64_t> ids_of(const fs::path& tokenizer, const std::string& text) {
  return Tokenizer(tokenizer).encode(text, true);
}

}  // namespace

TEST_CASE("tokenize: a table of tokens, words and bytes, in the order of the arguments", "[cli]") {
  const World world;
  world.write("a.txt", "two words");
  world.write("b.txt", "  \xE4\xBD\xA0\xE5\xA5\xBD \r\n");
  const Ended ended = world.run({"tokenize", "--model", "model", "b.txt", "a.txt"});
  CHECK(ended.code == 0);
  const auto row = [&](const std::string& name, const std::string& text, int words) {
    return "| " + name + " | " + std::to_string(ids_of(world.folder / "model", text).size()) + " | " +
           std::to_string(words) + " | " + std::to_string(text.size()) + " |\n";
  };
  CHECK(ended.text == "| file | tokens | words | bytes |\n| --- | ---: | ---: | ---: |\n" +
                          row("b.txt", "  \xE4\xBD\xA0\xE5\xA5\xBD \r\n", 1) + row("a.txt", "two words", 2));
  const Ended book = world.run({"tokenize", "--model", "model", "--book", "b.txt"});
  CHECK(book.says(row("b.txt", "\xE4\xBD\xA0\xE5\xA5\xBD", 1)));
}

TEST_CASE("tokenize: ids as JSON arrays and nothing else, objects on request", "[cli]") {
  const World world;
  world.write("a.txt", "It's 1684.");
  world.write("b.txt", "");
  const Json a = ids_of(kJson / "llama3", "It's 1684."), b = ids_of(kJson / "llama3", "");
  CHECK(world.run({"tokenize", "--model", (kJson / "llama3").string(), "--ids", "a.txt", "b.txt"}).text ==
        a.dump() + "\n" + b.dump() + "\n");
  const Ended ended = world.run({"tokenize", "--model", (kJson / "llama3").string(), "--json", "--ids", "a.txt"});
  CHECK(Json::parse(ended.text) ==
        Json{{"file", "a.txt"}, {"tokens", a.size()}, {"words", 2}, {"bytes", 10}, {"ids", a}});
  CHECK_FALSE(
      Json::parse(
          world.run({"tokenize", "--model", (kJson / "gpt2" / "tokenizer.json").string(), "--json", "a.txt"}).text)
          .contains("ids"));
}

TEST_CASE("tokenize: what cannot be read is one line", "[cli]") {
  const World world;
  world.write("bad.txt", "a\xFF");
  world.refuses({"tokenize", "--model", "model", "bad.txt"}, 3, "bad.txt: byte 1: not UTF-8");
  world.refuses({"tokenize", "--model", "model", "none.txt"}, 3, "none.txt");
  world.refuses({"tokenize", "--model", "nowhere", "book.txt"}, 3, "nowhere");
  world.write("model/tokenizer_config.json", R"({"tokenizer_class": "GemmaTokenizer"})");
  world.refuses({"tokenize", "--model", "model", "book.txt"}, 3, "tokenizer_class GemmaTokenizer");
  CHECK(world.run({"tokenize", "--model", "model"}).code == 2);
}

TEST_CASE("tokenize: a name cannot forge a line of the table", "[cli]") {
  const World world;
  world.write("x |\n| y", "word");
  const Ended ended = world.run({"tokenize", "--model", "model", "x |\n| y"});
  CHECK(ended.code == 0);
  CHECK(std::count(ended.text.begin(), ended.text.end(), '\n') == 3);
}

TEST_CASE("run: where there is a choice of tokenizers, one line says which was read and why", "[cli]") {
  const World world;
  CHECK_FALSE(world.run_config().says("tokenizer: "));
  fs::copy_file(kJson / "gpt2" / "tokenizer.json", world.folder / "model/tokenizer.json");
  world.write("model/tokenizer_config.json", R"({"tokenizer_class": "LLaMATokenizer", "added_tokens_decoder": {},
                                                 "model_max_length": 1000000000000000019884624838656,
                                                 "extra_special_tokens": []})");
  const Ended slow = world.run_config("slow");
  CHECK(slow.code == 0);
  CHECK(slow.says("model/tokenizer.model (tokenizer_class LLaMATokenizer)\n"));
  world.write_config({{"model.tokenizer", (kJson / "gpt2").string()}});
  const Ended other = world.run_config("other");
  CHECK(
      other.says("gpt2/tokenizer.json (no tokenizer.model; tokenizer_class GPT2Tokenizer), named by model.tokenizer"));
}
