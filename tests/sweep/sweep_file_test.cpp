#include "sweep/sweep_file.h"

#include <algorithm>
#include <set>

#include "catch.h"
#include "files.h"
#include "sweep/cell.h"
#include "sweep/claim.h"
#include "sweep/slurm.h"
#include "sweep/status.h"
#include "sweep/workers.h"

using namespace templora;
using namespace templora_test;

namespace {

std::string key_of(const SweepFiles& files, const Json& values = {}) {
  Json keys = Json::object();
  for (const auto& item : values.items()) keys["set"][item.key()] = item.value();
  const SweepDefinition sweep = read_sweep_definition(files.sweep(keys));
  InputFiles inputs;
  return inputs.cell_key(cell_config(sweep, expand(sweep)[0], 1).config);
}

const Json kRanks{{"axes", {{"lora.rank", {4, 8}}}}, {"set", {{"lora.alpha", "lora.rank"}, {"score.base", false}}}};

}  // namespace

TEST_CASE("cell_key: follows settings and contents, not places and what changes no number", "[unit]") {
  const SweepFiles files;
  const std::string key = key_of(files);
  CHECK(key.size() == 20);
  CHECK(key_of(files) == key);
  CHECK(key_of(files,
               {{"run.save_every_chunks", 7}, {"notes", 3}, {"score.base_scores", "'kept'"}, {"generate.tokens", 7}}) ==
        key);
  // Inputs of other experiments need not be there.
  CHECK(key_of(files, {{"data.validation", Json::array({"gone/*.txt"})},
                       {"data.novels", Json::array({"gone.train"})}}) == key);
  CHECK(key_of(files, {{"generate.prompt_file", "'gone.txt'"}, {"data.control_books", Json::array({"gone.txt"})}}) ==
        key);
  CHECK(key_of(files, {{"train.epochs", 5}}) != key);
  CHECK(key_of(files, {{"run.threads", 2}}) != key);

  const SweepFiles elsewhere;  // another folder with the same content
  CHECK(key_of(elsewhere) == key);
  fs::rename(elsewhere.folder / "book.txt", elsewhere.folder / "other.txt");
  CHECK(key_of(elsewhere, {{"data.books", Json::array({"other.txt"})}}) == key);
  elsewhere.write("model/README.md", "a card");
  CHECK(key_of(elsewhere, {{"data.books", Json::array({"*.txt"})}}) == key);

  for (const char* changed : {"book.txt", "model/config.json", "model/model.safetensors", "model/tokenizer.model"}) {
    const SweepFiles other;
    other.write(changed, "{\"other\": 1}");
    INFO(changed);
    CHECK(key_of(other) != key);
  }
}

TEST_CASE("cell_key: a pretraining's length is part of it, though a run may be resumed with another", "[unit]") {
  const SweepFiles files;
  files.write("held.txt", "held back");
  const Json base{{"experiment", "pretrain"},
                  {"model", {{"tokenizer", "model"}}},
                  {"data", {{"books", {"book.txt"}}, {"validation", {"held.txt"}}}}};
  const auto keys_of = [&](const Json& set) {
    const SweepDefinition sweep = read_sweep_definition(files.sweep({{"base", base}, {"axes", set}}));
    std::set<std::string> keys, hashes;
    InputFiles inputs;
    for (const CellValues& values : expand(sweep)) {
      const LoadedConfig loaded = cell_config(sweep, values, 1);
      keys.insert(inputs.cell_key(loaded.config));
      hashes.insert(loaded.hash);
    }
    CHECK(hashes.size() == 1);
    return keys.size();
  };
  CHECK(keys_of({{"pretrain.tokens", {100000, 200000, 400000}}}) == 3);
  CHECK(keys_of({{"pretrain.passes", {1, 2}}}) == 2);
  CHECK(keys_of({{"pretrain.tokens", {100000}}, {"pretrain.passes", {1, 2}}}) == 1);  // tokens decides
  CHECK(keys_of({{"pretrain.save_every_steps", {1, 2}}}) == 1);
}

