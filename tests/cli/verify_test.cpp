#include <set>

#include "catch.h"
#include "verify/verify.h"
#include "verify_runs.h"

using namespace templora;
using namespace templora_test;

namespace {

const char* const kChunks = "chunks.jsonl";
const char* const kBooks = "books.jsonl";

const std::vector<Damage> kPerplexity{
    {"a setting changed", "config-hash", [](const Folder& f) { f.set("run.json", "/config/seed", 7); }},
    {"a learning rate changed", "learning-rate",
     [](const Folder& f) { f.set("run.json", "/config/train/learning_rate", 0.004); }},
    {"a config key that there is not", "config-keys",
     [](const Folder& f) { f.set("run.json", "/config/train/epoch", 2); }},
    {"a config value out of range", "config-keys",
     [](const Folder& f) { f.set("run.json", "/config/train/epochs", 0); }},
    {"an identity without threads", "identity", [](const Folder& f) { f.erase("run.json", "/identity", "threads"); }},
    {"another weights hash in the identity", "weights-identity",
     [](const Folder& f) { f.set("run.json", "/identity/weights_hash", "0123"); }},
    {"another text hash in the identity", "text-hash",
     [](const Folder& f) { f.set("run.json", "/identity/text_1_hash", "0123"); }},
    {"a text that no record has", "book-order",
     [](const Folder& f) { f.set("run.json", "/identity/text_2_hash", "0123"); }},
    {"no version", "version", [](const Folder& f) { f.erase("run.json", "", "templora_version"); }},
    {"books in another order", "book-order",
     [](const Folder& f) {
       f.set_line(kBooks, 0, "/book_index", 1);
       f.set_line(kBooks, 1, "/book_index", 0);
     }},
    {"a book missing", "book-order", [](const Folder& f) { f.drop_line(kBooks, 1); }},
    {"a book twice", "book-order",
     [](const Folder& f) { f.set_lines(kBooks, {f.lines(kBooks)[0], f.lines(kBooks)[0], f.lines(kBooks)[1]}); }},
    {"another text hash of a book", "text-hash", [](const Folder& f) { f.set_line(kBooks, 0, "/text_hash", "0123"); }},
    {"a wrong one-window flag", "book-values",
     [](const Folder& f) { f.set_line(kBooks, 0, "/fits_one_window", true); }},
    {"more words than bytes", "book-values", [](const Folder& f) { f.set_line(kBooks, 0, "/words", 1000000); }},
    {"more tokens than data.max_tokens", "book-values", [](const Folder& f) { f.set_line(kBooks, 0, "/tokens", 301); }},
    {"other word counts", "summary-table", [](const Folder& f) { f.set_line(kBooks, 0, "/words", 3); }},
    {"a book record that is no JSON", "record-syntax", [](const Folder& f) { f.replace(kBooks, "{", "{{"); }},
    {"a book record without its bytes", "record-fields", [](const Folder& f) { f.erase_key(kBooks, 0, "text_bytes"); }},
    {"an id of a token cut off", "token-ids",
     [](const Folder& f) { f.write("nll/1-tokens.i32", f.text("nll/1-tokens.i32").substr(4)); }},
    {"no ids of a book's tokens", "missing-file", [](const Folder& f) { fs::remove(f.path() / "nll/0-tokens.i32"); }},
    {"a chunk missing", "chunk-order", [](const Folder& f) { f.drop_line(kChunks, 4); }},
    {"two chunks exchanged", "chunk-order",
     [](const Folder& f) {
       auto all = f.lines(kChunks);
       std::swap(all[3], all[4]);
       f.set_lines(kChunks, all);
     }},
    {"a chunk twice", "token-overlap",
     [](const Folder& f) {
       auto all = f.lines(kChunks);
       all.insert(all.begin() + 3, all[3]);
       f.set_lines(kChunks, all);
     }},
    {"a chunk that begins too late", "token-gap", [](const Folder& f) { f.set_line(kChunks, 3, "/first_token", 73); }},
    {"a chunk that begins too early", "token-overlap",
     [](const Folder& f) { f.set_line(kChunks, 3, "/first_token", 71); }},
    {"a chunk too long", "chunk-length", [](const Folder& f) { f.set_line(kChunks, 3, "/tokens", 25); }},
    {"a book's last chunk missing", "book-end",
     [](const Folder& f) { f.drop_line(kChunks, f.lines(kChunks).size() - 1); }},
    {"the second book's chunks missing", "book-end",
     [](const Folder& f) {
       auto all = f.lines(kChunks);
       while (Json::parse(all.back()).at("book_index") == 1) all.pop_back();
       f.set_lines(kChunks, all);
     }},
    {"a token too few scored", "scored-tokens", [](const Folder& f) { f.set_line(kChunks, 3, "/scored_tokens", 23); }},
    {"the first token scored", "scored-tokens", [](const Folder& f) { f.set_line(kChunks, 0, "/scored_tokens", 24); }},
    {"another context", "context-tokens", [](const Folder& f) { f.set_line(kChunks, 5, "/context_tokens", 39); }},
    {"a version too many", "adapter-version", [](const Folder& f) { f.set_line(kChunks, 5, "/adapter_version", 6); }},
    {"a version from the book before", "adapter-version",
     [](const Folder& f) { f.set_line(kChunks, 13, "/adapter_version", 13); }},
    {"trained on a chunk before it was scored", "trained-before-scored",
     [](const Folder& f) { f.set_line(kChunks, 5, "/trained_chunk", 6); }},
    {"trained with another lag", "train-lag", [](const Folder& f) { f.set_line(kChunks, 5, "/trained_chunk", 4); }},
    {"trained on a chunk twice", "trained-twice", [](const Folder& f) { f.set_line(kChunks, 5, "/trained_chunk", 4); }},
    {"no training where the version rose", "adapter-version",
     [](const Folder& f) { f.set_line(kChunks, 5, "/trained_chunk", nullptr); }},
    {"a training step too many", "training-steps",
     [](const Folder& f) { f.set_line(kChunks, 5, "/train_loss", {3.0, 3.0, 3.0}); }},
    {"a gradient norm missing", "training-steps", [](const Folder& f) { f.set_line(kChunks, 5, "/grad_norm", {1.0}); }},
    {"a negative gradient norm", "training-values",
     [](const Folder& f) { f.set_line(kChunks, 5, "/grad_norm/1", -1.0); }},
    {"a negative loss", "training-values", [](const Folder& f) { f.set_line(kChunks, 5, "/train_loss/0", -0.5); }},
    {"another learning rate at a step", "learning-rate",
     [](const Folder& f) { f.set_line(kChunks, 5, "/learning_rate", 0.0015); }},
    {"a shared pass where there was none", "shared-forward",
     [](const Folder& f) { f.set_line(kChunks, 5, "/shared_forward", true); }},
    {"a base mean missing", "scorer-columns", [](const Folder& f) { f.set_line(kChunks, 5, "/base_nll", nullptr); }},
    {"a control's column missing", "scorer-columns",
     [](const Folder& f) { f.erase_key(kChunks, 5, "other_book_nll"); }},
    {"a chunk's mean changed", "chunk-mean", [](const Folder& f) { f.set_line(kChunks, 5, "/lora_nll", 1.25); }},
    {"a first chunk scored by a module that had learnt", "fresh-module",
     [](const Folder& f) {
       double sum = 0;
       for (std::size_t i = 0; i < 23; ++i) {
         const float value = 0.9f * f.value("nll/0-lora.f32", i);
         f.set_value("nll/0-lora.f32", i, value);
         sum += value;
       }
       f.set_line(kChunks, 0, "/lora_nll", sum / 23);
     }},
    {"negative seconds", "seconds", [](const Folder& f) { f.set_line(kChunks, 5, "/seconds/train", -0.5); }},
    {"records cut in mid-line", "record-syntax",
     [](const Folder& f) { fs::resize_file(f / kChunks, fs::file_size(f / kChunks) - 40); }},
    {"a number as text", "record-fields", [](const Folder& f) { f.set_line(kChunks, 5, "/tokens", "24"); }},
    {"a number that is none", "record-syntax",
     [](const Folder& f) {
       auto all = f.lines(kChunks);
       all[2].replace(all[2].find("\"lora_nll\":") + 11, 1, "NaN");
       f.set_lines(kChunks, all);
     }},
    {"a key twice", "record-syntax",
     [](const Folder& f) {
       auto all = f.lines(kChunks);
       all[2].insert(1, "\"chunk\":2,");
       f.set_lines(kChunks, all);
     }},
    {"a chunk of another book's name", "book-name",
     [](const Folder& f) { f.set_line(kChunks, 5, "/book", "third.txt"); }},
    {"a measurement of age that nobody asked for", "staleness",
     [](const Folder& f) {
       f.set_line(kChunks, 5, "/staleness",
                  {{"nll_difference", 0.0}, {"kl", 0.0}, {"oldest_versions", 1}, {"mean_versions", 1.0}});
     }},
    {"a control that learnt the scored text", "control-source",
     [](const Folder& f) { f.set_line(kChunks, 5, "/other_book_trained/book", "book.txt"); }},
    {"a control that did not learn", "control-pairing",
     [](const Folder& f) { f.set_line(kChunks, 5, "/mixed_books_trained", nullptr); }},
    {"a control's segment left out", "control-order",
     [](const Folder& f) { f.set_line(kChunks, 5, "/other_book_trained/first_token", 121); }},
    {"a value too few", "nll-size",
     [](const Folder& f) { fs::resize_file(f / "nll/1-base.f32", fs::file_size(f / "nll/1-base.f32") - 4); }},
    {"a value too many", "nll-size",
     [](const Folder& f) { fs::resize_file(f / "nll/1-base.f32", fs::file_size(f / "nll/1-base.f32") + 4); }},
    {"half a value", "nll-size",
     [](const Folder& f) { fs::resize_file(f / "nll/0-lora.f32", fs::file_size(f / "nll/0-lora.f32") + 2); }},
    {"a NaN", "nll-finite", [](const Folder& f) { f.set_value("nll/0-lora.f32", 100, std::nanf("")); }},
    {"an infinity", "nll-finite", [](const Folder& f) { f.set_value("nll/0-base.f32", 100, HUGE_VALF); }},
    {"a negative NLL", "nll-negative", [](const Folder& f) { f.set_value("nll/0-lora.f32", 100, -1.0f); }},
    {"a value changed in its last bits", "chunk-mean",
     [](const Folder& f) { f.set_value("nll/0-lora.f32", 100, f.value("nll/0-lora.f32", 100) * 1.00001f); }},
    {"base and module exchanged", "chunk-mean",
     [](const Folder& f) {
       const std::string base = f.text("nll/1-base.f32"), lora = f.text("nll/1-lora.f32");
       f.write("nll/1-base.f32", lora);
       f.write("nll/1-lora.f32", base);
     }},
    {"two books' values exchanged", "chunk-mean",
     [](const Folder& f) {
       const std::string first = f.text("nll/0-lora.f32"), second = f.text("nll/1-lora.f32");
       f.write("nll/0-lora.f32", second);
       f.write("nll/1-lora.f32", first);
     }},
    {"a file of values missing", "missing-file", [](const Folder& f) { fs::remove(f / "nll/1-other_book.f32"); }},
    {"a file of values too many", "unknown-file", [](const Folder& f) { f.write("nll/2-base.f32", ""); }},
    {"a foreign file", "unknown-file", [](const Folder& f) { f.write("notes.txt", "mine"); }},
    {"a number of the summary changed", "summary-table",
     [](const Folder& f) { f.set("summary.json", "/all/0/lora/corpus", 12.0); }},
    {"an interval of the summary changed", "summary-table",
     [](const Folder& f) { f.set("summary.json", "/all/0/over_books/lora/change_percent", -90.0); }},
    {"a row of the summary missing", "summary-table", [](const Folder& f) { f.erase("summary.json", "", "books"); }},
    {"a summary that is no JSON", "summary-file", [](const Folder& f) { f.write("summary.json", "{"); }},
    {"a base model that changed", "weights-changed",
     [](const Folder& f) { f.set("summary.json", "/weights_hash_after", "0123"); }},
    {"a base model that is another", "weights-identity",
     [](const Folder& f) {
       f.set("summary.json", "/weights_hash_before", "0123");
       f.set("summary.json", "/weights_hash_after", "0123");
     }},
    {"another sum of seconds", "chunk-seconds",
     [](const Folder& f) { f.set("summary.json", "/chunk_seconds", 1234.5); }},
    {"a digit of the table", "table-text", [](const Folder& f) { f.replace("table.md", "| all | 2", "| all | 3"); }},
    {"a table missing", "missing-file", [](const Folder& f) { fs::remove(f / "table.md"); }},
    {"a plot of something else", "plot", [](const Folder& f) { f.replace("perplexity.svg", "<svg", "<svg id=\"x\""); }},
    {"a plot missing", "missing-file", [](const Folder& f) { fs::remove(f / "perplexity.svg"); }},
    {"a bit of a state", "state-damaged",
     [](const Folder& f) {
       const std::string name = f.newest_state() + ".safetensors";
       std::string bytes = f.text(name);
       bytes.back() = char(bytes.back() ^ 1);
       f.write(name, bytes);
     }},
    {"a state's record changed", "state-damaged",
     [](const Folder& f) { f.set(f.newest_state() + ".json", "/state/next_chunk", 3); }},
    {"a state's tensors missing", "state-damaged",
     [](const Folder& f) { fs::remove(f / (f.newest_state() + ".safetensors")); }},
    {"a state that knows fewer bytes", "state-sizes", [](const Folder& f) { f.set_state("/files/books.jsonl", 10); }},
    {"a state that knows more bytes", "state-sizes",
     [](const Folder& f) { f.set_state("/files/books.jsonl", 100000); }},
    {"a state of another chunk", "state-position", [](const Folder& f) { f.set_state("/state/next_chunk", 2); }},
    {"a state of another version", "state-position",
     [](const Folder& f) { f.set_state("/state/modules/lora/adapter_version", 2); }},
    {"a stray file beside the states", "unknown-file",
     [](const Folder& f) { f.write("state/state-99.safetensors", ""); }},
    {"a module missing", "missing-file", [](const Folder& f) { fs::remove_all(f / "adapters/1"); }},
    {"a module of another rank", "adapter-config",
     [](const Folder& f) { f.set("adapters/0/adapter_config.json", "/r", 8); }}};

const std::vector<Damage> kGeneration{
    {"a written chunk missing", "chunk-order", [](const Folder& f) { f.drop_line(kChunks, 2); }},
    {"a written chunk at another place", "token-gap",
     [](const Folder& f) { f.set_line(kChunks, 2, "/first_token", 1); }},
    {"a token missing", "chunk-length",
     [](const Folder& f) {
       Json ids = f.line(kChunks, 2).at("token_ids");
       ids.erase(0);
       f.set_line(kChunks, 2, "/token_ids", ids);
     }},
    {"a writer's version", "adapter-version", [](const Folder& f) { f.set_line(kChunks, 2, "/adapter_version", 3); }},
    {"a chunk learnt before it was written", "trained-before-scored",
     [](const Folder& f) { f.set_line(kChunks, 2, "/trained_chunk", 4); }},
    {"a share of repetition", "repetition", [](const Folder& f) { f.set_line(kChunks, 2, "/repeated_4grams", 0.75); }},
    {"a writer's learning rate", "learning-rate",
     [](const Folder& f) { f.set_line(kChunks, 2, "/learning_rate", 1.0); }},
    {"other words in the text", "written-text",
     [](const Folder& f) { f.write("text.txt", "The quick brown fox jumped."); }},
    {"another prompt", "prompt-hash", [](const Folder& f) { f.set("run.json", "/prompt_tokens/0", 5); }},
    {"a mean over a written text", "summary-table",
     [](const Folder& f) { f.set("summary.json", "/all/base_nll", 1.0); }},
    {"a cell of a text's table", "table-text", [](const Folder& f) { f.replace("table.md", "| 1 |", "| 9 |"); }}};

const std::vector<Damage> kTranslation{
    {"a pair missing", "pair-order", [](const Folder& f) { f.drop_line("pairs.jsonl", 1); }},
    {"a pair's NLL", "pair-mean", [](const Folder& f) { f.set_line("pairs.jsonl", 1, "/lora_nll", 1.0); }},
    {"a pair's length", "pair-tokens", [](const Folder& f) { f.set_line("pairs.jsonl", 1, "/reference_tokens", 1); }},
    {"another translation", "summary-table",
     [](const Folder& f) { f.set_line("pairs.jsonl", 1, "/base_text", "The voice of fox 0."); }},
    {"a chunk of pairs learnt too early", "trained-before-scored",
     [](const Folder& f) { f.set_line(kChunks, 1, "/trained_chunk", 2); }},
    {"a reference", "summary-table", [](const Folder& f) { f.set_line("pairs.jsonl", 1, "/en", "Something else."); }}};

const std::vector<Damage> kJudged{
    {"a COMET score", "summary-table", [](const Folder& f) { f.set_line("comet.jsonl", 1, "/lora_comet", 0.9); }},
    {"a COMET score missing", "comet-scores",
     [](const Folder& f) { f.set_line("comet.jsonl", 1, "/base_comet", nullptr); }},
    {"COMET scores of another pair", "comet-scores", [](const Folder& f) { f.set_line("comet.jsonl", 1, "/pair", 7); }},
    {"no COMET scores", "comet-scores", [](const Folder& f) { fs::remove(f / "comet.jsonl"); }},
    {"a cell of a judged novel's table", "table-text",
     [](const Folder& f) { f.replace("table.md", "COMET", "COMIT"); }}};

const std::vector<Damage> kPretrain{
    {"a step missing", "step-order", [](const Folder& f) { f.drop_line("steps.jsonl", 3); }},
    {"a step's rate", "learning-rate", [](const Folder& f) { f.set_line("steps.jsonl", 6, "/learning_rate", 0.5); }},
    {"a validation's perplexity", "validation-values",
     [](const Folder& f) { f.set_line("validation.jsonl", 0, "/perplexity", 3.0); }},
    {"the last validation", "summary-table", [](const Folder& f) { f.set("summary.json", "/validation/nll", 1.0); }},
    {"a trained model missing", "missing-file", [](const Folder& f) { fs::remove_all(f / "model"); }},
    {"a cell of the training's table", "table-text", [](const Folder& f) { f.write("table.md", "| 1 |\n"); }}};

std::set<std::string> findings_of(const fs::path& folder) {
  std::set<std::string> names;
  for (const CheckLine& line : verify_run(folder).lines())
    if (line.outcome == Outcome::found) names.insert(line.name);
  return names;
}

/// Each damage alone, in a copy of the honest folder.
void check_damages(const World& world, const std::string& out, const std::vector<Damage>& damages,
                   std::set<std::string>& found) {
  for (const Damage& damage : damages) {
    INFO(out << ": " << damage.what);
    const Folder copy(world.folder / "damaged");
    fs::remove_all(copy.path());
    fs::copy(world.folder / out, copy.path(), fs::copy_options::recursive);
    damage.make(copy);
    const std::set<std::string> names = findings_of(copy.path());
    CHECK(names.contains(damage.finding));
    if (names.contains(damage.finding)) found.insert(damage.what);
  }
}

}  // namespace

