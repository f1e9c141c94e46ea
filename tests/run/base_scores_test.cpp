#include "run/base_scores.h"

#include "../core/fixtures.h"
#include "catch.h"
#include "config/config.h"

using namespace templora;
using namespace templora_test;

namespace {

const Json kIdentity{
    {"config_hash", "1"}, {"weights_hash", "w"}, {"tokenizer_hash", "t"}, {"threads", 1}, {"text_0_hash", "x"}};

Json effective(const std::string& changes) {
  std::vector<Override> overrides;
  if (!changes.empty())
    overrides.push_back({changes.substr(0, changes.find('=')), changes.substr(changes.find('=') + 1)});
  return parse_config(R"({"model": {"path": "m"}, "data": {"books": ["b"]}})", "test", "/x", overrides).effective;
}

bool finds(const fs::path& folder, const std::string& changes, Json identity = kIdentity,
           const std::string& processor = "cpu") {
  return BaseScores(folder, effective(changes), identity, processor).find("text", 4, 3).has_value();
}

}  // namespace

TEST_CASE("BaseScores: are found with the bits that were kept, by whatever trains the module", "[unit]") {
  const TempFolder folder;
  const fs::path kept = folder / "kept";
  const std::vector<float> nll{1.5f, 0.1f, 2.25f};
  CHECK_FALSE(finds(kept, ""));
  BaseScores(kept, effective(""), kIdentity, "cpu").keep("text", 4, nll);
  CHECK(BaseScores(kept, effective(""), kIdentity, "cpu").find("text", 4, 3) == nll);
  for (const char* harmless :
       {"lora.rank=8", "train.epochs=5", "seed=7", "notes=3", "score.base_scores=elsewhere", "run.save_every_chunks=3"})
    CHECK(finds(kept, harmless));
  Json other_run = kIdentity;
  other_run["config_hash"] = "2";
  other_run["text_1_hash"] = "y";
  CHECK(finds(kept, "", other_run));
}

TEST_CASE("BaseScores: are not found where anything that decides their bits differs", "[unit]") {
  const TempFolder folder;
  BaseScores(folder.path(), effective(""), kIdentity, "cpu").keep("text", 4, std::vector<float>{1, 2, 3});
  REQUIRE(finds(folder.path(), ""));
  for (const char* other : {"window.chunk_tokens=512", "window.context_tokens=64", "window.first_chunk_tokens=7",
                            "model.dtype=bfloat16", "model.rope_scaling={\"rope_type\": \"linear\", \"factor\": 2}"})
    CHECK_FALSE(finds(folder.path(), other));
  for (const char* key : {"weights_hash", "tokenizer_hash", "threads"}) {
    Json identity = kIdentity;
    identity[key] = "another";
    CHECK_FALSE(finds(folder.path(), "", identity));
  }
  CHECK_FALSE(finds(folder.path(), "", kIdentity, "another processor"));
  const BaseScores scores(folder.path(), effective(""), kIdentity, "cpu");
  CHECK_FALSE(scores.find("another text", 4, 3));
  CHECK_FALSE(scores.find("text", 5, 3));
  CHECK_FALSE(scores.find("text", 4, 2));
}

TEST_CASE("BaseScores: damaged ones are computed again", "[unit]") {
  const TempFolder folder;
  BaseScores(folder.path(), effective(""), kIdentity, "cpu").keep("text", 4, std::vector<float>{1, 2, 3});
  const fs::path file = fs::directory_iterator(folder.path())->path();
  std::string content = read_file(file);
  content[5] ^= 1;
  write_file_atomically(file, content);
  CHECK_FALSE(finds(folder.path(), ""));
  BaseScores("/proc/no/folder", effective(""), kIdentity, "cpu")
      .keep("text", 4, std::vector<float>{1});  // says so, and harms nothing
}
