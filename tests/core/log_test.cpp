#include "core/log.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "catch.h"
#include "core/file.h"
#include "fixtures.h"

using namespace templora;
using templora_test::TempFolder;

namespace {

/// Points stderr at `fd` while it lives.
class StderrTo {
 public:
  explicit StderrTo(int fd) : before_(::dup(STDERR_FILENO)) { ::dup2(fd, STDERR_FILENO); }
  ~StderrTo() {
    ::dup2(before_, STDERR_FILENO);
    ::close(before_);
  }

 private:
  int before_;
};

template <class Action>
std::string written_to_file(const Action& action) {
  const TempFolder folder;
  const int fd = ::open((folder / "stderr").c_str(), O_CREAT | O_WRONLY, 0600);
  {
    const StderrTo redirected(fd);
    action();
  }
  ::close(fd);
  return read_file(folder / "stderr");
}

/// What a terminal of `columns` columns would get; "" where the machine has no pseudo terminals.
template <class Action>
std::string written_to_terminal(unsigned short columns, const Action& action) {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || ::grantpt(master) != 0 || ::unlockpt(master) != 0) return "";
  const int slave = ::open(::ptsname(master), O_RDWR | O_NOCTTY);
  if (slave < 0) return "";
  const winsize size{24, columns, 0, 0};
  ::ioctl(slave, TIOCSWINSZ, &size);
  {
    const StderrTo redirected(slave);
    action();
  }
  ::close(slave);
  std::string out;
  char piece[4096];
  // The kernel hands over what was written in pieces; with no slave left the last one is followed by an error.
  for (ssize_t got; (got = ::read(master, piece, sizeof piece)) > 0;) out.append(piece, static_cast<std::size_t>(got));
  ::close(master);
  return out;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("log_line: is one line whatever the text holds", "[unit]") {
  CHECK(written_to_file([] { log_line("a\nb"); }) == "templora: a?b\n");
}

TEST_CASE("Progress: without a terminal prints plain lines, seldom", "[unit]") {
  const std::string text = written_to_file([] {
    Progress progress(1000, 3600);
    progress.update(100, "first");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    for (int i = 200; i < 1000; ++i) progress.update(i, "middle");
    progress.update(1000, "last");
  });
  CHECK(count(text, "\n") == 2);
  CHECK(text.find('\r') == std::string::npos);
  CHECK(text.find("templora:  10.0% first\n") == 0);
  CHECK(text.find("100.0%") != std::string::npos);
  CHECK(text.find(" tokens/s 0:00 left last\n") != std::string::npos);
}

TEST_CASE("Progress: the rate of a resumed run counts its own tokens only", "[unit]") {
  const std::string text = written_to_file([] {
    Progress progress(1000000000, 0);
    progress.update(999999000, "resumed");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    progress.update(999999001, "next");
  });
  // One token in 20 ms or more; the tokens of before would give some billions a second.
  const std::size_t at = text.rfind("% ");
  REQUIRE(at != std::string::npos);
  CHECK(std::stod(text.substr(at + 2)) <= 50);
}

TEST_CASE("Progress: on a terminal draws a bar that a log line clears", "[unit]") {
  const std::string text = written_to_terminal(60, [] {
    Progress progress(100);
    progress.update(50, std::string(300, 'x'));
    log_line("hello");
    progress.update(100, "end");
  });
  if (text.empty()) {
    WARN("skipped: no pseudo terminal here");
    return;
  }
  CHECK(text.find("\r\x1b[K[==========          ]  50.0%") == 0);
  CHECK(text.find("\r\x1b[Ktemplora: hello\r\n") != std::string::npos);
  CHECK(text.find("[====================] 100.0%") != std::string::npos);
  CHECK(text.substr(text.size() - 2) == "\r\n");
  CHECK(text.find(std::string(60, 'x')) == std::string::npos);
}
