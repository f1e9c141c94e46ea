#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "core/file.h"
#include "core/json.h"

namespace templora {

/// Who works on a cell.
struct Claimant {
  std::string id;    ///< drawn anew for every process
  std::string host;
  std::string boot;  ///< the kernel's boot id and the process id namespace: where both are ours, pids mean the same
  pid_t pid = 0;
  std::int64_t started = 0;  ///< the process's start in clock ticks since boot: pids come round again
  std::string job;           ///< Slurm's name of the task ("17_3"), or ""
  std::int64_t restarts = 0; ///< of that job
};

Claimant this_process();

/// What one look at a cell's claims told.
enum class ClaimView {
  free,     ///< nobody has it
  dead,     ///< whoever has it is gone: it may be taken
  alive,    ///< its owner's counter was seen to move, or its process is there
  unknown   ///< somebody has it, and has not been watched long enough
};

struct ClaimLook {
  ClaimView view = ClaimView::free;
  std::int64_t number = 0;  ///< of the claim that was looked at
};

/// Judges the claims of others by what it sees of them, never by a time that somebody wrote down. Where the owner is a
/// process that this machine knows, the kernel says whether it is there. Elsewhere the owner's counter must be seen to
/// move; where it stands still for `patience_s` of watching, the owner is dead. Two looks far apart, because the
/// watcher was stopped or its clock jumped, count for little: at most kLongestLook_s.
class ClaimWatch {
 public:
  static constexpr double kLongestLook_s = 5;

  explicit ClaimWatch(Claimant me, double patience_s = 120) : me_(std::move(me)), patience_s_(patience_s) {}

  /// `claims` is the cell's folder of claims, `now_s` any clock, which may jump.
  ClaimLook look(const fs::path& claims, double now_s);
  const Claimant& me() const { return me_; }

 private:
  struct Seen {
    std::string owner;
    std::int64_t beats = -1;
    double last_s = 0;
    double still_s = 0;
    bool moved = false;
  };
  Claimant me_;
  double patience_s_;
  std::map<std::string, Seen> seen_;  // by folder
};

/// A cell that this process works on. Claims are numbered files in the cell's folder of claims; the highest number is
/// the owner. A claim is made by giving a complete file the next number, which of many processes, on one machine or on
/// many with a shared file system, only one can do. See docs/sweeps.md for why it is not a lock.
class Claim {
 public:
  /// Takes the cell if `seen`, of just now, says that it is free or dead; none where somebody else was faster.
  /// Throws Error(resources) where the folder cannot be written.
  static std::optional<Claim> take(const fs::path& claims, const Claimant& me, const ClaimLook& seen);
  Claim(Claim&& other) noexcept;
  Claim& operator=(Claim&&) = delete;
  /// Gives the cell back.
  ~Claim();

  /// Moves the counter, to be called every kBeat_s. → false: others took the cell, because they saw nothing move for
  /// long.
  bool beat();
  static constexpr double kBeat_s = 10;

 private:
  Claim(fs::path claims, std::int64_t number, Claimant me)
      : claims_(std::move(claims)), number_(number), me_(std::move(me)) {}

  fs::path claims_;
  std::int64_t number_;
  Claimant me_;
  std::int64_t beats_ = 0;
  bool mine_ = true;
};

/// The owner of a cell as its claim says, for the reader; none where nobody has it.
struct ClaimOwner {
  Claimant who;
  std::int64_t beats = 0;
  bool known_dead = false;  ///< a process of this machine that is gone
};
std::optional<ClaimOwner> claim_owner(const fs::path& claims);

}  // namespace templora