TEST_CASE("templora verify: finds more than fifty kinds of damage, and none in honest runs of each kind", "[cli]") {
  const VerifyWorld world;
  const Changes judged{
      {"translation.comet_model", (fs::path(TEMPLORA_SOURCE_DIR) / "tests" / "goldens" / "comet" / "model").string()}};
  const std::pair<const char*, Ended> made[]{{"books", world.make("books", VerifyWorld::books())},
                                             {"text", world.make("text", VerifyWorld::generation())},
                                             {"novel", world.make("novel", VerifyWorld::translation())},
                                             {"judged", world.make("judged", VerifyWorld::translation() + judged)},
                                             {"model_made", world.make_pretrain("model_made")}};
  for (const auto& [name, ended] : made) {
    INFO(name << ": " << ended.text);
    REQUIRE(ended.code == 0);
    const Ended verified = world.run({"verify", name, "--all"});
    INFO(verified.text);
    CHECK(verified.code == 0);
    CHECK(verified.says("\nok cost\n"));
    const Ended shorter = world.run({"verify", name});
    CHECK(!shorter.says("ok "));
    CHECK(shorter.says(std::string(name) + " is sound: "));
    const std::size_t last_line = shorter.text.rfind('\n', shorter.text.size() - 2) + 1;  // 0 where there is one line
    CHECK(shorter.text.find(" is sound: ") >= last_line);
    CHECK(findings_of(world.folder / name).empty());
  }
  fs::copy(world.folder / "novel", world.folder / "older", fs::copy_options::recursive);
  const Folder older(world.folder / "older");
  for (std::size_t i = 0; i < older.lines("pairs.jsonl").size(); ++i)
    for (const char* later : {"base_read_tokens", "lora_read_tokens"}) older.erase_key("pairs.jsonl", i, later);
  const Ended uncounted = world.run({"verify", "older"});
  INFO(uncounted.text);
  CHECK(uncounted.says("not checked cost: the run did not record"));
  CHECK(!uncounted.says("record-fields: "));
  fs::remove_all(older.path());
  std::set<std::string> found;
  check_damages(world, "books", kPerplexity, found);
  check_damages(world, "text", kGeneration, found);
  check_damages(world, "novel", kTranslation, found);
  check_damages(world, "judged", kJudged, found);
  check_damages(world, "model_made", kPretrain, found);
  CHECK(found.size() ==
        kPerplexity.size() + kGeneration.size() + kTranslation.size() + kJudged.size() + kPretrain.size());
  CHECK(found.size() >= 100);
}

