#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace templora {

/// One line on stderr ("templora: ..."), clearing a progress bar that is on the last line.
void log_line(std::string_view text);

/// Progress of work counted in tokens: a bar on a terminal, one plain line every `plain_every_s` seconds
/// otherwise. Shows label, share, tokens/s and the time left.
class Progress {
 public:
  explicit Progress(std::int64_t total_tokens, double plain_every_s = 10.0);
  ~Progress();
  /// `label` is short: "1684.txt chunk 12/300 base 41.2 lora 37.9".
  void update(std::int64_t done_tokens, std::string_view label);

 private:
  std::int64_t total_tokens_;
  std::int64_t first_tokens_ = -1;  // done at the first update: a resumed run's rate counts its own tokens only
  double plain_every_s_;
  bool terminal_;
  std::chrono::steady_clock::time_point start_, last_;
};

}  // namespace templora
