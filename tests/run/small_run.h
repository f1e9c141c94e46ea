#pragma once

#include <unistd.h>

#include <string>
#include <vector>

#include "../core/fixtures.h"
#include "catch.h"
#include "run/run_folder.h"

// A run folder of two small books, written as a run writes it.
namespace templora_test {

using namespace templora;

/// A folder of its own for each test, gone afterwards.
struct Scratch {
  Scratch() : path(fs::temp_directory_path() / ("templora-run-" + std::to_string(::getpid()))) { fs::remove_all(path); }
  ~Scratch() { fs::remove_all(path); }
  fs::path path;
};

inline Json record_of(int threads = 2) {
  return {{"config", {{"seed", 42}}}, {"identity", {{"config_hash", "0123456789ab"}, {"threads", threads}}}};
}

inline constexpr std::int64_t kBooks = 2, kChunks = 6, kTokens = 5;

inline ChunkRecord chunk_of(std::int64_t book, std::int64_t chunk) {
  ChunkRecord r;
  r.book = std::to_string(book) + ".txt";
  r.book_index = book;
  r.chunk = chunk;
  r.first_token = chunk * kTokens;
  r.tokens = kTokens;
  r.scored_tokens = chunk == 0 ? kTokens - 1 : kTokens;
  r.base_nll = 2.0 + static_cast<double>(chunk);
  r.lora_nll = 1.0;
  r.train_loss = {3.5, 3.25};
  r.trained_chunk = chunk;
  r.controls[Arm::other_book] = {1.5, chunk == 0 ? "" : "other.txt", chunk * kTokens};
  r.seconds = {{"score", 0.5}, {"train", 1.5}};
  return r;
}

inline void append(RunFolder& folder, std::int64_t book, std::int64_t chunk) {
  if (chunk == 0) {
    BookRecord b;
    b.book = std::to_string(book) + ".txt";
    b.book_index = book;
    b.tokens = kChunks * kTokens;
    folder.append_book(b);
  }
  const ChunkRecord record = chunk_of(book, chunk);
  const std::vector<float> base(static_cast<std::size_t>(record.scored_tokens), static_cast<float>(*record.base_nll));
  const std::vector<float> lora(static_cast<std::size_t>(record.scored_tokens), 1.0f);
  folder.append_nll(book, Arm::base, base);
  folder.append_nll(book, Arm::lora, lora);
  folder.append_nll(book, Arm::other_book, std::vector<float>(lora.size(), 1.5f));
  folder.append_chunk(record);
}

inline void save(RunFolder& folder, std::int64_t next) {
  folder.save_state({{"next", next}}, [&](const fs::path& tensors) {
    write_file_atomically(tensors, "tensors at " + std::to_string(next));
  });
}

/// Goes on where the folder's state says, saving every `every` chunks, up to chunk `end` of all chunks.
inline void go_on(RunFolder& folder, std::int64_t end, std::int64_t every, bool summary) {
  std::int64_t next = 0;
  if (folder.saved_state()) {
    next = folder.saved_state()->at("next");
    CHECK(read_file(folder.saved_tensors()) == "tensors at " + std::to_string(next));
  }
  for (; next < end; ++next) {
    if (next > 0 && next % every == 0) save(folder, next);
    append(folder, next / kChunks, next % kChunks);
  }
  if (summary) folder.write_summary({{"ppl", 3}}, "| table |\n");
}

/// How an action is refused, which it has to be.
template <class Action>
std::string check_refused(const Action& action, Exit code) {
  const std::string line = refusal(action, code);
  CHECK_FALSE(line.empty());
  return line;
}

}  // namespace templora_test
