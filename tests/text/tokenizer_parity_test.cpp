#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "catch.h"
#include "core/file.h"
#include "core/json.h"
#include "text/books.h"
#include "text/tokenizer.h"

// Goldens come from tests/text/make_goldens.py.

namespace {

using templora::Json;
using templora::Tokenizer;
namespace fs = std::filesystem;

const fs::path kGoldens = fs::path(TEMPLORA_SOURCE_DIR) / "tests/text/goldens";
const fs::path kShared = fs::path(TEMPLORA_SOURCE_DIR) / "../shared/data";

Json read_golden(const std::string& name) {
  const fs::path path = kGoldens / (name + ".json");
  return templora::parse_json(templora::read_file(path), path.string());
}

std::uint32_t fnv(std::string_view bytes) {
  std::uint32_t value = 2166136261u;
  for (const char byte : bytes) value = (value ^ static_cast<unsigned char>(byte)) * 16777619u;
  return value;
}

std::string hex(std::string_view bytes) { return fmt::format("{:08x}", fnv(bytes)); }

std::string hash_ids(const std::vector<std::int64_t>& ids) {
  std::string bytes;
  for (const std::int64_t id : ids) {
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>((id >> shift) & 0xFF);
  }
  return hex(bytes);
}

/// The generator of make_goldens.py, draw for draw.
class Generator {
 public:
  Generator() {
    const Json json = read_golden("fragments");
    seed_ = json.at("seed").get<std::uint64_t>();
    fragments_ = json.at("fragments").get<std::vector<std::string>>();
  }

  std::string text(std::uint64_t number) const {
    std::uint64_t state = seed_ + 0x9E3779B97F4A7C15u * (number + 1);
    const auto below = [&](std::uint64_t limit) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      return (state >> 33) % limit;
    };
    const std::uint64_t count = below(50) != 0 ? below(40) : 400;
    std::string out;
    for (std::uint64_t i = 0; i < count; ++i) out += fragments_[below(fragments_.size())];
    return out;
  }

 private:
  std::uint64_t seed_ = 0;
  std::vector<std::string> fragments_;
};

std::string case_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  std::string text;
  for (int i = 0; i < value.at("times").get<int>(); ++i) text += value.at("repeat").get<std::string>();
  return text;
}

void check_cases(const Tokenizer& tokenizer, const Json& golden) {
  for (const Json& entry : golden.at("cases")) {
    const std::string text = case_text(entry.at("text"));
    CAPTURE(golden.at("name").get<std::string>(), text.substr(0, 80), text.size());
    const std::vector<std::int64_t> plain = tokenizer.encode(text, false);
    std::vector<std::int64_t> with_special = plain;
    if (entry.at("before") == 1) with_special.insert(with_special.begin(), tokenizer.bos_id());
    if (entry.at("after") == 1) with_special.push_back(tokenizer.eos_id());
    CHECK(tokenizer.encode(text, true) == with_special);
    if (entry.contains("hash")) {
      CHECK(hash_ids(plain) == entry.at("hash").get<std::string>());
      CHECK(hex(tokenizer.decode(with_special, false)) == entry.at("decoded").get<std::string>());
    } else {
      CHECK(plain == entry.at("ids").get<std::vector<std::int64_t>>());
      CHECK(tokenizer.decode(with_special, false) == entry.at("decoded").get<std::string>());
      CHECK(tokenizer.decode(with_special, true) == entry.at("decoded_skip").get<std::string>());
    }
  }
}

/// Compares every generated string and names the first few that differ; returns how many were compared.
std::size_t check_generated(const Tokenizer& tokenizer, const Json& golden) {
  static const Generator generator;
  const std::string hashes = golden.at("generated").get<std::string>();
  const std::string decoded = golden.at("decoded").get<std::string>();
  const std::size_t share = golden.at("decoded_share").get<std::size_t>();
  std::vector<std::string> different;
  for (std::size_t number = 0; number * 8 < hashes.size(); ++number) {
    const std::string text = generator.text(number);
    const templora::EncodedText encoded = tokenizer.encode_with_ends(text, true);
    if (hash_ids(encoded.ids) != hashes.substr(number * 8, 8)) {
      different.push_back(fmt::format("ids of string {}: {}", number, Json(text).dump()));
    }
    if (number % share == 0) {
      const std::string both = tokenizer.decode(encoded.ids, false) + '\0' + tokenizer.decode(encoded.ids, true);
      if (hex(both) != decoded.substr(number / share * 8, 8)) {
        different.push_back(fmt::format("decoding of string {}: {}", number, Json(text).dump()));
      }
    }
    for (std::size_t i = 1; i < encoded.ends.size(); ++i) {
      if (encoded.ends[i] < encoded.ends[i - 1]) different.push_back(fmt::format("ends of string {}", number));
    }
    if (!encoded.ends.empty() && encoded.ends.back() > text.size()) {
      different.push_back(fmt::format("last end of string {}", number));
    }
  }
  for (std::size_t i = 0; i < std::min<std::size_t>(different.size(), 5); ++i) UNSCOPED_INFO(different[i]);
  CAPTURE(golden.at("name").get<std::string>());
  CHECK(different.size() == 0);
  return hashes.size() / 8;
}

void check_all(const Tokenizer& tokenizer, const Json& golden, std::size_t wanted) {
  CHECK(tokenizer.bos_id() == golden.at("bos_id").get<std::int64_t>());
  CHECK(tokenizer.eos_id() == golden.at("eos_id").get<std::int64_t>());
  CHECK(tokenizer.size() == golden.at("size").get<std::int64_t>());
  check_cases(tokenizer, golden);
  CHECK(check_generated(tokenizer, golden) >= wanted);
}

void check_shared(const std::string& name) {
  if (!fs::exists(kShared / "tokenizers" / name)) {
    WARN("skipped: ../shared/data/tokenizers/" + name + " is not there");
    return;
  }
  const Tokenizer tokenizer(kShared / "tokenizers" / name);
  const Json golden = read_golden("shared-" + name);
  check_all(tokenizer, golden, 10000);
}

}  // namespace

TEST_CASE("Tokenizer: small models of every kind give the ids and texts of the slow tokenizer", "[parity]") {
  std::size_t folders = 0;
  for (const auto& entry : fs::directory_iterator(kGoldens / "tokenizers")) {
    const std::string name = entry.path().filename().string();
    DYNAMIC_SECTION(name) { check_all(Tokenizer(entry.path()), read_golden(name), 400); }
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
    const Json golden = read_golden("shared-" + name);
    for (const auto& [book, wanted] : golden.at("books").items()) {
      CAPTURE(name, book);
      const templora::Book read = templora::read_book(kShared / "pg19" / book, tokenizer, {});
      CHECK(read.tokens.size() == wanted.at("tokens").get<std::size_t>());
      CHECK(hash_ids(read.tokens) == wanted.at("hash").get<std::string>());
    }
  }
}