TEST_CASE("cell_key: where segments begin has no part in it, nor in what a run is resumed by", "[unit]") {
  const SweepFiles files;
  const SweepDefinition sweep =
      read_sweep_definition(files.sweep({{"axes", {{"score.segment_edges", {{0, 100}, {0, 50}}}}}}));
  const LoadedConfig a = cell_config(sweep, expand(sweep)[0], 1), b = cell_config(sweep, expand(sweep)[1], 1);
  InputFiles inputs;
  CHECK(inputs.cell_key(a.config) == inputs.cell_key(b.config));
  CHECK(inputs.cell_key(a.config) == key_of(files));
  CHECK(a.hash == b.hash);
  CHECK(inputs.cell_key(a.config, HashForm::of_0_1) != inputs.cell_key(b.config, HashForm::of_0_1));
  CHECK(a.hash_of_0_1 != b.hash_of_0_1);
}

TEST_CASE("make_sweep: a cell that 0.1 has run is found under its key, and other edges find what is there now",
          "[unit]") {
  const SweepFiles files;
  const auto made = [&](const Json& edges) {
    const SweepDefinition sweep = read_sweep_definition(files.sweep({{"set", {{"score.segment_edges", edges}}}}));
    return make_sweep(sweep, files.folder / "sweep", {}, 1);
  };
  const NewSweep fresh = made({0, 100});
  CHECK(fresh.file.segment_edges == std::vector<std::int64_t>{0, 100});
  const fs::path present = fresh.file.cells[0].folder;
  const fs::path older = present.parent_path() / InputFiles().cell_key(fresh.configs[0].config, HashForm::of_0_1);
  const auto put = [](const fs::path& file) {
    fs::create_directories(file.parent_path());
    std::ofstream(file) << "{}";
  };
  put(older / "run.json");
  CHECK(made({0, 100}).file.cells[0].folder == older);  // begun
  CHECK(made({0, 50}).file.cells[0].folder == present);
  put(present / "run.json");
  CHECK(made({0, 100}).file.cells[0].folder == present);
  put(older / "summary.json");
  CHECK(made({0, 100}).file.cells[0].folder == older);  // finished
  put(present / "summary.json");
  for (const Json& edges : {Json{0, 100}, Json{0, 50}}) CHECK(made(edges).file.cells[0].folder == present);
  write_sweep(made({0, 50}));
  CHECK(read_sweep(files.folder / "sweep").segment_edges == std::vector<std::int64_t>{0, 50});
}

TEST_CASE("InputFiles: a file that changes within a process is hashed again; a missing one is named", "[unit]") {
  const SweepFiles files;
  InputFiles inputs;
  const std::string before = inputs.hash_of(files.folder / "book.txt");
  files.write("book.txt", "another");
  CHECK(inputs.hash_of(files.folder / "book.txt") != before);
  const Thrown thrown = thrown_by([&] { inputs.hash_of(files.folder / "none"); });
  CHECK(thrown.code == Exit::bad_input);
  CHECK(thrown.says("none"));
}

TEST_CASE("InputGuard: notices inputs that changed since the sweep was made, by content", "[unit]") {
  const SweepFiles files;
  InputFiles inputs;
  inputs.hash_of(files.folder / "book.txt");
  InputGuard guard(inputs.to_json(), "inputs.json");
  fs::last_write_time(files.folder / "book.txt",
                      fs::file_time_type::clock::now() + std::chrono::hours(100));  // a clock that jumped
  guard.check();
  files.write("book.txt", "another");
  const Thrown thrown = thrown_by([&] { guard.check(); });
  CHECK(thrown.code == Exit::bad_input);
  CHECK(thrown.says("book.txt: has changed"));
}

