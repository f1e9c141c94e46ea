#pragma once

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
#include "text/tokenizer.h"

// Goldens as make_goldens.py and make_json_goldens.py write them, and what compares a tokenizer with them.

namespace templora_test {

using templora::Json;
using templora::Tokenizer;

inline const std::filesystem::path kSource = TEMPLORA_SOURCE_DIR;
/// Where make_goldens.py and make_json_goldens.py write, and their small tokenizers of every kind, one a folder.
inline const std::filesystem::path kGoldens = kSource / "tests/text/goldens", kTokenizers = kGoldens / "tokenizers",
                                   kJsonGoldens = kGoldens / "json", kJsonTokenizers = kJsonGoldens / "tokenizers";
/// Tokenizers, books and novels that may not be there.
inline const std::filesystem::path kShared = kSource / "../shared/data";

inline Tokenizer small_tokenizer(const std::string& name = "bare") { return Tokenizer(kTokenizers / name); }

inline Json read_golden(const std::filesystem::path& path) {
  return templora::parse_json(templora::read_file(path), path.string());
}

inline std::uint32_t fnv(std::string_view bytes) {
  std::uint32_t value = 2166136261u;
  for (const char byte : bytes) value = (value ^ static_cast<unsigned char>(byte)) * 16777619u;
  return value;
}

inline std::string hex(std::string_view bytes) { return fmt::format("{:08x}", fnv(bytes)); }

inline std::string hash_ids(const std::vector<std::int64_t>& ids) {
  std::string bytes;
  for (const std::int64_t id : ids) {
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>((id >> shift) & 0xFF);
  }
  return hex(bytes);
}

/// The generator of make_goldens.py, draw for draw.
class TextGenerator {
 public:
  explicit TextGenerator(const std::filesystem::path& fragments) {
    const Json json = read_golden(fragments);
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

inline std::string case_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  std::string text;
  for (int i = 0; i < value.at("times").get<int>(); ++i) text += value.at("repeat").get<std::string>();
  return text;
}

inline void check_cases(const Tokenizer& tokenizer, const Json& golden) {
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
inline std::size_t check_generated(const Tokenizer& tokenizer, const Json& golden, const TextGenerator& generator) {
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

inline void check_all(const Tokenizer& tokenizer, const Json& golden, const TextGenerator& generator,
                      std::size_t wanted) {
  CHECK(tokenizer.bos_id() == golden.at("bos_id").get<std::int64_t>());
  CHECK(tokenizer.eos_id() == golden.at("eos_id").get<std::int64_t>());
  CHECK(tokenizer.size() == golden.at("size").get<std::int64_t>());
  check_cases(tokenizer, golden);
  CHECK(check_generated(tokenizer, golden, generator) >= wanted);
}

}  // namespace templora_test
