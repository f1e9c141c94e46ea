#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "catch.h"
#include "core/error.h"

namespace templora_test {

namespace fs = std::filesystem;

/// A fresh folder that is removed with its content at the end of the test.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (fs::temp_directory_path() / "templora-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  fs::path operator/(const std::string& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }
  std::size_t entries() const {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(path_)) ++count;
    return count;
  }

 private:
  fs::path path_;
};

/// Lets files grow to `bytes` only, as a full disk would, until it is destroyed.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    before_action_ = ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, before_action_);
  }

 private:
  rlimit before_{};
  sighandler_t before_action_;
};

/// What an action threw: its message and exit code; "" and Exit::done if it threw no templora::Error.
struct Thrown {
  std::string message;
  templora::Exit code = templora::Exit::done;
  bool says(const std::string& part) const { return message.find(part) != std::string::npos; }
};

template <class Action>
Thrown thrown_by(const Action& action) {
  try {
    action();
  } catch (const templora::Error& error) {
    return {error.what(), error.exit_code()};
  }
  return {};
}

/// How an action is refused: in one line, with this exit code; "" where it is not refused.
template <class Action>
std::string refusal(const Action& action, templora::Exit code = templora::Exit::bad_input) {
  const Thrown thrown = thrown_by(action);
  if (thrown.message.empty()) return "";
  CHECK(thrown.code == code);
  CHECK(thrown.message.find('\n') == std::string::npos);
  return thrown.message;
}

}  // namespace templora_test