TEST_CASE("sweep.json: what is written is read back, and the cells' configs lie beside their folders", "[unit]") {
  const SweepFiles files;
  const SweepDefinition definition = read_sweep_definition(files.sweep(kRanks));
  const NewSweep made = make_sweep(definition, files.folder / "out", "", 3);
  CHECK_FALSE(fs::exists(files.folder / "out"));  // nothing is written before it is asked for
  write_sweep(made);
  const SweepFile read = read_sweep(files.folder / "out");
  CHECK(read.name == "sweep");
  CHECK(read.threads == 3);
  CHECK(read.axes == Json{{"lora.rank", {4, 8}}, {"lora.alpha", {4, 8}}});
  CHECK(read.store == files.folder / "out/cells");
  REQUIRE(read.cells.size() == 2);
  CHECK(read.cells[1].values == Json{{"lora.rank", 8}, {"lora.alpha", 8}});
  CHECK(read.cells[1].folder == files.folder / "out/cells" / read.cells[1].key);
  CHECK(read.cells[0].size.tokens == 1000);
  CHECK(read.cells[0].size.flops > 0);
  CHECK(read.cells[1].size.flops > read.cells[0].size.flops);
  const Json plan = plan_json(read);
  CHECK(plan.at("cells").at(0).at("key") == read.cells[1].key);  // largest first
  CHECK(plan.at("seconds_left").get<double>() > 0);  // a floor, as nothing is done yet
  CHECK_FALSE(plan.at("speed_measured").get<bool>());
  fs::create_directories(read.cells[0].folder);
  write_file_atomically(read.cells[0].folder / "summary.json", "{\"chunk_seconds\": 2}");
  CHECK_FALSE(plan_json(read).at("speed_measured").get<bool>());  // of an older run, which says no FLOPs
  // As of a cell that took over half of its work: its speed is that of the other half.
  const Json cost{{"flops", read.cells[0].size.flops / 2}, {"seconds", 2}};
  write_file_atomically(read.cells[0].folder / "summary.json", Json{{"chunk_seconds", 2}, {"cost", cost}}.dump());
  CHECK(plan_json(read).at("cells").at(1).at("seconds").get<double>() == Approx(4));
  const Json config = Json::parse(read_file(config_file(read.cells[1].folder)));
  CHECK(config.at("lora").at("rank") == 8);
  CHECK(config.at("run").at("threads") == 3);
  CHECK(config.at("score").at("base_scores") == "base_scores");  // beside it, wherever that is
  CHECK(load_config(config_file(read.cells[1].folder).string(), {}).config.lora.rank == 8);
}

TEST_CASE("make_sweep: the same sweep goes on with its threads; another one in the folder is refused", "[unit]") {
  const SweepFiles files;
  write_sweep(make_sweep(read_sweep_definition(files.sweep(kRanks)), files.folder / "out", "", 3));
  CHECK(make_sweep(read_sweep_definition(files.sweep(kRanks)), files.folder / "out", "", 1).file.threads == 3);
  Json other = kRanks;
  other["axes"]["lora.rank"] = {4, 16};
  const Thrown thrown =
      thrown_by([&] { make_sweep(read_sweep_definition(files.sweep(other)), files.folder / "out", "", 3); });
  CHECK(thrown.code == Exit::usage);
  CHECK(thrown.says("holds the sweep \"sweep\""));
  CHECK(thrown.says("axes differs"));
  const NewSweep elsewhere =
      make_sweep(read_sweep_definition(files.sweep(other)), files.folder / "out2", files.folder / "out/cells", 3);
  CHECK(elsewhere.file.cells[0].folder == read_sweep(files.folder / "out").cells[0].folder);  // shared
}

TEST_CASE("make_sweep: fidelity's own keys are left to the run, which then records them", "[unit]") {
  const SweepFiles files;
  Json keys = kRanks;
  keys["set"]["fidelity"] = "'official'";
  write_sweep(make_sweep(read_sweep_definition(files.sweep(keys)), files.folder / "out", "", 1));
  const LoadedConfig loaded = load_config(config_file(read_sweep(files.folder / "out").cells[0].folder).string(), {});
  CHECK(loaded.config.window.first_chunk_tokens == 1024);
  CHECK(std::count(loaded.set_by_fidelity.begin(), loaded.set_by_fidelity.end(), "window.first_chunk_tokens") == 1);
}

TEST_CASE("read_sweep: a missing or damaged sweep.json is named", "[unit]") {
  const SweepFiles files;
  CHECK(thrown_by([&] { read_sweep(files.folder.path()); }).says("sweep.json: no such file"));
  fs::create_directories(files.folder / "out");
  files.write("out/sweep.json", "{\"name\": \"x\"}");
  const Thrown thrown = thrown_by([&] { read_sweep(files.folder / "out"); });
  CHECK(thrown.code == Exit::bad_input);
  CHECK(thrown.says("damaged"));
}

