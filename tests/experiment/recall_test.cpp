#include "experiment/recall.h"

#include <ATen/core/grad_mode.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "../text/tokenizer_goldens.h"
#include "catch.h"
#include "core/error.h"
#include "experiment/temp_lora.h"
#include "generate/score.h"
#include "made_config.h"
#include "metrics/recall.h"
#include "model/load.h"

using namespace templora;
using namespace templora_test;

namespace {

Llama recall_model(std::int64_t vocab) {
  LlamaConfig config;
  config.vocab_size = vocab;
  config.hidden_size = 32;
  config.ffn_size = 48;
  config.layers = 2;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 8;
  config.max_positions = 1024;
  Llama model(config, at::TensorOptions(at::kFloat));
  init_random_weights(*model, 7, 0.2);
  return model;
}

std::string prose() {
  std::string text;
  for (int i = 0; i < 320; ++i)
    text += "The old man went down the road of stone number " + std::to_string(i) + " and said so. ";
  return text + "The end.";
}

Config recall_config(const std::vector<Override>& more = {}) {
  return made_config({{"window.chunk_tokens", "160"},
                      {"window.context_tokens", "240"},
                      {"train.prefix_tokens", "100"},
                      {"train.learning_rate", "0.01"},
                      {"lora.rank", "4"},
                      {"lora.alpha", "8"},
                      {"recall.facts", "24"},
                      {"recall.repeats", "2"},
                      {"recall.plant_from_tokens", "200"},
                      {"recall.plant_to_tokens", "6000"},
                      {"recall.ask_after_tokens", "[0, 800]"},
                      {"recall.answer_tokens", "24"}},
                     more);
}

/// A book with facts in it.
struct Read {
  explicit Read(const Config& config)
      : tok(small_tokenizer()),
        planting(plant_facts(prose(), "book", tok, plant_options(config, 0))),
        book(book_of_text("book", planting.text, tok, 0)) {}
  Tokenizer tok;
  Planting planting;
  Book book;
};

/// Knows what it sees and nothing else: behind a question that stands in the text goes what stood behind it there. It
/// has likings of its own for the rest.
class CopyCompleter : public Completer {
 public:
  void forget() override { text_.clear(); }
  void see(const TokenIds& text) override {
    text_ = text;
    longest = std::max(longest, std::int64_t(text.size()));
    seen.insert(text);
  }
  AnswerScores score(const TokenIds& question, const std::vector<TokenIds>& answers) override {
    AnswerScores scores;
    scores.question.assign(question.size(), 2.0f);
    const TokenIds behind = follow(question);
    for (const TokenIds& answer : answers) {
      const bool there = behind.size() >= answer.size() && std::equal(answer.begin(), answer.end(), behind.begin());
      const auto liking = float(std::hash<std::string>()(bytes(question) + bytes(answer)) % 1000) * 1e-3f;
      scores.answers.emplace_back(answer.size(), there ? 0.0f : 2 + liking);
    }
    return scores;
  }
  TokenIds write(const TokenIds& question, std::int64_t most,
                 const std::function<bool(const TokenIds&)>& ended) override {
    TokenIds written;
    for (const std::int64_t token : follow(question)) {
      written.push_back(token);
      if (std::int64_t(written.size()) == most || ended(written)) break;
    }
    return written;
  }

  std::int64_t longest = 0;
  std::set<TokenIds> seen;

 private:
  static std::string bytes(const TokenIds& ids) {
    return {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(std::int64_t)};
  }
  /// What stood behind the last place of the question.
  TokenIds follow(const TokenIds& question) const {
    const auto found = std::find_end(text_.begin(), text_.end(), question.begin(), question.end());
    return found == text_.end() ? TokenIds() : TokenIds(found + std::ptrdiff_t(question.size()), text_.end());
  }
  TokenIds text_;
};

/// The same, but it breaks a line between words, as it has seen it in wrapped books.
class WrappingCompleter : public CopyCompleter {
 public:
  explicit WrappingCompleter(const Tokenizer& tok) : tok_(tok) {}
  TokenIds write(const TokenIds& question, std::int64_t most,
                 const std::function<bool(const TokenIds&)>& ended) override {
    std::string text = tok_.decode(CopyCompleter::write(question, most, ended), true);
    if (text.empty()) return {};
    std::replace(text.begin(), text.end(), ' ', '\n');
    TokenIds ids;
    for (const std::int64_t id : ids_behind_sentence(tok_, "\n" + text)) {
      ids.push_back(id);
      if (ended(ids)) break;
    }
    return ids;
  }

