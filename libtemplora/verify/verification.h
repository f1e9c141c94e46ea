#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/json.h"

namespace templora {

/// What became of one check.
enum class Outcome { ok, found, not_checked };

/// One line of a verification: a check that found nothing, one finding, or a check that could not be made.
struct CheckLine {
  std::string name;  ///< "chunk-order": docs/verify.md lists them
  Outcome outcome = Outcome::ok;
  std::string detail;
};

/// Collects what checks find, in the order in which the checks began.
class Verification {
 public:
  /// Says that `name` is looked at; it is "ok" unless something is found.
  void check(const std::string& name);
  /// Several at once.
  void check(std::initializer_list<const char*> names);
  /// Something is off. Of many findings of one name the first few are kept, and the number of the others.
  void found(const std::string& name, const std::string& detail);
  /// found() unless `good`. → good
  bool expect(bool good, const std::string& name, const std::string& detail);
  void not_checked(const std::string& name, const std::string& why);
  /// Something the reader should know that is no finding: "unfinished: ...".
  void remark(const std::string& text);

  bool sound() const { return findings_ == 0; }
  bool sound(const std::string& name) const;
  std::vector<CheckLine> lines() const;

  /// "name: detail" a finding and "not checked name: why", a line each, with `all` also "ok name".
  std::string text(bool all) const;
  /// "runs/a is sound: 32 checks passed, 1 could not be made", or how many findings of which checks there are.
  std::string verdict(const std::string& folder) const;
  Json json() const;

 private:
  struct Entry {
    std::vector<std::string> findings;
    long more = 0;
    std::string why_not;
  };
  Entry& entry(const std::string& name);

  std::vector<std::string> order_, remarks_;
  std::map<std::string, Entry> entries_;
  long findings_ = 0;
};

}  // namespace templora