TEST_CASE("read_sweep: a cell's folder outside of the store and a definition that is none are refused", "[unit]") {
  const SweepFiles files;
  write_sweep(make_sweep(read_sweep_definition(files.sweep(kRanks)), files.folder / "out", "", 1));
  const Json whole = parse_json(read_file(files.folder / "out/sweep.json"), "sweep.json");
  Json elsewhere = whole;
  elsewhere["cells"][0]["folder"] = "../../elsewhere/" + whole.at("cells")[0].at("key").get<std::string>();
  files.write("out/sweep.json", elsewhere.dump());
  CHECK(thrown_by([&] { read_sweep(files.folder / "out"); }).says("got the folder"));
  Json no_definition = whole;
  no_definition["definition"] = 5;
  files.write("out/sweep.json", no_definition.dump());
  CHECK(thrown_by([&] { read_sweep(files.folder / "out"); }).says("definition: got no object"));
}

TEST_CASE("read_failure: a code that no program ends with is damage, not success", "[unit]") {
  const SweepFiles files;
  files.write("cell.failed.json", "{\"exit_code\": 256, \"signal\": 0, \"line\": \"x\"}");
  const auto failure = read_failure(files.folder / "cell");
  REQUIRE(failure);
  CHECK(failure->exit_code == int(Exit::bad_input));
  CHECK(failure->line.find("damaged") != std::string::npos);
}

TEST_CASE("work_on: a run that ends well without a result has failed, with an exit code that says so", "[unit]") {
  const SweepFiles files;
  write_sweep(make_sweep(read_sweep_definition(files.sweep(kRanks)), files.folder / "out", "", 1));
  const SweepFile sweep = read_sweep(files.folder / "out");
  WorkOptions options;
  options.program = "/bin/true";
  const WorkResult result = work_on(sweep, options);
  CHECK(result.failed == 2);
  CHECK(result.exit_code == 1);
  const auto failure = read_failure(sweep.cells[0].folder);
  REQUIRE(failure);
  CHECK(failure->exit_code == 1);
  CHECK(failure->line == "ended well, but without summary.json");
}

TEST_CASE("estimate_size: books that a pretraining excludes are not counted", "[unit]") {
  const SweepFiles files;
  files.write("held.txt", std::string(400, 'a'));
  const Json config{{"experiment", "pretrain"},
                    {"model", {{"tokenizer", "model"}}},
                    {"data", {{"books", {"*.txt"}}, {"exclude", {"held*"}}, {"validation", {"held.txt"}}}},
                    {"pretrain", {{"passes", 2}}}};
  CHECK(estimate_size(parse_config(config.dump(), "config", files.folder.path().string(), {}).config).tokens == 2000);
}

TEST_CASE("cell_status: waiting, failed, interrupted, done; a retry puts a run aside that can never go on", "[unit]") {
  const SweepFiles files;
  SweepCell cell;
  cell.folder = files.folder / "cell";
  CHECK(cell_status(cell).state == CellState::waiting);
  write_failure(cell.folder, {4, 0, "no space left"});
  CHECK(cell_status(cell).state == CellState::failed);
  CHECK(cell_status(cell).failure->line == "no space left");
  fs::create_directories(cell.folder);
  clear_failure(cell.folder);
  CHECK(cell_status(cell).state == CellState::waiting);
  CHECK(fs::exists(cell.folder));
  write_failure(cell.folder,
                {2, 0, "cell: cannot be resumed, threads is 2 now and was 1; resume under the same conditions"});
  clear_failure(cell.folder);
  CHECK_FALSE(fs::exists(cell.folder));
  CHECK(fs::exists(files.folder / "cell.aside-1"));
  fs::create_directories(cell.folder);
  files.write("cell/run.json", R"({"total_tokens": 400})");
  files.write("cell/chunks.jsonl", R"({"tokens": 100, "scored_tokens": 99, "base_nll": 2, "lora_nll": 1, "seconds": 5})"
                                   "\n");
  CHECK(cell_status(cell).state == CellState::interrupted);
  {
    const auto claim = Claim::take(claims_folder(cell.folder), this_process(), ClaimLook{});
    CHECK(cell_status(cell).state == CellState::running);
  }
  SweepFile sweep;
  sweep.name = "small";
  cell.key = "key";
  sweep.cells = {cell};
  CHECK(status_text(sweep) ==
        "small: 1 cells, 0 done, 0 running, 0 failed, 1 interrupted, 0 waiting\n"
        "interrupted key  (the base config)  25 %, 0:15 left, PPL so far: base 7.39, Temp-LoRA 2.72 (−63.2 %)\n");
  files.write("cell/summary.json", "{}");
  CHECK(cell_status(cell).state == CellState::done);
}