 private:
  const Tokenizer& tok_;
};

const LendAdapters kTwoArms = [](const auto& use) {
  use("base", 0);
  use("lora", 3);
};

std::vector<std::vector<float>> nll_of(const std::vector<ChunkResult>& results) {
  std::vector<std::vector<float>> all;
  for (const ChunkResult& result : results) {
    all.push_back(result.base_nll);
    all.push_back(result.lora_nll);
    for (const auto& [arm, nll] : result.control_nll) all.push_back(nll);
  }
  return all;
}


}  // namespace

TEST_CASE("ModelCompleter: answers' NLLs are those of one pass over everything", "[unit]") {
  Llama model = recall_model(97);
  ModelCompleter completer(*model, 3, 64, 16);
  const auto tokens = [](std::int64_t count, std::int64_t seed) {
    TokenIds ids;
    for (std::int64_t i = 0; i < count; ++i) ids.push_back((i * i * 7 + i * 3 + seed * 11) % 97);
    return ids;
  };
  const auto plain = [&](const TokenIds& text, const TokenIds& question, const TokenIds& answer) {
    TokenIds all = text;
    all.insert(all.end(), question.begin(), question.end());
    all.insert(all.end(), answer.begin(), answer.end());
    const at::NoGradGuard no_grad;
    return token_nll(*model, at::tensor(at::ArrayRef<std::int64_t>(all)).unsqueeze(0),
                     std::int64_t(question.size() + answer.size()))
        .squeeze(0);
  };
  // Texts that share a beginning, that are shorter, that are others.
  std::vector<TokenIds> texts{tokens(40, 1), tokens(40, 1), tokens(25, 1), tokens(30, 2), tokens(1, 2)};
  texts[1][20] = 5;
  for (const TokenIds& text : texts) {
    completer.see(text);
    for (const std::int64_t seed : {3, 4}) {
      const TokenIds question = tokens(seed, seed);
      const std::vector<TokenIds> answers{tokens(4, 5), tokens(4, 6), tokens(2, 7)};
      const AnswerScores scores = completer.score(question, answers);
      REQUIRE(scores.answers.size() == answers.size());
      for (std::size_t a = 0; a < answers.size(); ++a) {
        const at::Tensor wanted = plain(text, question, answers[a]);
        REQUIRE(scores.question.size() + scores.answers[a].size() == std::size_t(wanted.numel()));
        for (std::int64_t i = 0; i < wanted.numel(); ++i) {
          const float got = i < std::int64_t(question.size())
                                ? scores.question[std::size_t(i)]
                                : scores.answers[a][std::size_t(i) - question.size()];
          CHECK(got == Approx(wanted[i].item<float>()).margin(2e-5));
        }
      }
      CHECK(completer.score(question, {}).question == scores.question);
      // What it writes is the likeliest token after the likeliest.
      const TokenIds written = completer.write(question, 5, [](const TokenIds& ids) { return ids.size() == 4; });
      REQUIRE(written.size() == 4);
      TokenIds before = text;
      before.insert(before.end(), question.begin(), question.end());
      for (const std::int64_t token : written) {
        const at::NoGradGuard no_grad;
        const at::Tensor hidden = model->forward(at::tensor(at::ArrayRef<std::int64_t>(before)).unsqueeze(0),
                                                 std::int64_t(before.size()) - 1, 1);
        CHECK(token == model->logits(hidden).argmax(-1).item<std::int64_t>());
        before.push_back(token);
      }
    }
  }
}