TEST_CASE(
    "templora verify: a finding's name is on stdout and the exit code is 3; changed inputs are found, absent ones said",
    "[cli]") {
  const VerifyWorld world;
  REQUIRE(world.make("out", {{"data.max_tokens", 200}, {"score.keep_tokens", true}}).code == 0);
  const Folder out(world.folder / "out");
  const std::string ids = out.text("nll/0-tokens.i32");
  out.write("nll/0-tokens.i32", ids.substr(4) + ids.substr(0, 4));
  CHECK(world.run({"verify", "out"}).says("token-ids: nll/0-tokens.i32: got other ids than those of book.txt"));
  out.write("nll/0-tokens.i32", ids);
  const std::string chunks = out.text(kChunks);
  out.set_line(kChunks, 2, "/adapter_version", 7);
  const Ended damaged = world.run({"verify", "out"});
  CHECK(damaged.code == 3);
  CHECK(damaged.says("adapter-version: chunks.jsonl:3: got version 7, wanted 2"));
  CHECK(damaged.says("templora: out is not sound: 1 finding in adapter-version; "));
  CHECK(damaged.lines() == 1);
  const Ended json = world.run({"verify", "out", "--json"});
  CHECK(json.code == 3);
  CHECK(json.says("\"name\": \"adapter-version\""));
  out.write(kChunks, chunks);

  const std::string summary = out.text("summary.json");
  out.set("summary.json", "/cost/phases/score/flops", 1.0);
  CHECK(world.run({"verify", "out"}).says("cost: summary.json: cost: "));
  out.write("summary.json", summary);
  out.set("summary.json", "/cost/formulas", 99);
  CHECK(world.run({"verify", "out"}).says("not checked cost: the run counted by formulas 99"));
  out.write("summary.json", summary);
  Json older = parse_json(summary, "summary");
  older["cost"].erase("formulas");  // as 0.1 wrote it
  out.write("summary.json", older.dump());
  CHECK(world.run({"verify", "out"}).says("not checked cost: the run counted by formulas 1"));
  out.write("summary.json", summary);

  const std::string book = world.content("book.txt"), model = world.content("model/config.json");
  world.write("book.txt", book + "More.");
  CHECK(world.run({"verify", "out"}).says("text-file: "));
  fs::remove(world.folder / "book.txt");
  const Ended gone = world.run({"verify", "out"});
  CHECK(gone.code == 0);
  CHECK(gone.says("not checked text-file: book.txt"));
  world.write("book.txt", book);
  Json changed = Json::parse(model);
  changed["rope_theta"] = 5000.0;
  world.write("model/config.json", changed.dump());
  CHECK(world.run({"verify", "out"}).says("model-config-file: "));
  world.write("model/config.json", model);
  std::string weights = world.content("model/model.safetensors");
  weights.back() = char(weights.back() ^ 1);
  world.write("model/model.safetensors", weights);
  CHECK(world.run({"verify", "out"}).says("weights-file: "));
}

