#include "core/file_descriptor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "core/error.h"

namespace templora {

std::string errno_text(int error_number) { return std::generic_category().message(error_number); }

int open_regular(const fs::path& path, std::uint64_t& bytes) {
  const auto refuse = [&](const std::string& what) {
    throw Error(Exit::bad_input, fmt::format("{}: {}", shown_path(path), what));
  };
  if (path.native().find('\0') != std::string::npos) refuse("the name holds a NUL byte, wanted the path of a file");
  int fd = -1;
  do {
    fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) refuse(fmt::format("cannot be opened for reading: {}", errno_text(errno)));
  struct stat status {};
  const int failure = ::fstat(fd, &status) == 0 ? 0 : errno;
  if (failure != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    if (failure != 0) refuse(fmt::format("cannot be examined: {}", errno_text(failure)));
    refuse(fmt::format("got {}, wanted a regular file",
                       S_ISDIR(status.st_mode) ? "a folder" : "a pipe, socket or device"));
  }
  bytes = static_cast<std::uint64_t>(status.st_size);
  return fd;
}

int write_all(int fd, const void* data, std::size_t bytes) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(fd, next, bytes);
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    if (written == 0) return EIO;
    next += written;
    bytes -= static_cast<std::size_t>(written);
  }
  return 0;
}

int sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int failure = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  // Some network file systems cannot sync a folder; the file itself was synced.
  return failure == EINVAL || failure == ENOTSUP ? 0 : failure;
}

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

}  // namespace templora