TEST_CASE("BookRecall: what only copies from its window knows the ceilings' facts and no others", "[unit]") {
  const Config config = recall_config();
  const Read read(config);
  const BookRecall recall(config, read.tok, read.book, read.planting, 0);
  CopyCompleter completer;
  RecallData data;
  data.facts = fact_records(read.planting, "book", 0);
  const auto chunks = std::int64_t(cut_chunks(std::int64_t(read.book.tokens.size()), 160, 160).size());
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
    for (ProbeRecord& probe : recall.ask(chunk, kTwoArms, completer)) data.probes.push_back(std::move(probe));
  REQUIRE(recall.plan().asked(0) == 30);  // 24 facts and 6 corrected ones
  REQUIRE(recall.plan().asked(800) == 30);
  CHECK(completer.longest <= 240 + 1);  // L_X and a full stop
  const RecallTable table = recall_table({data});
  for (const RecallRow& row : table.rows) {
    INFO(row.rung << " after " << row.distance_tokens);
    if (row.rung == "locality" || row.rung == "repeat" || row.times) continue;
    const std::int64_t facts = row.rung == "conflict" ? 6 : 24;
    for (const auto& [arm, score] : row.arms) CHECK(score.asked == facts);
    if (row.rung == "choice" || row.rung == "greedy") {
      CHECK(row.arms.at(kInWindow).correct == facts);
      CHECK(row.arms.at(kBm25).correct >= facts / 2);  // a passage may end within the sentence
    }
    // A paraphrase does not stand in the text: copying gets no further than chance.
    if (row.rung == "paraphrase_1") CHECK(row.arms.at(kInWindow).correct < facts / 2);
    for (const char* arm : {"base", "lora"}) {
      const RecallScore& score = row.arms.at(arm);
      if (row.rung == "greedy") CHECK(score.correct == 0);
      if (row.rung == "choice") CHECK(score.correct < facts / 2);
      if (score.p) CHECK(*score.p > 1e-3);
    }
  }
  CHECK(table.gate("choice")->passed());
  CHECK(table.gate("greedy")->passed());
  CHECK_FALSE(table.gate("paraphrase_1")->passed());
  // Every record is there once, and says who was asked.
  std::set<std::string> arms, rungs;
  for (const ProbeRecord& probe : data.probes) {
    arms.insert(probe.arm);
    rungs.insert(probe.rung);
    CHECK(probe.adapter_version == (probe.arm == "lora" ? 3 : 0));
    if (probe.rung == "greedy") CHECK((*probe.f1 == 1) == *probe.correct);
  }
  CHECK(arms == std::set<std::string>{"base", "lora", kInWindow, kBm25});
  CHECK(rungs.size() == recall_rungs().size());
}

TEST_CASE("BookRecall: a written answer may have its words on two lines", "[unit]") {
  const Config config = recall_config({{"recall.ask_after_tokens", "[0]"}});
  const Read read(config);
  const BookRecall recall(config, read.tok, read.book, read.planting, 0);
  WrappingCompleter completer(read.tok);
  std::int64_t asked = 0;
  const auto chunks = std::int64_t(cut_chunks(std::int64_t(read.book.tokens.size()), 160, 160).size());
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
    for (const ProbeRecord& probe : recall.ask(chunk, [](const auto& use) { use("base", 0); }, completer)) {
      if (probe.rung != "greedy" || probe.arm != kInWindow) continue;
      CHECK(probe.written->find('\n') != std::string::npos);
      CHECK(*probe.correct);
      CHECK(*probe.f1 == 1);
      ++asked;
    }
  CHECK(asked == 24);
}

TEST_CASE("BookRecall: a model of random weights knows nothing", "[unit]") {
  const Config config = recall_config({{"recall.ask_after_tokens", "[0]"}, {"recall.answer_tokens", "0"}});
  const Read read(config);
  Llama model = recall_model(read.tok.size());
  const BookRecall recall(config, read.tok, read.book, read.planting, 0);
  ModelCompleter completer(*model, BookRecall::kMostAnswers, 240 + recall.longest_tokens(), 512);
  RecallData data;
  data.facts = fact_records(read.planting, "book", 0);
  const auto chunks = std::int64_t(cut_chunks(std::int64_t(read.book.tokens.size()), 160, 160).size());
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
    for (ProbeRecord& probe : recall.ask(chunk, [](const auto& use) { use("base", 0); }, completer))
      data.probes.push_back(std::move(probe));
  const RecallTable table = recall_table({data});
  for (const RecallRow& row : table.rows)
    for (const auto& [arm, score] : row.arms)
      if (score.p) CHECK(*score.p > 1e-3);
  CHECK_FALSE(table.gate("choice")->passed());
  CHECK(table.gate("greedy") == nullptr);  // answers of 0 tokens: none is written
}

