#pragma once

#include <cmath>
#include <map>
#include <string>

#include "../core/fixtures.h"
#include "metrics/perplexity.h"
#include "report/run_summary.h"
#include "run/run_data.h"
#include "run/run_folder.h"

// Run folders as a perplexity run leaves them, with made-up numbers.
namespace templora_test {

using namespace templora;

struct MadeRun {
  std::int64_t chunk_tokens = 50, context_tokens = 50, seed = 42, books = 2, chunks = 12;
  double gain = 0.1;  ///< nats that the adapter is better by
  std::optional<double> other_gain = {};  ///< the same of the control other_book, where there is one
  double (*base_of_book)(std::int64_t) = nullptr;  ///< added to the base's NLLs of a book
  std::vector<std::int64_t> edges{0, 200, 400};
  std::string config_hash = "0123456789ab";
  Json notes = {};
  bool finished = true;
};

inline Json made_record(const MadeRun& made) {
  Json config{{"experiment", "perplexity"},
              {"seed", made.seed},
              {"fidelity", "corrected"},
              {"model", {{"path", "/models/small & <fine>"}}},
              {"data", {{"books", {"/b/*.txt"}}}},
              {"window", {{"chunk_tokens", made.chunk_tokens}, {"context_tokens", made.context_tokens}}},
              {"score", {{"segment_edges", made.edges}}},
              {"train", {{"prefix_tokens", made.context_tokens}}},
              {"cache", {{"policy", "rebuild"}, {"window_tokens", nullptr}}},
              {"run", {{"threads", 1}}},
              {"notes", made.notes}};
  return {{"templora_version", "0.1.0"},
          {"config", config},
          {"identity",
           {{"config_hash", made.config_hash},
            {"weights_hash", "feedfacefeedface"},
            {"text_0_hash", "a"},
            {"device", "cpu"},
            {"threads", 1}}},
          {"processor", "a processor"}};
}

inline void make_run(const fs::path& path, const MadeRun& made) {
  RunFolder folder = RunFolder::create(path, made_record(made));
  for (std::int64_t b = 0; b < made.books; ++b) {
    BookRecord book;
    book.book = "book_" + std::to_string(b) + ".txt";
    book.book_index = b;
    book.tokens = made.chunks * made.chunk_tokens;
    book.text_hash = "text " + std::to_string(b);
    folder.append_book(book);
    for (std::int64_t c = 0; c < made.chunks; ++c) {
      ChunkRecord chunk;
      chunk.book = book.book;
      chunk.book_index = b;
      chunk.chunk = c;
      chunk.first_token = c * made.chunk_tokens;
      chunk.tokens = made.chunk_tokens;
      chunk.scored_tokens = made.chunk_tokens - (c == 0);
      std::vector<float> base, lora, other;
      double base_sum = 0, lora_sum = 0, other_sum = 0;
      for (std::int64_t t = 0; t < chunk.scored_tokens; ++t) {
        const double at = static_cast<double>(c * made.chunk_tokens + t);
        base.push_back(static_cast<float>(3 + 0.2 * static_cast<double>(b) + 0.3 * std::sin(at / 17) +
                                          (made.base_of_book ? made.base_of_book(b) : 0)));
        lora.push_back(base.back() - static_cast<float>(made.gain * (1 - std::exp(-at / 200)) +
                                                        0.01 * std::sin(static_cast<double>(b) * 2.1)));
        base_sum += base.back();
        lora_sum += lora.back();
        if (!made.other_gain) continue;
        other.push_back(base.back() - static_cast<float>(*made.other_gain * (1 - std::exp(-at / 200))));
        other_sum += other.back();
      }
      chunk.base_nll = base_sum / static_cast<double>(chunk.scored_tokens);
      chunk.lora_nll = lora_sum / static_cast<double>(chunk.scored_tokens);
      chunk.train_loss = {3.5, 3.25};
      chunk.grad_norm = {0.5, 0.75};
      chunk.learning_rate = 0.001;
      chunk.trained_chunk = c;
      chunk.seconds = {{"score", 0.25}, {"train", 0.5}};
      folder.append_nll(b, Arm::base, base);
      folder.append_nll(b, Arm::lora, lora);
      if (made.other_gain) {
        chunk.controls[Arm::other_book].nll = other_sum / static_cast<double>(chunk.scored_tokens);
        folder.append_nll(b, Arm::other_book, other);
      }
      folder.append_chunk(chunk);
    }
  }
  if (!made.finished) return;
  Json summary = to_json(perplexity_table(read_run(path)));
  summary["peak_rss_bytes"] = 5000000;
  folder.write_summary(summary, "table\n");
}

/// What a gain of 1 comes to over a made book's scored tokens, at the usual chunks.
inline double mean_rise() {
  const MadeRun made;
  double sum = 0;
  std::int64_t tokens = 0;
  for (std::int64_t c = 0; c < made.chunks; ++c)
    for (std::int64_t t = 0; t < made.chunk_tokens - (c == 0); ++t, ++tokens)
      sum += 1 - std::exp(-static_cast<double>(c * made.chunk_tokens + t) / 200);
  return sum / static_cast<double>(tokens);
}

/// Changes a run's record after the fact.
template <class Change>
void change_record(const fs::path& run, Change&& change) {
  Json record = parse_json(read_file(run / "run.json"), "run.json");
  change(record);
  write_file_atomically(run / "run.json", record.dump());
}

inline Json summary_of(const fs::path& path) { return parse_json(read_file(path / "summary.json"), "summary.json"); }

/// Values of an attribute in order of appearance: data-ppl="…".
inline std::vector<std::string> attributes(const std::string& text, const std::string& name) {
  std::vector<std::string> out;
  const std::string start = " " + name + "=\"";
  for (std::size_t at = text.find(start); at != std::string::npos; at = text.find(start, at + 1)) {
    const std::size_t from = at + start.size();
    out.push_back(text.substr(from, text.find('"', from) - from));
  }
  return out;
}

}  // namespace templora_test
