#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/recent_rate.h"

namespace templora {

/// One line on stderr ("templora: ..."), clearing a progress bar that is on the last line.
void log_line(std::string_view text);

/// A time in seconds as people read it: "0:42", "12:05", "3:00:10".
std::string duration_text(double seconds);

/// Progress of work counted in tokens: a bar on a terminal, otherwise plain lines, at first one every `plain_every_s`
/// seconds, of long work fewer, but one in five minutes. Shows label, share, tokens/s of late and the time left at that
/// rate.
class Progress {
 public:
  explicit Progress(std::int64_t total_tokens, double plain_every_s = 10.0);
  ~Progress();
  /// `label` is short: "1684.txt chunk 12/300".
  void update(std::int64_t done_tokens, std::string_view label);

 private:
  std::int64_t total_tokens_;
  double plain_every_s_;
  bool terminal_;
  bool begun_ = false;
  RecentRate rate_;
  std::chrono::steady_clock::time_point start_, last_;
};

}  // namespace templora
