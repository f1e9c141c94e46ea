#include "run/run_failure.h"

#include <fcntl.h>
#include <sys/file.h>

#include <chrono>
#include <thread>

#include "small_run.h"

using namespace templora;
using namespace templora_test;

TEST_CASE("note_failure: says why a run ended, until the run goes on", "[unit]") {
  const Scratch scratch;
  note_failure(scratch.path, 3, "no run is there");
  CHECK_FALSE(fs::exists(scratch.path));
  {
    RunFolder folder = RunFolder::create(scratch.path, record_of());
    CHECK(is_run_locked(scratch.path));
    note_failure(scratch.path, 3, "another process works on it");
    CHECK_FALSE(read_failure_file(run_failure_file(scratch.path)));
  }
  CHECK_FALSE(is_run_locked(scratch.path));
  note_failure(scratch.path, 5, "chunk 7: the loss is nan");
  const auto failure = read_failure_file(run_failure_file(scratch.path));
  REQUIRE(failure);
  CHECK(failure->exit_code == 5);
  CHECK(failure->line == "chunk 7: the loss is nan");
  {
    RunFolder folder = RunFolder::resume(scratch.path, record_of());
    CHECK_FALSE(fs::exists(run_failure_file(scratch.path)));
    go_on(folder, kBooks * kChunks, 4, true);
  }
  note_failure(scratch.path, 5, "too late");
  CHECK_FALSE(fs::exists(run_failure_file(scratch.path)));
}

TEST_CASE("is_run_locked: two who look do not see each other, nor hinder a run that begins", "[unit]") {
  const Scratch scratch;
  { const RunFolder folder = RunFolder::create(scratch.path, record_of()); }
  const int fd = ::open((scratch.path / "lock").c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  REQUIRE(::flock(fd, LOCK_SH) == 0);
  CHECK_FALSE(is_run_locked(scratch.path));
  std::thread look([fd] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    ::close(fd);
  });
  CHECK_NOTHROW(RunFolder::resume(scratch.path, record_of()));
  look.join();
}