TEST_CASE("templora verify: honest runs of all options pass, also resumed and unfinished ones", "[cli]") {
  const VerifyWorld world;
  const Changes small{{"data.max_tokens", 250}, {"data.books", {"book.txt", "other.txt"}}};
  const Changes shared{{"window.context_tokens", 40}, {"lora.dropout", 0}};
  const std::vector<std::pair<const char*, Changes>> options{
      {"lag", {{"train.lag_chunks", 1}}},
      {"fresh", {{"lora.reset_every_tokens", 100}, {"train.lag_chunks", 1}}},
      {"stopping", {{"train.stop_after_tokens", 100}}},
      {"official", {{"fidelity", "official"}, {"window.first_chunk_tokens", 30}}},
      {"shared", shared},
      {"refill",
       {{"cache",
         {{"policy", "refill"},
          {"refill_tokens", 16},
          {"window_tokens", 96},
          {"measure_staleness", true},
          {"staleness_every_chunks", 3}}}}},
      {"namesakes", {{"data.books", {"book.txt", "more/book.txt"}}, {"control", "other_book"}}},
      {"bare", {{"window.context_tokens", 0}, {"cache", {{"policy", "every_k"}, {"rebuild_every_chunks", 3}}}}},
      {"every_k", {{"cache", {{"policy", "every_k"}, {"rebuild_every_chunks", 2}}}}},
      {"last_n", {{"cache", {{"policy", "last_n"}, {"sink_tokens", 4}, {"window_tokens", 64}}}}},
      {"no_base", {{"score.base", false}}},
      {"no_module", {{"score.adapter", false}}},
      {"untrained", {{"train.enabled", false}}},
      {"first_only", {{"train.moments", "reset"}, {"train.epochs", 1}, {"train.warmup_steps", 5}}},
      {"sparse", {{"train.update_every_chunks", 3}, {"train.lag_chunks", 1}}},
      {"hard", {{"train.hard_quantile", 0.5}, {"train.hard_after_chunks", 2}}},
      {"by_gap", {{"train.steps_by_gap", true}, {"train.gap_context_tokens", 4}}},
      {"labelled", shared + Changes{{"train.label_prefix", true}}},
      {"rms", {{"train.optimizer", "rms"}, {"train.decay_to_start", 0.01}}},
      {"falling", {{"train.rate_decay", "sqrt"}, {"train.decay_to_start", 0.01}, {"lora.reset_every_tokens", 100}}},
      {"to_zero", {{"train.rate_decay", "linear"}, {"train.lag_chunks", 1}, {"train.warmup_chunks", 3}}},
      {"one_for_all", {{"lora.reset_every_tokens", -1}, {"train.rate_decay", "linear"}, {"lora.save_final", true}}},
      {"one_of_two", {{"lora.reset_every_tokens", -1}, {"train.update_every_chunks", 2}, {"train.rate_decay", "sqrt"}}},
      {"order", {{"control", "shuffled_words"}, {"bm25.passage_tokens", 8}, {"train.lag_chunks", 1}}},
      {"short", {{"data.max_tokens", 20}}}};
  for (const auto& [name, changes] : options) {
    INFO(name);
    const Ended made = world.make(name, small + changes);
    INFO(made.text);
    REQUIRE(made.code == 0);
    const Verification v = verify_run(world.folder / name);
    INFO(v.text(true));
    CHECK(v.sound());
  }
  CHECK(world.run({"verify", "namesakes"}).code == 0);  // the texts are there, each under its own path
  world.write_config({{"data.books", {"book.txt", "other.txt"}}});
  REQUIRE(world.run({"run", "config.json", "--out", "parts"}, {}, [&](pid_t child) {
            world.wait_for_chunks("parts", 4);
            ::kill(child, SIGKILL);
          }).code == -SIGKILL);
  const Ended unfinished = world.run({"verify", "parts"});
  INFO(unfinished.text);
  CHECK(unfinished.code == 0);
  CHECK(unfinished.says("unfinished: "));
  // Section cost is no part of a run's identity: whoever resumes may change it.
  REQUIRE(world
              .run({"run", "config.json", "--out", "parts", "--resume", "--set", "cost.device=cpu", "--set",
                    "cost.reference_window=512"})
              .code == 0);
  const Ended resumed = world.run({"verify", "parts", "--all"});
  INFO(resumed.text);
  CHECK(resumed.code == 0);
  CHECK(resumed.says("\nok cost\n"));
}

