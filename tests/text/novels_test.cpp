#include "text/novels.h"

#include <filesystem>
#include <string>

#include "../core/fixtures.h"
#include "catch.h"
#include "core/error.h"
#include "scratch_folder.h"
#include "text_parts.h"

using namespace templora;
using namespace templora_test;

namespace {

const std::string kGood =
    R"([{"contexts": {"k1": [], "k3": []}, "inference": [{"zh": "天亮了。", "en": "It is day."}, {"zh": "他走了。", "en": ""}]},
        {"contexts": {"k1": [{"zh": "他走了。", "en": ""}],
                      "k3": [{"zh": "天亮了。", "en": "It is day."}, {"zh": "他走了。", "en": ""}]},
         "inference": [{"zh": " ", "en": "Left over."}], "note": "ignored"}])";

std::string refused_novel(const std::string& text, const std::string& context = "k1") {
  const ScratchFolder folder;
  folder.write("n.train", text);
  const std::string what = refusal([&] { read_novel(folder.path() / "n.train", context, 0); });
  check_has(what, "n.train");
  return what;
}

void check_refused(const std::string& text, const std::vector<std::string>& parts) {
  const std::string what = refused_novel(text);
  for (const std::string& part : parts) check_has(what, part);
}

}  // namespace

TEST_CASE("read_novel: chunks, the chosen context and empty sides as they stand", "[unit]") {
  const ScratchFolder folder;
  folder.write("n.train", kGood);
  const Novel novel = read_novel(folder.path() / "n.train", "k3", 0);
  CHECK(novel.name == "n.train");
  REQUIRE(novel.chunks.size() == 2);
  CHECK(novel.chunks[0].context.empty());
  CHECK(novel.chunks[0].pairs[0].zh == "天亮了。");
  CHECK(novel.chunks[0].pairs[0].en == "It is day.");
  CHECK(novel.chunks[1].context.size() == 2);
  CHECK(novel.chunks[1].pairs[0].zh == " ");
  CHECK_FALSE(has_empty_side(novel.chunks[0].pairs[0]));
  CHECK(has_empty_side(novel.chunks[0].pairs[1]));
  CHECK(has_empty_side(novel.chunks[1].pairs[0]));
  CHECK(read_novel(folder.path() / "n.train", "k1", 0).chunks[1].context.size() == 1);
  CHECK(read_novel(folder.path() / "n.train", "k1", 1).chunks.size() == 1);
}

TEST_CASE("read_novel: what is wrong is named by file, record and field", "[unit]") {
  check_refused(R"([{"contexts": )", {"line 1", "not valid JSON"});
  check_refused(R"({"contexts": {}})", {"got object, wanted an array of records"});
  check_refused("[]", {"got no record"});
  check_refused(R"([[]])", {"record 0: got array, wanted an object"});
  const std::string first = R"([{"contexts": {"k1": []}, "inference": [{"zh": "a", "en": "b"}]}, )";
  check_refused(first + R"({"inference": []}])", {"record 1: contexts: got nothing"});
  check_refused(first + R"({"contexts": {"k3": []}, "inference": [{"zh": "a", "en": "b"}]}])",
                {"record 1: contexts.k1: got nothing"});
  check_refused(first + R"({"contexts": {"k1": []}}])", {"record 1: inference: got nothing"});
  check_refused(first + R"({"contexts": {"k1": []}, "inference": []}])", {"record 1: inference: got no pair"});
  check_refused(first + R"({"contexts": {"k1": []}, "inference": [{"zh": "a"}]}])",
                {"record 1: inference[0].en: got nothing"});
  check_refused(first + R"({"contexts": {"k1": []}, "inference": [{"zh": null, "en": "b"}]}])",
                {"record 1: inference[0].zh: got null"});
  check_refused(first + R"({"contexts": {"k1": []}, "inference": ["a"]}])",
                {"record 1: inference[0]: got string, wanted an object"});
  // A context that is not used is checked too.
  check_refused(
      first + R"({"contexts": {"k1": [], "k3": [{"zh": "a", "en": 7}]}, "inference": [{"zh": "a", "en": "b"}]}])",
      {"record 1: contexts.k3[0].en: got number"});
  check_refused(R"([{"contexts": {"k1": []}, "contexts": {}, "inference": []}])", {"\"contexts\" stands twice"});
}

TEST_CASE("read_novel: what is no JSON is named by record, line and column", "[unit]") {
  const std::string good = R"({"contexts": {"k1": []}, "inference": [{"zh": "[a, \"{,", "en": "b\\"}]})";
  const std::string two = "[" + good + ",\n" + good + ",\n";
  check_refused(two + R"({"contexts": {"k1": [} }])", {"n.train: record 2: line 3, column 22: not valid JSON"});
  check_refused(two + R"({"contexts": {"k1": []}, "inference": [{"zh": "a, "en": "b"}]}])", {"record 2: line 3"});
  check_refused(two + good, {"record 2: line 3"});  // cut short
  check_refused("[" + good + ",, " + good + "]", {"record 1: line 1"});
  check_refused(R"({"contexts": [1, 2, })", {"n.train: line 1"});
  check_refused("", {"n.train: line 1"});
}

TEST_CASE("array_element_at: commas of inner arrays and of strings do not count", "[unit]") {
  const std::string text = R"( [{"a": [1, 2]}, ["x, \", y", 3], )";
  CHECK_FALSE(array_element_at(text, 0));
  CHECK_FALSE(array_element_at(text, 1));
  CHECK(array_element_at(text, 2) == 0);
  CHECK(array_element_at(text, text.find("2]")) == 0);
  CHECK(array_element_at(text, text.find("[\"x")) == 1);
  CHECK(array_element_at(text, text.find("3]")) == 1);
  CHECK(array_element_at(text, text.size()) == 2);
  CHECK_FALSE(array_element_at(R"({"a": [1, 2]})", 10));
  CHECK_FALSE(array_element_at("", 0));
}

TEST_CASE("read_novel: files that cannot be read are named", "[unit]") {
  CHECK_THROWS_AS(read_novel("no/such.train", "k1", 0), Error);
  check_refused("[\"\xff\"]", {"not valid JSON"});
}

TEST_CASE("read_novel: the shared GuoFeng files have the chunks that they are known to have", "[unit]") {
  const std::filesystem::path folder = std::filesystem::path(TEMPLORA_SOURCE_DIR) / "../shared/data/guofeng";
  if (!std::filesystem::exists(folder)) {
    WARN("skipped: ../shared/data/guofeng is not there");
    return;
  }
  const Novel novel = read_novel(folder / "102-bgwzsl.train", "k1", 0);
  CHECK(novel.chunks.size() == 104);
  std::size_t pairs = 0;
  for (const NovelChunk& chunk : novel.chunks) pairs += chunk.pairs.size();
  CHECK(pairs == 2191);
  CHECK(novel.chunks[1].context.size() == 15);
  CHECK(read_novel(folder / "102-bgwzsl.eval", "k3", 3).chunks.size() == 3);
}
