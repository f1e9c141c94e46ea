#include <filesystem>
#include <fstream>
#include <string>

#include "catch.h"
#include "run/run_data.h"
#include "run/token_ids.h"
#include "small_run.h"
#include "text_parts.h"

using namespace templora;
using namespace templora_test;

TEST_CASE("read_run: records that disagree are refused by file", "[unit]") {
  Scratch scratch;
  {
    RunFolder folder = RunFolder::create(scratch.path, record_of());
    go_on(folder, kBooks * kChunks, 100, true);
  }
  const auto refused = [&] { return check_refused([&] { read_run(scratch.path); }, Exit::bad_input); };
  SECTION("an NLL file is cut") {
    fs::resize_file(scratch.path / "nll/1-base.f32", 8);
    check_has(refused(), "1-base.f32");
  }
  SECTION("an NLL file is missing") {
    fs::remove(scratch.path / "nll/1-lora.f32");
    check_has(refused(), "1-lora.f32");
  }
  SECTION("run.json is of another kind") {
    for (const char* content : {"[]", R"({"config": 3})", R"({"identity": []})", R"({"processor": 5})"}) {
      INFO(content);
      std::ofstream(scratch.path / "run.json") << content;
      check_has(refused(), "run.json: ");
    }
  }
  SECTION("more tokens than were scored") {
    std::string lines = read_file(scratch.path / "chunks.jsonl");
    const std::string tokens = "\"tokens\":5";
    lines.replace(lines.rfind(tokens), tokens.size(), "\"tokens\":1000000000000000");
    std::ofstream(scratch.path / "chunks.jsonl") << lines;
    check_has(refused(), "5 of 1000000000000000 tokens scored");
  }
  SECTION("an NLL file is longer") {
    std::ofstream(scratch.path / "nll/0-lora.f32", std::ios::app) << "1234";
    check_has(refused(), "0-lora.f32");
  }
  SECTION("NLLs are not those of the record") {
    std::ofstream(scratch.path / "nll/0-lora.f32", std::ios::in | std::ios::out) << "abcd";
    check_has(refused(), "chunk 0 has the mean");
  }
  SECTION("the last line is cut") {
    fs::resize_file(scratch.path / "chunks.jsonl", fs::file_size(scratch.path / "chunks.jsonl") - 3);
    check_has(refused(), "chunks.jsonl:12");
  }
  SECTION("a chunk is missing") {
    std::ofstream(scratch.path / "chunks.jsonl") << to_json(chunk_of(0, 1)).dump() << "\n";
    check_has(refused(), "chunks.jsonl:1");
  }
  SECTION("a field is of the wrong type") {
    Json json = to_json(chunk_of(0, 0));
    json["tokens"] = 1.5;
    std::ofstream(scratch.path / "chunks.jsonl") << json.dump() << "\n";
    check_has(refused(), "chunks.jsonl:1: tokens");
  }
  SECTION("a field is missing") {
    Json json = to_json(chunk_of(0, 0));
    json.erase("adapter_version");
    std::ofstream(scratch.path / "chunks.jsonl") << json.dump() << "\n";
    check_has(refused(), "adapter_version: missing");
  }
}

TEST_CASE("token ids: those of the scored tokens, in the order of their NLLs, are read back", "[unit]") {
  const Scratch scratch;
  fs::create_directories(scratch.path / "nll");
  ChunkRecord first, second, other;
  first.tokens = 3, first.scored_tokens = 2;
  second.first_token = 3, second.tokens = second.scored_tokens = 2;
  other.book_index = 1, other.tokens = other.scored_tokens = 9;
  const std::vector<std::int64_t> tokens{1, 20, 300, 4000, 50000};
  const std::vector<std::int32_t> ids = scored_ids({first, other, second}, 0, tokens);
  CHECK(ids == std::vector<std::int32_t>{20, 300, 4000, 50000});
  write_token_ids(scratch.path, 0, ids);
  CHECK(read_token_ids(scratch.path, 0) == ids);
  CHECK_THROWS_WITH(scored_ids({other}, 1, tokens), Catch::Matchers::Contains("chunk 0 ends at token 9, wanted 5"));
  CHECK_THROWS_AS(read_token_ids(scratch.path, 1), Error);
  write_file_atomically(scratch.path / "nll/0-tokens.i32", "12345");
  CHECK_THROWS_WITH(read_token_ids(scratch.path, 0), Catch::Matchers::Contains("got 5 bytes, wanted a multiple of 4"));
}
