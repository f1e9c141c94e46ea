#include "experiment/token_corpus.h"

#include <algorithm>
#include <set>

#include "../core/fixtures.h"
#include "catch.h"
#include "core/file.h"

using namespace templora;
using templora_test::TempFolder;
using templora_test::thrown_by;

namespace {

Tokenizer shipped_tokenizer() { return Tokenizer(fs::path(TEMPLORA_SOURCE_DIR) / "models/small-6m"); }

}  // namespace

TEST_CASE("read_corpus: texts follow each other, each after BOS, and a cache gives the same", "[unit]") {
  const TempFolder folder;
  const Tokenizer t = shipped_tokenizer();
  write_file_atomically(folder / "a.txt", "It was the best of times.\n");
  write_file_atomically(folder / "b.txt", "It was the worst of times.\r\n");
  const std::vector<fs::path> texts{folder / "a.txt", folder / "b.txt"};
  const TokenCorpus plain = read_corpus(texts, t, true, {});
  std::vector<std::int64_t> expected = t.encode("It was the best of times.", true);
  const std::vector<std::int64_t> second = t.encode("It was the worst of times.", true);
  CHECK(second[0] == t.bos_id());
  expected.insert(expected.end(), second.begin(), second.end());
  CHECK(std::equal(plain.tokens.begin(), plain.tokens.end(), expected.begin(), expected.end()));
  CHECK(plain.text_bytes == 25 + 26);
  CHECK(plain.texts == 2);
  REQUIRE(plain.text_hashes.size() == 2);
  CHECK(plain.text_hashes[0] != plain.text_hashes[1]);

  const fs::path cache = folder / "cache";
  const auto same = [&](const TokenCorpus& other) {
    return other.tokens == plain.tokens && other.text_bytes == plain.text_bytes && other.hash == plain.hash &&
           other.text_hashes == plain.text_hashes;
  };
  CHECK(same(read_corpus(texts, t, true, cache)));
  std::vector<fs::path> cached(fs::directory_iterator(cache), {});
  CHECK(cached.size() == 2);
  CHECK(same(read_corpus(texts, t, true, cache)));

  // A damaged entry is made again; a changed text has another.
  std::string damaged = read_file(cached[0]);
  damaged.back() = char(damaged.back() ^ 1);
  write_file_atomically(cached[0], damaged);
  CHECK(same(read_corpus(texts, t, true, cache)));
  write_file_atomically(folder / "b.txt", "It was the age of wisdom.");
  CHECK(!same(read_corpus(texts, t, true, cache)));
}

TEST_CASE("without: leaves out by file name, and a pattern that is of no use is an error", "[unit]") {
  const std::vector<fs::path> paths{"/x/austen_emma.txt", "/x/austen_persuasion.txt", "/x/verne_moon.txt"};
  CHECK(without(paths, {"austen_*.txt"}) == std::vector<fs::path>{"/x/verne_moon.txt"});
  CHECK(without(paths, {}).size() == 3);
  const auto thrown = thrown_by([&] { without(paths, {"verne_*", "stoker_*"}); });
  CHECK(thrown.code == Exit::usage);
  CHECK(thrown.says("stoker_*"));
}

TEST_CASE("SequenceOrder: every pass is another permutation, known from its number alone", "[unit]") {
  SequenceOrder forward(50, 9), other_seed(50, 10);
  std::vector<std::int64_t> places, others;
  for (std::int64_t i = 0; i < 150; ++i) {
    places.push_back(forward.at(i));
    others.push_back(other_seed.at(i));
  }
  for (int pass = 0; pass < 3; ++pass) {
    const std::set<std::int64_t> seen(places.begin() + pass * 50, places.begin() + (pass + 1) * 50);
    CHECK(seen.size() == 50);
    CHECK(*seen.rbegin() == 49);
  }
  CHECK(!std::equal(places.begin(), places.begin() + 50, places.begin() + 50));
  CHECK(places != others);
  SequenceOrder late(50, 9);
  for (std::int64_t i = 149; i >= 0; --i) CHECK(late.at(i) == places[std::size_t(i)]);
}
