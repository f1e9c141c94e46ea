#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/file_descriptor.h"

namespace templora {

MappedFile::MappedFile(const fs::path& path) {
  std::uint64_t bytes = 0;
  const int fd = open_regular(path, bytes);
  if (bytes == 0) {  // mmap refuses a length of 0
    ::close(fd);
    return;
  }
  void* data = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  const int failure = errno;
  ::close(fd);
  if (data == MAP_FAILED) {
    throw Error(
        failure == ENOMEM ? Exit::resources : Exit::bad_input,
        fmt::format("{}: {} bytes cannot be mapped: {}", shown_path(path), bytes, errno_text(failure)));
  }
  data_ = static_cast<const std::byte*>(data);
  size_ = bytes;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

void MappedFile::release(std::size_t offset, std::size_t bytes) const {
  if (offset >= size_ || bytes == 0) return;
  if (bytes > size_ - offset) bytes = size_ - offset;
  // Whole pages, outwards: the mapping is never written, so a neighbour's bytes are only read again.
  const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t begin = offset / page * page;
  ::madvise(const_cast<std::byte*>(data_) + begin, offset + bytes - begin, MADV_DONTNEED);
}

}  // namespace templora
