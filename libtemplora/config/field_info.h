#pragma once

#include <limits>

#include "config/config.h"

namespace templora {

/// No sequence is longer: keeps sums of token counts far from overflow.
inline constexpr double kMostTokens = 1 << 30;

/// What a key decides.
enum class Role {
  number,        ///< what a run computes
  input,         ///< what it reads: the content counts, and where it lies does not
  presentation,  ///< how its results are shown and what they are compared with
  bookkeeping    ///< what is kept, how often and where
};

/// A set of experiments.
using Experiments = unsigned;
constexpr Experiments only(ExperimentKind kind) { return 1u << static_cast<unsigned>(kind); }
inline constexpr Experiments kPerplexity = only(ExperimentKind::perplexity), kPretrain = only(ExperimentKind::pretrain),
                             kGeneration = only(ExperimentKind::generation),
                             kTranslation = only(ExperimentKind::translation), kAnyExperiment = (1u << 4) - 1,
                             kStreaming = kAnyExperiment & ~kPretrain;  ///< with an adapter that learns a stream

/// What a config file says about one field besides its name and default, and what is made of it. What a section says
/// holds for its keys too.
struct FieldInfo {
  const char* help;
  const char* unit = "";
  double min = -std::numeric_limits<double>::infinity();  ///< smallest value allowed
  double max = std::numeric_limits<double>::infinity();   ///< largest value allowed
  bool above_min = false;                                 ///< `min` itself is not allowed

  Role role = Role::number;
  Experiments users = kAnyExperiment;                ///< that use it; others pass it over, or
  Experiments refused = 0;                           ///< refuse another value than the default,
  const char* why = "";                              ///< with this reason; "": such an experiment does not know it
  bool (*has_part)(const Config&) = nullptr;         ///< whether it matters beside the other keys; null: always
  bool path = false;                                 ///< of a file or folder, relative to the config
  bool repository = false;                           ///< a path that may be a repository's name (config/model_folder.h)
  /// Of an input: names of its hash in run.json's identity, or what they begin with.
  const char *recorded = "", *also_recorded = "";
  bool decides_base = false;                         ///< what the base model makes of a text depends on it
  bool free_to_resume = false;                       ///< may be another when a run is resumed
  /// At its default it has no part in hashes: it came later than others, whose runs and sweep cells keep theirs. Where
  /// it stands in the visiting order is free as long as it is there for ever.
  bool new_key = false;
  /// Experiments that 0.1 hashed it for though it decides nothing there: its default stands in the hash for it.
  Experiments once_hashed = 0;

  constexpr FieldInfo of(Experiments experiments) const { FieldInfo f = *this; return f.users = experiments, f; }
  constexpr FieldInfo is(Role kind) const { FieldInfo f = *this; return f.role = kind, f; }
  constexpr FieldInfo refused_by(Experiments experiments, const char* reason = "") const {
    FieldInfo f = *this;
    return f.refused = experiments, f.why = reason, f;
  }
  constexpr FieldInfo where(bool (*part)(const Config&)) const { FieldInfo f = *this; return f.has_part = part, f; }
  constexpr FieldInfo input(const char* hash, const char* or_hash = "") const {
    FieldInfo f = *this;
    return f.role = Role::input, f.path = true, f.recorded = hash, f.also_recorded = or_hash, f;
  }
  constexpr FieldInfo or_repository() const { FieldInfo f = *this; return f.repository = true, f; }
  constexpr FieldInfo kept_in_folder() const {
    FieldInfo f = *this;
    return f.role = Role::bookkeeping, f.path = true, f;
  }
  constexpr FieldInfo for_base() const { FieldInfo f = *this; return f.decides_base = true, f; }
  constexpr FieldInfo free() const { FieldInfo f = *this; return f.free_to_resume = true, f; }
  constexpr FieldInfo late() const { FieldInfo f = *this; return f.new_key = true, f; }
  constexpr FieldInfo hashed_for(Experiments experiments) const {
    FieldInfo f = *this;
    return f.once_hashed = experiments, f;
  }

  /// Whether it decides something of such an experiment's results.
  constexpr bool counts_in(Experiments experiment) const {
    return (users & experiment) != 0 && (role == Role::number || role == Role::input);
  }
};

/// What holds for a key inside a section.
constexpr FieldInfo within(const FieldInfo& section, FieldInfo key) {
  key.users &= section.users;
  key.refused |= section.refused;
  key.once_hashed |= section.once_hashed;
  key.decides_base |= section.decides_base;
  if (key.role == Role::number) key.role = section.role;
  if (*key.why == '\0') key.why = section.why;
  if (key.has_part == nullptr) key.has_part = section.has_part;
  return key;
}

}  // namespace templora
