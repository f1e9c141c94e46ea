#pragma once

#include <cstdint>
#include <utility>

#include "sweep/slurm_settings.h"

namespace templora {

/// Largest count that a key takes.
inline constexpr std::int64_t kMostOfSlurm = 1000000;

/// Names every key: `v(name, member)`, texts, counts, then lists of lines. Reading, writing and the schema come from
/// it.
template <class Settings, class Visitor>
void visit_slurm(Settings& s, Visitor&& v) {
  for (const auto& [name, member] : {std::pair{"partition", &s.partition},
                                     {"account", &s.account},
                                     {"time_limit", &s.time_limit},
                                     {"memory", &s.memory},
                                     {"gpus", &s.gpus}})
    v(name, *member);
  for (const auto& [name, member] : {std::pair{"cpus", &s.cpus},
                                     {"tasks", &s.tasks},
                                     {"throttle", &s.throttle},
                                     {"workers", &s.workers},
                                     {"signal_before_s", &s.signal_before_s}})
    v(name, *member);
  for (const auto& [name, member] : {std::pair{"options", &s.options}, {"setup", &s.setup}}) v(name, *member);
}

}  // namespace templora
