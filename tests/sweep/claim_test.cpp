#include "sweep/claim.h"

#include <sys/wait.h>

#include <atomic>
#include <thread>

#include "catch.h"
#include "files.h"

using namespace templora;
using namespace templora_test;

namespace {

// A process on another machine: nothing is known of its pid.
Claimant stranger(const std::string& id) {
  Claimant who;
  who.id = id;
  who.host = "far";
  who.boot = "boot of " + id;
  who.pid = 1;
  return who;
}

std::optional<Claim> take_free(const fs::path& claims, const Claimant& who) {
  return Claim::take(claims, who, ClaimLook{});
}

}  // namespace

TEST_CASE("Claim: one of many takes a cell, and giving it back frees it", "[unit]") {
  const TempFolder folder;
  const fs::path claims = folder / "cell.claims";
  std::atomic<int> taken = 0;
  {
    std::vector<std::optional<Claim>> claimed(8);
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i)
      threads.emplace_back([&, i] {
        auto claim = take_free(claims, stranger(std::to_string(i)));
        if (!claim) return;
        ++taken;
        claimed[std::size_t(i)].emplace(std::move(*claim));
      });
    for (std::thread& thread : threads) thread.join();
    CHECK(taken == 1);
    ClaimWatch watch(stranger("watcher"));
    CHECK(watch.look(claims, 0).view == ClaimView::unknown);
  }
  CHECK_FALSE(fs::exists(claims));
  ClaimWatch watch(stranger("watcher"));
  CHECK(watch.look(claims, 0).view == ClaimView::free);
}

TEST_CASE("Claim: giving it back removes claims only, and a link in its place is refused", "[unit]") {
  const TempFolder folder;
  const fs::path claims = folder / "cell.claims";
  {
    const auto claim = take_free(claims, stranger("me"));
    REQUIRE(claim);
    write_file_atomically(claims / "thesis.txt", "years of work");
  }
  CHECK(fs::exists(claims / "thesis.txt"));
  fs::create_directory_symlink(claims, folder / "link.claims");
  CHECK_THROWS_AS(take_free(folder / "link.claims", stranger("me")), Error);
}

TEST_CASE("ClaimWatch: a process of this machine that was killed frees its cell at once", "[unit]") {
  const TempFolder folder;
  const fs::path claims = folder / "cell.claims";
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto claim = take_free(claims, this_process());
    char byte = claim ? 'y' : 'n';
    if (::write(ready[1], &byte, 1) != 1) ::_exit(1);
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  REQUIRE(byte == 'y');
  ClaimWatch watch(this_process());
  CHECK(watch.look(claims, 0).view == ClaimView::alive);
  CHECK_FALSE(claim_owner(claims)->known_dead);
  CHECK_FALSE(take_free(claims, this_process()));
  ::kill(child, SIGKILL);
  siginfo_t info;
  ::waitid(P_PID, id_t(child), &info, WEXITED | WNOWAIT);  // ended, and nobody has asked for it yet
  const ClaimLook seen = watch.look(claims, 0);
  CHECK(seen.view == ClaimView::dead);
  CHECK(claim_owner(claims)->known_dead);
  auto mine = Claim::take(claims, this_process(), seen);
  REQUIRE(mine);
  CHECK(mine->beat());
  CHECK_FALSE(Claim::take(claims, this_process(), seen));  // whoever saw the same a moment ago comes too late
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("ClaimWatch: a clock that jumps neither frees nor loses a cell; a counter that stands still for long does",
          "[unit]") {
  const TempFolder folder;
  const fs::path claims = folder / "cell.claims";
  auto far = take_free(claims, stranger("far"));
  REQUIRE(far);
  ClaimWatch watch(stranger("watcher"), 60);
  CHECK(watch.look(claims, 0).view == ClaimView::unknown);
  CHECK(watch.look(claims, 86400).view == ClaimView::unknown);   // a day, at once
  CHECK(watch.look(claims, -86400).view == ClaimView::unknown);  // and back
  CHECK(far->beat());
  CHECK(watch.look(claims, 1e9).view == ClaimView::alive);
  double now_s = 1e9;
  for (int i = 0; i < 11; ++i) CHECK(watch.look(claims, now_s += 5).view == ClaimView::alive);
  CHECK(far->beat());
  CHECK(watch.look(claims, now_s += 5).view == ClaimView::alive);
  for (int i = 0; i < 11; ++i) CHECK(watch.look(claims, now_s += 5).view == ClaimView::alive);
  const ClaimLook dead = watch.look(claims, now_s += 5);
  CHECK(dead.view == ClaimView::dead);

  auto taken = Claim::take(claims, stranger("watcher"), dead);
  REQUIRE(taken);
  CHECK_FALSE(far->beat());  // it only slept, and learns that the cell is not its own any more
  far.reset();
  CHECK(taken->beat());
  CHECK(claim_owner(claims)->who.id == "watcher");
}

TEST_CASE("ClaimWatch: a Slurm task that was started again knows that its last start is over", "[unit]") {
  const TempFolder folder;
  Claimant before = stranger("before"), after = stranger("after"), other = stranger("other");
  before.job = after.job = "17";
  other.job = "18";
  after.restarts = other.restarts = 1;
  const auto claim = take_free(folder / "cell.claims", before);
  REQUIRE(claim);
  CHECK(ClaimWatch(after).look(folder / "cell.claims", 0).view == ClaimView::dead);
  CHECK(ClaimWatch(other).look(folder / "cell.claims", 0).view == ClaimView::unknown);
}

TEST_CASE("ClaimWatch: a claim that cannot be read is waited out like one that stands still", "[unit]") {
  const SweepFiles files;
  fs::create_directories(files.folder / "cell.claims");
  files.write("cell.claims/3", "");
  ClaimWatch watch(this_process(), 20);
  for (int i = 0; i < 4; ++i) CHECK(watch.look(files.folder / "cell.claims", 5 * i).view == ClaimView::unknown);
  const ClaimLook dead = watch.look(files.folder / "cell.claims", 20);
  CHECK(dead.view == ClaimView::dead);
  auto claim = Claim::take(files.folder / "cell.claims", this_process(), dead);
  REQUIRE(claim);
  claim.reset();
  CHECK_FALSE(fs::exists(files.folder / "cell.claims"));
}
