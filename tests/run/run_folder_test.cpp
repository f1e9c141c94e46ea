#include "run/run_folder.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <random>
#include <string>

#include "catch.h"
#include "core/hash.h"
#include "run/run_data.h"
#include "small_run.h"
#include "text_parts.h"

using namespace templora;
using namespace templora_test;

namespace {

std::string records(const fs::path& folder) {
  std::string all;
  for (const char* file : {"run.json", "books.jsonl", "chunks.jsonl", "nll/0-base.f32", "nll/0-lora.f32",
                           "nll/1-base.f32", "nll/1-lora.f32", "summary.json", "table.md"})
    all += read_file(folder / file);
  return all;
}

std::size_t files_in(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("RunFolder: what was appended is read back", "[unit]") {
  Scratch scratch;
  {
    RunFolder folder = RunFolder::create(scratch.path, record_of());
    go_on(folder, kBooks * kChunks, 100, true);
  }
  const RunData run = read_run(scratch.path);
  Json wanted = record_of();
  wanted["effective_hash"] = hash_hex(wanted.at("config").dump());
  CHECK(run.run == wanted);
  REQUIRE(run.books.size() == 2);
  CHECK(run.books[1].book == "1.txt");
  REQUIRE(run.chunks.size() == kBooks * kChunks);
  CHECK(to_json(run.chunks[7]) == to_json(chunk_of(1, 1)));
  CHECK(run.nll.at(1).at(Arm::base).size() == kChunks * kTokens - 1);
  CHECK(run.nll.at(0).at(Arm::base)[4] == 3.0f);
  CHECK(run.nll.at(1).at(Arm::other_book).size() == kChunks * kTokens - 1);
  CHECK_FALSE(run.nll.at(1).contains(Arm::mixed_books));
  CHECK(run.chunks.at(0).controls.at(Arm::other_book).trained_book.empty());
  CHECK(run.chunks.at(2).controls.at(Arm::other_book).trained_book == "other.txt");
  CHECK(run.chunks.at(2).controls.at(Arm::other_book).trained_token == 2 * kTokens);
}

TEST_CASE("RunFolder: a folder with anything in it is not overwritten", "[unit]") {
  Scratch scratch;
  fs::create_directories(scratch.path);
  std::ofstream(scratch.path / "mine.txt") << "x";
  check_refused([&] { RunFolder::create(scratch.path, record_of()); }, Exit::usage);
  check_refused([&] { RunFolder::resume(scratch.path, record_of()); }, Exit::usage);
  CHECK(files_in(scratch.path) == 1);
  fs::remove(scratch.path / "mine.txt");
  { RunFolder::create(scratch.path, record_of()); }
  check_refused([&] { RunFolder::create(scratch.path, record_of()); }, Exit::usage);
  check_refused([&] { RunFolder::resume(scratch.path / "none", record_of()); }, Exit::usage);
  check_refused([&] { RunFolder::create(scratch.path / "run.json", record_of()); }, Exit::usage);
  check_refused([&] { RunFolder::create(scratch.path / "run.json" / "x", record_of()); }, Exit::resources);
}

TEST_CASE("RunFolder: a run of another identity is refused by every difference", "[unit]") {
  Scratch scratch;
  { RunFolder::create(scratch.path, record_of()); }
  Json other = record_of(3);
  other["identity"]["config_hash"] = "ff";
  other["identity"]["torch_version"] = "2.13.0";
  const std::string message = check_refused([&] { RunFolder::resume(scratch.path, other); }, Exit::usage);
  for (const char* part : {"config_hash", "\"ff\"", "threads is 3 now and was 2", "torch_version", "nothing"})
    check_has(message, part);
  Json renamed = record_of();
  renamed["config"]["seed"] = 43;  // only the identity counts
  CHECK_NOTHROW(RunFolder::resume(scratch.path, renamed));
}

TEST_CASE("RunFolder: a run may be known by another hash of its config", "[unit]") {
  Scratch scratch;
  Json older = record_of(), now = record_of();
  older["identity"]["config_hash"] = "older";
  now["identity"]["config_hash"] = "now";
  { RunFolder::create(scratch.path, older); }
  check_refused([&] { RunFolder::resume(scratch.path, now); }, Exit::usage);
  check_refused([&] { RunFolder::resume(scratch.path, now, "other"); }, Exit::usage);
  CHECK_NOTHROW(RunFolder::resume(scratch.path, now, "older"));
  now["identity"]["threads"] = 3;
  check_refused([&] { RunFolder::resume(scratch.path, now, "older"); }, Exit::usage);
}

TEST_CASE("RunFolder: two processes cannot write to one folder", "[unit]") {
  Scratch scratch;
  const RunFolder folder = RunFolder::create(scratch.path, record_of());
  check_has(check_refused([&] { RunFolder::resume(scratch.path, record_of()); }, Exit::usage), "another process");
}

TEST_CASE("RunFolder: resuming cuts the records to the newest state and gives an uninterrupted run's files", "[unit]") {
  Scratch whole, scratch;
  {
    whole.path += "-whole";
    RunFolder folder = RunFolder::create(whole.path, record_of());
    go_on(folder, kBooks * kChunks, 4, true);
  }
  {
    RunFolder folder = RunFolder::create(scratch.path, record_of());
    go_on(folder, 11, 4, false);
  }
  CHECK(files_in(scratch.path / "state") == 4);  // the last two
  RunFolder folder = RunFolder::resume(scratch.path, record_of());
  REQUIRE(folder.saved_state());
  CHECK(*folder.saved_state() == Json({{"next", 8}}));
  CHECK(fs::file_size(scratch.path / "nll/1-base.f32") == 4 * (2 * kTokens - 1));
  CHECK(!folder.finished());
  go_on(folder, kBooks * kChunks, 4, true);
  CHECK(records(scratch.path) == records(whole.path));
}

TEST_CASE("RunFolder: without a state the run starts over in place", "[unit]") {
  Scratch scratch;
  {
    RunFolder folder = RunFolder::create(scratch.path, record_of());
    go_on(folder, 8, 100, false);
  }
  const RunFolder folder = RunFolder::resume(scratch.path, record_of());
  CHECK(!folder.saved_state());
  CHECK(!fs::exists(scratch.path / "chunks.jsonl"));
  CHECK(files_in(scratch.path / "nll") == 0);
}

TEST_CASE("RunFolder: where no saved state can be used, resuming is refused and nothing is lost", "[unit]") {
  Scratch scratch;
  {
    RunFolder folder = RunFolder::create(scratch.path, record_of());
    go_on(folder, 9, 4, false);
  }
  const fs::path state = scratch.path / "state";
  for (const auto& entry : fs::directory_iterator(state))
    if (entry.path().extension() == ".json") fs::resize_file(entry.path(), 30);
  const std::string before = read_file(scratch.path / "chunks.jsonl");
  CHECK_THROWS_WITH(RunFolder::resume(scratch.path, record_of()),
                    Catch::Matchers::Contains("none of the saved states"));
  CHECK(read_file(scratch.path / "chunks.jsonl") == before);
  CHECK(fs::exists(state / "state-1.safetensors"));
}

TEST_CASE("RunFolder: a finished run is reported and left alone", "[unit]") {
  Scratch scratch;
  {
    RunFolder folder = RunFolder::create(scratch.path, record_of());
    go_on(folder, kBooks * kChunks, 5, true);
  }
  const std::string before = records(scratch.path);
  const RunFolder folder = RunFolder::resume(scratch.path, record_of());
  CHECK(folder.finished());
  CHECK(records(scratch.path) == before);
}

TEST_CASE("RunFolder: a finished run that is opened again is unfinished and goes on from its last state", "[unit]") {
  Scratch scratch;
  {
    RunFolder folder = RunFolder::create(scratch.path, record_of());
    go_on(folder, kBooks * kChunks, 5, true);
  }
  std::ofstream(scratch.path / "cost.md") << "| cost |\n";
  const std::string before = records(scratch.path);
  RunFolder folder = RunFolder::resume(scratch.path, record_of());
  REQUIRE(folder.finished());
  SECTION("from its last state") {
    folder.reopen();
    CHECK(!folder.finished());
    for (const char* file : {"summary.json", "table.md", "cost.md"}) CHECK(!fs::exists(scratch.path / file));
    REQUIRE(folder.saved_state());
    CHECK(folder.saved_state()->at("next") == 10);
    go_on(folder, kBooks * kChunks, 5, true);
    CHECK(records(scratch.path) == before);
  }
  SECTION("without a state it stays as it was") {
    fs::remove_all(scratch.path / "state");
    check_refused([&] { folder.reopen(); }, Exit::bad_input);
    CHECK(folder.finished());
    CHECK(records(scratch.path) == before);
  }
  SECTION("with damaged states only, too") {
    for (const auto& entry : fs::directory_iterator(scratch.path / "state"))
      if (entry.path().extension() == ".json") fs::resize_file(entry.path(), 30);
    check_refused([&] { folder.reopen(); }, Exit::bad_input);
    CHECK(folder.finished());
    CHECK(records(scratch.path) == before);
  }
}

TEST_CASE("RunFolder: a damaged or half-written state gives way to the one before", "[unit]") {
  Scratch scratch;
  {
    RunFolder folder = RunFolder::create(scratch.path, record_of());
    go_on(folder, 9, 4, false);
  }
  const fs::path state = scratch.path / "state";
  std::int64_t expected = 4;
  SECTION("tensors changed") { std::ofstream(state / "state-1.safetensors") << "other bytes"; }
  SECTION("tensors missing") { fs::remove(state / "state-1.safetensors"); }
  SECTION("JSON part changed") {
    std::string json = read_file(state / "state-1.json");
    json.replace(json.find("\"next\": 8"), 9, "\"next\": 7");
    std::ofstream(state / "state-1.json") << json;
  }
  SECTION("JSON part cut") { fs::resize_file(state / "state-1.json", 20); }
  SECTION("record shorter than the state says") { fs::resize_file(scratch.path / "nll/1-lora.f32", 4); }
  SECTION("tensors of a state that never got its JSON part") {
    std::ofstream(state / "state-2.safetensors") << "new";
    std::ofstream(state / "state-2.json.tmp-1-1") << "{";
    for (const char* file : {"summary.json.tmp-1-1", "cost.md.tmp-1-1", "text.txt.tmp-1-1"})
      std::ofstream(scratch.path / file) << "{";
    expected = 8;
  }
  RunFolder folder = RunFolder::resume(scratch.path, record_of());
  REQUIRE(folder.saved_state());
  CHECK(folder.saved_state()->at("next") == expected);
  CHECK(files_in(state) == (expected == 8 ? 4 : 2));
  for (const char* file : {"summary.json.tmp-1-1", "cost.md.tmp-1-1", "text.txt.tmp-1-1"})
    CHECK(!fs::exists(scratch.path / file));
  save(folder, expected);
  CHECK(files_in(state) == 4);
}

TEST_CASE("RunFolder: many books do not use up the file descriptors", "[unit]") {
  Scratch scratch;
  RunFolder folder = RunFolder::create(scratch.path, record_of());
  const float one[] = {1.0f};
  for (int round = 0; round < 2; ++round)
    for (std::int64_t book = 0; book < 40; ++book) folder.append_nll(book, Arm::base, one);
  CHECK(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()) < 40);
  CHECK(fs::file_size(scratch.path / "nll/0-base.f32") == 8);
}

TEST_CASE("RunFolder: killed at any moment it can be resumed, and nothing is lost or doubled", "[slow]") {
  Scratch whole, scratch;
  whole.path += "-whole";
  constexpr std::int64_t kEnd = kBooks * kChunks;
  const auto start = std::chrono::steady_clock::now();
  {
    RunFolder folder = RunFolder::create(whole.path, record_of());
    go_on(folder, kEnd, 2, true);
  }
  const auto whole_us = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
  std::mt19937 random(7);
  std::uniform_int_distribution<std::int64_t> wait_us(0, whole_us.count() * 5 / 4);
  int killed = 0, completed = 0;
  for (int attempt = 0; attempt < 40; ++attempt) {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        RunFolder folder = fs::exists(scratch.path) ? RunFolder::resume(scratch.path, record_of())
                                                    : RunFolder::create(scratch.path, record_of());
        if (!folder.finished()) go_on(folder, kEnd, 2, true);
        ::_exit(0);
      } catch (const std::exception& error) {
        ::_exit(9);
      }
    }
    ::usleep(static_cast<useconds_t>(wait_us(random)));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status)) {
      REQUIRE(WEXITSTATUS(status) == 0);
      REQUIRE(records(scratch.path) == records(whole.path));
      ++completed;
      fs::remove_all(scratch.path);
    } else {
      ++killed;
    }
  }
  CHECK(killed > 5);
  CHECK(completed > 0);
}