TEST_CASE("templora verify, compare: what is no run, or one of a later version, is one clear line", "[cli]") {
  const VerifyWorld world;
  for (const Ended& ended :
       {world.run({"verify", "nowhere"}), world.run({"verify", "model"}), world.run({"compare", "model", "nowhere"})}) {
    INFO(ended.text);
    CHECK(ended.code == 3);
    CHECK(ended.lines() == 1);
  }
  REQUIRE(world.make("out", {{"data.max_tokens", 60}}).code == 0);
  Folder(world.folder / "out").set("run.json", "/templora_version", "99.0.0");
  const Ended later = world.run({"verify", "out"});
  CHECK(later.code == 3);
  CHECK(later.says("99.0.0"));
  CHECK(later.lines() == 1);
}

TEST_CASE("templora compare: says what differs, on the tokens that both runs scored", "[cli]") {
  const VerifyWorld world;
  const Changes books{{"data.max_tokens", 250}, {"data.books", {"book.txt", "other.txt"}}};
  REQUIRE(world.make("a", books).code == 0);
  REQUIRE(
      world
          .make("b",
                books + Changes{{"window.chunk_tokens", 20}, {"train.learning_rate", 0.001}, {"data.max_tokens", 240}})
          .code == 0);
  const Ended text = world.run({"compare", "a", "b"});
  INFO(text.text);
  CHECK(text.code == 0);
  CHECK(text.says("| train.learning_rate | 0.003 | 0.001 |"));
  CHECK(text.says("2 books are too few"));
  const Ended printed = world.run({"compare", "a", "b", "--json"});
  const Json json = Json::parse(printed.text);
  CHECK(json.at("books") == 2);
  CHECK(json.at("nll").at("lora").at("tokens") == 2 * 239);  // what both scored
  CHECK(json.at("nll").at("lora").at("nll_difference").get<double>() > 0);  // it learnt less
  const Json same = Json::parse(world.run({"compare", "a", "a", "--json"}).text);
  CHECK(same.at("config").empty());
  CHECK(same.at("nll").at("gain").at("same_bits") == true);
  REQUIRE(world.make("c", {{"data.max_tokens", 100}, {"data.books", {"held.txt"}}}).code == 0);
  const Ended none = world.run({"compare", "a", "c"});
  CHECK(none.code == 3);
  CHECK(none.lines() == 1);
  CHECK(none.says("share no book"));
}
