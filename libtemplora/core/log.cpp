#include "core/log.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <mutex>

#include "core/error.h"

namespace templora {

namespace {

constexpr double kLongestSilence_s = 300;

std::mutex output_mutex;
bool bar_is_shown = false;  // the last line of the terminal is a bar without its newline

void write_stderr(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

std::size_t terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string duration_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

void log_line(std::string_view text) {
  const std::lock_guard lock(output_mutex);
  write_stderr(fmt::format("{}templora: {}\n", bar_is_shown ? "\r\x1b[K" : "", printable(text, 4000)));
  bar_is_shown = false;
}

Progress::Progress(std::int64_t total_tokens, double plain_every_s)
    : total_tokens_(total_tokens), plain_every_s_(plain_every_s), terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  const std::lock_guard lock(output_mutex);
  if (bar_is_shown) write_stderr("\n");
  bar_is_shown = false;
}

void Progress::update(std::int64_t done_tokens, std::string_view label) {
  const auto now = std::chrono::steady_clock::now();
  const bool is_first = !begun_;
  if (is_first) start_ = now;
  begun_ = true;
  const auto done = static_cast<double>(done_tokens), total = static_cast<double>(total_tokens_);
  rate_.add(std::chrono::duration<double>(now - start_).count(), done);
  // The longer it takes, the less often a line is wanted: about ten in the first five minutes.
  const double gone_s = std::chrono::duration<double>(now - start_).count();
  const double quiet_s =
      terminal_ ? 0.1 : std::max(plain_every_s_, std::min(kLongestSilence_s, plain_every_s_ * (1 + gone_s / 60)));
  const bool is_last = done_tokens >= total_tokens_;
  if (!is_first && !is_last && std::chrono::duration<double>(now - last_).count() < quiet_s) return;
  last_ = now;

  const double share = total_tokens_ > 0 ? std::clamp(done / total, 0.0, 1.0) : 1.0;
  std::string speed;  // unknown until some tokens were done
  if (const std::optional<double> rate = rate_.per_second())
    speed = fmt::format(" {:.0f} tokens/s {} left", *rate, duration_text(std::max(0.0, total - done) / *rate));
  const std::string rest = fmt::format("{:5.1f}%{} {}", 100 * share, speed, printable(label, 400));

  const std::lock_guard lock(output_mutex);
  if (!terminal_) {
    write_stderr(fmt::format("templora: {}\n", rest));
    return;
  }
  constexpr int kBarColumns = 20;
  const int filled = static_cast<int>(share * kBarColumns);
  const std::string line = fmt::format("[{:=<{}}{:<{}}] {}", "", filled, "", kBarColumns - filled, rest);
  // A line that wraps could not be cleared by \r; the last column stays free.
  write_stderr("\r\x1b[K" + printable(line, std::max<std::size_t>(terminal_columns(), 5) - 4));
  bar_is_shown = true;
}

}  // namespace templora
