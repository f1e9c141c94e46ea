#include "experiment/token_corpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>

#include "core/data_manifest.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/stop.h"
#include "io/safetensors.h"
#include "text/books.h"

namespace templora {
namespace {

constexpr std::chrono::seconds kQuiet{10};  // between two lines that say how far reading has come

struct Ids {
  std::vector<std::int32_t> tokens;
  std::int64_t text_bytes = 0;
};

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

std::string hash_of(const std::vector<std::int32_t>& tokens) {
  Hasher hasher;
  hasher.update(bytes_of(tokens));
  return hasher.hex();
}

// Nothing where the file is not there or is damaged: the text is then encoded again.
std::optional<Ids> read_cached(const fs::path& file) {
  if (!fs::exists(file)) return {};
  try {
    const SafetensorsFiles stored = SafetensorsFiles::open_file(file);
    const TensorSpan& span = stored.at("tokens");
    if (span.type != StorageType::i32) return {};
    Ids ids;
    ids.tokens.resize(span.bytes.size() / sizeof(std::int32_t));
    std::copy(span.bytes.begin(), span.bytes.end(), reinterpret_cast<std::byte*>(ids.tokens.data()));
    ids.text_bytes = std::stoll(stored.metadata().at("text_bytes"));
    if (stored.metadata().at("hash") != hash_of(ids.tokens)) return {};
    return ids;
  } catch (const std::exception&) {
    return {};
  }
}

Ids encode(const fs::path& text, const Tokenizer& tokenizer, bool strip) {
  const Book book = read_book(text, tokenizer, {strip, 0});
  return {{book.tokens.begin(), book.tokens.end()}, book.text_bytes};
}

bool write_cached(const fs::path& file, const Ids& ids) {
  try {
    fs::create_directories(file.parent_path());
    write_safetensors(file, {{"tokens", StorageType::i32, {std::int64_t(ids.tokens.size())}, bytes_of(ids.tokens)}},
                      {{"text_bytes", std::to_string(ids.text_bytes)}, {"hash", hash_of(ids.tokens)}});
    return true;
  } catch (const std::exception& error) {
    log_line(fmt::format("token ids are not kept: {}", error.what()));
    return false;
  }
}

}  // namespace

TokenCorpus read_corpus(const std::vector<fs::path>& texts, const Tokenizer& tokenizer, bool strip,
                        const std::optional<fs::path>& cache) {
  TokenCorpus corpus;
  auto told = std::chrono::steady_clock::now();
  bool keep = cache.has_value();
  for (const fs::path& text : texts) {
    if (stop_requested())
      throw Error(Exit::interrupted,
                  fmt::format("stopped by {} while texts were read; start again", stop_signal_name()));
    Ids ids;
    if (cache) {
      const std::string key = hash_hex(fmt::format("{} {} {}", tokenizer.hash(), strip, hash_hex(read_file(text))));
      const fs::path file = *cache / (key + ".safetensors");
      std::optional<Ids> cached = read_cached(file);
      ids = cached ? std::move(*cached) : encode(text, tokenizer, strip);
      if (!cached && keep) keep = write_cached(file, ids);
    } else {
      ids = encode(text, tokenizer, strip);
    }
    corpus.tokens.insert(corpus.tokens.end(), ids.tokens.begin(), ids.tokens.end());
    corpus.text_bytes += ids.text_bytes;
    corpus.text_hashes.push_back(hash_of(ids.tokens));
    ++corpus.texts;
    if (const auto now = std::chrono::steady_clock::now(); now - told > kQuiet) {
      told = now;
      log_line(fmt::format("{} of {} texts read", corpus.texts, texts.size()));
    }
  }
  corpus.hash = hash_of(corpus.tokens);
  return corpus;
}

std::vector<fs::path> without(const std::vector<fs::path>& paths, const std::vector<std::string>& exclude) {
  std::vector<bool> used(exclude.size(), false);
  std::vector<fs::path> kept;
  for (const fs::path& path : paths) {
    bool excluded = false;
    for (std::size_t i = 0; i < exclude.size(); ++i)
      if (name_matches(path, exclude[i])) excluded = used[i] = true;
    if (!excluded) kept.push_back(path);
  }
  for (std::size_t i = 0; i < exclude.size(); ++i)
    if (!used[i])
      throw Error(Exit::usage,
                  fmt::format("data.exclude: \"{}\" matches the name of no book; remove it{}", printable(exclude[i]),
                              paths.empty() ? "" : how_to_get(paths.front().parent_path() / exclude[i])));
  return kept;
}

SequenceOrder::SequenceOrder(std::int64_t sequences, std::uint64_t seed) : sequences_(sequences), seed_(seed) {}

std::int64_t SequenceOrder::at(std::int64_t i) {
  const std::int64_t pass = i / sequences_;
  if (pass != pass_) {
    pass_ = pass;
    permutation_.resize(std::size_t(sequences_));
    std::iota(permutation_.begin(), permutation_.end(), std::int64_t{0});
    std::seed_seq seeds{std::uint32_t(seed_), std::uint32_t(seed_ >> 32), std::uint32_t(pass)};
    std::mt19937_64 random(seeds);
    // Written out: the standard leaves std::shuffle's draws to the library.
    for (std::uint64_t left = std::uint64_t(sequences_); left > 1; --left)
      std::swap(permutation_[left - 1], permutation_[random() % left]);
  }
  return permutation_[std::size_t(i % sequences_)];
}

}  // namespace templora