TEST_CASE("BookRecall: a run with questions has the bits of one without", "[unit]") {
  const fs::path file = fs::temp_directory_path() / ("templora-recall-" + std::to_string(getpid()) + ".safetensors");
  const std::vector<std::vector<Override>> modes{
      {{"lora.dropout", "0.2"}},
      {{"lora.dropout", "0"}, {"control", "other_book"}},
      {{"cache.policy", "refill"}, {"cache.refill_tokens", "60"}, {"cache.window_tokens", "400"}}};
  for (const auto& mode : modes) {
    CAPTURE(mode[0].key, mode.size());
    std::vector<Override> extra = mode;
    extra.push_back({"recall.answer_tokens", "20"});
    const Config config = recall_config(extra);
    const Read read(config);
    Llama model = recall_model(read.tok.size());
    const BookRecall recall(config, read.tok, read.book, read.planting, 0);
    ModelCompleter completer(*model, BookRecall::kMostAnswers, 240 + recall.longest_tokens(), 512);
    Book other = read.book;
    std::reverse(other.tokens.begin(), other.tokens.end());
    other.text_hash = "another";
    const std::int64_t chunks = 20;
    const auto run = [&](bool asks, std::int64_t& asked) {
      ControlSegments segments;
      const std::vector<Chunk> all = cut_chunks(std::int64_t(read.book.tokens.size()), 160, 160);
      if (!config.control.empty())
        for (const Chunk& chunk : all) segments[Arm::other_book].push_back({&other, chunk});
      TempLora document(*model, config, read.book, 0, segments);
      const LendAdapters lend = [&](const auto& use) {
        document.lend([&](Arm arm, std::int64_t version) { use(arm_name(arm), version); });
      };
      std::vector<ChunkResult> results;
      for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
        results.push_back(document.step());
        if (!asks) continue;
        const std::vector<ProbeRecord> probes = recall.ask(chunk, lend, completer);
        asked += std::int64_t(probes.size());
        for (const ProbeRecord& probe : probes)
          if (probe.arm == "lora" || probe.arm == "other_book") CHECK(probe.adapter_version == chunk + 1);
      }
      document.save_tensors_to(file);
      return results;
    };
    std::int64_t asked = 0;
    const auto with = run(true, asked);
    const std::string state_with = read_file(file);
    const auto without = run(false, asked);
    CHECK(asked > 100);
    CHECK(state_with == read_file(file));
    const auto a = nll_of(with), b = nll_of(without);
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      REQUIRE(a[i].size() == b[i].size());
      CHECK(std::memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(float)) == 0);
    }
  }
  fs::remove(file);
}

TEST_CASE("BookRecall: an adapter that has learnt the book answers otherwise than the base", "[unit]") {
  const Config config = recall_config({{"lora.dropout", "0"}, {"recall.answer_tokens", "0"}});
  const Read read(config);
  Llama model = recall_model(read.tok.size());
  const BookRecall recall(config, read.tok, read.book, read.planting, 0);
  ModelCompleter completer(*model, BookRecall::kMostAnswers, 240 + recall.longest_tokens(), 512);
  TempLora document(*model, config, read.book, 0);
  const LendAdapters lend = [&](const auto& use) {
    document.lend([&](Arm arm, std::int64_t version) { use(arm_name(arm), version); });
  };
  double base = 0, lora = 0;
  for (std::int64_t chunk = 0; chunk < 24; ++chunk) {
    document.step();
    for (const ProbeRecord& probe : recall.ask(chunk, lend, completer))
      if (probe.rung == "repeat") (probe.arm == "base" ? base : probe.arm == "lora" ? lora : base) +=
          probe.arm == "base" || probe.arm == "lora" ? probe.nll : 0;
  }
  CHECK(lora < 0.9 * base);  // the book's language is in it
}

TEST_CASE("BookRecall: a window without room for a fact is refused", "[unit]") {
  const Config config = recall_config({{"window.context_tokens", "30"}});
  const Read read(config);
  try {
    BookRecall recall(config, read.tok, read.book, read.planting, 0);
    FAIL("a fact in 30 tokens");
  } catch (const Error& error) {
    CHECK(error.exit_code() == Exit::usage);
    CHECK(std::string(error.what()).find("window.context_tokens: got 30") != std::string::npos);
  }
}