TEST_CASE("clear_failure: a cell that somebody works on keeps its failure", "[unit]") {
  const SweepFiles files;
  const fs::path cell = files.folder / "cell";
  write_failure(cell, {4, 0, "no space left"});
  {
    const auto claim = Claim::take(claims_folder(cell), this_process(), ClaimLook{});
    REQUIRE(claim);
    clear_failure(cell);
    CHECK(read_failure(cell));
  }
  clear_failure(cell);
  CHECK_FALSE(read_failure(cell));
  CHECK_FALSE(fs::exists(claims_folder(cell)));
}

TEST_CASE("last_line: the last line that is not blank", "[unit]") {
  const SweepFiles files;
  files.write("log", "one\ntemplora: two\n\n");
  CHECK(last_line(files.folder / "log") == "templora: two");
  files.write("log", std::string(20000, 'x'));
  CHECK(last_line(files.folder / "log").size() <= 503);
  files.write("log", "\n");
  CHECK(last_line(files.folder / "log").empty());
  CHECK(last_line(files.folder / "none").empty());
}

TEST_CASE("slurm_script: says what the file says, once", "[unit]") {
  const SweepFiles files;
  Json keys = kRanks;
  keys["slurm"] = {{"partition", "long"},
                   {"account", "us"},
                   {"gpus", 1},
                   {"time_limit", 90},
                   {"throttle", 4},
                   {"cpus", 2},
                   {"workers", 3},
                   {"options", {"--constraint=big"}},
                   {"setup", {"module load gcc"}}};
  const NewSweep made = make_sweep(read_sweep_definition(files.sweep(keys)), files.folder / "it's", "", 1);
  const std::string script = slurm_script(made.file, "/opt/templora");
  for (const char* part :
       {"#SBATCH --array=0-1%4\n", "#SBATCH --partition=long\n", "#SBATCH --account=us\n", "#SBATCH --gpus=1\n",
        "#SBATCH --time=90\n", "#SBATCH --cpus-per-task=2\n", "#SBATCH --signal=B:USR1@120\n", "#SBATCH --requeue\n",
        "#SBATCH --constraint=big\n", "\nmodule load gcc\n", "it'\\''s' --no-wait --workers 3 &"})
    CHECK(script.find(part) != std::string::npos);
  CHECK(thrown_by([&] {
          read_sweep_definition(files.sweep({{"slurm", {{"setup", {"a\nb"}}}}}));
        }).says("a text of one line"));
}

TEST_CASE("job_in_answer: the job's number in whatever words sbatch and its site have for it", "[unit]") {
  const auto number = [](const std::string& answer) {
    const auto job = job_in_answer(answer);
    return job ? job->number + "|" + job->cluster : std::string();
  };
  CHECK(number("519605\n") == "519605|");
  CHECK(number("519605;nord\n") == "519605|nord");
  CHECK(number("Submitted batch job 519605\n") == "519605|");
  CHECK(number("-----\nSubmitted batch job 519605 on cluster nord\n") == "519605|nord");
  CHECK(number("Submitted batch job 519605 on cluster nord.\n") == "519605|nord");
  CHECK(number("core hours left:\n120000\n519605\n") == "519605|");
  CHECK(number("sbatch: Submitted batch job 7\ncore hours left:\n120000\n") == "7|");
  CHECK(number("519605\r\n") == "519605|");
  CHECK(number("").empty());
  CHECK(number("job 12 was queued\n").empty());
  CHECK(number("12 34\n").empty());
  CHECK(number("12;a b\n").empty());
  CHECK(number("Submitted batch job soon\n").empty());
}
