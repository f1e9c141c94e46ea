#pragma once

#include <deque>
#include <optional>

namespace templora {

/// How fast work has gone of late: over the last minute, and over ten steps at least where a step takes longer. A mean
/// since the start would be wrong for hours after a machine became busy, or a book's windows longer.
class RecentRate {
 public:
  /// `seconds` is any clock that does not run backwards, `done` all work so far.
  void add(double seconds, double done);
  /// None until some work was done in some time.
  std::optional<double> per_second() const;

 private:
  struct Point {
    double seconds, done;
  };
  std::deque<Point> points_;
};

}  // namespace templora
