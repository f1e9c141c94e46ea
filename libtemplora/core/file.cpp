#include "core/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "core/error.h"
#include "core/file_descriptor.h"

namespace templora {

namespace {

[[noreturn]] void fail_writing(const fs::path& path, const char* what, int error_number) {
  throw Error(Exit::resources, fmt::format("{}: {}: {}; the file keeps its earlier content",
                                           shown_path(path), what, errno_text(error_number)));
}

}  // namespace

fs::path normal_path(const fs::path& path) {
  const fs::path normal = path.lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

std::string read_file(const fs::path& path) {
  std::uint64_t bytes = 0;
  const int fd = open_regular(path, bytes);
  std::string content;
  int failure = 0;
  try {
    content.resize(bytes + 1);  // one more, so that the end is seen without growing
    std::size_t filled = 0;
    for (;;) {
      if (filled == content.size()) content.resize(content.size() * 2);
      const ssize_t got = ::read(fd, content.data() + filled, content.size() - filled);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) failure = errno;
      if (got <= 0) break;
      filled += static_cast<std::size_t>(got);
    }
    content.resize(filled);
  } catch (...) {
    ::close(fd);
    throw;
  }
  ::close(fd);
  if (failure != 0) {
    throw Error(Exit::bad_input,
                fmt::format("{}: cannot be read: {}", shown_path(path), errno_text(failure)));
  }
  return content;
}

void write_file_atomically(const fs::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  static std::atomic<unsigned> counter{0};
  if (path_.native().find('\0') != std::string::npos || !path_.has_filename())
    fail_writing(path_, "cannot be written", EINVAL);
  // Renaming over a device or a pipe, /dev/stdout say, would take it from everybody.
  std::error_code ignored;
  const fs::file_status there = fs::status(path_, ignored);
  if (fs::exists(there) && !fs::is_regular_file(there) && !fs::is_directory(there))
    throw Error(Exit::resources, fmt::format("{}: got a device or a pipe, wanted a regular file or a name that is free",
                                             shown_path(path_)));
  // A name that exists is another process's (pids repeat between containers on one disk) or was left
  // by a crash: it is never opened, a next one is tried.
  int failure = EEXIST;
  for (int attempt = 0; attempt < 100 && failure == EEXIST; ++attempt) {
    temporary_ = path_;
    temporary_ += fmt::format(".tmp-{}-{}", ::getpid(), counter++);
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    failure = fd_ >= 0 ? 0 : errno;
    if (failure == EINTR) failure = EEXIST;
  }
  if (failure != 0) fail_writing(path_, "cannot create a file beside it", failure);
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (const int failure = write_all(fd_, bytes.data(), bytes.size()); failure != 0)
    fail_writing(path_, "cannot be written", failure);
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

void AtomicFile::commit() {
  if (::fsync(fd_) != 0) fail_writing(path_, "cannot be forced to disk", errno);
  if (::close(std::exchange(fd_, -1)) != 0) fail_writing(path_, "cannot be closed", errno);
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail_writing(path_, "cannot be replaced", errno);
  temporary_.clear();
  if (const int failure = sync_folder(folder_of(path_)); failure != 0) {
    throw Error(Exit::resources, fmt::format("{}: is written, but its folder cannot be forced to disk: {}",
                                             shown_path(path_), errno_text(failure)));
  }
}

AppendFile::AppendFile(fs::path path, std::uint64_t keep_bytes) : path_(std::move(path)), size_(keep_bytes) {
  const std::string name = shown_path(path_);
  const bool is_new = !fs::exists(fs::symlink_status(path_));
  if (keep_bytes > 0 && is_new) {
    throw Error(Exit::bad_input, fmt::format("{}: is missing, wanted at least {} bytes that the saved state relies on",
                                             name, keep_bytes));
  }
  fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | (is_new ? O_CREAT : 0), 0666);
  if (fd_ < 0)
    throw Error(Exit::resources, fmt::format("{}: cannot be opened for writing: {}", name, errno_text(errno)));
  const auto refuse = [&](Exit code, const std::string& what) {
    ::close(std::exchange(fd_, -1));  // no destructor runs for an object whose constructor throws
    throw Error(code, fmt::format("{}: {}", name, what));
  };
  struct stat status {};
  if (::fstat(fd_, &status) != 0) refuse(Exit::resources, fmt::format("cannot be examined: {}", errno_text(errno)));
  if (!S_ISREG(status.st_mode)) refuse(Exit::bad_input, "got something else, wanted a regular file");
  const auto have_bytes = static_cast<std::uint64_t>(status.st_size);
  if (have_bytes < keep_bytes) {
    refuse(Exit::bad_input,
           fmt::format("got {} bytes, wanted at least {} that the saved state relies on; was the file cut?", have_bytes,
                       keep_bytes));
  }
  if (have_bytes > keep_bytes && ::ftruncate(fd_, static_cast<off_t>(keep_bytes)) != 0) {
    refuse(Exit::resources, fmt::format("cannot be cut to {} bytes: {}", keep_bytes, errno_text(errno)));
  }
  if (is_new) {
    if (const int failure = sync_folder(folder_of(path_)); failure != 0) {
      refuse(Exit::resources, fmt::format("its folder cannot be forced to disk: {}", errno_text(failure)));
    }
  }
  ::lseek(fd_, static_cast<off_t>(keep_bytes), SEEK_SET);
}

AppendFile::~AppendFile() {
  if (fd_ >= 0) ::close(fd_);
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}

void AppendFile::append(std::string_view text) {
  if (const int failure = write_all(fd_, text.data(), text.size()); failure != 0) {
    // Half a record would be taken for damage later.
    if (::ftruncate(fd_, static_cast<off_t>(size_)) == 0) ::lseek(fd_, static_cast<off_t>(size_), SEEK_SET);
    fail_writing(path_, "cannot be appended to", failure);
  }
  size_ += text.size();
}

void AppendFile::append(std::span<const float> values) {
  append(std::string_view(reinterpret_cast<const char*>(values.data()), values.size_bytes()));
}

void AppendFile::sync() {
  if (::fdatasync(fd_) != 0) {
    throw Error(Exit::resources,
                fmt::format("{}: cannot be forced to disk: {}", shown_path(path_), errno_text(errno)));
  }
}

}  // namespace templora
