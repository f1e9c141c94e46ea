#include "core/recent_rate.h"

namespace templora {

namespace {

constexpr double kWindow_s = 60;
constexpr std::size_t kLeastPoints = 11;  // ten steps
constexpr double kApart_s = 0.05;         // closer points are one, so that there are never many

}  // namespace

void RecentRate::add(double seconds, double done) {
  if (points_.size() >= 2 && points_.back().seconds - points_[points_.size() - 2].seconds < kApart_s)
    points_.back() = {seconds, done};
  else
    points_.push_back({seconds, done});
  while (points_.size() > kLeastPoints && seconds - points_[1].seconds >= kWindow_s) points_.pop_front();
}

std::optional<double> RecentRate::per_second() const {
  if (points_.empty()) return std::nullopt;
  const double seconds = points_.back().seconds - points_.front().seconds;
  const double done = points_.back().done - points_.front().done;
  if (!(seconds > 0) || !(done > 0)) return std::nullopt;
  return done / seconds;
}

}  // namespace templora
